# kcat (librdkafka) with every compression. usage: kcat.sh host:port
address=$1
kcat=$(command -v kcat || command -v kafkacat)
topic="kcat-records-$$"

# check NAME WANTED FOUND
check() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "not ok $1: expected $2, found $3"; fi; }
kafka() { timeout 60 "$kcat" -b "$address" "$@" 2>&1; }

check "makes a topic by asking for it" 1 "$(kafka -L -t "$topic" | grep -c "topic \"$topic\" with 1 partitions")"
for codec in none gzip snappy lz4 zstd; do
  seq 1 500 | sed "s/^/$codec /" | kafka -P -t "$topic" -z $codec
  check "reads what it wrote with $codec" 500 "$(kafka -C -t "$topic" -o beginning -e -q | grep -c "^$codec ")"
done
check "reads the last three" "zstd 498 zstd 499 zstd 500" "$(kafka -C -t "$topic" -o -3 -e -q | xargs)"
check "finds the end" "$topic [0] offset 2500" "$(kafka -Q -t "$topic:0:-1")"
check "finds the start" "$topic [0] offset 0" "$(kafka -Q -t "$topic:0:-2")"
check "finds by time" "$topic [0] offset 0" "$(kafka -Q -t "$topic:0:1")"
printf 'k1:v1\nk2:\n' | kafka -P -t "$topic-keys" -K: -Z
check "keeps keys and tombstones" "k1=v1/2 k2=/-1" "$(kafka -C -t "$topic-keys" -o beginning -e -q -f '%k=%s/%S\n' | xargs)"
check "reads in a group" 2500 "$(kafka -G "group-$topic" -o beginning -e -q "$topic" | grep -c .)"
