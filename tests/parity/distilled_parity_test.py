#!/usr/bin/env python3
"""A student that `distill` trained opens in diffusers and computes there what `espalier run` computes, moving average too.

    distilled_parity_test.py ESPALIER_BINARY WORK_DIR

The teacher, its batches and the losses are those of the recorded case tests/golden/distill-sdxl-to-ssd-1b; two stages, eight steps, in
f32 and f16. max|a-b| <= 1e-4 * max|b| + 1e-5. Exit code 77 (skipped) where torch or diffusers are absent.
"""
import os, pathlib, shutil, subprocess, sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import torch, diffusers
    from diffusers import UNet2DConditionModel
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed (pip install torch diffusers safetensors)")
    sys.exit(77)

torch.set_num_threads(2)
CASE = pathlib.Path(__file__).resolve().parent.parent / "golden/distill-sdxl-to-ssd-1b"
RECIPE = f"""
[teacher]
model = "{CASE}/teacher/unet"
[data]
source = "tensors"
files = [{", ".join(f'"{CASE}/step_{k}.safetensors"' for k in range(5))}]
[[loss]]
use = "espalier.loss.task"
[[loss]]
use = "espalier.loss.output-kd"
weight = 0.5
[[loss]]
use = "espalier.loss.feature-kd"
weight = 0.5
[train]
steps = 4
batch_size = 2
[train.optimizer]
lr = 1e-3
[train.ema]
decay = 0.9
[[stage]]
prune = {{ use = "espalier.prune.blocks", remove = ["mid_block.attentions.0", "mid_block.resnets.1"] }}
[[stage]]
prune = {{ use = "espalier.prune.blocks", remove = ["down_blocks.2.attentions.*.transformer_blocks.1"] }}
"""


def close(name, got, want):
    worst, bound = (got - want).abs().max().item(), 1e-4 * want.abs().max().item() + 1e-5
    print(f"  {name:40s} max|a-b| {worst:.2e} (bound {bound:.2e})")
    return worst <= bound


def main():
    binary, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run = lambda *a: subprocess.run([str(binary), *map(str, a)], check=True, stdout=subprocess.DEVNULL)
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}")
    (work / "recipe.toml").write_text(RECIPE)
    batch = load_file(CASE / "step_0.safetensors")
    x = {"sample": batch["noise"].float(), "timestep": batch["timestep"].float(),
         **{k: batch[k].float() for k in ("encoder_hidden_states", "text_embeds", "time_ids")}}
    save_file({k: v.contiguous() for k, v in x.items()}, work / "inputs.safetensors")
    ok = True
    for dtype in ("f32", "f16"):
        folder = work / dtype
        run("distill", work / "recipe.toml", "--out", folder, "--set", f"train.save_dtype={dtype}", "-q")
        students = {}
        for name in ("student", "student-ema"):
            outputs = work / f"{dtype}-{name}.safetensors"
            run("run", folder / name, "--inputs", work / "inputs.safetensors", "--outputs", outputs)
            unet = UNet2DConditionModel.from_pretrained(folder / name / "unet", torch_dtype=torch.float32).eval()
            with torch.no_grad():
                want = unet(x["sample"], x["timestep"], x["encoder_hidden_states"],
                            added_cond_kwargs={k: x[k] for k in ("text_embeds", "time_ids")}).sample
            students[name] = want
            ok &= close(f"{dtype} {name}", load_file(outputs)["sample"], want)
        ok &= not torch.equal(students["student"], students["student-ema"])
    print("passed" if ok else "FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
