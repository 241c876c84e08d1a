#!/usr/bin/env bash
# What a stranger does: installs espalier into an empty prefix, builds plugins against that alone, and trains with them.
#   package_test.sh BUILD SOURCE
set -euo pipefail
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "package_test: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$work/prefix" >/dev/null
[ -x "$work/prefix/bin/espalier" ] || fail "no program is installed"
[ -f "$work/prefix/include/espalier/sdk.hpp" ] || fail "no headers are installed"

# The projects as they are in the tree, far from it.
cp -r "$source/examples/plugins" "$work/projects"
mkdir "$work/made"
for project in prune loss loss_c; do
  cmake -S "$work/projects/$project" -B "$work/build/$project" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release >/dev/null
  cmake --build "$work/build/$project" >/dev/null
  cp "$work/build/$project"/*.esp.so "$work/made/"
done
for plugin in "$work"/made/*.esp.so; do
  symbols=$(nm -D --defined-only "$plugin" | awk '{print $3}')
  [ "$symbols" = esp_plugin_query_v0 ] || fail "$(basename "$plugin") exports: $symbols"
done
! readelf -d "$work/made/norm_mse_c.esp.so" | grep -q 'libstdc++\|libgcc' || fail "the C loss links a C++ runtime"

# What `plugin new` writes builds as it is, and passes its own check: a metric and a backend of each language among them.
espalier="$work/prefix/bin/espalier"
for kind in prune loss metric backend; do
  for lang in cpp c; do
    "$espalier" plugin new "$kind" --lang $lang --id "com.acme.$kind.mine-$lang" -o "$work/new/$kind-$lang" >/dev/null
    CFLAGS="-Wall -Wextra -Werror" CXXFLAGS="-Wall -Wextra -Werror" cmake -S "$work/new/$kind-$lang" -B "$work/new/$kind-$lang/build" \
      -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
    cmake --build "$work/new/$kind-$lang/build" >"$work/build.txt" || fail "$kind in $lang does not build: $(cat "$work/build.txt")"
    made=$work/new/$kind-$lang/build/mine-$lang.esp.so
    "$espalier" plugin check "$made" >"$work/check.txt" || fail "$kind in $lang does not pass: $(cat "$work/check.txt")"
    ! grep -q warn "$work/check.txt" || fail "$kind in $lang has warnings: $(cat "$work/check.txt")"
    cp "$made" "$work/made/$kind-$lang.esp.so"
  done
  ! readelf -d "$work/made/$kind-c.esp.so" | grep -q 'libstdc++\|libgcc' || fail "$kind in C links a C++ runtime"
done
for plugin in "$work"/made/*.esp.so; do "$espalier" plugin check "$plugin" >"$work/check.txt" || fail "$(cat "$work/check.txt")"; done

# The pages of docs/sdk, followed: each makes its project, takes the page's files, builds, passes, and its unit test holds.
made_by_pages=$(python3 "$source/tests/package/snippets.py" "$source/docs/sdk" "$work/pages")
[ "$made_by_pages" -ge 6 ] || fail "the pages hold $made_by_pages files"
page() {  # KIND NAME
  "$espalier" plugin new "$1" --id "com.acme.$1.$2" -o "$work/page-$2" >/dev/null
  if [ -d "$work/pages/$2" ]; then cp "$work/pages/$2"/* "$work/page-$2/"; fi
  cmake -S "$work/page-$2" -B "$work/page-$2/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
  cmake --build "$work/page-$2/build" >"$work/build.txt" || fail "the page of $2 does not build: $(cat "$work/build.txt")"
  "$espalier" plugin check "$work/page-$2/build/$2.esp.so" >"$work/check.txt" || fail "the page of $2 does not pass: $(cat "$work/check.txt")"
  cp "$work/page-$2/build/$2.esp.so" "$work/made/"
  if [ -f "$work/page-$2/$2_test.cpp" ]; then
    c++ -std=c++20 -Wall -Wextra -I "$work/prefix/include" "$work/page-$2/$2_test.cpp" -o "$work/page-$2/unit_test" || fail "the unit test of $2 does not build"
    "$work/page-$2/unit_test" || fail "the unit test of $2 fails"
  fi
}
page prune ramp
page loss relative
page metric worst
"$espalier" plugin new backend --id com.acme.backend.plain -o "$work/page-plain" >/dev/null
row=$(sed -n '/<!-- edit: plain\/plain.cpp -->/,/^```$/p' "$source/docs/sdk/write-a-backend.md" | grep '^{')
sed -i "s|{\"neg\", \"plain\"|$row &|; s|^float negative.*|&\nfloat squared(float x) { return x * x; }|" "$work/page-plain/plain.cpp"
cmake -S "$work/page-plain" -B "$work/page-plain/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/page-plain/build" >"$work/build.txt" || fail "the page of backends does not build: $(cat "$work/build.txt")"
"$espalier" plugin check "$work/page-plain/build/plain.esp.so" >"$work/check.txt" || fail "$(cat "$work/check.txt")"
chmod +x "$work/pages/halves.py"
"$espalier" prune "$source/tests/golden/distill-sdxl-to-ssd-1b/teacher/unet" --use "exec:$work/pages/halves.py" --allow-exec --dry-run >/dev/null || fail "the program of exec-pruner.md"

# The flags that pkg-config gives are enough for a compiler by itself.
if command -v pkg-config >/dev/null; then
  PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig" pkg-config --cflags espalier-plugin >"$work/cflags"
  cc -std=c11 -Wall -Wextra -Werror -fPIC -shared $(cat "$work/cflags") "$work/projects/loss_c/norm_mse.c" -o "$work/by_hand.esp.so"
fi

cd "$work"
export ESPALIER_PLUGIN_PATH="$work/made"
"$espalier" plugin list >list.txt
for id in com.acme.metric.mine-c com.acme.backend.mine-cpp com.example.prune.budget com.example.loss.norm-mse com.example.loss.norm-mse-c espalier.prune.first-k; do
  grep -q "^$id " list.txt || fail "plugin list does not show $id: $(cat list.txt)"
done

case=$source/tests/golden/distill-sdxl-to-ssd-1b
recipe() {
  cat <<EOF
[teacher]
model = "$case/teacher/unet"
[data]
source = "tensors"
files = ["$case/step_0.safetensors", "$case/step_1.safetensors"]
[[loss]]
use = "espalier.loss.task"
[[loss]]
use = "$1"
name = "relative"
eps = 1e-4
[train]
batch_size = 2
[[stage]]
steps = 4
prune = { use = "${2:-com.example.prune.budget}", share = 0.5 }
EOF
}
recipe com.example.loss.norm-mse >cpp.toml
recipe com.example.loss.norm-mse-c >c.toml
recipe "file:$work/projects/loss_text/norm_mse.eir" | grep -v '^eps' >text.toml  # it has the same eps
for language in cpp c text; do "$espalier" distill $language.toml --out run-$language --no-report >run-$language.txt 2>&1 || fail "$(cat run-$language.txt)"; done
for other in c text; do
  cmp run-cpp/metrics.jsonl run-$other/metrics.jsonl || fail "the loss in $other trains otherwise than the one in C++"
  cmp run-cpp/student/unet/diffusion_pytorch_model.safetensors run-$other/student/unet/diffusion_pytorch_model.safetensors
done
grep -q '^path = ' run-cpp/plan.toml || fail "the pruner removed nothing"
grep -q '"relative"' run-cpp/metrics.jsonl || fail "the loss is not in the metrics"

# The pruner as a program removes the same, and its run is the same run.
recipe com.example.loss.norm-mse "exec:$work/projects/prune_exec/budget.py" >exec.toml
"$espalier" distill exec.toml --out run-exec --no-report --allow-exec >run-exec.txt 2>&1 || fail "$(cat run-exec.txt)"
cmp run-cpp/student/unet/diffusion_pytorch_model.safetensors run-exec/student/unet/diffusion_pytorch_model.safetensors
cmp run-cpp/metrics.jsonl run-exec/metrics.jsonl

# Gradients of a loss as text, checked as the others' are.
"$espalier" check --grad "$source/tests/package/norm_mse_typed.eir" >/dev/null || fail "the gradient of the loss as text is off"

# A backend of a handful of kernels runs a whole UNet, leaves the rest to the reference, and says why it refuses what it refuses.
tiny=$source/tests/golden/tiny-sdxl
"$espalier" run "$tiny/unet" --inputs "$tiny/inputs.safetensors" --outputs reference.safetensors --backend reference >/dev/null
for backend in mine-cpp mine-c; do
  "$espalier" run "$tiny/unet" --inputs "$tiny/inputs.safetensors" --outputs $backend.safetensors --backend com.acme.backend.$backend >/dev/null
  python3 - reference.safetensors $backend.safetensors <<'EOF' || fail "$backend computes otherwise"
import array, json, struct, sys
def read(file):
    data = open(file, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    begin, end = header["sample"]["data_offsets"]
    return array.array("f", data[8 + size + begin:8 + size + end])
a, b = read(sys.argv[1]), read(sys.argv[2])
sys.exit(len(a) != len(b) or max(abs(x - y) for x, y in zip(a, b)) > 1e-4 * max(map(abs, a)))
EOF
  "$espalier" inspect "$tiny/unet" --explain --backend com.acme.backend.$backend >explain.txt
  grep -q 'plain' explain.txt || fail "$backend runs nothing: $(head -40 explain.txt)"
done
! "$espalier" run "$tiny/unet" --inputs "$tiny/inputs.safetensors" --outputs no.safetensors --backend com.acme.backend.mine-cpp --strict 2>strict.txt || fail "it took every op"
grep -q 'no kernel for\|conv2d' strict.txt || fail "no reason is given: $(cat strict.txt)"

# The metric is measured on a cache's held-out rows, the same in both languages.
if [ -x "$build/bin/emoji_cache" ]; then
  "$build/bin/emoji_cache" --out cache >/dev/null
  cat >metric.toml <<EOF
[teacher]
model = "$source/examples/emoji/teacher"
[data]
source = "cache"
path = "cache"
validation_rows = 2
[[loss]]
use = "espalier.loss.output-kd"
[[metric]]
use = "com.acme.metric.mine-c"
[[metric]]
use = "com.acme.metric.mine-cpp"
[train]
batch_size = 2
steps = 1
EOF
  "$espalier" distill metric.toml --out run-metric --no-report >run-metric.txt 2>&1 || fail "$(cat run-metric.txt)"
  python3 - <<'EOF' || fail "the metric in C and in C++ differ: $(cat run-metric/metrics.jsonl)"
import json
rows = [json.loads(line) for line in open("run-metric/metrics.jsonl")]
row = [row for row in rows if "val/mine-c" in row][-1]
assert row["val/mine-c"] == row["val/mine-cpp"] >= 0, row
EOF
fi

# A lock takes what it names and refuses the rest; the schema knows the new parameters.
"$espalier" plugin lock -o all.lock >/dev/null
"$espalier" plugin list --plugin-lock all.lock >allowed.txt
grep -q '^com.acme.loss.mine-c ' allowed.txt || fail "the lock refuses what it names: $(cat allowed.txt)"
printf '\0' >>"$work/made/loss-c.esp.so"
"$espalier" plugin list --plugin-lock all.lock >locked.txt
grep -q 'refused .*loss-c.esp.so: its content .* is not in the lock' locked.txt || fail "a changed plugin passes the lock: $(cat locked.txt)"
"$espalier" plugin schema | python3 -c 'import json,sys; s=json.load(sys.stdin); assert "com.acme.loss.mine-cpp" in json.dumps(s)'

# Ours are written with what a stranger has: the installed headers are enough for them.
for ours in strategies/prune/taylor strategies/prune/knapsack strategies/loss/feature-kd strategies/metric/ssim backends/cpu; do
  c++ -std=c++20 -fsyntax-only -I "$work/prefix/include" -I "$source" "$source/$ours/plugin.cpp" || fail "$ours needs more than the package"
done

# A program that embeds the engine.
cmake -S "$source/examples/embed" -B "$work/build/embed" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build/embed" >"$work/build.txt" || fail "embed does not build: $(cat "$work/build.txt")"
recipe com.example.loss.norm-mse >embed.toml
ESPALIER_PLUGIN_PATH="$work/made:$work/prefix/lib/espalier/plugins" "$work/build/embed/embed" "$case/teacher/unet" embed.toml embedded >embed.txt 2>&1 || fail "$(cat embed.txt)"
cmp run-cpp/metrics.jsonl embedded/run/metrics.jsonl || fail "the embedded run is another"
grep -q 'identity certificate: holds' embed.txt || fail "$(cat embed.txt)"

# A parameter out of range is found before anything runs, with its place.
sed -i 's/eps = 1e-4/eps = 2.0/' cpp.toml
! "$espalier" distill cpp.toml --out never --no-report 2>error.txt || fail "eps = 2 was taken"
grep -q 'cpp.toml:[0-9]*:[0-9]*.*eps' error.txt || fail "the error has no place: $(cat error.txt)"
[ ! -e never ] || fail "a run was begun"
echo "package_test: twelve plugins and a program built against $(du -sh "$work/prefix" | cut -f1) of prefix, trained with, equal to the bit"
