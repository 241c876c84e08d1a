#!/usr/bin/env python3
"""sharing.py BUILD WORK [--steps 40] [--rounds 2] [--threads 2]: a sweep over six losses with a common first stage, beside six runs.

The emoji teacher in two stages of STEPS steps: the first with task and output losses in every trial, the second with one of six
feature losses. The six recipes are run one after another by `espalier distill`, and as one sweep with --jobs 1, in turn (A B A B); both
write no reports. Prints seconds, the ratio of minima and medians, and whether the students are equal to the bit.
Needs build/emoji-cache (BUILD/bin/emoji_cache --out build/emoji-cache).
"""
import argparse, hashlib, json, pathlib, shutil, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIX = [{"pairs": pairs, "normalise": normalise} for pairs in ("block", "sub-block", "layer") for normalise in ("none", "teacher-norm")]


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def write_files(work, steps):
    loss = [{"use": "espalier.loss.task"}, {"use": "espalier.loss.output-kd", "weight": 0.5}]
    feature = [{"use": "espalier.loss.feature-kd", "weight": 0.5, "stages": [1], **each} for each in SIX]
    stage = [{"steps": steps, "prune": {"use": "espalier.prune.blocks", "remove": ["mid_block.attentions.0", "mid_block.resnets.1",
              *(f"down_blocks.2.attentions.?.transformer_blocks.{k}" for k in (3, 4, 5, 7, 8, 9))]}},
             {"steps": steps, "prune": {"use": "espalier.prune.first-k", "keep": 2}}]
    base = {"loss": loss + [feature[0]], "stage": stage}
    text = (f'[teacher]\nmodel = "{ROOT}/examples/emoji/teacher"\n[data]\nsource = "cache"\npath = "{ROOT}/build/emoji-cache"\nvalidation_rows = 8\n'
            "[train]\nbatch_size = 8\n[train.optimizer]\nlr = 3e-4\n[train.lr_schedule]\nuse = \"cosine\"\nper = \"stage\"\n")
    (work / "recipe.toml").write_text(f"loss = {toml(base['loss'])}\nstage = {toml(base['stage'])}\n" + text)
    (work / "sweep.toml").write_text(f'base = "recipe.toml"\n[grid]\n"loss.2" = {toml(feature)}\n[objective]\nmetric = "val/output"\n[workers]\nreports = false\n')
    return feature


def weights(folder):
    return hashlib.sha256(next(folder.glob("student/unet/*.safetensors")).read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    feature = write_files(args.work, args.steps)
    espalier, threads = args.build / "bin/espalier", ["--threads", str(args.threads), "-q"]
    run = lambda *words: subprocess.run([espalier, *words, *threads], check=True, stdout=subprocess.DEVNULL)
    seconds, bits = {"six runs": [], "the sweep": []}, {"six runs": set(), "the sweep": set()}
    for round_number in range(args.rounds):
        for name in seconds:
            out = args.work / name.replace(" ", "-")
            shutil.rmtree(out, ignore_errors=True)
            begin = time.monotonic()
            if name == "the sweep":
                run("sweep", args.work / "sweep.toml", "--out", out, "--jobs", "1")
                trials = list((out / "trials").iterdir())
            else:
                for k, each in enumerate(feature):
                    run("distill", args.work / "recipe.toml", "--out", out / str(k), "--no-report", "--set", f"loss.2={toml(each)}")
                trials = list(out.iterdir())
            seconds[name].append(time.monotonic() - begin)
            bits[name] = {weights(trial) for trial in trials}
            print(f"round {round_number + 1}, {name}: {seconds[name][-1]:.1f} s", file=sys.stderr)
    print("| | min s | median s |\n|---|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {min(values):.1f} | {statistics.median(values):.1f} |")
    ratio = [function(seconds["the sweep"]) / function(seconds["six runs"]) for function in (min, statistics.median)]
    print(f"| ratio | {ratio[0]:.2f} | {ratio[1]:.2f} |")
    same = bits["six runs"] == bits["the sweep"] and len(bits["six runs"]) == len(SIX)
    print(f"\nsix students, equal to the bit: {'yes' if same else 'NO'}")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
