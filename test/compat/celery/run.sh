# A celery worker on this broker: 1,000 tasks, some retried, some for later.
. test/compat/lib/common.sh
python_env || exit 1
tap "celery worker" "$PYTHON" test/compat/celery/check.py
