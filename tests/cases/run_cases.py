#!/usr/bin/env python3
"""Goal: a view is its batch query over the log prefix, at every offset, however the events came.

Method: each case directory has a definition, and the rows that two databases computed from the same
events (at the end and at prefixes). The events of a data set are appended through the real command
line in batches of 1, 7, 1000 and all at once; at every prefix the answers of every case over that data
set are compared. Each way runs straight through, with a clean restart in the middle, and with a
SIGKILL in the middle. Each case also runs alone, exactly as its view.sql stands.

Cases over data that may not be copied are taken from $KAPPA_SHARED or ../shared beside the project,
where it exists."""

import argparse
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402
import rows  # noqa: E402

IDS = [f"d{number:02}" for number in range(1, 36)]
BATCHES = (1, 7, 1000, None)
RESTARTS = ("none", "SIGTERM", "SIGKILL")


class Case:
    def __init__(self, directory, data):
        with open(os.path.join(directory, "case.json"), encoding="utf-8") as file:
            self.facts = json.load(file)
        with open(os.path.join(directory, "view.sql"), encoding="utf-8") as file:
            self.definition = file.read()
        self.directory = directory
        self.data = data
        self.id = self.facts["id"]
        self.short = self.id.split("_")[0]
        self.columns = self.facts["columns"]
        (self.topic,) = self.facts["logs"]
        self.prefixes = self.facts["prefixes"]

    def renamed(self):
        """The definition with names of its own (streams, tables and views), so that every case of a data set
        fits into one server. What stands in quotes is a topic or a value."""
        names = re.findall(r"CREATE (?:STREAM|TABLE|MATERIALIZED VIEW) (\w+)", self.definition)
        return re.sub(rf"(?<!['.])\b({'|'.join(names)})\b(?!')", rf"\1_{self.short}", self.definition)

    def expected(self, prefix):
        name = "expected.csv" if prefix is None else f"prefix_{prefix}.csv"
        with open(os.path.join(self.directory, name), encoding="utf-8", newline="") as file:
            return rows.load(file.read(), self.columns)

    def check(self, server, view, prefix, way):
        text = server.sql(f"SELECT * FROM {view}", "--fresh")
        found = rows.differences(self.expected(prefix), rows.load(text, self.columns), self.columns)
        if found:
            at = "the end" if prefix is None else f"prefix {prefix}"
            raise kappa.Failure(f"{self.id} at {at}, {way}:\n  " + "\n  ".join(found))


def find_cases(only):
    cases, skipped = [], []
    shared = kappa.shared_directory()
    for short in IDS:
        if only and short not in only:
            continue
        for root in (HERE, os.path.join(shared, "cases") if shared else None):
            names = [n for n in sorted(os.listdir(root)) if n.startswith(short + "_")] if root else []
            if names:
                break
        else:
            skipped.append(short)
            continue
        directory = os.path.join(root, names[0])
        with open(os.path.join(directory, "case.json"), encoding="utf-8") as file:
            (topic,) = json.load(file)["logs"]
        own = os.path.join(HERE, "..", "data", topic + ".ndjson.zst")
        path = own if os.path.exists(own) else os.path.join(shared, "data", topic + ".ndjson")
        cases.append(Case(directory, path))
    return cases, skipped


def run_group(scratch, name, cases, lines, batch, restart):
    """All cases over one data set, one way of appending."""
    way = f"batches of {batch or 'any size'}, restart {restart}"
    stops = sorted({p for case in cases for p in case.prefixes} | {len(lines)})
    middle = len(lines) // 2 if restart != "none" else None
    if middle is not None:
        stops = sorted(set(stops) | {middle})
    server = scratch.server(name).start()
    topic = cases[0].topic
    for case in cases:
        server.run("sql", "-q", case.renamed())
    done = 0
    for stop in stops:
        if stop > done:
            flags = ["--batch", str(batch)] if batch else []
            summary = server.append(topic, b"".join(lines[done:stop]), *flags)
            if summary["appended"] != stop - done:
                raise kappa.Failure(f"{way}: appended {summary['appended']} of {stop - done}")
            done = stop
        for case in cases:
            if stop in case.prefixes:
                case.check(server, f"v_{case.short}", stop, way)
        if stop == middle:
            server.kill() if restart == "SIGKILL" else server.stop()
            server.start()
    for case in cases:
        case.check(server, f"v_{case.short}", None, way)
    server.stop()


def run_alone(scratch, case, lines):
    """The case as it stands, its view created when the events are already there."""
    server = scratch.server("alone_" + case.id).start()
    server.append(case.topic, b"".join(lines))
    server.run("sql", "-q", "-f", os.path.join(case.directory, "view.sql"))
    case.check(server, "v", None, "alone, view after the events")
    server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", help="d01 d05 ...; all by default")
    arguments = parser.parse_args()
    cases, skipped = find_cases(arguments.cases)
    checks = failures = 0
    with kappa.Scratch("cases") as scratch:
        for path in sorted({case.data for case in cases}):
            group = [case for case in cases if case.data == path]
            lines = kappa.read_data(path).splitlines(keepends=True)
            for case in group:
                if len(lines) != case.facts["log_lines"][case.topic]:
                    raise kappa.Failure(f"{path} has {len(lines)} lines, {case.id} expects others")
            runs = [
                (f"{group[0].topic}_{batch}_{restart}", lambda n, b=batch, r=restart: run_group(scratch, n, group, lines, b, r))
                for batch in BATCHES
                for restart in RESTARTS
            ]
            runs += [("alone_" + case.id, lambda _, c=case: run_alone(scratch, c, lines)) for case in group]
            for name, run in runs:
                started = time.monotonic()
                checks += 1
                try:
                    run(name)
                    print(f"ok    {name} ({time.monotonic() - started:.1f} s)", flush=True)
                except (kappa.Failure, ValueError) as problem:
                    failures += 1
                    print(f"FAIL  {name}: {problem}", flush=True)
                    for server in scratch.servers:
                        if server.process is not None:
                            server.kill()
    print(f"{len(cases)} cases, {checks} runs, {failures} failed")
    if skipped:
        print("=" * 78)
        print(f"SKIPPED {len(skipped)} cases: {' '.join(skipped)}: their events may not be copied into the")
        print("project. Set KAPPA_SHARED to the folder that holds cases/ and data/ to run them.")
        print("=" * 78)
    return 1 if failures or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
