#!/usr/bin/env python3
"""The first results: what each loss adds, and one-shot against staged removal, on the emoji teacher. Prints docs/results.md's tables.

    build/release/bin/emoji_cache --out build/emoji-cache
    python3 examples/emoji/results.py build/release/bin/espalier build/results

Every run is `espalier distill` on one-shot.toml or ssd-1b.toml with the settings below; a stopped one goes on. Agreement is the
held-out `val/output` at the end: the mean square of student's minus teacher's output on 32 rows that no run trains on, at fixed noise
and timesteps. Picture distance: 48 captions, evenly from all, drawn by teacher and student from the same noise, the root mean square over
the pixels' 0 to 255. Needs numpy and Pillow.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent
SEEDS = (0, 1, 2)
OFF = "weight=0"  # the term is logged and pulls at nothing
STAGED = [f"stage.{k}.steps=100" for k in range(3)] + ["train.batch_size=8", "train.save_dtype=f32"]
RUNS = {
    "task": ("one-shot.toml", [f"loss.1.{OFF}", f"loss.2.{OFF}"]),
    "task + output": ("one-shot.toml", [f"loss.2.{OFF}"]),
    "task + output + 26 features": ("one-shot.toml", []),
    "the same, in three stages": ("ssd-1b.toml", STAGED),
}
UNTRAINED = ("one-shot.toml", ["stage.0.steps=0"])
SIZE = 32
ROWS = ",".join(str(k * 9) for k in range(48))


def run(espalier, out, name, recipe, settings):
    folder = out / name
    command = [espalier, "distill", HERE / recipe, "--out", folder, "--resume", "-q"]
    for setting in settings:
        command += ["--set", setting]
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if "val/output" in row][-1]
    return folder, last


def pictures(espalier, model, file):
    """[48, 32, 32, 3], drawn anew where the weights are newer than the grid."""
    weights = next(pathlib.Path(model).rglob("*.safetensors"))
    if not file.exists() or file.stat().st_mtime < weights.stat().st_mtime:
        subprocess.run([espalier, "sample", model, "--scheduler", HERE / "teacher/scheduler_config.json", "--cache",
                        HERE / "../../build/emoji-cache", "--rows", ROWS, "--guidance", "2", "--columns", "8", "--scale", "1",
                        "--out", file, "-q"], check=True, stdout=subprocess.DEVNULL)
    grid = numpy.asarray(Image.open(file).convert("RGB"), dtype=float)
    gap = (grid.shape[1] - 8 * SIZE) // 9  # the grid's lines are no picture
    at = [gap + k * (SIZE + gap) for k in range(8)]
    return numpy.stack([grid[y:y + SIZE, x:x + SIZE] for y in at[:6] for x in at])


def spread(values):
    deviation = f" ± {statistics.stdev(values):.4g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4g}{deviation}"


def main():
    espalier, out = sys.argv[1], pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    teacher = pictures(espalier, HERE / "teacher", out / "teacher.png")
    table = []
    for label, (recipe, settings), seeds in [("pruned, untrained", UNTRAINED, (0,))] + [(k, v, SEEDS) for k, v in RUNS.items()]:
        numbers = []
        for seed in seeds:
            name = f"{label.replace(' ', '-').replace(',', '').replace('+', 'and')}-{seed}"
            folder, last = run(espalier, out, name, recipe, settings + [f"train.seed={seed}"])
            drawn = pictures(espalier, folder / "student", out / f"{name}.png")
            features = sum(v for k, v in last.items() if k.startswith("val/feature/"))
            numbers.append((last["val/output"], features, last["val/task"], float(numpy.sqrt(numpy.mean((drawn - teacher) ** 2)))))
        table.append((label, *(spread(column) for column in zip(*numbers))))
    print("| losses | output MSE to the teacher | sum of feature MSEs | task loss | picture distance |\n|---|---|---|---|---|")
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
