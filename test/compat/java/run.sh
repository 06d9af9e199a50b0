# The RabbitMQ Java client, compiled against Maven's jars with the JDK alone.
. test/compat/lib/common.sh
jars="$COMPAT_DIR/java"
jars test/compat/java/pom.xml "$jars" || exit 1
javac -cp "$jars/*" -d "$jars/classes" test/compat/java/Check.java || exit 1
tap "RabbitMQ Java client" java -cp "$jars/classes:$jars/*" Check
