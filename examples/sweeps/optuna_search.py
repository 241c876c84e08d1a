#!/usr/bin/env python3
"""Trials by Optuna's TPE sampler: `search = "exec:optuna_search.py"` in a sweep file. Needs `pip install optuna`.

Speaks docs/search-protocol.md. Optuna keeps nothing on the disk: what earlier processes found comes with the hello.
"""
import json
import sys

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def distribution(axis):
    if axis["kind"] == "choice":  # by index: a choice may be a table or an array
        return CategoricalDistribution(range(len(axis["choices"])))
    if axis["kind"] == "integer":
        return IntDistribution(axis["low"], axis["high"])
    return FloatDistribution(axis["low"], axis["high"], log=axis["kind"] == "log_uniform")


def param(axis, value):
    """A setting as Optuna has it."""
    return [json.dumps(c) for c in axis["choices"]].index(json.dumps(value)) if axis["kind"] == "choice" else value


def result(message):
    """State and value. What repeats a trial counts as that one did, where it has ended."""
    state, value = message["state"], message.get("value")
    if state == "duplicate":
        state = "failed" if value is None else "complete"
    return STATES[state], value


def main():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    hello = json.loads(sys.stdin.readline())
    axes = {axis["path"]: axis for axis in hello["axes"]}
    space = {path: distribution(axis) for path, axis in axes.items()}
    # A sampler that goes on after a restart must not draw the same numbers again.
    sampler = optuna.samplers.TPESampler(seed=hello["seed"] + len(hello["known"]), multivariate=True, constant_liar=True)
    study = optuna.create_study(sampler=sampler, direction=hello["goal"])
    running = {}  # number of the sweep's trial → Optuna's trial

    def add(message):
        """A trial that another process has asked for."""
        state, value = result(message)
        study.add_trial(optuna.trial.create_trial(
            params={path: param(axes[path], v) for path, v in message["settings"].items()}, distributions=space, state=state,
            value=value if state == TrialState.COMPLETE else None,
            intermediate_values={} if value is None else {message["steps"]: value}))

    def tell(message):
        trial = running.pop(message["trial"], None)
        if trial is None:
            return add(message)
        state, value = result(message)
        if state == TrialState.PRUNED and value is not None:
            trial.report(value, message["steps"])  # what it had come to: TPE ranks it by that
        study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)

    for known in hello["known"]:
        if known["state"] != "running":  # that is told when it ends
            add(known)
    for line in sys.stdin:
        message = json.loads(line)
        if "tell" in message:
            tell(message["tell"])
            continue
        trial = running[message["ask"]] = study.ask(space)
        settings = {path: axes[path]["choices"][v] if axes[path]["kind"] == "choice" else v for path, v in trial.params.items()}
        print(json.dumps({"settings": settings}), flush=True)


if __name__ == "__main__":
    main()
