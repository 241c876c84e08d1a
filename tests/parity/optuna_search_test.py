#!/usr/bin/env python3
"""The Optuna script of examples/sweeps works with the installed Optuna: through a sweep, after a restart, and better than chance.

    optuna_search_test.py ESPALIER_BINARY WORK_DIR

Exit code 77 (skipped) where optuna is absent.
"""
import json, math, os, pathlib, random, shutil, subprocess, sys

try:
    import optuna
except ImportError:
    print("skipped: optuna is not installed (pip install optuna)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPT, CASE = ROOT / "examples/sweeps/optuna_search.py", ROOT / "tests/golden/distill-sdxl-to-ssd-1b"
# The script's first line asks PATH for its interpreter: this one.
ENVIRONMENT = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
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
[train]
batch_size = 2
[[stage]]
steps = 2
"""
SWEEP = """
base = "recipe.toml"
search = "exec:optuna_search.py"
trials = %d
[random]
seed = 1
"train.optimizer.lr" = { log_uniform = [1e-5, 1e-2] }
"loss.1.weight" = { uniform = [0.0, 2.0] }
"train.seed" = { integer = [0, 9] }
"stage.0.prune" = { choice = [{ use = "espalier.prune.blocks", remove = ["mid_block.attentions.0"] }, { use = "espalier.prune.blocks", remove = ["mid_block.attentions.0", "mid_block.resnets.1"] }] }
[objective]
metric = "output"
[workers]
reports = false
"""
AXES = [{"path": "lr", "kind": "log_uniform", "low": 1e-5, "high": 1e-1}, {"path": "weight", "kind": "uniform", "low": 0, "high": 2},
        {"path": "depth", "kind": "integer", "low": 1, "high": 6},
        {"path": "way", "kind": "choice", "choices": ["a", {"use": "b", "k": [1, 2]}, 3.5, True]}]


def value(s):
    """Least, 0, at lr 1e-3, weight 0.5, depth 2, the second way."""
    return ((math.log10(s["lr"]) + 3) ** 2 + (s["weight"] - 0.5) ** 2 + 0.2 * (s["depth"] - 2) ** 2 +
            0.5 * (s["way"] != AXES[3]["choices"][1]))


def drawn(rng):
    return {"lr": 10 ** rng.uniform(-5, -1), "weight": rng.uniform(0, 2), "depth": rng.randint(1, 6), "way": rng.choice(AXES[3]["choices"])}


def inside(s):
    assert sorted(s) == sorted(a["path"] for a in AXES), s
    assert 1e-5 <= s["lr"] <= 1e-1 and 0 <= s["weight"] <= 2 and type(s["depth"]) is int and 1 <= s["depth"] <= 6, s
    assert json.dumps(s["way"]) in [json.dumps(c) for c in AXES[3]["choices"]], s


class Program:
    def __init__(self, seed, known=(), goal="minimize"):
        self.child = subprocess.Popen([str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.say({"hello": 1, "goal": goal, "metric": "m", "seed": seed, "trials": 99, "axes": AXES, "known": list(known)})

    def say(self, message):
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()

    def ask(self, number):
        self.say({"ask": number})
        settings = json.loads(self.child.stdout.readline())["settings"]
        inside(settings)
        return settings

    def close(self):
        self.child.stdin.close()
        assert self.child.wait(60) == 0


def search(seed, count, sign=1):
    """The known list of `count` asks, each told at once."""
    program, known = Program(seed, goal="minimize" if sign > 0 else "maximize"), []
    for number in range(1, count + 1):
        settings = program.ask(number)
        known.append({"trial": number, "settings": settings, "state": "complete", "value": sign * value(settings), "steps": 5})
        program.say({"tell": known[-1]})
    program.close()
    return known


def beats_chance():
    found, by_chance = [], []
    for seed in range(8):
        found.append(min(k["value"] for k in search(seed, 60)))
        rng = random.Random(seed)
        by_chance.append(min(value(drawn(rng)) for _ in range(60)))
    print("  best of 60, eight seeds:  optuna", [f"{v:.4f}" for v in found], " random", [f"{v:.4f}" for v in by_chance])
    assert sum(found) < 0.5 * sum(by_chance), "Optuna is no better than chance"
    assert -max(k["value"] for k in search(0, 60, -1)) == found[0], "maximizing -f is another search than minimizing f"


def says_the_same_again():
    assert search(7, 15) == search(7, 15), "the same seed, another search"
    assert search(7, 3) != search(8, 3), "the seed is not used"


def takes_up_what_is_known():
    known = search(3, 15)
    known += [{"trial": 16, "settings": drawn(random.Random(5)), "state": "running"},
              {"trial": 17, "settings": drawn(random.Random(6)), "state": "failed", "steps": 0},
              {"trial": 18, "settings": drawn(random.Random(7)), "state": "pruned", "value": 4.0, "steps": 3},
              {"trial": 19, "settings": drawn(random.Random(8)), "state": "pruned", "steps": 1}]
    program = Program(3, known)
    first = program.ask(20)
    assert all(first != k["settings"] for k in known), "asks for what it was told"
    second = program.ask(21)  # while the first one runs
    program.say({"tell": {"trial": 16, "settings": known[15]["settings"], "state": "complete", "value": 1.0, "steps": 5}})
    program.say({"tell": {"trial": 21, "settings": second, "state": "pruned", "value": 2.0, "steps": 3}})
    program.say({"tell": {"trial": 20, "settings": first, "state": "failed", "steps": 0}})
    for state in ({"state": "duplicate", "of": 3, "value": 1.5}, {"state": "duplicate", "of": 3}):
        program.say({"tell": {"trial": 22, "settings": program.ask(22), "steps": 5, **state}})
    program.say({"tell": {"trial": 22, "settings": program.ask(22), "state": "pruned", "steps": 0}})
    program.close()
    # With fifteen results behind it, its next ten are better than ten by chance.
    program = Program(3, known[:15])
    values = [value(program.ask(16 + i)) for i in range(10)]
    program.close()
    rng = random.Random(3)
    chance = [value(drawn(rng)) for _ in range(1000)]
    print(f"  mean of ten asks after a restart {sum(values) / 10:.3f}, by chance {sum(chance) / 1000:.3f}")
    assert sum(values) / 10 < 0.7 * sum(chance) / 1000, "what is known is of no use to it"


def runs_a_sweep(binary, work):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "recipe.toml").write_text(RECIPE)
    shutil.copy(SCRIPT, work / "optuna_search.py")

    def sweep(trials, *more):
        (work / "sweep.toml").write_text(SWEEP % trials)
        done = subprocess.run([str(binary), "sweep", str(work / "sweep.toml"), "--out", str(work / "s"), "--allow-exec", *more],
                              capture_output=True, text=True, env=ENVIRONMENT)
        lines = [json.loads(line) for line in (work / "s/list.jsonl").read_text().splitlines()]
        states = [json.loads((work / f"s/state/{t['id']}.done").read_text())["state"] for t in lines]
        return done, lines, states

    done, lines, states = sweep(8, "--jobs", "2")
    assert len(lines) == len(states) == 8, done.stderr
    done, lines, states = sweep(12)
    assert len(lines) == 12 == len({t["id"] for t in lines}), done.stderr
    assert states == ["complete"] * 12 and done.returncode == 0, (states, done.stderr)
    print("  a sweep of 8 trials, two at a time, then of 12: all complete; "
          f"the program said: {(work / 's/state/search.log').read_text().strip() or 'nothing'}")


def main():
    print(f"optuna {optuna.__version__}")
    beats_chance()
    says_the_same_again()
    takes_up_what_is_known()
    runs_a_sweep(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
