# The Go client's own test suite, as its module is published.
. test/compat/lib/common.sh
VERSION=v1.16.0
MODULE=github.com/rabbitmq/amqp091-go
command -v go >/dev/null || debian golang-go || exit 1
folder="$COMPAT_DIR/amqp091-go-$VERSION"
if [ ! -f "$folder/go.mod" ]; then
  cached=$(cd "$COMPAT_DIR" && go mod download -json "$MODULE@$VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  [ -d "$cached" ] || exit 1
  cp -r "$cached" "$folder" && chmod -R u+w "$folder" || exit 1
fi
# Left out: what drops connections through RabbitMQ's management API on its fixed port.
(cd "$folder" && go test -tags integration -count=1 -v -timeout 200s -skip '^TestConnectionRecovery' .) >"$COMPAT_LOGS/go.test" 2>&1
cat "$COMPAT_LOGS/go.test"
number() { grep -cE "^--- $1" "$COMPAT_LOGS/go.test"; }
failed=$(number FAIL)
if [ "$failed" -eq 0 ] && ! grep -qE '^ok ' "$COMPAT_LOGS/go.test"; then failed=1; fi
result "amqp091-go $VERSION, its own suite" "$(number PASS)" "$failed" "$(number SKIP) skipped"
