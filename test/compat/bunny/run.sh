# bunny, the Ruby client.
. test/compat/lib/common.sh
debian ruby ruby-bunny || exit 1
# Debian's ruby by its path: a version manager's ruby earlier on PATH would not see the package.
tap "bunny (Ruby)" /usr/bin/ruby test/compat/bunny/check.rb
