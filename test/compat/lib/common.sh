# Sourced by every part's run.sh. Parts run from the repository's root.
set -u
mkdir -p "$COMPAT_DIR"

# result NAME PASSED FAILED [NOTE]
result() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$COMPAT_RESULTS"; }

# Counts the "ok"/"not ok" lines of our own client programs; one that ends early failed once more.
# tap NAME COMMAND...
tap() {
  local name=$1 log="$COMPAT_LOGS/$1.tap" status
  shift
  "$@" >"$log" 2>&1
  status=$?
  cat "$log"
  local passed failed
  passed=$(grep -cE '^ok ' "$log")
  failed=$(grep -cE '^not ok ' "$log")
  if [ $status -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  result "$name" "$passed" "$failed"
}

# debian PACKAGE...: installs what is missing; apt's lists are refreshed once if need be.
debian() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get install -y --no-install-recommends "${missing[@]}" ||
    { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends "${missing[@]}"; }
}

# One Python environment for all Python clients, made once.
python_env() {
  PYTHON="$COMPAT_DIR/venv/bin/python"
  if ! cmp -s test/compat/lib/requirements.txt "$COMPAT_DIR/venv/requirements.txt"; then
    python3 -m venv "$COMPAT_DIR/venv" || { debian python3-venv && python3 -m venv "$COMPAT_DIR/venv"; } || return 1
    "$PYTHON" -m pip install -q -r test/compat/lib/requirements.txt || return 1
    cp test/compat/lib/requirements.txt "$COMPAT_DIR/venv/requirements.txt"
  fi
}

# Unpacked source distribution of a Python package: sdist NAME VERSION -> prints its folder
sdist() {
  local folder="$COMPAT_DIR/sdist/$1-$2"
  if [ ! -d "$folder" ]; then
    mkdir -p "$COMPAT_DIR/sdist"
    "$PYTHON" -m pip download -q --no-deps --no-build-isolation --no-binary :all: -d "$COMPAT_DIR/sdist" "$1==$2" >&2 &&
      tar xzf "$COMPAT_DIR/sdist/$1-$2.tar.gz" -C "$COMPAT_DIR/sdist" || return 1
  fi
  echo "$folder"
}

# Compiles Java programs against a version of Kafka's own client and prints the class path to run them with.
# kafka_java VERSION FILE...
kafka_java() {
  local jars="$COMPAT_DIR/kafka-clients-$1" classes="$COMPAT_DIR/kafka-classes-$1"
  command -v javac >/dev/null || debian default-jdk-headless >&2 || return 1
  command -v mvn >/dev/null || debian maven >&2 || return 1
  if ! ls "$jars"/kafka-clients-*.jar >/dev/null 2>&1; then
    mvn -q -B -f test/compat/lib/kafka-clients.xml dependency:copy-dependencies -Dkafka.version="$1" \
      -DoutputDirectory="$jars" >&2 || return 1
  fi
  shift
  javac -nowarn -cp "$jars/*" -d "$classes" "$@" >&2 || return 1
  echo "$classes:$jars/*"
}

# Runs pytest in a folder and reports its counts. pytest_result NAME FOLDER ARGS...
pytest_result() {
  local name=$1 folder=$2 log="$COMPAT_LOGS/$1.pytest"
  shift 2
  (cd "$folder" && "$PYTHON" -m pytest -q --timeout=60 -p no:cacheprovider -W ignore "$@") >"$log" 2>&1
  cat "$log"
  local line
  line=$(tail -1 "$log")
  count() { echo "$line" | grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0; }
  local passed failed errors skipped
  passed=$(count passed) failed=$(count failed) errors=$(count error) skipped=$(count skipped)
  [ "$passed" -gt 0 ] || failed=$((failed + 1))
  result "$name" "$passed" $((failed + errors)) "$skipped skipped"
}
