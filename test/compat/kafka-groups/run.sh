# Kafka's own Java client in groups and transactions, of now and of the release before.
. test/compat/lib/common.sh
here=test/compat/kafka-groups
address=${KAFKA_URL#kafka://}
older=$(kafka_java 3.9.1 $here/Check.java) || exit 1
newer=$(kafka_java 4.2.2 $here/*.java) || exit 1
# They spend their time waiting for heartbeats: side by side.
tap "Kafka Java client 3.9, groups" java -Xmx256m -cp "$older" Check "$address" &
tap "Kafka Java client 4.2, groups" java -Xmx256m -cp "$newer" Check "$address"
tap "Kafka Java client 4.2, share groups" java -Xmx256m -cp "$newer" NewerCheck "$address"
python_env || exit 1
tap "confluent-kafka, groups of both protocols" "$PYTHON" $here/migration.py "$address"
wait
