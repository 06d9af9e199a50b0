# The Go client's own test suite, as its module is published.
. test/compat/lib/common.sh
VERSION=v1.16.0
MODULE=github.com/rabbitmq/amqp091-go
command -v go >/dev/null || debian golang-go || exit 1
folder="$COMPAT_DIR/amqp091-go-$VERSION"
if [ ! -f "$folder/.complete" ]; then
  rm -rf "$folder"
  cached=$(cd "$COMPAT_DIR" && again go mod download -json "$MODULE@$VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  [ -d "$cached" ] || exit 1
  cp -r "$cached" "$folder" && chmod -R u+w "$folder" || exit 1
  # How long they wait before they fail, 200 ms mostly and 1 ms at the least, is for a machine that does nothing else.
  perl -0pi -e 's/(case <-time\.After\().*(\):\n\s*(t\.Fatal|t\.Error|panic\())/${1}30 * time.Second$2/g' "$folder"/*_test.go || exit 1
  # What its tests need, too, so that nothing is fetched while they run.
  (cd "$folder" && again go mod download && touch .complete) || exit 1
fi
# Left out: what drops connections through RabbitMQ's management API on its fixed port.
(cd "$folder" && go test -tags integration -count=1 -v -timeout 200s -skip '^TestConnectionRecovery' .) >"$COMPAT_LOGS/go.test" 2>&1
cat "$COMPAT_LOGS/go.test"
number() { grep -cE "^--- $1" "$COMPAT_LOGS/go.test"; }
failed=$(number FAIL)
if [ "$failed" -eq 0 ] && ! grep -qE '^ok ' "$COMPAT_LOGS/go.test"; then failed=1; fi
result "amqp091-go $VERSION, its own suite" "$(number PASS)" "$failed" "$(number SKIP) skipped"
