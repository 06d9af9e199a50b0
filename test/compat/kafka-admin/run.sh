# Kafka's administration and logins, by clients that do both: Kafka's own, kafka-python, librdkafka (kcat, confluent-kafka).
. test/compat/lib/common.sh
address=${KAFKA_URL#kafka://}
here=test/compat/kafka-admin

classes=$(kafka_java 4.2.2 $here/*.java) || exit 1
tap "Kafka Java AdminClient 4.2" java -Xmx256m -cp "$classes" AdminCheck "$address"
tap "Kafka Java AdminClient 4.2, groups" java -Xmx256m -cp "$classes" NewerAdminCheck "$address"
for version in 3.9.1 3.4.1; do
  classes=$(kafka_java $version $here/AdminCheck.java) || exit 1
  tap "Kafka Java AdminClient ${version%.*}" java -Xmx256m -cp "$classes" AdminCheck "$address"
done

python_env || exit 1
tap "kafka-python admin" "$PYTHON" $here/kafka_python.py "$address"
tap "confluent-kafka admin" "$PYTHON" $here/confluent.py "$address"

command -v kcat >/dev/null || debian kcat || debian kafkacat || exit 1
tap "kcat with SASL" bash $here/kcat.sh "$address"
