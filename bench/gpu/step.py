#!/usr/bin/env python3
"""step.py BUILD WORK [--no-torch] [--rounds 3]: one distillation step on a GPU, espalier beside PyTorch + diffusers.

SDXL's UNet as teacher, SSD-1B's as student, random weights, batch 1, bf16, task + output + 26 feature terms, gradient checkpointing,
AdamW with f32 masters (PyTorch: autocast, fused AdamW). Latent 128x128 where the device has 60 GB, else 64x64, and where it has less
than 30 GB both UNets have half of SDXL's widths. A fresh process each, in turn (A B A B). Prints minimum and median milliseconds of a
step and their ratio. espalier's figure is what its dry run measures: the fifth step, replayed from CUDA graphs.

--device cpu runs the same on a tiny pair with the cpu backend: a check of this script where there is no GPU.
"""
import argparse, json, pathlib, re, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from step import feature_pairs

TINY = dict(block_out_channels=[32, 64, 64], attention_head_dim=[1, 2, 2], cross_attention_dim=64, norm_num_groups=16)
HALF = dict(block_out_channels=[160, 320, 640], attention_head_dim=[5, 5, 10], cross_attention_dim=1024)


def setting(device):
    if device == "cpu":
        return {"size": 16, "change": TINY}
    import torch
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return {"size": 128 if memory > 60 else 64, "change": {} if memory > 30 else HALF}


def make(work, change, size):
    """Teacher, one batch as the `tensors` source reads it, recipe."""
    import torch
    from safetensors.torch import save_file
    configs = {}
    for name, file in (("teacher", "sdxl-base-unet.json"), ("student", "ssd-1b-unet.json")):
        configs[name] = json.loads((ROOT / "tests/configs" / file).read_text()) | change
        (work / f"{name}.json").write_text(json.dumps(configs[name]))
    if not (work / "teacher/unet/diffusion_pytorch_model.safetensors").exists():
        subprocess.run([sys.executable, str(ROOT / "bench/make_model.py"), str(work / "teacher.json"), str(work / "teacher"), "f16"], check=True)
    g = torch.Generator().manual_seed(0)
    batch = {"latents": torch.randn(1, 4, size, size, generator=g), "noise": torch.randn(1, 4, size, size, generator=g),
             "timestep": torch.tensor([500.0]), "encoder_hidden_states": torch.randn(1, 77, configs["teacher"]["cross_attention_dim"], generator=g),
             "text_embeds": torch.randn(1, 1280, generator=g), "time_ids": torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]])}
    save_file(batch, str(work / "batch.safetensors"))
    (work / "recipe.toml").write_text(f"""
[teacher]
model = "{work}/teacher"
[data]
source = "tensors"
files = ["{work}/batch.safetensors"]
[[loss]]
use = "espalier.loss.task"
[[loss]]
use = "espalier.loss.output-kd"
weight = 0.5
[[loss]]
use = "espalier.loss.feature-kd"
weight = 0.5
pairs = "sub-block"
[train]
batch_size = 1
[train.optimizer]
use = "adamw"
[[stage]]
steps = 10
prune = {{ use = "espalier.prune.ssd-1b" }}
""")


def espalier_ms(build, work, device):
    command = [str(build / "bin/espalier"), "distill", str(work / "recipe.toml"), "--dry-run"]
    command += ["--backend", "cuda", "--set", "train.precision=bf16", "--set", "train.recompute_above_mib=0"] if device == "cuda" else []
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return 1e3 * float(re.search(r"measured on .*: ([0-9.]+) s for each step", out)[1])


def torch_ms(work, device, repeats=5):
    import torch
    import torch.nn.functional as F
    from diffusers import UNet2DConditionModel
    from safetensors.torch import load_file
    cuda = device == "cuda"
    teacher = UNet2DConditionModel.from_pretrained(work / "teacher/unet", torch_dtype=torch.bfloat16 if cuda else torch.float32)
    teacher = teacher.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    with torch.device(device):
        student = UNet2DConditionModel.from_config(json.loads((work / "student.json").read_text()))
    student = student.to(device, memory_format=torch.channels_last).train()
    student.enable_gradient_checkpointing()
    pairs, kept = feature_pairs(student), {"teacher": {}, "student": {}}
    for model, side, names in ((teacher, "teacher", {t for t, _ in pairs}), (student, "student", {s for _, s in pairs})):
        for name in names:
            def hook(module, args, output, name=name, side=side):
                kept[side][name] = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
            model.get_submodule(name).register_forward_hook(hook)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5, weight_decay=1e-2, fused=True)
    batch = {name: tensor.to(device) for name, tensor in load_file(str(work / "batch.safetensors")).items()}
    added = {name: batch[name] for name in ("text_embeds", "time_ids")}
    times = []
    for _ in range(repeats):
        if cuda:
            torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=cuda):
            noisy = 0.5 ** 0.5 * batch["latents"] + 0.5 ** 0.5 * batch["noise"]
            given = (noisy, batch["timestep"], batch["encoder_hidden_states"])
            with torch.no_grad():
                wanted = teacher(*given, added_cond_kwargs=added).sample
            made = student(*given, added_cond_kwargs=added).sample
            loss = F.mse_loss(made.float(), batch["noise"]) + 0.5 * F.mse_loss(made.float(), wanted.float())
            for t, s in pairs:
                loss = loss + 0.5 * F.mse_loss(kept["student"][s].float(), kept["teacher"][t].float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        kept["teacher"].clear(), kept["student"].clear()
        loss.item()
        times.append(1e3 * (time.perf_counter() - begin))
    return min(times[1:])


def main():
    if sys.argv[1:2] == ["--torch"]:
        return print(json.dumps(torch_ms(pathlib.Path(sys.argv[2]), sys.argv[3])))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    args = parser.parse_args()
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    is_set = setting(args.device)
    make(args.work, **is_set)
    print(f"latent {is_set['size']}x{is_set['size']}, {'SDXL' if not is_set['change'] else is_set['change']}")
    times = {"espalier": [], "torch": []}
    for _ in range(args.rounds):
        times["espalier"].append(espalier_ms(args.build, args.work, args.device))
        if not args.no_torch:
            command = [sys.executable, __file__, "--torch", str(args.work), args.device]
            times["torch"].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]))
    for name, each in times.items():
        if each:
            print(f"{name:10s} min {min(each):8.1f} ms   median {statistics.median(each):8.1f} ms")
    if times["torch"]:
        print(f"ratio      min {min(times['espalier']) / min(times['torch']):8.2f}      median "
              f"{statistics.median(times['espalier']) / statistics.median(times['torch']):8.2f}")


main()
