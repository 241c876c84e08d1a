#!/usr/bin/env python3
"""The pruner of ../prune as a program: `use = "exec:budget.py"` with --allow-exec. Units come in as one line of JSON, rows go out as one."""
import json
import sys

question = json.loads(sys.stdin.readline())
share = question["params"].get("share", 0.25)
blocks = [u for u in question["units"] if u["kind"] == "transformer-block" and u["removable"]]
left = sum(share * u["parameters"] for u in blocks)
rows = []
for u in sorted(blocks, key=lambda u: -u["index"]):
    if u["index"] == 0 or u["parameters"] > left:  # a module keeps its first block
        continue
    left -= u["parameters"]
    rows.append({"path": u["path"], "kind": u["kind"], "reason": "within the budget"})
print(json.dumps({"rows": rows, "done": True}))
