# mosquitto_pub, mosquitto_sub and mosquitto_rr in each version and quality of service.
set -u
address=${MQTT_URL#mqtt://}
at=(-h "${address%:*}" -p "${address#*:}")
out=$(mktemp)
trap 'rm -f "$out" "$out".*' EXIT

check() { if [ "$2" = "$3" ]; then echo "ok $1"; else printf 'not ok %s\n# expected: %s\n# got: %s\n' "$1" "$2" "$3"; fi; }

# Waits until a client that runs with -d has its SUBACK: subscribed OUTPUT PID
subscribed() { until grep -q "Subscribed" "$1" || ! kill -0 "$2" 2>/dev/null; do sleep 0.05; done; }
# Starts a subscriber and waits for it: listen ARGS...
listen() {
  : >"$out"
  stdbuf -oL timeout 60 mosquitto_sub -d "${at[@]}" "$@" >"$out" 2>&1 &
  subscriber=$!
  subscribed "$out" "$subscriber"
}
# Waits until the subscriber has enough: what it got, without its chatter, is in $heard.
hear() {
  wait "$subscriber" 2>/dev/null
  heard=$(grep -vE "^(Client|Subscribed)" "$out")
}

for version in mqttv31 mqttv311 mqttv5; do
  for qos in 0 1 2; do
    listen -V $version -t "compat/+/$version" -q $qos -C 2 -F '%t %q %r %p'
    mosquitto_pub "${at[@]}" -V $version -t "compat/$qos/$version" -q $qos -m one
    mosquitto_pub "${at[@]}" -V $version -t "compat/$qos/$version" -q $qos -r -m two
    hear
    check "$version QoS $qos" "compat/$qos/$version $qos 0 one
compat/$qos/$version $qos 0 two" "$heard"
    got=$(timeout 60 mosquitto_sub "${at[@]}" -V $version -t "compat/$qos/$version" -q 2 -C 1 -F '%q %r %p')
    check "$version QoS $qos retained" "$qos 1 two" "$got"
    # Not with QoS 0: nothing says that it has been read when the next client comes.
    mosquitto_pub "${at[@]}" -V $version -t "compat/$qos/$version" -q $((qos > 0 ? qos : 1)) -r -n
    # A retained one would come before what is sent once the subscription stands.
    listen -V $version -t "compat/$qos/$version" -q 2 -C 1 -F '%r %p'
    mosquitto_pub "${at[@]}" -V $version -t "compat/$qos/$version" -q 1 -m after
    hear
    check "$version QoS $qos retained no more" "0 after" "$heard"
  done

  timeout 60 mosquitto_sub "${at[@]}" -V $version -i "compat-$version" -c -x 60 -q 1 -t "compat/kept" -E 2>/dev/null ||
    timeout 60 mosquitto_sub "${at[@]}" -V $version -i "compat-$version" -c -q 1 -t "compat/kept" -E
  seq 100 | mosquitto_pub "${at[@]}" -V $version -t compat/kept -q 1 -l
  got=$(timeout 60 mosquitto_sub "${at[@]}" -V $version -i "compat-$version" -c -q 1 -t compat/kept -C 100 | sha1sum)
  check "$version a hundred lines wait" "$(seq 100 | sha1sum)" "$got"
  mosquitto_sub "${at[@]}" -V $version -i "compat-$version" -q 1 -t compat/kept -E

  listen -V $version -t compat/will -C 1 -F '%p'
  : >"$out.leaving"
  stdbuf -oL mosquitto_sub -d "${at[@]}" -V $version -i "compat-leaving" -t compat/never --will-topic compat/will \
    --will-payload gone >"$out.leaving" 2>&1 &
  leaving=$!
  subscribed "$out.leaving" "$leaving"
  kill -KILL "$leaving"
  wait "$leaving" 2>/dev/null
  hear
  check "$version will" "gone" "$heard"
done

listen -V mqttv5 -t compat/props -C 1 -F '%P %C %D %R %E %p'
mosquitto_pub "${at[@]}" -V mqttv5 -t compat/props -m body -D publish user-property a 1 -D publish user-property a 2 \
  -D publish content-type text/plain -D publish correlation-data id -D publish response-topic answers \
  -D publish message-expiry-interval 100
hear
check "mqttv5 properties" "a:1 a:2 text/plain id answers 100 body" "$heard"

listen -V mqttv5 -t compat/rr -C 1 -F '%R'
timeout 60 mosquitto_rr "${at[@]}" -V mqttv5 -t compat/rr -e compat/answer -m question -W 30 >"$out.rr" &
asking=$!
hear
check "mosquitto_rr asks" "compat/answer" "$heard"
mosquitto_pub "${at[@]}" -V mqttv5 -t "$heard" -m reply
wait "$asking"
check "mosquitto_rr is answered" "reply" "$(cat "$out.rr")"

mosquitto_pub "${at[@]}" -u guest -P wrong -t compat/x -m x >"$out" 2>&1
check "a wrong password is refused" "1" "$(grep -ciE "not authorised|bad user" "$out")"
