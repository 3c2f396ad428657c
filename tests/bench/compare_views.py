#!/usr/bin/env python3
"""Goal: what ten views over one topic cost beside one, and how the state of a large view behaves: opening, dropping.

Method: one log of N events of `kappa bench append`, copied; in one copy one view is defined, in the other ten
different ones, among them that one. A round deletes views/ of both copies, starts a server on one, waits until
every view has applied the whole log, and looks at the clock and at the CPU time of the server; then the other, in an order that turns. Ratio within a round.

Build first: cmake --preset release && cmake --build --preset release
Scratch space: $KAPPA_SCRATCH, else the default for temporary files."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

STREAM = "CREATE STREAM bench (ts TIMESTAMP, user TEXT, page TEXT, action TEXT, bytes BIGINT, ms DOUBLE)"
VIEWS = [
    "SELECT page, count(*) AS n, sum(bytes) AS total FROM bench GROUP BY page",
    "SELECT action, count(*) AS n, avg(bytes) AS mean FROM bench GROUP BY action",
    "SELECT page, action, count(*) AS n FROM bench GROUP BY page, action",
    "SELECT user, count(*) AS n, max(ts) AS latest FROM bench GROUP BY user",
    "SELECT page, max(bytes) AS top, min(bytes) AS low FROM bench WHERE action = 'buy' GROUP BY page",
    "SELECT action, sum(ms) AS total FROM bench GROUP BY action",
    "SELECT page, count(*) AS n FROM bench WHERE bytes > 30000 GROUP BY page",
    "SELECT count(*) AS n, sum(bytes) AS total, max(ts) AS latest FROM bench",
    "SELECT action, count(*) AS n FROM bench WHERE ms > 450 GROUP BY action",
    "SELECT page, avg(ms) AS mean, count(*) AS n FROM bench GROUP BY page",
]


def cpu_of(pid):
    """Seconds that the process has used, of all of its threads, those that ended included."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        rest = file.read().rsplit(")", 1)[1]
    return sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")


def make(scratch, name, events, views):
    server = scratch.server(name).start()
    server.append("bench", b"")
    subprocess.run([kappa.binary(), "bench", "append", "-a", server.address, "--topic", "bench", "--events",
                    str(events)], check=True, stdout=subprocess.DEVNULL)
    server.sql(STREAM)
    for number, view in enumerate(views):
        server.sql(f"CREATE MATERIALIZED VIEW v{number} AS {view}")
    server.stop()
    return server


def build(server, views):
    shutil.rmtree(os.path.join(server.directory, "views"))
    started = time.monotonic()
    server.start()
    for number in range(len(views)):
        server.run("get", f"v{number}", "x", "--fresh", "--timeout", "600s", expect=(0, 1, 4))
    result = time.monotonic() - started, cpu_of(server.process.pid)
    server.stop()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=5_000_000)
    options = parser.parse_args()
    rounds = []
    with kappa.Scratch("compare-views") as scratch:
        sets = {1: VIEWS[:1], len(VIEWS): VIEWS}
        servers = {count: make(scratch, f"views{count}", options.events, views) for count, views in sets.items()}
        for number in range(options.rounds):
            one = {}
            for count in sorted(sets, reverse=number % 2 == 1):
                one[count] = build(servers[count], sets[count])
            rounds.append(one)
            print(f"round {number + 1}: " + ", ".join(
                f"{count} view(s) {wall:.2f} s, {cpu:.2f} s of CPU" for count, (wall, cpu) in sorted(one.items())), flush=True)
    for what, at in (("wall time", 0), ("CPU time", 1)):
        ratios = [one[len(VIEWS)][at] / one[1][at] for one in rounds]
        print(f"ten / one, {what}: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} "
              "(bound < 3)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
