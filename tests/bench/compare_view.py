#!/usr/bin/env python3
"""Goal: what a live view costs the appends, and how far behind it falls.

Method: rounds; in each, N events are appended once into a topic without a view and once into a topic with
a view of 1,000 groups, in an order that turns, on fresh directories. While the second runs, `kappa status`
is asked again and again: the greatest lag and the greatest memory are kept, then how long the view needs to
catch up. Medians over the rounds, and the ratio within a round.

Build first: cmake --preset release && cmake --build --preset release
Scratch space: $KAPPA_SCRATCH, else the default for temporary files."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

STREAM = "CREATE STREAM bench (ts TIMESTAMP, page TEXT, bytes BIGINT)"
VIEW = "CREATE MATERIALIZED VIEW by_page AS SELECT page, count(*) AS n, sum(bytes) AS total FROM bench GROUP BY page"


def view_of(server):
    status = json.loads(server.run("status", "-o", "json")[0])
    return status["views"][0], status["process"]


def load(scratch, number, events, with_view):
    server = scratch.server(f"load{number}").start()
    server.append("bench", b"")
    result = {"lag": 0, "rss": 0}
    if with_view:
        server.sql(STREAM)
        server.sql(VIEW)
    command = [kappa.binary(), "bench", "append", "-a", server.address, "--topic", "bench", "--events", str(events),
               "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        while with_view and client.poll() is None:
            view, process = view_of(server)
            result["lag"] = max(result["lag"], view["lag_events"])
            result["rss"] = max(result["rss"], process["rss_anon_bytes"])
            try:
                client.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
        result["rate"] = json.loads(client.stdout.read())["events_per_second"]
    if with_view:
        started = time.monotonic()
        total = server.sql("SELECT sum(n) AS n FROM by_page", "--fresh", "--timeout", "120s").split()[-1]
        result["behind"] = time.monotonic() - started
        if int(total) != events:
            raise kappa.Failure(f"the view counts {total} of {events} events")
    server.stop()
    scratch.servers.remove(server)
    shutil.rmtree(server.directory)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=10_000_000)
    arguments = parser.parse_args()
    rounds = []
    with kappa.Scratch("compare-view") as scratch:
        for number in range(arguments.rounds):
            order = (False, True) if number % 2 == 0 else (True, False)
            one = {with_view: load(scratch, 2 * number + with_view, arguments.events, with_view) for with_view in order}
            rounds.append((one[False], one[True]))
            without, beside = rounds[-1]
            print(f"round {number + 1}: {without['rate']:,.0f} events/s without, {beside['rate']:,.0f} with the view, "
                  f"greatest lag {beside['lag']:,} events, caught up after {beside['behind'] * 1000:.0f} ms, "
                  f"anonymous memory {beside['rss'] / 1e6:.1f} MB", flush=True)
    ratios = [beside["rate"] / without["rate"] for without, beside in rounds]
    print(f"\nwith / without: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} (bound >= 0.5)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
