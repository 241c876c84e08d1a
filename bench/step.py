#!/usr/bin/env python3
"""step.py BUILD WORK [--rounds 3] [--repeats 3] [--threads 2]: one distillation step, espalier beside PyTorch + diffusers.

SDXL's topology at widths 64/128/256 (heads 1/2/4, cross_attention_dim 256) as teacher, SSD-1B's as student; batch 4, latent
32x32, 77 tokens, f32: task + output + 26 feature terms, AdamW. PyTorch runs channels-last with fused AdamW. A fresh
process each, in turn (A B A B), ROUNDS times over; the first step of a process warms up. Prints minimum and median milliseconds
of a step, processor time of a step (the steadier figure on a shared machine, with one thread: waiting threads spin), peak resident
memory of the process (for PyTorch the interpreter included), and their ratios.
"""
import argparse, json, pathlib, resource, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGS = {"teacher": "sdxl-base-unet.json", "student": "ssd-1b-unet.json"}
SIZES = {"batch": 4, "size": 32, "tokens": 77}


def make_models(work):
    work.mkdir(parents=True, exist_ok=True)
    for name, file in CONFIGS.items():
        if (work / name / "unet/diffusion_pytorch_model.safetensors").exists():
            continue
        config = json.loads((ROOT / "tests/configs" / file).read_text())
        config.update(block_out_channels=[64, 128, 256], attention_head_dim=[1, 2, 4], cross_attention_dim=256)
        (work / f"{name}.json").write_text(json.dumps(config))
        subprocess.run([sys.executable, str(ROOT / "bench/make_model.py"), str(work / f"{name}.json"), str(work / name), "f32"], check=True)


def feature_pairs(student):
    """(teacher, student) modules at sub-block granularity; the mid block gives one pair."""
    names = [n for n, m in student.named_modules() if type(m).__name__ in ("ResnetBlock2D", "Transformer2DModel") and not n.startswith("mid_block")]
    return [(n, n) for n in names] + [("mid_block", "mid_block.resnets.0")]


def torch_block(work, repeats, threads):
    import torch
    from diffusers import UNet2DConditionModel
    import torch.nn.functional as F
    torch.set_num_threads(threads)
    load = lambda name: UNet2DConditionModel.from_pretrained(work / name / "unet", torch_dtype=torch.float32).to(memory_format=torch.channels_last)
    teacher, student = load("teacher").eval().requires_grad_(False), load("student").train()
    pairs = feature_pairs(student)
    assert len(pairs) == 26, len(pairs)
    kept = {"teacher": {}, "student": {}}

    def keep(model, side, names):
        for name in names:
            def hook(module, args, output, name=name):
                kept[side][name] = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
            model.get_submodule(name).register_forward_hook(hook)
    keep(teacher, "teacher", {t for t, _ in pairs})
    keep(student, "student", {s for _, s in pairs})
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5, weight_decay=1e-2, fused=True)
    g = torch.Generator().manual_seed(0)
    n, size = SIZES["batch"], SIZES["size"]
    latents, noise = (torch.randn(n, 4, size, size, generator=g).contiguous(memory_format=torch.channels_last) for _ in range(2))
    timestep, words = torch.full((n,), 500.0), torch.randn(n, SIZES["tokens"], 256, generator=g)
    added = {"text_embeds": torch.randn(n, 1280, generator=g), "time_ids": torch.randn(n, 6, generator=g)}
    times, cpu = [], []
    for _ in range(repeats + 1):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        noisy = 0.5 ** 0.5 * latents + 0.5 ** 0.5 * noise
        with torch.no_grad():
            wanted = teacher(noisy, timestep, words, added_cond_kwargs=added).sample
        made = student(noisy, timestep, words, added_cond_kwargs=added).sample
        loss = 0.5 * F.mse_loss(made, noise) + 0.5 * F.mse_loss(made, wanted)
        for t, s in pairs:
            loss = loss + 0.5 * F.mse_loss(kept["student"][s], kept["teacher"][t])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        kept["teacher"].clear(), kept["student"].clear()
        times.append(1e3 * (time.perf_counter() - begin))
        cpu.append(1e3 * (time.process_time() - cpu_begin))
    print(json.dumps({"ms": times[1:], "cpu_ms": cpu[1:], "rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "total": loss.item()}))


def measure(block, build, work, repeats, threads):
    if block == "torch":
        command = [sys.executable, __file__, "--torch", str(work), str(repeats), str(threads)]
    else:
        command = [str(build / "bin/step"), str(work / "teacher"), str(work / "student"), f"threads={threads}", f"repeats={repeats}"]
        command += [f"{key}={value}" for key, value in SIZES.items()]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return json.loads(out.splitlines()[-1])


def main():
    if sys.argv[1:2] == ["--torch"]:
        return torch_block(pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    make_models(args.work)
    taken, rss = {"espalier": {"ms": [], "cpu_ms": []}, "torch": {"ms": [], "cpu_ms": []}}, {"espalier": 0.0, "torch": 0.0}
    for round_number in range(args.rounds):
        for block, times in taken.items():
            result = measure(block, args.build, args.work, args.repeats, args.threads)
            for key in times:
                times[key] += result[key]
            rss[block] = max(rss[block], result["rss_gib"])
            each = {key: ", ".join(f"{t:.0f}" for t in result[key]) for key in times}
            print(f"round {round_number + 1}: {block}: {each['ms']} ms (processor {each['cpu_ms']}), {result['rss_gib']:.2f} GiB", file=sys.stderr, flush=True)
    figures = {b: [min(t["ms"]), statistics.median(t["ms"]), min(t["cpu_ms"]), rss[b]] for b, t in taken.items()}
    figures["ratio"] = [a / b for a, b in zip(figures["espalier"], figures["torch"])]
    print(f"{'':10s} {'min ms':>10s} {'median ms':>10s} {'cpu ms':>10s} {'RSS GiB':>10s}")
    for block, row in figures.items():
        print(f"{block:10s} " + " ".join(f"{x:10.{2 if block == 'ratio' or i == 3 else 0}f}" for i, x in enumerate(row)))


if __name__ == "__main__":
    main()
