#!/usr/bin/env bash
# Gates on the plugin ABI.   abi_gates.sh GATE SOURCE WORK
set -euo pipefail
gate=$1 source=$2 work=$3
abi=$source/sdk/abi headers=$source/sdk/include
fail() { echo "abi_gates: $*" >&2; exit 1; }
mkdir -p "$work"
case $gate in
layout)  # sizes, offsets and constants as recorded, whatever the compiler and language
  python3 "$abi/layout.py" lint "$headers/espalier"
  for language in c c++; do
    {
      for header in "$headers"/espalier/*.h; do echo "#include \"espalier/$(basename "$header")\""; done
      python3 "$abi/layout.py" asserts "$source/tests/plugins/abi_layout.txt"
    } >"$work/asserts.$language"
  done
  for compiler in gcc clang; do
    command -v $compiler >/dev/null || fail "$compiler is missing; scripts/setup installs it"
    $compiler -std=c11 -x c -fsyntax-only -I "$headers" "$work/asserts.c" || fail "$compiler, C11: another layout"
    $compiler -std=c++20 -x c++ -fsyntax-only -I "$headers" "$work/asserts.c++" || fail "$compiler, C++20: another layout"
  done
  # The gate can fail: a record with one number changed does not pass.
  sed '0,/^  struct_size 0 4/s//  struct_size 8 4/' "$source/tests/plugins/abi_layout.txt" >"$work/wrong.txt"
  python3 "$abi/layout.py" asserts "$work/wrong.txt" | cat <(grep '^#include "esp' "$work/asserts.c") - >"$work/wrong.c"
  ! gcc -std=c11 -x c -fsyntax-only -I "$headers" "$work/wrong.c" 2>/dev/null || fail "a wrong offset passes"
  ;;
diff)  # members may be appended, nothing else
  command -v abidiff >/dev/null || fail "abidiff is missing; scripts/setup installs abigail-tools"
  "$abi/describe" "$work" >"$work/now.abi"
  abidiff --suppressions "$abi/appends.suppr" "$abi/0.9.abi" "$work/now.abi" || fail "the headers break ABI 0.9"
  # The gate can fail, and does not where it must not: a member inserted, and one appended.
  for change in inserted appended closed; do
    rm -rf "$work/$change"
    cp -r "$headers" "$work/$change"
    if [ $change = inserted ]; then
      sed -i 's/^  esp_status (\*create)/  void* newer;\n&/' "$work/$change/espalier/loss.h"
    elif [ $change = closed ]; then
      sed -i 's/^} esp_unit;/  double newer;\n&/' "$work/$change/espalier/prune.h"
    else
      sed -i 's/^} esp_loss_vtable;/  void* newer;\n&/' "$work/$change/espalier/loss.h"
    fi
    "$abi/describe" "$work/of-$change" "$work/$change" >"$work/$change.abi"
    code=0
    abidiff --suppressions "$abi/appends.suppr" "$abi/0.9.abi" "$work/$change.abi" >/dev/null || code=$?
    if [ $change != appended ]; then [ $code -ne 0 ] || fail "a member passes that was $change"; else [ $code -eq 0 ] || fail "an appended member is refused"; fi
  done
  ;;
changes)  # each minor has its line
  minor=$(sed -n 's/.*ESP_ABI_MAJOR = 0, ESP_ABI_MINOR = \([0-9]*\).*/\1/p' "$headers/espalier/plugin.h")
  grep -q "^## 0\.$minor$" "$abi/CHANGES.md" || fail "ABI 0.$minor has no line in sdk/abi/CHANGES.md"
  grep -q "ESP_MANIFEST_ABI \"0\.$minor\"" "$headers/espalier/plugin.h" || fail "ESP_MANIFEST_ABI is not 0.$minor"
  for frozen in "$abi"/0.9/espalier/*.h; do
    [ "$minor" != 9 ] || cmp "$frozen" "$headers/espalier/$(basename "$frozen")" || fail "the headers are not those that were frozen as 0.9"
  done
  ;;
*) fail "no gate '$gate'" ;;
esac
echo "abi_gates: $gate holds"
