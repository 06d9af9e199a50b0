# php-amqplib, from Debian.
. test/compat/lib/common.sh
debian php-cli php-amqplib || exit 1
tap "php-amqplib" php test/compat/php/check.php
