#!/usr/bin/env python3
"""Goal: `kappa serve` on a directory that is not what it should be (no log beside views, no manifest, a backup,
nothing at all) says so, changes nothing and ends with the documented status; its flags refuse what would
lose a log by a slip.

Method: the real binary on a directory made by a real server, with parts of it moved away."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402


def check(condition, what):
    if not condition:
        raise kappa.Failure(what)


def refused(*arguments, expect, says):
    result = subprocess.run([kappa.binary(), *arguments], capture_output=True, timeout=120)
    text = (result.stdout + result.stderr).decode()
    check(result.returncode == expect,
          f"kappa {' '.join(arguments)} ended with {result.returncode}, not {expect}\n{text}")
    for word in says:
        check(word in text, f"kappa {' '.join(arguments)} does not say {word!r}:\n{text}")


def tree(directory):
    return {os.path.relpath(os.path.join(at, name), directory) for at, dirs, files in os.walk(directory)
            for name in dirs + files}


def without_a_log(server, path):
    """The log is gone (as an unmounted disk), the views are there."""
    data, log, away = server.directory, os.path.join(server.directory, "log"), path("away")
    os.rename(log, away)
    for left in (None, "an empty mount point", "RETENTION"):
        if left:
            os.makedirs(log, exist_ok=True)
        if left == "RETENTION":
            open(os.path.join(log, left), "w").close()
        before = tree(data)
        for flags in ([], ["--read-only"]):
            refused("serve", "-d", data, "--listen", "127.0.0.1:0", *flags, expect=7,
                    says=["manifest"] if left == "RETENTION" else ["no log in", "views", "move"])
            check(tree(data) == before or left == "RETENTION", f"{left}: something was made or deleted")
        check({n for n in before if n.startswith("views")} <= tree(data), "a view's state was deleted")
    shutil.rmtree(log)
    # The way out that the hint names; then the old states come back beside the new log.
    os.rename(os.path.join(data, "views"), path("views-away"))
    server.start().stop()
    shutil.rmtree(os.path.join(data, "views"))
    shutil.copytree(path("views-away"), os.path.join(data, "views"))
    before = tree(data)
    refused("serve", "-d", data, "--listen", "127.0.0.1:0", expect=7, says=["another log", "K3116"])
    check({n for n in before if n.startswith("views")} <= tree(data), "a view's state was deleted")
    # A new log with a record: another log's states are moved aside, also under the name of a view.
    shutil.rmtree(os.path.join(data, "views"))
    server.start()
    server.sql("CREATE STREAM a (n BIGINT) WITH (topic = 'a')")
    server.sql("CREATE MATERIALIZED VIEW totals AS SELECT n, count(*) AS k FROM a GROUP BY n")
    server.append("a", b'{"n": 7}\n')
    server.sql("SELECT * FROM totals", "--fresh")
    server.stop()
    states = os.listdir(path("views-away"))
    shutil.rmtree(os.path.join(data, "views"))
    shutil.copytree(path("views-away"), os.path.join(data, "views"))
    server.start()
    check(server.sql("SELECT * FROM totals", "--fresh") == "n,k\n7,1\n", "the view is that of its own log")
    server.stop()
    for name in states:
        same = open(os.path.join(data, "views", "orphan-" + name, "data.mdb"), "rb").read()
        check(same == open(os.path.join(path("views-away"), name, "data.mdb"), "rb").read(), name + " was changed")
    # What a dropped view of this very log left goes.
    own = [n for n in os.listdir(os.path.join(data, "views")) if not n.startswith("orphan-")]
    shutil.copytree(os.path.join(data, "views", own[0]), os.path.join(data, "views", "999-1"))
    server.start().stop()
    left = os.listdir(os.path.join(data, "views"))
    check(sorted(left) == sorted(own + ["orphan-" + n for n in states]), f"in views/ are {left}")
    # And back to where they belong.
    shutil.rmtree(log)
    shutil.rmtree(os.path.join(data, "views"))
    os.rename(away, log)
    os.rename(path("views-away"), os.path.join(data, "views"))


def without_a_manifest(server, path):
    manifest = os.path.join(server.directory, "log", "MANIFEST")
    os.rename(manifest, path("MANIFEST"))
    for flags in ([], ["--read-only"]):
        refused("serve", "-d", server.directory, *flags, expect=7, says=["K3112", "kappa verify", "kappa repair"])
    refused("backup", path("b0"), "-d", server.directory, expect=7, says=["K3112", "kappa verify", "kappa repair"])
    os.rename(path("MANIFEST"), manifest)


def backups(server, path):
    data, backup = server.directory, path("backup")
    refused("backup", backup, "-d", data, expect=0, says=["backed up"])
    before = tree(backup)
    for flags in ([], ["--read-only"]):
        refused("serve", "-d", backup, *flags, expect=1, says=["is a backup", "kappa restore"])
    check(tree(backup) == before, "the backup was changed")
    segment = sorted(n for n in os.listdir(backup) if n.endswith(".segment"))[0]
    for remove in (True, False):
        content = open(os.path.join(backup, segment), "rb").read()
        os.remove(os.path.join(backup, segment))
        if not remove:
            with open(os.path.join(backup, segment), "wb") as file:
                file.write(content[:5000])
        refused("backup", backup, "-d", data, expect=0, says=["warning: " + segment])
        refused("backup", "--verify", backup, expect=0, says=["0 damaged"])


def flags(path):
    for extra, wanted in (([], "name the data directory"), (["--read-only"], "name the data directory")):
        command = "serve" if extra else "verify"
        refused(command, "-d", path("nowhere"), *extra, expect=4, says=["no log in", wanted])
    check(not os.path.exists(path("nowhere")), "a read-only server made a directory")
    refused("serve", "--durability", "x", expect=2, says=["sync", "written", "strict"])
    for arguments in (["--help"], ["--durability", "x"]):
        result = subprocess.run([kappa.binary(), "serve", *arguments], capture_output=True)
        raw = [c for c in result.stdout + result.stderr if c < 32 and c != 10]
        check(not raw, f"serve {arguments} prints control bytes {raw}")
    refused("serve", "--retention-age", "5", expect=2, says=["needs a unit, s, m, h or d"])
    refused("serve", "--retention-bytes", "2GiB", "--retention-max-bytes", "1GiB", expect=2,
            says=["--retention-bytes", "--retention-max-bytes"])


def main():
    with kappa.Scratch("wrong-directory") as scratch:
        path = lambda name: os.path.join(scratch.path, name)  # noqa: E731
        flags(path)
        server = scratch.server(flags=("--segment-bytes", "65536", "--commit-interval", "50", "--durability", "strict"))
        server.start()
        server.sql("CREATE STREAM a (n BIGINT) WITH (topic = 'a')")
        server.sql("CREATE MATERIALIZED VIEW totals AS SELECT n, count(*) AS k FROM a GROUP BY n")
        lines = "".join('{"n": %d, "pad": "%s"}\n' % (i % 3, "x" * 200) for i in range(1500))
        server.append("a", lines.encode(), "--batch", "50")
        answer = server.sql("SELECT * FROM totals ORDER BY n", "--fresh")
        server.stop()
        without_a_log(server, path)
        without_a_manifest(server, path)
        backups(server, path)
        server.start()
        check(server.sql("SELECT * FROM totals ORDER BY n", "--fresh") == answer, "the answers are as before")
        server.stop()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except kappa.Failure as problem:
        print("FAIL", problem)
        sys.exit(1)
