# stomp.py, in each version of the protocol.
. test/compat/lib/common.sh
python_env || exit 1
tap "stomp.py" "$PYTHON" test/compat/stomp/check.py
