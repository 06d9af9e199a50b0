# Kafka Connect in distributed mode: a file into a topic, and the topic into a file.
. test/compat/lib/common.sh
command -v java >/dev/null || debian default-jdk-headless || exit 1
command -v mvn >/dev/null || debian maven || exit 1
python_env || exit 1
jars="$COMPAT_DIR/kafka-connect"
if ! ls "$jars"/connect-file-*.jar >/dev/null 2>&1; then
  mvn -q -B -f test/compat/kafka-connect/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars" || exit 1
fi
tap "Kafka Connect, distributed" "$PYTHON" test/compat/kafka-connect/check.py "${KAFKA_URL#kafka://}" "$jars"
