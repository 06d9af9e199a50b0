# Records in and out: kcat, kafka-python of today and of 2017, confluent-kafka.
. test/compat/lib/common.sh
address=${KAFKA_URL#kafka://}
here=test/compat/kafka-records

command -v kcat >/dev/null || debian kcat || debian kafkacat || exit 1
tap "kcat records" bash $here/kcat.sh "$address"

python_env || exit 1
tap "kafka-python records" "$PYTHON" $here/kafka_python.py "$address"
tap "confluent-kafka records" "$PYTHON" $here/confluent.py "$address"

# 1.3.5 knows no Python after 3.6: a word that has become a keyword, and generators that end as they used to.
old=$(sdist kafka-python 1.3.5) || exit 1
grep -rlw async "$old/kafka" | xargs -r sed -i 's/\basync\b/async_/g'
sed -i 's/raise StopIteration(.*)$/return/' "$old/kafka/consumer/fetcher.py"
tap "kafka-python 1.3.5" env PYTHONPATH="$old" PYTHONWARNINGS=ignore "$PYTHON" $here/old_kafka_python.py "$address"
