# pika, both its blocking and its select-loop connection.
. test/compat/lib/common.sh
python_env || exit 1
tap "pika BlockingConnection" "$PYTHON" test/compat/pika/blocking.py
tap "pika SelectConnection" "$PYTHON" test/compat/pika/select_connection.py
