# Kafka's administration and logins, by clients that do both: Kafka's own, kafka-python, librdkafka (kcat, confluent-kafka).
. test/compat/lib/common.sh
address=${KAFKA_URL#kafka://}
here=test/compat/kafka-admin

command -v javac >/dev/null || debian default-jdk-headless || exit 1
command -v mvn >/dev/null || debian maven || exit 1
jars="$COMPAT_DIR/kafka-admin"
if ! ls "$jars"/kafka-clients-*.jar >/dev/null 2>&1; then
  mvn -q -B -f $here/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars" || exit 1
fi
javac -cp "$jars/*" -d "$jars/classes" $here/AdminCheck.java || exit 1
tap "Kafka Java AdminClient" java -Xmx256m -cp "$jars/classes:$jars/*" AdminCheck "$address"

python_env || exit 1
tap "kafka-python admin" "$PYTHON" $here/kafka_python.py "$address"
tap "confluent-kafka admin" "$PYTHON" $here/confluent.py "$address"

command -v kcat >/dev/null || debian kcat || debian kafkacat || exit 1
tap "kcat with SASL" bash $here/kcat.sh "$address"
