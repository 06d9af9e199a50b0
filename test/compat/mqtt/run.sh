# mosquitto's command-line tools, and paho-mqtt in each version of the protocol.
. test/compat/lib/common.sh
debian mosquitto-clients || exit 1
tap "mosquitto_pub, mosquitto_sub" bash test/compat/mqtt/check.sh
python_env || exit 1
tap "paho-mqtt (Python)" "$PYTHON" test/compat/mqtt/check.py
