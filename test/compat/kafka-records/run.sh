# Records in and out: kcat, kafka-python of today and of 2017, confluent-kafka.
. test/compat/lib/common.sh
address=${KAFKA_URL#kafka://}
here=test/compat/kafka-records

command -v kcat >/dev/null || debian kcat || debian kafkacat || exit 1
tap "kcat records" bash $here/kcat.sh "$address"

python_env || exit 1
tap "kafka-python records" "$PYTHON" $here/kafka_python.py "$address"
tap "confluent-kafka records" "$PYTHON" $here/confluent.py "$address"

# 1.3.5 knows no Python after 3.6. OLD_PYTHON names one that is old enough: then it runs as it was published. Else with
# a word that has become a keyword, and generators that end as they used to.
if [ -n "${OLD_PYTHON:-}" ]; then
  old="$COMPAT_DIR/kafka-python-1.3.5"
  [ -d "$old" ] || "$OLD_PYTHON" -m pip install -q --no-deps --target "$old" kafka-python==1.3.5 || exit 1
else
  old=$(sdist kafka-python 1.3.5) || exit 1
  grep -rlw async "$old/kafka" | xargs -r sed -i 's/\basync\b/async_/g'
  sed -i 's/raise StopIteration(.*)$/return/' "$old/kafka/consumer/fetcher.py"
fi
tap "kafka-python 1.3.5" env PYTHONPATH="$old" PYTHONWARNINGS=ignore "${OLD_PYTHON:-$PYTHON}" $here/old_kafka_python.py "$address"
