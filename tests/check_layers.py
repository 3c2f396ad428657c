#!/usr/bin/env python3
"""Goal: the layers stay layers. proto <- log <- processor <- serving <- tools: an include points left or
into its own folder, never right; and no file of the five folders is longer than 600 lines.

Method: reads every #include "..." of the tree. A second part runs the check on made-up includes, so
that it is known to fail when it should."""

import os
import re
import sys

LAYERS = ["proto", "log", "processor", "serving", "tools"]
LINES_MAX = 600
SOURCE = re.compile(r".*\.(h|hpp|cc|cpp)$")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def problem_of(layer, included):
    """What is wrong with an include of `included` in a file of `layer`; None if nothing is."""
    first = included.split("/")[0]
    if "/" not in included or first not in LAYERS:
        return f'"{included}" is not a path from the project\'s root'
    if LAYERS.index(first) > LAYERS.index(layer):
        return f'"{included}" points right: {layer} may not know {first}'
    return None


def self_test():
    assert problem_of("log", "proto/ids.h") is None
    assert problem_of("log", "log/log.h") is None
    assert problem_of("tools", "serving/server.h") is None
    assert "points right" in problem_of("proto", "log/log.h")
    assert "points right" in problem_of("processor", "tools/client/client.h")
    assert "not a path" in problem_of("log", "log.h")


def main():
    self_test()
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    problems, files = [], 0
    for layer in LAYERS:
        for folder, _, names in os.walk(os.path.join(root, layer)):
            for name in filter(SOURCE.match, names):
                path = os.path.relpath(os.path.join(folder, name), root)
                files += 1
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    lines = file.read().split("\n")
                for number, line in enumerate(lines, 1):
                    found = INCLUDE.match(line)
                    what = problem_of(layer, found.group(1)) if found else None
                    if what:
                        problems.append(f"{path}:{number}: {what}")
                if len(lines) - 1 > LINES_MAX:
                    problems.append(f"{path}: {len(lines) - 1} lines; past {LINES_MAX}, split it")
    print("\n".join(problems) if problems else f"{files} files, every include points left")
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
