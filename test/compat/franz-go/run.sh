# franz-go, a Kafka client of its own in Go.
. test/compat/lib/common.sh
command -v go >/dev/null || debian golang-go || exit 1
folder="$COMPAT_DIR/franz-go"
mkdir -p "$folder" && cp test/compat/franz-go/main.go "$folder/"
if [ ! -f "$folder/.complete" ]; then
  rm -f "$folder/go.mod" "$folder/go.sum"
  (cd "$folder" && go mod init compat && again go get github.com/twmb/franz-go@v1.18.1 github.com/twmb/franz-go/pkg/kadm@v1.14.0 &&
    again go mod download && touch .complete) || exit 1
fi
(cd "$folder" && go build -o check .) || exit 1
tap "franz-go" "$folder/check" "${KAFKA_URL#kafka://}"
