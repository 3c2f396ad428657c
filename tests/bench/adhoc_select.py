#!/usr/bin/env python3
"""Goal: SELECT over the history of a stream, from the command line: how soon the first row of a filter is there, how
soon Ctrl-C ends everything, and what counting by page costs beside `kappa bench replay`.

Method: one server with N events. A filter that keeps one in 1,000 is started; the time to its first row is taken, at
its start the server's threads and memory; it gets SIGINT in the middle of its rows, and the times are taken until the
command has ended and until the server has the threads again that it had before. Then `SELECT page, count(*) ... GROUP
BY page` from the command line, and the same query by `kappa bench replay` over the same directory, the server stopped.
Medians of the rounds. Everything is in the page cache after the first round, which is not counted.

Build first: cmake --preset release && cmake --build --preset release
Scratch space: $KAPPA_SCRATCH, else the default for temporary files."""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

STREAM = "CREATE STREAM bench (ts TIMESTAMP, page TEXT, bytes BIGINT)"
COUNT = "SELECT page, count(*) AS n FROM bench GROUP BY page"


def threads(server):
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def memory(server):
    """Anonymous bytes, in MB: files of the log are mapped."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1000


def filter_round(server):
    before = threads(server), memory(server)
    command = [kappa.binary(), "sql", "-a", server.address, "-o", "csv",
               "SELECT _offset, page, bytes FROM bench WHERE _offset % 1000 = 7"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as client:
        client.stdout.readline()
        client.stdout.readline()
        first = time.perf_counter() - started
        most = threads(server), memory(server)
        stopped = time.perf_counter()
        client.send_signal(signal.SIGINT)
        rest = client.stdout.read()
        client.wait()
        ended = time.perf_counter() - stopped
        while threads(server) > before[0]:
            if time.perf_counter() - stopped > 60:
                raise kappa.Failure("the query's threads are still there")
        freed = time.perf_counter() - stopped
        code = client.returncode
    after = threads(server), memory(server)
    return {"first": first * 1000, "stop": ended * 1000, "free": freed * 1000, "code": code, "rows": rest.count(b"\n") + 1,
            "before": before, "most": most, "after": after}


def count_round(server, events):
    started = time.perf_counter()
    out = server.run("sql", COUNT, "-o", "csv")[0]
    seconds = time.perf_counter() - started
    total = sum(int(line.rsplit(b",", 1)[1]) for line in out.splitlines()[1:])
    if total != events:
        raise kappa.Failure(f"counted {total} of {events} events")
    return seconds


def replay_round(server, events):
    out = subprocess.run([kappa.binary(), "bench", "replay", "-d", server.directory, "--nice", "0", "-o", "json", "--sql",
                          COUNT], check=True, stdout=subprocess.PIPE).stdout
    return events / json.loads(out)["events_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=5_000_000)
    arguments = parser.parse_args()
    filters, counts, replays = [], [], []
    with kappa.Scratch("adhoc-select") as scratch:
        server = scratch.server("server").start()
        subprocess.run([kappa.binary(), "bench", "append", "-a", server.address, "--topic", "bench", "--events",
                        str(arguments.events), "-o", "json"], check=True, stdout=subprocess.DEVNULL)
        server.sql(STREAM)
        for number in range(arguments.rounds + 1):
            one = filter_round(server)
            seconds = count_round(server, arguments.events)
            server.stop()
            replay = replay_round(server, arguments.events)
            server.start()
            if number == 0:
                continue
            filters.append(one)
            counts.append(seconds)
            replays.append(replay)
            print(f"round {number}: first row {one['first']:.0f} ms, Ctrl-C to the end {one['stop']:.0f} ms (exit code "
                  f"{one['code']}, {one['rows']} rows), to the last thread {one['free']:.0f} ms; threads {one['before'][0]}, "
                  f"{one['most'][0]}, {one['after'][0]}; memory {one['before'][1]:.1f}, {one['most'][1]:.1f}, "
                  f"{one['after'][1]:.1f} MB; count {seconds:.2f} s, replay {replay:.2f} s", flush=True)
        server.stop()
    for name, what, bound in (("first", "first row", 50), ("stop", "Ctrl-C to the end of the command", 200),
                              ("free", "Ctrl-C to the last thread", 200)):
        print(f"{what}: median {statistics.median(one[name] for one in filters):.0f} ms (bound {bound})")
    ratios = [count / replay for count, replay in zip(counts, replays)]
    print(f"GROUP BY page, command line / bench replay: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to "
          f"{max(ratios):.2f} (bound 1.2)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
