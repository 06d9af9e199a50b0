# Kafka's own Java client in groups and transactions.
. test/compat/lib/common.sh
command -v javac >/dev/null || debian default-jdk-headless || exit 1
command -v mvn >/dev/null || debian maven || exit 1
jars="$COMPAT_DIR/kafka-groups"
if ! ls "$jars"/kafka-clients-*.jar >/dev/null 2>&1; then
  mvn -q -B -f test/compat/kafka-groups/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars" || exit 1
fi
javac -cp "$jars/*" -d "$jars/classes" test/compat/kafka-groups/Check.java || exit 1
tap "Kafka Java client, groups" java -cp "$jars/classes:$jars/*" Check "${KAFKA_URL#kafka://}"
