#!/usr/bin/env python3
"""Goal: how fast a live view of many random keys is updated, beside SQLite's upsert of the same keys.

Method: rounds; in each, both contenders run once on a fresh directory of the same file system, in an order that
turns. Kappa: `kappa append` of JSON lines to a real server with the view
  SELECT k, count(*), sum(v), max(v) FROM events GROUP BY k
live; the clock runs from the start of the client until the view has applied every event, so the durable log, JSON
and the network are in it. SQLite: WAL, synchronous=FULL, INSERT ... ON CONFLICT DO UPDATE, one prepared statement,
values bound without JSON, transactions as large as the view's commits were (events / commits of that round), page
cache as large as the view's memory. First a load that has every key once, then updates of random keys; the
figure is the updates'. Afterwards the view is compared: groups, events, sum; the server is started again (time to
the first answer) and the view dropped (bytes of views/ before and after). Memory is the server's anonymous memory,
looked at every 50 ms.

Build first: cmake --preset release -D KAPPA_BENCHMARKS=ON && cmake --build --preset release
Scratch space: $KAPPA_SCRATCH, else the default for temporary files; it must be on the device to be measured."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

VIEW = "CREATE MATERIALIZED VIEW by_key AS SELECT k, count(*) AS n, sum(v) AS total, max(v) AS top FROM events GROUP BY k"


class Memory:
    """The greatest anonymous memory of a process while the block runs."""

    def __init__(self, pid):
        self.path, self.greatest, self.done = f"/proc/{pid}/status", 0, threading.Event()

    def look(self):
        while not self.done.wait(0.05):
            with open(self.path, encoding="ascii") as file:
                for line in file:
                    if line.startswith("RssAnon:"):
                        self.greatest = max(self.greatest, int(line.split()[1]) * 1024)

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def view_of(server):
    return json.loads(server.run("status", "-o", "json")[0])["views"][0]


def append(server, path):
    """Seconds until the log has every event durable, and until the view has applied it."""
    started = time.monotonic()
    with open(path, "rb") as file:
        subprocess.run([kappa.binary(), "append", "events", "-a", server.address], check=True, stdin=file,
                       stderr=subprocess.DEVNULL)
    durable = time.monotonic() - started
    server.run("get", "by_key", "0", "--fresh", "--timeout", "600s", expect=(0, 4))
    return durable, time.monotonic() - started


def bytes_below(directory):
    return sum(os.stat(os.path.join(folder, name)).st_blocks * 512
               for folder, _, names in os.walk(directory) for name in names)


def open_and_drop(server, result):
    """A restart: milliseconds from the start of the process to its first answer; then what DROP gives back."""
    server.stop()
    started = time.monotonic()
    server.start()
    server.run("get", "by_key", "0", expect=(0, 4))
    result["first answer"] = (time.monotonic() - started) * 1000
    views = os.path.join(server.directory, "views")
    result["before drop"] = bytes_below(views)
    server.sql("DROP MATERIALIZED VIEW by_key")
    result["after drop"] = bytes_below(views)


def run_kappa(scratch, number, options, files):
    server = scratch.server(f"kappa{number}", flags=options.serve).start()
    result = {}
    try:
        server.append("events", b"")
        server.sql(f"CREATE STREAM events (k {'TEXT' if options.text else 'BIGINT'}, v BIGINT)")
        server.sql(VIEW)
        with Memory(server.process.pid) as memory:
            _, seconds = append(server, files[0])
            result["load"] = options.keys / seconds
            before = view_of(server)
            result["durable"], seconds = append(server, files[1])
            result["durable"] = options.updates / result["durable"]
            result["update"] = options.updates / seconds
            after = view_of(server)
        result["memory"] = memory.greatest
        commits = max(1, after["commits"] - before["commits"])
        result["batch"] = max(1000, (after["events_applied"] - before["events_applied"]) // commits)
        result["disk"] = after["bytes_on_disk"]
        if not options.unchecked:
            found = server.sql("SELECT count(*) AS g, sum(n) AS n, min(n) AS low FROM by_key", "--timeout", "600s")
            groups, events, low = map(int, found.split()[-1].split(","))
            if (groups, events) != (options.keys, options.keys + options.updates) or low < 1:
                raise kappa.Failure(f"the view has {groups} groups of {events} events")
        open_and_drop(server, result)
    finally:
        server.stop()
        scratch.servers.remove(server)
        shutil.rmtree(server.directory)
    return result


def run_sqlite(scratch, number, options, batch):
    directory = os.path.join(scratch.path, f"sqlite{number}")
    os.makedirs(directory)
    text = subprocess.run([options.peer, "sqlite", directory, str(batch), str(options.cache), *options.work],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    shutil.rmtree(directory)
    return {line.split("\t")[0]: float(line.split("\t")[1]) for line in text.splitlines()}


def line(name, values, form="{:,.0f}"):
    print(f"| {name} | " + " | ".join(form.format(one) for one in (statistics.median(values), min(values), max(values)))
          + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--updates", type=int, default=4_000_000)
    parser.add_argument("--text", action="store_true", help="keys are TEXT of 20 bytes, not BIGINT")
    parser.add_argument("--batch", type=int, default=0, help="rows of a SQLite transaction; 0: as the view's commits")
    parser.add_argument("--cache", type=int, default=256, help="MiB of SQLite's page cache")
    parser.add_argument("--alone", action="store_true", help="without SQLite")
    parser.add_argument("--unchecked", action="store_true", help="do not read the view at the end")
    parser.add_argument("--serve", action="append", default=[], help="a flag of `kappa serve`, as --serve=--memory=1GiB")
    parser.add_argument("--peer", default=os.path.join(os.path.dirname(kappa.binary()), "..", "tests", "upsert_peer"))
    options = parser.parse_args()
    options.work = ["--keys", str(options.keys), "--updates", str(options.updates)] + ["--text"] * options.text
    ours, theirs = [], []
    with kappa.Scratch("compare-upsert") as scratch:
        files = [os.path.join(scratch.path, name) for name in ("load.ndjson", "update.ndjson")]
        subprocess.run([options.peer, "events", *files, *options.work], check=True)
        batch = options.batch
        for number in range(options.rounds):
            # SQLite's first turn needs the size of the view's commits.
            first = "kappa" if number % 2 == 0 else "sqlite"
            for who in (("kappa", "sqlite") if first == "kappa" else ("sqlite", "kappa")):
                if who == "kappa":
                    ours.append(run_kappa(scratch, number, options, files))
                    batch = options.batch or ours[-1]["batch"]
                elif not options.alone:
                    theirs.append(run_sqlite(scratch, number, options, batch))
            one = ours[-1]
            beside = "" if options.alone else (f"; SQLite {theirs[-1]['update']:,.0f}, load {theirs[-1]['load']:,.0f}, "
                                               f"batches of {batch:,}; ratio {one['update'] / theirs[-1]['update']:.2f}")
            print(f"round {number + 1}: Kappa {one['update']:,.0f} updates/s (log durable at {one['durable']:,.0f}), "
                  f"load {one['load']:,.0f}, {one['batch']:,} events a commit, memory {one['memory'] / 2**20:.0f} MiB, "
                  f"state {one['disk'] / 2**20:.0f} MiB{beside}", flush=True)
    print("\n| measured | median | min | max |\n|---|---:|---:|---:|")
    line("Kappa, updates/s", [one["update"] for one in ours])
    line("Kappa, first time of each key, events/s", [one["load"] for one in ours])
    line("Kappa, greatest anonymous memory, MiB", [one["memory"] / 2**20 for one in ours])
    line("Kappa, start of the process to the first answer, ms", [one["first answer"] for one in ours])
    line("Kappa, views/ before DROP, MiB", [one["before drop"] / 2**20 for one in ours])
    line("Kappa, views/ after DROP, KiB", [one["after drop"] / 2**10 for one in ours])
    if theirs:
        line("SQLite, updates/s", [one["update"] for one in theirs])
        line("SQLite, load, rows/s", [one["load"] for one in theirs])
        line("Kappa / SQLite, updates (bound >= 2)", [a["update"] / b["update"] for a, b in zip(ours, theirs)], "{:.2f}")
        line("Kappa / SQLite, load", [a["load"] / b["load"] for a, b in zip(ours, theirs)], "{:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
