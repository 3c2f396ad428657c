#!/usr/bin/env python3
"""Goal: how fast the durable log becomes a view, beside DuckDB's read_json over the same events as a file.

Method: the same events in a file and in the log of a data directory, which the caller has made; both in the page cache. In a round every contender builds each query's answer
once, in an order that turns: Kappa (`kappa bench replay`: checksums, whole validation of every event, commit) with one
thread, with two, and as two processes with one thread each at the same time; DuckDB with one and with two threads; and
simdjson taking the two fields out of memory, the machine's limit. Ratios within a round; those of processor time
an event say more than those of the clock while the machine does other work.

Build first: cmake --preset release -D KAPPA_BENCHMARKS=ON && cmake --build --preset release
  --file F.ndjson --data DIR   the events (one JSON object a line), and a data
                               directory that has them in topic "ev" (--make makes it); both are needed
  --others                     the table "Others": each row is `kappa bench replay` with the SQL in OTHERS below
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


# The table "Others" of docs/benchmarks.md: --others. "pages" has a row for each page, in a topic of its own; "rare" is a
# topic with about 1 % of the log's events.
OTHER_STREAMS = (
    "CREATE STREAM ev (ts TIMESTAMP, user TEXT, page TEXT, bytes BIGINT) WITH (topic = 'ev'); "
    "CREATE STREAM rare (page TEXT, bytes BIGINT) WITH (topic = 'rare'); "
    "CREATE STREAM pages (page TEXT, owner TEXT) WITH (topic = 'pages'); CREATE TABLE pt AS LATEST pages BY page; ")
OTHERS = {
    "filter": "SELECT _offset AS o, page, bytes FROM ev WHERE bytes < 260",
    "groups": "SELECT user, bytes % 10 AS b, count(*) AS n, sum(bytes) AS s FROM ev GROUP BY user, bytes % 10",
    "join": "SELECT p.owner, count(*) AS n, sum(e.bytes) AS s FROM ev e JOIN pt p ON e.page = p.page GROUP BY p.owner",
    "session": "SELECT page, window_start, window_end, count(*) AS n FROM ev GROUP BY page, SESSION(ts, INTERVAL '1 second')",
    "rare": "SELECT page, count(*) AS n, sum(bytes) AS s FROM rare GROUP BY page",
}


def make_data(options):
    """The file's events in topic ev, a hundredth of them again in rare, and the pages."""
    os.makedirs(options.data)
    server = kappa.Server(options.data)
    server.start()
    pages = "".join(json.dumps({"page": f"/p/{i:04}", "owner": f"o{i % 50}"}) + "\n" for i in range(1000))

    def append(topic, text):
        subprocess.run([kappa.binary(), "append", topic, "-a", server.address], input=text, text=True, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    append("pages", pages)
    with open(options.file, encoding="utf-8") as file:
        while lines := file.readlines(20 << 20):
            append("ev", "".join(lines))
            append("rare", "".join(lines[:len(lines) // 99]))
    server.stop()


def others(options):
    rounds = []
    for number in range(options.rounds):
        names = [(query, threads) for query in OTHERS for threads in (1, 2)]
        names = names[number % len(names):] + names[:number % len(names)]
        one = {}
        for query, threads in names:
            one[f"kappa {query} {threads}"] = rate(replay(options, query, threads, streams=OTHER_STREAMS, queries=OTHERS))
            if query != "rare":
                one[f"duckdb {query} {threads}"] = duck(options, query, threads)
        rounds.append(one)
        print("round", number + 1, {name: tuple(map(round, value)) for name, value in one.items()}, file=sys.stderr)
    print("| measured | median | min | max |\n|---|---:|---:|---:|")
    for name in sorted(rounds[0]):
        show(name + ", events/s", [one[name][0] for one in rounds])
        show(name + ", ns of processor time an event", [one[name][1] for one in rounds])


def replay(options, query, threads, select=False, streams=STREAM, queries=None):
    sql = streams + ("" if select else "CREATE VIEW v AS ") + (queries or QUERIES)[query]
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
    parser.add_argument("--make", action="store_true", help="make the data directory from the file first")
    parser.add_argument("--others", action="store_true", help="the other views: filter, groups, join, session, rare")
    options = parser.parse_args()
    options.file, options.data = os.path.abspath(options.file), os.path.abspath(options.data)
    if options.make:
        make_data(options)
    if options.others:
        others(options)
        return
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
