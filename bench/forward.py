#!/usr/bin/env python3
"""forward.py BUILD WORK [--models sdxl,ssd-1b,vega] [--rounds 3] [--repeats 3] [--blocks A,B,…]

UNet forward at latent 64x64, batch 1, 77 tokens, two threads. Every block is a fresh process that warms up once and then
times REPEATS forwards; blocks are run in turn, ROUNDS times over. Prints min and median seconds of a forward, and peak
resident memory of the process (for PyTorch the interpreter included).
"""
import argparse, json, os, pathlib, re, resource, statistics, subprocess, sys, time

CONFIGS = {"sdxl": "sdxl-base-unet.json", "ssd-1b": "ssd-1b-unet.json", "vega": "vega-unet.json"}
BLOCKS = ["espalier packed", "torch f32", "torch f32 channels-last", "espalier mapped", "torch bf16"]


def torch_block(folder, inputs, kind, repeats):
    import torch
    from diffusers import UNet2DConditionModel
    from safetensors.torch import load_file
    torch.set_num_threads(2)
    dtype = torch.bfloat16 if "bf16" in kind else torch.float32
    unet = UNet2DConditionModel.from_pretrained(folder, torch_dtype=dtype).eval()
    if "channels-last" in kind:
        unet = unet.to(memory_format=torch.channels_last)
    x = {k: v.to(dtype) for k, v in load_file(inputs).items()}
    if "channels-last" in kind:
        x["sample"] = x["sample"].contiguous(memory_format=torch.channels_last)
    times = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            unet(x["sample"], x["timestep"], x["encoder_hidden_states"],
                 added_cond_kwargs={"text_embeds": x["text_embeds"], "time_ids": x["time_ids"]})
            times.append(time.perf_counter() - begin)
    print(json.dumps({"seconds": times[1:], "rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))


def measure(block, binary, model, inputs, work, repeats):
    if block.startswith("torch"):
        out = subprocess.run([sys.executable, __file__, "--torch", block, str(model / "unet"), str(inputs), str(repeats)], check=True,
                             capture_output=True, text=True).stdout
        return json.loads(out.splitlines()[-1])
    mode = block.split()[1]
    out = subprocess.run([str(binary), "run", str(model), "--inputs", str(inputs), "--outputs", str(work / "out.safetensors"), "--quiet",
                          "--weights", mode, "--repeat", str(repeats + 1), "--profile"], check=True, capture_output=True, text=True).stdout
    seconds = re.search(r"^runs +([\d. ]+) s", out, re.M).group(1).split()
    # Peak memory as the system counted it for the child, mapped pages of the file included.
    return {"seconds": [float(s) for s in seconds[1:]], "rss_gib": peak_gib(out)}


def peak_gib(out):
    value, unit = re.search(r"peak memory ([\d.]+) (\w+)", out).groups()
    return float(value) * {"MiB": 1 / 1024, "GiB": 1}[unit]


def main():
    if sys.argv[1:2] == ["--torch"]:
        return torch_block(sys.argv[3], sys.argv[4], sys.argv[2], int(sys.argv[5]))
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--models", default="sdxl,ssd-1b,vega")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="timed forwards of one process, after one that warms up")
    parser.add_argument("--blocks", default=",".join(BLOCKS))
    args = parser.parse_args()
    import torch
    from safetensors.torch import save_file
    root = pathlib.Path(__file__).resolve().parent.parent
    args.work.mkdir(parents=True, exist_ok=True)
    inputs = args.work / "inputs.safetensors"
    g = torch.Generator().manual_seed(0)
    save_file({"sample": torch.randn(1, 4, 64, 64, generator=g), "timestep": torch.tensor([500.0]),
               "encoder_hidden_states": torch.randn(1, 77, 2048, generator=g), "text_embeds": torch.randn(1, 1280, generator=g),
               "time_ids": torch.tensor([[512.0, 512, 0, 0, 512, 512]])}, inputs)
    for name in args.models.split(","):
        model = args.work / name
        if not (model / "unet" / "diffusion_pytorch_model.safetensors").exists():
            subprocess.run([sys.executable, str(root / "bench/make_model.py"), str(root / "tests/configs" / CONFIGS[name]), str(model)], check=True)
        blocks = args.blocks.split(",")
        seconds, rss = {b: [] for b in blocks}, {b: 0.0 for b in blocks}
        for round_number in range(args.rounds):
            for block in blocks:
                result = measure(block, args.build / "bin/espalier", model, inputs, args.work, args.repeats)
                seconds[block] += result["seconds"]
                rss[block] = max(rss[block], result["rss_gib"])
                taken = ", ".join(f"{s:.2f}" for s in result["seconds"])
                print(f"{name} round {round_number + 1}: {block}: {taken} s", file=sys.stderr, flush=True)
        print(f"{name}: latent 64x64, {args.rounds} fresh processes x {args.repeats} forwards each")
        for block in blocks:
            print(f"  {block:26s} min {min(seconds[block]):7.2f} s   median {statistics.median(seconds[block]):7.2f} s   peak RSS {rss[block]:6.2f} GiB")


if __name__ == "__main__":
    main()
