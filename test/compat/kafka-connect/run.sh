# Kafka Connect in distributed mode: a file into a topic, and the topic into a file.
. test/compat/lib/common.sh
python_env || exit 1
jars="$COMPAT_DIR/kafka-connect"
jars test/compat/kafka-connect/pom.xml "$jars" || exit 1
tap "Kafka Connect, distributed" "$PYTHON" test/compat/kafka-connect/check.py "${KAFKA_URL#kafka://}" "$jars"
