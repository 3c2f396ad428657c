"""Edits a copy of the tree, one change at a time, builds it and asks a check whether it notices: what shows that
tests can fail. Used by tests/crash/break_rules.py and tests/oracle/plant_bugs.py.

A change is (name, what is wrong, [(file, old text, new text)]); the old text must be there exactly once."""

import os
import shutil
import subprocess
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def add_arguments(parser):
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--work", help="directory of the copy; kept")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--skip-sound", action="store_true", help="do not check the unchanged copy first")


def apply(work, edits):
    """Edits the copy. What must be put back: [(path, content)]; None if a text is not there once."""
    before = []
    for name, old, new in edits:
        path = os.path.join(work, name)
        with open(path, encoding="utf-8") as file:
            content = file.read()
        if content.count(old) != 1:
            print(f"{name}: this text is there {content.count(old)} times, not once:\n{old}", flush=True)
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


def build(work, jobs, targets):
    """What the compiler said if it failed, else None."""
    done = subprocess.run(["ninja", "-C", os.path.join(work, "build"), f"-j{jobs}", *targets],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if done.returncode == 0 else done.stdout[-3000:]


def copy_tree(work):
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


def run(arguments, changes, targets, check):
    """`check(work)` gives (noticed, text). The exit code: 0 if every change was noticed and the sound copy passes, 1
    if not, 2 if an edit does not fit the source any more."""
    if arguments.list:
        for name, text, _ in changes:
            print(f"{name:32} {text}")
        return 0
    unknown = set(arguments.names) - {change[0] for change in changes}
    if unknown:
        print("not in the list:", ", ".join(sorted(unknown)))
        return 2
    work = arguments.work or tempfile.mkdtemp(prefix="kappa-mutations-")
    os.makedirs(work, exist_ok=True)
    try:
        copy_tree(work)
        # Warnings are not errors here: an edit may leave something unused.
        os.environ.update(CCACHE_BASEDIR=work, CCACHE_NOHASHDIR="1")
        subprocess.run(["cmake", "-S", work, "-B", os.path.join(work, "build"), "-G", "Ninja",
                        "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS=-O2 -Wno-error"], check=True,
                       stdout=subprocess.DEVNULL)
        failures = 0
        if not arguments.skip_sound:
            problem = build(work, arguments.jobs, targets)
            noticed, text = (True, problem) if problem else check(work)
            print(f"{'(unchanged)':32} {text if noticed else 'passes ' + text}", flush=True)
            failures += noticed
        for name, _, edits in changes:
            if arguments.names and name not in arguments.names:
                continue
            before = apply(work, edits)
            if before is None:
                return 2
            try:
                problem = build(work, arguments.jobs, targets)
                noticed, text = (False, f"DOES NOT BUILD\n{problem}") if problem else check(work)
                print(f"{name:32} {text if noticed or problem else 'MISSED ' + text}", flush=True)
                failures += not noticed
            finally:
                restore(before)
        return 1 if failures else 0
    finally:
        if not arguments.work:
            shutil.rmtree(work, ignore_errors=True)
