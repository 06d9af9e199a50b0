# kombu's and py-amqp's integration tests, from their source distributions.
. test/compat/lib/common.sh
python_env || exit 1
export RABBITMQ_HOST=127.0.0.1
RABBITMQ_5672_TCP=$(echo "$AMQP_URL" | grep -oE '[0-9]+/?$' | tr -d /)
export RABBITMQ_5672_TCP
amqp=$(sdist amqp 5.4.2) || exit 1
kombu=$(sdist kombu 5.7.0) || exit 1
# TLS needs certificates set up around the broker; it has tests of its own.
pytest_result "py-amqp, its integration tests" "$amqp" t/integration/test_rmq.py -k "not ssl and not tls"
# One of its tests leaves messages behind that it trips over when run again on the same broker.
"$PYTHON" -c 'import kombu, sys; kombu.Connection(sys.argv[1]).channel().queue_delete("priority_requeue_test")' "$AMQP_URL"
pytest_result "kombu, its AMQP tests" "$kombu" t/integration/test_py_amqp.py
