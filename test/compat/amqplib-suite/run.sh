# amqplib's own test suite. 2.1.0 is the last release whose npm package contains its tests.
. test/compat/lib/common.sh
VERSION=2.1.0
folder="$COMPAT_DIR/amqplib-$VERSION"
if [ ! -d "$folder/node_modules/claire" ]; then
  mkdir -p "$folder"
  (cd "$folder" && again npm pack --silent "amqplib@$VERSION" >/dev/null && tar xzf "amqplib-$VERSION.tgz") || exit 1
  # Its property tests need this one development dependency. Not the others, and no install
  # scripts: one of them would write git hooks into the repository around .compat.
  again npm install --prefix "$folder" --no-save --ignore-scripts --silent --no-audit claire@0.4.1 || exit 1
fi
# Without a pattern node would count helper files in test/lib as tests.
(cd "$folder/package" && URL="$AMQP_URL" node --test --test-reporter=tap --test-timeout=60000 test/*.test.js) >"$COMPAT_LOGS/amqplib.tap" 2>&1
cat "$COMPAT_LOGS/amqplib.tap"
number() { grep -oE "^(# |ℹ )$1 [0-9]+" "$COMPAT_LOGS/amqplib.tap" | grep -oE '[0-9]+$' || echo 0; }
result "amqplib $VERSION, its own suite" "$(number pass)" $(($(number fail) + $(number cancelled)))
