# Sourced by every part's run.sh. Parts run from the repository's root.
set -u
mkdir -p "$COMPAT_DIR"

# What only fetches software asks again: that a registry hiccups says nothing about the broker. Where a tool cannot by
# itself, or not for every kind of error, again() does.
export PIP_RETRIES=${PIP_RETRIES:-5} PIP_DEFAULT_TIMEOUT=${PIP_DEFAULT_TIMEOUT:-30}
export npm_config_fetch_retries=${npm_config_fetch_retries:-5}
MAVEN_OPTS="${MAVEN_OPTS:-} -Dmaven.wagon.http.retryHandler.count=5 -Daether.connector.http.retryHandler.count=5"
export MAVEN_OPTS
APT=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=120)

# again COMMAND...: up to three times. For downloads, never for checks.
again() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    [ "$try" -eq 3 ] || { echo "try $try failed: $*" >&2 && sleep $((try * 5)); }
  done
  return 1
}

# Waits until a process has said something, as long as it runs; if it ends before, shows what it said instead.
# until_says PATTERN LOG PID
until_says() {
  until grep -q "$1" "$2"; do
    if ! kill -0 "$3" 2>/dev/null; then
      grep -q "$1" "$2" && return 0
      cat "$2"
      return 1
    fi
    sleep 0.2
  done
}

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
  local install=(apt-get "${APT[@]}" install -y --no-install-recommends "${missing[@]}")
  # shellcheck disable=SC2086
  $sudo "${install[@]}" || { again $sudo apt-get "${APT[@]}" update && again $sudo "${install[@]}"; }
}

# One Python environment for all Python clients, made once.
python_env() {
  PYTHON="$COMPAT_DIR/venv/bin/python"
  if ! cmp -s test/compat/lib/requirements.txt "$COMPAT_DIR/venv/requirements.txt"; then
    python3 -m venv "$COMPAT_DIR/venv" || { debian python3-venv && python3 -m venv "$COMPAT_DIR/venv"; } || return 1
    again "$PYTHON" -m pip install -q -r test/compat/lib/requirements.txt || return 1
    cp test/compat/lib/requirements.txt "$COMPAT_DIR/venv/requirements.txt"
  fi
}

# Unpacked source distribution of a Python package: sdist NAME VERSION -> prints its folder
sdist() {
  local folder="$COMPAT_DIR/sdist/$1-$2"
  local download=(download -q --no-deps --no-build-isolation --no-binary :all: -d "$COMPAT_DIR/sdist" "$1==$2")
  if [ ! -f "$folder/.complete" ]; then
    mkdir -p "$COMPAT_DIR/sdist"
    again "$PYTHON" -m pip "${download[@]}" >&2 &&
      tar xzf "$COMPAT_DIR/sdist/$1-$2.tar.gz" -C "$COMPAT_DIR/sdist" && touch "$folder/.complete" || return 1
  fi
  echo "$folder"
}

# Copies what a pom.xml depends on, once, and sees to a JDK. jars POM FOLDER [OPTION...]
jars() {
  local pom=$1 folder=$2
  shift 2
  command -v javac >/dev/null || debian default-jdk-headless >&2 || return 1
  [ ! -f "$folder/.complete" ] || return 0
  command -v mvn >/dev/null || debian maven >&2 || return 1
  again mvn -q -B -U -f "$pom" dependency:copy-dependencies "$@" -DoutputDirectory="$folder" >&2 && touch "$folder/.complete"
}

# Compiles Java programs against a version of Kafka's own client and prints the class path to run them with.
# kafka_java VERSION FILE...
kafka_java() {
  local jars="$COMPAT_DIR/kafka-clients-$1" classes="$COMPAT_DIR/kafka-classes-$1"
  jars test/compat/lib/kafka-clients.xml "$jars" -Dkafka.version="$1" || return 1
  shift
  javac -nowarn -cp "$jars/*" -d "$classes" "$@" >&2 || return 1
  echo "$classes:$jars/*"
}

# Runs pytest in a folder and reports its counts, those of tests that a suite runs again when they fail, too.
# pytest_result NAME FOLDER ARGS...
pytest_result() {
  local name=$1 folder=$2 log="$COMPAT_LOGS/$1.pytest"
  shift 2
  (cd "$folder" && "$PYTHON" -m pytest -q -r fER --timeout=60 -p no:cacheprovider -W ignore "$@") >"$log" 2>&1
  local status=$? line
  cat "$log"
  line=$(tail -1 "$log")
  count() { echo "$line" | grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0; }
  local passed failed errors repeated
  passed=$(count passed) failed=$(count failed) errors=$(count error) repeated=$(count rerun)
  # 1 is for tests that failed. Others are for what ended pytest before it was done, or kept it from starting.
  if [ "$passed" -eq 0 ] || [ $status -gt 1 ]; then failed=$((failed + 1)); fi
  result "$name" "$passed" $((failed + errors)) "$(count skipped) skipped$([ "$repeated" -eq 0 ] || echo ", $repeated tried again")"
}
