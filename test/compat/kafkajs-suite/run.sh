# kafkajs's own suite. Its package on npm does not contain it: KAFKAJS_SRC names a checkout of its repository
# (https://github.com/tulios/kafkajs), which is copied, not touched. It takes minutes:
#   KAFKAJS_SRC=~/kafkajs PART_TIMEOUT=1800 test/compat/run kafkajs-suite
# KAFKAJS_TESTS narrows it down to files (a pattern of paths). Tests listed in unfair.txt, each with the reason,
# are expected to fail; any other that fails is a failure, and so is one of these that passes.
. test/compat/lib/common.sh
here=test/compat/kafkajs-suite
[ -d "${KAFKAJS_SRC:-}/testHelpers" ] || { echo "KAFKAJS_SRC must name a checkout of kafkajs"; exit 1; }
python_env || exit 1
command -v openssl >/dev/null || debian openssl || exit 1
ROOT=$PWD
folder="$COMPAT_DIR/kafkajs-suite"
rm -rf "$folder/src" "$folder/testHelpers" "$folder/scripts"
mkdir -p "$folder"
cp -r "$KAFKAJS_SRC"/{src,testHelpers,scripts,index.js,jest.config.js,package.json} "$folder/" || exit 1
(cd "$folder" && [ -d node_modules/jest-circus ] ||
  again npm install --no-save --no-package-lock --ignore-scripts --no-audit --no-fund) || exit 1

# Its brokers: an administrator "test", two partitions unless told otherwise, TLS, every login.
(
  cd "$folder" || exit 1
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -keyout tls.key -out tls.pem
  openssl genrsa -out token.key 2048
  node -e '
    const { createPublicKey } = require("crypto");
    const key = createPublicKey(require("fs").readFileSync("token.key")).export({ format: "jwk" });
    console.log(JSON.stringify({ keys: [{ ...key, alg: "RS256", use: "sig" }] }))' >token.jwks
) || exit 1
ports=$(node dist/main.js config | awk '$1 ~ /-port$/ { print "--" $1, $1 ~ /^kafkas?-/ ? 0 : "off" }')
data=$(mktemp -d)
# shellcheck disable=SC2086
node dist/main.js serve --data-dir "$data" $ports --log-level warn \
  --admin-user test --admin-password testtest --kafka-anonymous-user test \
  --tls-cert "$folder/tls.pem" --tls-key "$folder/tls.key" \
  --oauth-jwks "$folder/token.jwks" --oauth-issuer kafkajs --oauth-audience polymq \
  --kafka-advertised localhost --kafkas-advertised localhost --kafka-node-id 0 --kafka-num-partitions 2 >"$COMPAT_LOGS/kafkajs-suite.broker" 2>&1 &
broker=$!
trap 'kill $broker; wait $broker; rm -rf "$data"' EXIT
until_says "PolyMQ ready" "$COMPAT_LOGS/kafkajs-suite.broker" $broker || exit 1
port() { grep -oE "$1://[^ ]*127\.0\.0\.1:[0-9]+" "$COMPAT_LOGS/kafkajs-suite.broker" | head -1 | grep -oE '[0-9]+$'; }
"$PYTHON" $here/users.py "localhost:$(port kafka)" || exit 1
node $here/adapt.mjs "$folder" "$(port kafka)" "$(port kafkas)" || exit 1

# jest NAME ARGUMENTS... -> NAME.json
suite() {
  local name=$1
  shift
  (cd "$folder" && rm -f "$name.json" && KAFKA_VERSION=2.4 KAFKAJS_DEBUG_PROTOCOL_BUFFERS=1 NODE_ENV=test \
    npx jest --ci --forceExit --maxWorkers="${KAFKAJS_WORKERS:-2}" --no-watchman --reporters=default \
    --json --outputFile="$name.json" "$@")
  node $here/count.mjs "$folder/$name.json" $here/unfair.txt "kafkajs, its suite ($name)" "$COMPAT_RESULTS"
}
suite all ${KAFKAJS_TESTS:+--testPathPattern "$KAFKAJS_TESTS"}
# What the suite runs in a second round, against brokers with this one login.
export OAUTHBEARER_ENABLED=1
suite oauthbearer src/producer/index.spec.js src/broker/__tests__/connect.spec.js \
  src/consumer/__tests__/connection.spec.js src/broker/__tests__/disconnect.spec.js \
  src/admin/__tests__/connection.spec.js src/broker/__tests__/reauthenticate.spec.js
