#!/usr/bin/env python3
"""Goal: the examples of the README and of docs/examples/ run as they stand.

Method: the fenced `sh` blocks of a page that follow a line `<!-- test -->` run in order, each in a shell,
in an empty directory, with the binary under test as `kappa` in the PATH and a server of the page's own on a
free port (KAPPA_ADDR). A block that is followed by a `text` fence must print exactly that."""

import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

BLOCK = re.compile(r"<!-- test -->\s*```sh\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)


def run_page(path):
    name = os.path.relpath(path, ROOT)
    with open(path, encoding="utf-8") as file:
        blocks = BLOCK.findall(file.read())
    if not blocks:
        raise kappa.Failure(f"no block of {name} is marked for testing")
    with kappa.Scratch("examples") as scratch:
        server = scratch.server().start()
        programs = os.path.join(scratch.path, "bin")
        os.makedirs(programs)
        os.symlink(os.path.abspath(kappa.binary()), os.path.join(programs, "kappa"))
        environment = dict(os.environ, PATH=programs + ":" + os.environ["PATH"], KAPPA_ADDR=server.address)
        for script, expected in blocks:
            result = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=scratch.path, env=environment,
                                    capture_output=True, text=True, timeout=120)
            if result.returncode != 0:
                raise kappa.Failure(f"{name}: exit {result.returncode} of\n{script}{result.stdout}{result.stderr}")
            if expected and result.stdout != expected:
                raise kappa.Failure(f"{name}: {script}printed\n{result.stdout}the page says\n{expected}")
            print("ok:", name, script.strip().split("\n")[0])
        server.stop()


def main():
    pages = [os.path.join(ROOT, "README.md")] + sorted(glob.glob(os.path.join(ROOT, "docs", "examples", "*.md")))
    for page in sys.argv[1:] or pages:
        run_page(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
