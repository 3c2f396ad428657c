#!/usr/bin/env python3
"""Goal: the oracle notices a wrong answer. Method: one bug at a time is planted by a small edit in a copy of the
tree; the copy's oracle is built and run for a bounded time, and must report a mismatch. Prints a table: bug, and
how many comparisons it took to notice it, or MISSED.

Not part of ctest: it builds the processor once a bug.

    tests/oracle/plant_bugs.py                        all bugs, in a temporary directory
    tests/oracle/plant_bugs.py --list
    tests/oracle/plant_bugs.py sum_rounded ...        these only
    tests/oracle/plant_bugs.py --work DIR             keeps the copy and its build for the next run

Exit code: 0 if every bug was noticed and the sound copy passes, 1 if not, 2 if an edit does not fit the source
any more."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

# name, what is wrong, [(file, old text, new text)]. The old text must be there exactly once.
BUGS = [
    ("retraction_dropped", "a value that is taken back stays in the multiset of min, max and DISTINCT", [
        ("processor/operators/aggregates/multiset.cc",
         "  const std::int64_t after = before + weight;\n",
         "  const std::int64_t after = weight < 0 && before == 1 ? before : before + weight;\n")]),
    ("count_of_null", "count(x) counts NULLs", [
        ("processor/operators/aggregates/count.cc", "      if (valid != nullptr && !valid[row]) continue;\n", "")]),
    ("null_and_false", "NULL AND FALSE is NULL", [
        ("processor/vector/kernels_logic.cc",
         "valid[row] = static_cast<std::uint8_t>(decided || (a_valid[row] & b_valid[row]) != 0);",
         "valid[row] = static_cast<std::uint8_t>((a_valid[row] & b_valid[row]) != 0);")]),
    ("sum_rounded", "a sum of doubles is rounded at each step", [
        ("processor/operators/aggregates/sum.cc",
         "      add(sum, values[row], weight);\n      char stored",
         "      add(sum, values[row], weight);\n"
         "      if constexpr (std::is_same_v<Number, double>) {\n"
         "        if (const auto rounded = sum.to_double(-1074, 1, 0)) {\n"
         "          sum = WideInteger();\n"
         "          sum.add(*rounded, 1);\n"
         "        }\n"
         "      }\n"
         "      char stored")]),
    ("sum_wraps", "a sum of integers wraps at 64 bits", [
        ("processor/operators/aggregates/sum.cc",
         "      store_raw(at + 8, load_raw<Int128>(at + 8) + static_cast<Int128>(values[row]) * weight);\n",
         "      store_raw(at + 8, Int128{static_cast<std::int64_t>(static_cast<std::uint64_t>(load_raw<Int128>(at + 8)) +\n"
         "                        static_cast<std::uint64_t>(values[row]) * static_cast<std::uint64_t>(weight))});\n")]),
    ("window_bound", "an event at the end of a hopping window is in it", [
        ("processor/operators/hop.cc",
         "for (; start > Int128{time} - size_ && status; start -= slide_) {",
         "for (; start >= Int128{time} - size_ && status; start -= slide_) {")]),
    ("window_before_1970", "hopping windows round toward zero", [
        ("processor/operators/hop.cc", " - (time % slide_ < 0 ? slide_ : 0);", ";")]),
    ("like_by_bytes", "_ of LIKE is one byte", [
        ("processor/vector/like.cc",
         "      for (++at; at < text.size() && !starts_code_point(text[at]); ++at) {",
         "      for (++at; at < text.size() && at < at; ++at) {")]),
    ("overflow_wraps", "BIGINT addition wraps", [
        ("processor/vector/kernels_arithmetic.cc",
         "    return !__builtin_add_overflow(a, b, &out);\n", "    return __builtin_add_overflow(a, b, &out) || true;\n")]),
    ("extreme_not_lost", "a maximum that is taken back stays", [
        ("processor/operators/aggregates/extremum.cc",
         "          if (key == current(group.value)) lost_.push_back(&group);\n",
         "          if (key == current(group.value) && rows.rows.size() > 1) lost_.push_back(&group);\n")]),
]


def apply(work, edits):
    """Makes the edits; what to give back, or None if one does not fit."""
    before = []
    for name, old, new in edits:
        path = os.path.join(work, name)
        with open(path, encoding="utf-8") as file:
            content = file.read()
        if content.count(old) != 1:
            print(f"{name}: the text to replace is there {content.count(old)} times:\n{old}", flush=True)
            restore(before)
            return None
        before.append((path, content))
        with open(path, "w", encoding="utf-8") as file:
            file.write(content.replace(old, new))
    return before


def restore(before):
    for path, content in reversed(before):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)


def build(work, jobs):
    done = subprocess.run(["ninja", "-C", os.path.join(work, "build"), f"-j{jobs}", "oracle"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if done.returncode == 0 else done.stdout[-3000:]


def run(work, seconds, seed):
    """(problems, comparisons, the first line of the first problem)."""
    command = [os.path.join(work, "build", "tests", "oracle", "oracle"), "--seconds", str(seconds), "--seed", str(seed),
               "--problems", "1", "--cases", "none"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds * 4 + 240,
                              errors="replace", text=True)
    except subprocess.TimeoutExpired:
        return 1, 0, "hangs"
    summary = re.search(r"(\d+) comparisons .* (\d+) problems", done.stdout)
    if not summary:
        return 1, 0, f"ended with {done.returncode}"
    first = re.search(r"^MISMATCH (.*)$", done.stdout, re.MULTILINE)
    return int(summary.group(2)), int(summary.group(1)), first.group(1)[:60] if first else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bugs", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--work", help="directory of the copy; kept")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=60, help="for each bug")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip-sound", action="store_true", help="do not run the sound copy first")
    arguments = parser.parse_args()
    if arguments.list:
        for name, text, _ in BUGS:
            print(f"{name:28} {text}")
        return 0
    unknown = set(arguments.bugs) - {bug[0] for bug in BUGS}
    if unknown:
        print("no such bug:", ", ".join(sorted(unknown)))
        return 2
    work = arguments.work or tempfile.mkdtemp(prefix="kappa-bugs-")
    os.makedirs(work, exist_ok=True)
    try:
        files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                               stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
        for name in files:
            source, target = os.path.join(ROOT, name), os.path.join(work, name)
            if not name or not os.path.isfile(source):
                continue
            with open(source, "rb") as file:
                content = file.read()
            # Files that are the same keep their time, so that only what changed is built.
            if os.path.exists(target):
                with open(target, "rb") as file:
                    if file.read() == content:
                        continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content)
        # Warnings are not errors here: a bug may leave something unused.
        environment = dict(os.environ, CCACHE_BASEDIR=work, CCACHE_NOHASHDIR="1")
        subprocess.run(["cmake", "-S", work, "-B", os.path.join(work, "build"), "-G", "Ninja",
                        "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS=-O2 -Wno-error"], check=True,
                       stdout=subprocess.DEVNULL, env=environment)
        os.environ.update(environment)
        failures = 0
        if not arguments.skip_sound:
            problem = build(work, arguments.jobs)
            problems, comparisons, first = (1, 0, problem) if problem else run(work, arguments.seconds, arguments.seed)
            print(f"{'(no bug)':28} {first if problems else f'passes {comparisons} comparisons'}", flush=True)
            failures += problems > 0
        for name, _, edits in BUGS:
            if arguments.bugs and name not in arguments.bugs:
                continue
            before = apply(work, edits)
            if before is None:
                return 2
            try:
                problem = build(work, arguments.jobs)
                if problem:
                    print(f"{name:28} DOES NOT BUILD\n{problem}", flush=True)
                    failures += 1
                    continue
                problems, comparisons, first = run(work, arguments.seconds, arguments.seed)
                verdict = f"caught within {comparisons} comparisons: {first}" if problems else f"MISSED in {comparisons} comparisons"
                print(f"{name:28} {verdict}", flush=True)
                failures += not problems
            finally:
                restore(before)
        return 1 if failures else 0
    finally:
        if not arguments.work:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
