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
# Left out: the Twisted adapter (its tests need nose, which no longer runs), and name lookups of
# a public web site, which say nothing about a broker.
pytest_result "pika, its acceptance tests" "$folder" \
  tests/acceptance/{async_adapter_tests,blocking_adapter_test,enforce_one_basicget_test,io_services_tests}.py \
  -k "not WWWGoogle"
