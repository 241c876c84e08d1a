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

# The flags that pkg-config gives are enough for a compiler by itself.
if command -v pkg-config >/dev/null; then
  PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig" pkg-config --cflags espalier-plugin >"$work/cflags"
  cc -std=c11 -Wall -Wextra -Werror -fPIC -shared $(cat "$work/cflags") "$work/projects/loss_c/norm_mse.c" -o "$work/by_hand.esp.so"
fi

cd "$work"
export ESPALIER_PLUGIN_PATH="$work/made"
espalier="$work/prefix/bin/espalier"
"$espalier" plugin list >list.txt
for id in com.example.prune.budget com.example.loss.norm-mse com.example.loss.norm-mse-c espalier.prune.first-k; do
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
prune = { use = "com.example.prune.budget", share = 0.5 }
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

# A parameter out of range is found before anything runs, with its place.
sed -i 's/eps = 1e-4/eps = 2.0/' cpp.toml
! "$espalier" distill cpp.toml --out never --no-report 2>error.txt || fail "eps = 2 was taken"
grep -q 'cpp.toml:[0-9]*:[0-9]*.*eps' error.txt || fail "the error has no place: $(cat error.txt)"
[ ! -e never ] || fail "a run was begun"
echo "package_test: three plugins built against $(du -sh "$work/prefix" | cut -f1) of prefix, trained with, equal to the bit"
