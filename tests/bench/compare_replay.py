#!/usr/bin/env python3
"""Goal: how fast the durable log becomes a view, beside DuckDB's read_json over the same events as a file.

Method: the same events in a file and in the log of a data directory, which the caller has made; both in the page cache. In a round every contender builds each query's answer
once, in an order that turns: Kappa (`kappa bench replay`: checksums, whole validation of every event, commit) with one
thread, with two, and as two processes with one thread each at the same time; DuckDB with one and with two threads; and
simdjson taking the two fields out of memory, the machine's limit. Ratios within a round; those of processor time
an event say more than those of the clock while the machine does other work.

Build first: cmake --preset release -D KAPPA_BENCHMARKS=ON && cmake --build --preset release
  --file F.ndjson --data DIR   the events, and a data directory that has them in topic "ev"; both are needed
  --duckdb DIR                 a directory with node_modules/@duckdb/node-api
Scratch space: $KAPPA_SCRATCH, else the default for temporary files."""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

STREAM = "CREATE STREAM ev (ts TIMESTAMP, page TEXT, bytes BIGINT) WITH (topic = 'ev'); "
QUERIES = {
    "page": "SELECT page, count(*) AS n, sum(bytes) AS s FROM ev GROUP BY page",
    "minute": "SELECT date_trunc('minute', ts) AS m, page, count(*) AS n, sum(bytes) AS s FROM ev "
              "GROUP BY date_trunc('minute', ts), page",
}


def replay(options, query, threads, select=False):
    sql = STREAM + ("" if select else "CREATE VIEW v AS ") + QUERIES[query]
    return subprocess.Popen([kappa.binary(), "bench", "replay", "-d", options.data, "--threads", str(threads), "--nice", "0",
                             "-o", "json", "--sql", sql], stdout=subprocess.PIPE, text=True)


def rate(process):
    out, _ = process.communicate()
    if process.returncode != 0:
        sys.exit("kappa bench replay failed")
    result = json.loads(out)
    return result["events_per_second"], result["cpu_seconds"] / result["events"] * 1e9


def duck(options, query, threads):
    out = subprocess.run(["node", os.path.join(HERE, "duck_replay.mjs"), options.file, str(options.events), str(threads), query],
                         cwd=options.duckdb, check=True, capture_output=True, text=True).stdout
    return tuple(map(float, out.split()))


def limit(options, threads):
    program = os.path.join(os.path.dirname(os.path.dirname(kappa.binary())), "tests", "json_limit")
    return float(subprocess.run([program, options.file, str(threads)], check=True, capture_output=True, text=True).stdout), 0


def two_copies(options, query):
    processes = [replay(options, query, 1) for _ in range(2)]
    both = [rate(process) for process in processes]
    return sum(one[0] for one in both), sum(one[1] for one in both) / 2


def show(name, values):
    print(f"| {name} | {statistics.median(values):,.3g} | {min(values):,.3g} | {max(values):,.3g} |" if max(values) < 1000 else
          f"| {name} | {statistics.median(values):,.0f} | {min(values):,.0f} | {max(values):,.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--file", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--duckdb", required=True)
    options = parser.parse_args()
    options.file, options.data = os.path.abspath(options.file), os.path.abspath(options.data)
    rounds = []
    for number in range(options.rounds):
        contenders = {"limit 1": lambda: limit(options, 1), "limit 2": lambda: limit(options, 2)}
        for query in QUERIES:
            for threads in (1, 2):
                contenders[f"kappa {query} {threads}"] = lambda q=query, t=threads: rate(replay(options, q, t))
                contenders[f"duckdb {query} {threads}"] = lambda q=query, t=threads: duck(options, q, t)
        contenders["kappa page two copies"] = lambda: two_copies(options, "page")
        contenders["kappa select 2"] = lambda: rate(replay(options, "page", 2, True))
        names = list(contenders)
        names = names[number % len(names):] + names[:number % len(names)]
        rounds.append({name: contenders[name]() for name in names})
        print("round", number + 1, {name: tuple(map(round, value)) for name, value in rounds[-1].items()}, file=sys.stderr)
    print("| measured | median | min | max |\n|---|---:|---:|---:|")
    for name in sorted(rounds[0]):
        show(name + ", events/s", [one[name][0] for one in rounds])
        if not name.startswith("limit"):
            show(name + ", ns of processor time an event", [one[name][1] for one in rounds])
    for query in QUERIES:
        for threads in (1, 2):
            ours, theirs = f"kappa {query} {threads}", f"duckdb {query} {threads}"
            show(f"{query}, {threads} thread(s): kappa / duckdb", [one[ours][0] / one[theirs][0] for one in rounds])
            show("... by processor time", [one[theirs][1] / one[ours][1] for one in rounds])
    show("page: two threads / two copies", [one["kappa page 2"][0] / one["kappa page two copies"][0] for one in rounds])
    show("... by processor time", [one["kappa page two copies"][1] / one["kappa page 2"][1] for one in rounds])
    show("page: SELECT / view, 2 threads", [one["kappa select 2"][0] / one["kappa page 2"][0] for one in rounds])
    for threads in (1, 2):
        show(f"page, {threads} thread(s): kappa / limit",
             [one[f"kappa page {threads}"][0] / one[f"limit {threads}"][0] for one in rounds])


if __name__ == "__main__":
    main()
