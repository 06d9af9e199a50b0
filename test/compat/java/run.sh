# The RabbitMQ Java client, compiled against Maven's jars with the JDK alone.
. test/compat/lib/common.sh
command -v javac >/dev/null || debian default-jdk-headless || exit 1
command -v mvn >/dev/null || debian maven || exit 1
jars="$COMPAT_DIR/java"
if ! ls "$jars"/amqp-client-*.jar >/dev/null 2>&1; then
  mvn -q -B -f test/compat/java/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars" || exit 1
fi
javac -cp "$jars/*" -d "$jars/classes" test/compat/java/Check.java || exit 1
tap "RabbitMQ Java client" java -cp "$jars/classes:$jars/*" Check
