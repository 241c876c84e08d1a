#!/usr/bin/env python3
"""Writes the files that the pages of docs/sdk hold: a fenced block behind `<!-- file: NAME -->` is that file, byte for byte.
    snippets.py DOCS OUT"""
import pathlib
import re
import sys

docs, out = map(pathlib.Path, sys.argv[1:])
count = 0
for page in sorted(docs.glob("*.md")):
    for name, text in re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)^```$", page.read_text(), flags=re.S | re.M):
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        count += 1
print(count)
