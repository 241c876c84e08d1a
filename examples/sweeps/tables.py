#!/usr/bin/env python3
"""The tables of docs/results.md, from finished sweeps of this folder.

    build/release/bin/emoji_cache --out build/emoji-cache
    for s in losses stages patterns; do build/release/bin/espalier sweep examples/sweeps/$s.toml --out build/sweeps/$s --jobs 2; done
    python3 examples/sweeps/tables.py build/release/bin/espalier build/sweeps/losses build/sweeps/stages build/sweeps/patterns

`--no-pictures` leaves out the last column, which takes a quarter of a minute a trial.

Agreement is the held-out `val/output` at the end: the mean square of student's minus teacher's output on 32 rows that no run trains
on, at fixed noise and timesteps; the task loss is of the same rows. Picture distance: 48 captions, evenly from all, drawn by teacher and
student from the same noise (25 DDIM steps, guidance 2), the root mean square over the pixels' 0 to 255. Mean ± sample deviation over seeds.
Below each table: every pair of rows whose means differ by more than twice their pooled deviation. Needs numpy and Pillow.
"""

import itertools
import json
import pathlib
import statistics
import subprocess
import sys

import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent
TEACHER = HERE / "../emoji/teacher"
SIZE = 32
ROWS = ",".join(str(k * 9) for k in range(48))
COLUMNS = {"val/output": "output MSE to the teacher", "val/task": "task loss", "pictures": "picture distance"}


def pictures(espalier, model, file):
    """[48, 32, 32, 3], drawn anew where the weights are newer than the grid."""
    weights = next(pathlib.Path(model).rglob("*.safetensors"))
    if not file.exists() or file.stat().st_mtime < weights.stat().st_mtime:
        subprocess.run([espalier, "sample", model, "--scheduler", TEACHER / "scheduler_config.json", "--cache", HERE / "../../build/emoji-cache",
                        "--rows", ROWS, "--guidance", "2", "--columns", "8", "--scale", "1", "--out", file, "-q"], check=True, stdout=subprocess.DEVNULL)
    grid = numpy.asarray(Image.open(file).convert("RGB"), dtype=float)
    gap = (grid.shape[1] - 8 * SIZE) // 9  # the grid's lines are no picture
    at = [gap + k * (SIZE + gap) for k in range(8)]
    return numpy.stack([grid[y:y + SIZE, x:x + SIZE] for y in at[:6] for x in at])


def spread(values):
    deviation = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4g}{deviation}"


def differences(rows, column):
    lines = []
    for (a, x), (b, y) in itertools.combinations(rows.items(), 2):
        x, y = x[column], y[column]
        if min(len(x), len(y)) < 2:
            continue
        pooled = ((statistics.variance(x) + statistics.variance(y)) / 2) ** 0.5
        gap = statistics.mean(x) - statistics.mean(y)
        if abs(gap) > 2 * pooled:
            low, high = (b, a) if gap > 0 else (a, b)
            share = abs(gap) / min(statistics.mean(x), statistics.mean(y))
            lines.append(f"  {low} < {high}: {100 * share:.1f}%, {abs(gap) / pooled:.1f} deviations")
    return lines


def main():
    with_pictures = "--no-pictures" not in sys.argv
    espalier, *folders = [word for word in sys.argv[1:] if word != "--no-pictures"]
    columns = {key: title for key, title in COLUMNS.items() if with_pictures or key != "pictures"}
    for sweep in map(pathlib.Path, folders):
        if with_pictures:
            (sweep / "grids").mkdir(exist_ok=True)
            teacher = pictures(espalier, TEACHER, sweep / "grids/teacher.png")
        rows, seconds = {}, 0.0
        for trial in map(json.loads, (sweep / "trials.jsonl").read_text().splitlines()):
            if trial["state"] != "complete":
                print(f"{sweep.name}: {trial['name']} seed {trial['settings'].get('train.seed')} is {trial['state']}", file=sys.stderr)
                continue
            if with_pictures:
                drawn = pictures(espalier, sweep / "trials" / trial["id"] / "student", sweep / f"grids/{trial['id']}.png")
                trial["values"]["pictures"] = float(numpy.sqrt(numpy.mean((drawn - teacher) ** 2)))
            seconds += trial["seconds"]
            for column in columns:
                rows.setdefault(trial["name"], {}).setdefault(column, []).append(trial["values"][column])
        print(f"## {sweep.name}\n\n| | " + " | ".join(columns.values()) + " |\n|" + "---|" * (len(columns) + 1))
        for name, values in rows.items():
            print(f"| {name} | " + " | ".join(spread(values[column]) for column in columns) + " |")
        for column, title in columns.items():
            print(f"\n{title}:\n" + "\n".join(differences(rows, column) or ["  nothing beyond the spread"]))
        print(f"\n{seconds / 60:.0f} minutes of work\n")


if __name__ == "__main__":
    main()
