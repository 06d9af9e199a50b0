# The example of that name: orders sent by stomp.py, worked by celery.
. test/compat/lib/common.sh
python_env || exit 1
tap "orders" "$PYTHON" test/compat/orders/check.py
