#!/usr/bin/env python3
"""What ptxas says of every kernel: registers, shared memory, spills, by GPU. Prints the table of backends/cuda/usage.txt.

usage.py BUILD_FOLDER                     prints it
usage.py BUILD_FOLDER --check F RELEASE   compares it with F: exit 1 with the difference, or where a kernel spills

A row is a kernel with all its element types and variants: the most that any of them takes. Another release of nvcc allocates
registers differently: where F does not name RELEASE, only spills are looked for, and F is to be made anew.
"""
import difflib
import pathlib
import re
import subprocess
import sys

ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def readings(folder):
    """(mangled name, architecture) → [registers, shared bytes, spilled bytes, stack bytes]"""
    found = {}
    for file in sorted(folder.rglob("*.cu.o.usage")):
        at = None
        for line in file.read_text().splitlines():
            if entry := ENTRY.search(line):
                at = found.setdefault((entry[1], int(entry[2])), [0, 0, 0, 0])
            elif at is not None and (spills := SPILLS.search(line)):
                at[2] = int(spills[2]) + int(spills[3])
                at[3] = int(spills[1])
            elif at is not None and (used := USED.search(line)):
                shared = SHARED.search(line)
                at[0], at[1] = int(used[1]), int(shared[1]) if shared else 0
    return found


def short(name):
    """espalier::cuda::kernels::(anonymous namespace)::f<T, 4>(…) → f"""
    name = name.replace("(anonymous namespace)::", "")
    return re.sub(r"<.*", "", re.sub(r"\(.*", "", name)).split("::")[-1].split(" ")[-1]


def table(found):
    names = sorted({name for name, _ in found})
    plain = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.split("\n")
    kernel = dict(zip(names, map(short, plain)))
    architectures = sorted({architecture for _, architecture in found})
    rows = {}
    for (name, architecture), (registers, shared, spilled, stack) in found.items():
        row = rows.setdefault(kernel[name], {"variants": set(), "shared": 0, "spilled": 0, "stack": 0})
        row["variants"].add(name)
        row[architecture] = max(row.get(architecture, 0), registers)
        for key, value in (("shared", shared), ("spilled", spilled), ("stack", stack)):
            row[key] = max(row[key], value)
    lines = ["kernel".ljust(32) + "variants  shared B  stack B  spilled B   registers on " + " ".join(f"sm_{a}" for a in architectures)]
    for name, row in sorted(rows.items()):
        lines.append(f"{name:32}{len(row['variants']):8}{row['shared']:10}{row['stack']:9}{row['spilled']:11}              "
                     + " ".join(f"{row.get(a, 0):{len(str(a)) + 3}}" for a in architectures))
    return lines, [name for name, row in rows.items() if row["spilled"]]


def main():
    found = readings(pathlib.Path(sys.argv[1]))
    if not found:
        sys.exit(f"usage.py: no *.usage files in {sys.argv[1]}: build the target cuda first")
    lines, spilling = table(found)
    if len(sys.argv) < 5:
        print("\n".join(lines))
        return
    text = pathlib.Path(sys.argv[3]).read_text()
    same_release = f"nvcc {sys.argv[4]} " in text
    if not same_release:
        print(f"{sys.argv[3]} is of another nvcc than {sys.argv[4]}: only spills are looked for")
    kept = [line for line in text.splitlines() if not line.startswith("#")] if same_release else lines
    difference = list(difflib.unified_diff(kept, lines, sys.argv[3], "this build", lineterm=""))
    print("\n".join(difference))
    if spilling:
        print(f"registers are spilled in: {', '.join(spilling)}")
    sys.exit(1 if difference or spilling else 0)


main()
