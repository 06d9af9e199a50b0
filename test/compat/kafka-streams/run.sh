# Kafka Streams: a word count with exactly_once_v2 that is killed in the middle, and counts right.
. test/compat/lib/common.sh
jars="$COMPAT_DIR/kafka-streams"
jars test/compat/kafka-streams/pom.xml "$jars" || exit 1
javac -cp "$jars/*" -d "$jars/classes" test/compat/kafka-streams/WordCount.java || exit 1
tap "Kafka Streams" java -cp "$jars/classes:$jars/*" WordCount "${KAFKA_URL#kafka://}" "$jars/classes:$jars/*"
