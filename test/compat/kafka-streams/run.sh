# Kafka Streams: a word count with exactly_once_v2 that is killed in the middle, and counts right.
. test/compat/lib/common.sh
command -v javac >/dev/null || debian default-jdk-headless || exit 1
command -v mvn >/dev/null || debian maven || exit 1
jars="$COMPAT_DIR/kafka-streams"
if ! ls "$jars"/kafka-streams-*.jar >/dev/null 2>&1; then
  mvn -q -B -f test/compat/kafka-streams/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars" || exit 1
fi
javac -cp "$jars/*" -d "$jars/classes" test/compat/kafka-streams/WordCount.java || exit 1
tap "Kafka Streams" java -cp "$jars/classes:$jars/*" WordCount "${KAFKA_URL#kafka://}" "$jars/classes:$jars/*"
