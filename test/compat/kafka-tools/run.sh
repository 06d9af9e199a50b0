# Kafka's own command line tools, against what they said to Kafka 4.1: every subcommand, with good input and with bad.
#
# kafka-4.1.txt was recorded from one node of Kafka 4.1.1 with an authorizer, share.version 1,
# eligible.leader.replicas.version 0, node.id 1 and group.initial.rebalance.delay.ms 100:
#   java -cp ... Tools host:port kafka-4.1.txt 250 >said && python3 check.py record kafka-4.1.txt said
# What follows a line "~ why" there is how PolyMQ differs.
. test/compat/lib/common.sh
here=test/compat/kafka-tools
jars="$COMPAT_DIR/kafka-tools"
classes="$COMPAT_DIR/kafka-tools-classes"
data=$(mktemp -d)
log="$COMPAT_LOGS/kafka-tools-polymq.log"

jars bench/wire/pom.xml "$jars" || exit 1
javac -nowarn -cp "$jars/*" -d "$classes" $here/Tools.java || exit 1

# A broker of its own: it begins without topics, groups and rules, as Kafka did.
ports=$(node dist/main.js config | awk '$1 ~ /-port$/ && $2 != "off" { print "--" $1, 0 }')
: >"$log"
# shellcheck disable=SC2086
node dist/main.js serve --data-dir "$data" $ports --log-level warn >"$log" 2>&1 &
broker=$!
trap 'kill $broker; wait $broker; rm -rf "$data"' EXIT
until_says "PolyMQ ready" "$log" $broker || exit 1
address=$(grep -oE "kafka://127\.0\.0\.1:[0-9]+" "$log" | head -1)

compare() {
  java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$classes:$jars/*" Tools "${address#kafka://}" $here/kafka-4.1.txt >"$data/said" || return 1
  python3 $here/check.py compare $here/kafka-4.1.txt "$data/said"
}
tap "Kafka's tools 4.1" compare
