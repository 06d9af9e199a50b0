set -u
queue="tools.$RANDOM$RANDOM"
check() {
  local name=$1 expected=$2 actual=$3
  if [ "$expected" = "$actual" ]; then echo "ok - $name"; else echo "not ok - $name: expected '$expected', got '$actual'"; fi
}
check "amqp-declare-queue" "$queue" "$(amqp-declare-queue -u "$AMQP_URL" -q "$queue" -d)"
amqp-publish -u "$AMQP_URL" -r "$queue" -p -b "hello" && echo "ok - amqp-publish" || echo "not ok - amqp-publish"
check "amqp-get" "hello" "$(amqp-get -u "$AMQP_URL" -q "$queue")"
amqp-get -u "$AMQP_URL" -q "$queue" >/dev/null
check "amqp-get on an empty queue" 2 $?
seq 1 5 | amqp-publish -u "$AMQP_URL" -r "$queue" -l
check "amqp-consume" "1 2 3 4 5" "$(timeout 60 amqp-consume -u "$AMQP_URL" -q "$queue" -c 5 cat | tr '\n' ' ' | sed 's/ $//')"
amqp-publish -u "$AMQP_URL" -e amq.direct -r elsewhere -b x
check "publishing to an exchange" 0 $?
check "amqp-delete-queue" 0 "$(amqp-delete-queue -u "$AMQP_URL" -q "$queue")"
