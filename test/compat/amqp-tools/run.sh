# The command-line tools of rabbitmq-c.
. test/compat/lib/common.sh
debian amqp-tools || exit 1
tap "amqp-tools (rabbitmq-c)" bash test/compat/amqp-tools/check.sh
