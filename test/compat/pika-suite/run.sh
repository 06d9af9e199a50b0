# pika's acceptance tests. Neither its wheel nor its sdist contains them; Debian's source package
# does. PIKA_SRC names an unpacked source tree to use instead.
. test/compat/lib/common.sh
python_env || exit 1
SUITE=trixie
PACKAGE=python-pika
folder="${PIKA_SRC:-}"

fetch_source() {
  local etc="$COMPAT_DIR/deb-src/etc" lists="$COMPAT_DIR/deb-src/lists" mirror
  mkdir -p "$etc" "$lists/partial" "$COMPAT_DIR/deb-src/pika"
  # The mirror this machine already uses, with the source packages of one suite and nothing else.
  mirror=$(apt-cache policy | grep -oE 'https?://[^ ]+/debian ' | head -1)
  printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$mirror" "$SUITE" >"$etc/source.sources"
  local options=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$etc" -o "Dir::State::Lists=$lists")
  apt-get update "${options[@]}" || return 1
  # Partial mirrors may lack the packaging files; the signed index vouches for each file by itself.
  (cd "$COMPAT_DIR/deb-src" && apt-get source --download-only "${options[@]}" "$PACKAGE")
  tar xzf "$COMPAT_DIR"/deb-src/${PACKAGE}_*.orig.tar.gz --strip-components=1 -C "$COMPAT_DIR/deb-src/pika"
}

if [ -z "$folder" ]; then
  folder="$COMPAT_DIR/deb-src/pika"
  [ -d "$folder/tests/acceptance" ] || fetch_source || exit 1
fi
# Left out: name lookups of a public web site, which say nothing about a broker.
acceptance() {
  pytest_result "$1" "$folder" tests/acceptance -o "python_files=*_test.py *_tests.py" -k "not WWWGoogle"
}

# A broker with the certificates that the tests trust, behind the address that is written into them.
serve_tls() {
  local certs log="$COMPAT_LOGS/pika-tls.log" ports
  # Of releases up to 1.4, and of its main branch.
  certs=$(cd "$folder/testdata/certs" 2>/dev/null || cd "$folder/tests/certs" && pwd) || return 1
  ports=$(node dist/main.js config | awk '$1 ~ /-port$/ { print "--" $1, 0 }')
  # Emptied before anybody looks for what the last run left in them.
  : >"$log" && : >"$log.forward"
  # shellcheck disable=SC2086
  node dist/main.js serve --data-dir "$(mktemp -d)" $ports --log-level warn --tls-verify-peer true \
    --tls-cert "$certs/server_certificate.pem" --tls-key "$certs/server_key.pem" \
    --tls-ca "$certs/ca_certificate.pem" >"$log" 2>&1 &
  timeout 30 sh -c "until grep -q 'PolyMQ ready' '$log'; do sleep 0.2; done" || { cat "$log"; return 1; }
  node test/compat/lib/forward.mjs "$(grep -oE 'amqps://127[0-9.:]+' "$log")" 5671 >"$log.forward" 2>&1 &
  timeout 60 sh -c "until grep -q . '$log.forward'; do sleep 0.2; done"
  grep -q "^forwarding" "$log.forward"
}

acceptance "pika, its acceptance tests"
[ -f dist/main.js ] || exit 0 # another broker's turn, and no PolyMQ built
trap 'kill $(jobs -p) 2>/dev/null' EXIT
serve_tls || exit 1
PIKA_TEST_TLS=true acceptance "pika, the same over TLS"
