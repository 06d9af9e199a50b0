# kcat with every way to log in. usage: kcat.sh host:port
address=$1
kcat=$(command -v kcat || command -v kafkacat)
topic="kcat-admin-$$"
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# check NAME WANTED OUTPUT
check() {
  case "$3" in *"$2"*) echo "ok $1" ;; *) echo "not ok $1: found $3" ;; esac
}

login() { echo -X security.protocol=SASL_PLAINTEXT -X "sasl.mechanisms=$1" -X sasl.username=guest -X "sasl.password=$2"; }

for mechanism in PLAIN SCRAM-SHA-256 SCRAM-SHA-512; do
  # shellcheck disable=SC2046
  printf 'by %s\n' $mechanism | timeout 60 "$kcat" -b "$address" $(login $mechanism guest) -P -t "$topic" -p 0 2>&1
  # shellcheck disable=SC2046
  found=$(timeout 60 "$kcat" -b "$address" $(login $mechanism guest) -C -t "$topic" -o beginning -e -q 2>&1)
  check "writes and reads with $mechanism" "by $mechanism" "$found"
  # It says so at once, and tries again until its time is over, asked to end or not.
  : >"$said"
  # shellcheck disable=SC2046
  "$kcat" -b "$address" $(login $mechanism wrong) -L -m 60 >"$said" 2>&1 &
  until grep -q "Authentication failed" "$said" || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
  kill -KILL $! 2>/dev/null
  wait $! 2>/dev/null
  check "is refused with $mechanism and a wrong password" "Authentication failed" "$(cat "$said")"
done
found=$(timeout 60 "$kcat" -b "$address" -C -t "$topic" -o beginning -e -q 2>&1)
check "reads without a login on this machine" "by SCRAM-SHA-512" "$found"
found=$(timeout 60 "$kcat" -b "$address" -L 2>&1)
check "lists topics" "$topic" "$found"
