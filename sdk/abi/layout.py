#!/usr/bin/env python3
"""What the C headers of a plugin declare, for the gates on the ABI: every struct with its fields, every constant.

    layout.py inc HEADERS      LAYOUT_STRUCT, LAYOUT_FIELD, LAYOUT_CONSTANT lines: tests/plugins/abi_layout.c and _test.cpp print sizes with them
    layout.py asserts RECORD   the recorded layout as _Static_asserts, for any compiler
    layout.py anchor HEADERS   a C file with one function for each struct, so that a library has them all in its debug information
    layout.py lint HEADERS     exit 1 for a struct that can grow and has no struct_size first
"""
import pathlib
import re
import sys

# Plain values that never grow: they are passed by value or stand in arrays.
PLAIN = {"esp_str", "esp_tensor_type", "esp_attr", "esp_param_value", "esp_unit_name", "esp_score", "esp_unit_statistics", "esp_floats",
         "esp_init", "esp_place", "esp_call"}


def headers(folder):
    return sorted(pathlib.Path(folder).glob("*.h"))


def parse(folder):
    """[(header, [(struct, [field])], [constant])]"""
    found = []
    for header in headers(folder):
        text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.S)
        structs, constants = [], []
        for match in re.finditer(r"(?:typedef struct (\w+)|^struct (\w+)) \{(.*?)^\}", text, flags=re.S | re.M):
            fields = []
            for declaration in match.group(3).split(";"):
                declaration = declaration.strip()
                if not declaration:
                    continue
                function = re.search(r"\(\*(\w+)\)", declaration)
                if function:
                    fields.append(function.group(1))
                    continue
                names = declaration.split(",")
                fields.extend(re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*$", name).group(1) for name in names)
            structs.append((match.group(1) or match.group(2), fields))
        for match in re.finditer(r"enum \{(.*?)\}", text, flags=re.S):
            constants.extend(re.findall(r"(ESP_\w+)\s*=", match.group(1)))
        found.append((header.name, structs, constants))
    return found


def inc(folder):
    for name, structs, constants in parse(folder):
        print(f"/* {name} */")
        for struct, fields in structs:
            print(f"LAYOUT_STRUCT({struct})")
            for field in fields:
                print(f"  LAYOUT_FIELD({struct}, {field})")
        for constant in constants:
            print(f"LAYOUT_CONSTANT({constant})")


def asserts(record):
    print("#include <stddef.h>\n#ifdef __cplusplus\n#define CHECK(what) static_assert(what, #what)\n#else\n"
          "#define CHECK(what) _Static_assert(what, #what)\n#endif")
    struct = None
    for line in pathlib.Path(record).read_text().splitlines():
        words = line.split()
        if line.startswith("  "):
            print(f"CHECK(offsetof({struct}, {words[0]}) == {words[1]});\nCHECK(sizeof((({struct}*)0)->{words[0]}) == {words[2]});")
        elif line.startswith("esp_"):
            struct = words[0]
            print(f"CHECK(sizeof({struct}) == {words[1]});")
        else:
            print(f"CHECK({words[0]} == {words[1]});")


def anchor(folder):
    for name, _, _ in parse(folder):
        print(f'#include "espalier/{name}"')
    for _, structs, _ in parse(folder):
        for struct, _ in structs:
            print(f'__attribute__((visibility("default"))) void anchor_{struct}(const {struct}* it) {{ (void)it; }}')
    print('__attribute__((visibility("default"))) void anchor_query(esp_plugin_query_fn it) { (void)it; }')


def lint(folder):
    bad = [struct for _, structs, _ in parse(folder) for struct, fields in structs
           if struct not in PLAIN and not struct.endswith("_sink") and fields[0] not in ("struct_size", "magic")]
    for struct in bad:
        print(f"{struct}: it may grow, and has no struct_size first", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    {"inc": inc, "asserts": asserts, "anchor": anchor, "lint": lint}[sys.argv[1]](sys.argv[2])
