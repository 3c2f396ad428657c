#!/usr/bin/env python3
"""Goal: the client library as it is installed works for a program outside the project: the one of docs/client.md is built,
with CMake and with pkg-config, and does what the page says.

Method: the code blocks of the page as they stand, the files of `cmake --install --component client` in a directory of their
own, a real server."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

SAYS = ["durable", "durable", "durable", "/ has 2", "+ / 2", "+ /about 1"]


def run(*command, **keywords):
    result = subprocess.run(command, capture_output=True, timeout=500, **keywords)
    text = result.stdout.decode() + result.stderr.decode()
    if result.returncode != 0:
        raise kappa.Failure(f"{' '.join(command)} ended with {result.returncode}\n{text[-3000:]}")
    return result.stdout.decode()


def main():
    build = os.environ.get("KAPPA_BUILD") or os.path.join(os.path.dirname(kappa.binary()), "..")
    with open(os.path.join(HERE, "..", "..", "docs", "client.md"), encoding="utf-8") as file:
        page = file.read()
    work = tempfile.mkdtemp(prefix="kappa-client-")
    try:
        prefix, source = os.path.join(work, "usr"), os.path.join(work, "pages")
        os.makedirs(source)
        for language, name in (("cmake", "CMakeLists.txt"), ("cpp", "pages.cc")):
            with open(os.path.join(source, name), "w", encoding="utf-8") as file:
                file.write(re.search(rf"```{language}\n(.*?)```", page, re.DOTALL).group(1))
        run("cmake", "--install", build, "--component", "client", "--prefix", prefix)
        flags = os.environ.get("KAPPA_CLIENT_FLAGS", "")  # A sanitizer's, if the library was built with one.
        run("cmake", "-S", source, "-B", os.path.join(work, "build"), f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_CXX_FLAGS=-O1 {flags}")
        run("cmake", "--build", os.path.join(work, "build"))
        pkg_config = [os.path.join(root, "kappa.pc") for root, _, names in os.walk(prefix) if "kappa.pc" in names]
        words = run("pkg-config", "--cflags", "--libs", "kappa",
                    env={**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pkg_config[0])}).split()
        run("g++", "-std=c++23", "-O1", *flags.split(), os.path.join(source, "pages.cc"), "-o", os.path.join(work, "by_pkg_config"),
            *words)
        for number, program in enumerate((os.path.join(work, "build", "pages"), os.path.join(work, "by_pkg_config"))):
            os.mkdir(os.path.join(work, f"data{number}"))
            server = kappa.Server(os.path.join(work, f"data{number}"))
            server.start()
            lines = run(program, server.address).split("\n")[:-1]
            if lines != SAYS:
                raise kappa.Failure(f"{program} said {lines}")
            server.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("the installed client library does what its page says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
