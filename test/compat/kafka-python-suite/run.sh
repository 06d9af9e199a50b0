# kafka-python's own integration suite, from its source distribution. KAFKA_PYTHON_SRC names a checkout of its
# repository to use instead.
. test/compat/lib/common.sh
python_env || exit 1
command -v openssl >/dev/null || debian openssl || exit 1
version=$(sed -n 's/^kafka-python==//p' test/compat/lib/requirements.txt)
folder="${KAFKA_PYTHON_SRC:-$(sdist kafka_python "$version")}" || exit 1
touch "$folder/test/__init__.py"
export BROKER_MAIN="$PWD/dist/main.js" PYTHONPATH="$PWD/test/compat/kafka-python-suite"
# Tests for releases up to this one are run, and one that the client takes PolyMQ for it.
export KAFKA_VERSION=4.2
# Newer versions wait for a minute in one test. The suite's own way to end a test that takes too long ends all of
# pytest, and leaves brokers behind.
pytest_result "kafka-python, its integration tests" "$folder" -p polymq_broker \
  --timeout=150 --timeout-method=signal test/integration
