#!/bin/sh
# A compiler launcher: runs the command and keeps what it says on stderr beside the object as OBJECT.usage; what is no word of
# ptxas goes on to stderr.
out=
for word in "$@"; do
  [ "$before" = "-o" ] && out=$word
  before=$word
done
[ -n "$out" ] || exec "$@"
"$@" 2>"$out.usage"
status=$?
grep -v '^ptxas info\|^ *[0-9]* bytes stack frame\|^$' "$out.usage" >&2
exit $status
