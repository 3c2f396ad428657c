#!/usr/bin/env python3
"""Goal: whatever the moment of a SIGKILL, a derived stream's topic holds what its SELECT makes of the events of the
log, in order: none twice, none missing; and no state was ever committed ahead of what its stream had written.

Method: events are appended by one named producer that starts again where it stopped, while the server is killed and
started again at moments that a seeded generator picks: during recovery, right after the ready line, under load.
Three derived streams read them (a filter, the changes of an aggregate, windows as they close), a fourth reads one of
these, and a view reads the last. Every CHECK_EVERY rounds the load stops, everything catches up, and the topics are
compared with a model in this file, which goes over the topic's events one by one; the filter and the view also with
SQLite. The seed is printed; --seed repeats the choices."""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

WINDOW = 5000
STATEMENTS = [
    "CREATE STREAM auth (card TEXT, ts TIMESTAMP, n BIGINT) WITH (event_time = 'ts')",
    "CREATE STREAM passed AS SELECT card, n FROM auth WHERE n % 3 <> 0 EMIT CHANGES",
    "CREATE STREAM changes AS SELECT card, count(*) AS c, sum(n) AS s FROM auth GROUP BY card EMIT CHANGES",
    "CREATE STREAM alerts AS SELECT card, epoch_ms(window_start) AS w, count(*) AS tries FROM auth "
    "GROUP BY card, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(*) > 3 EMIT ON WINDOW CLOSE",
    "CREATE STREAM worst AS SELECT card, tries FROM alerts WHERE tries > 5 EMIT CHANGES",
    "CREATE MATERIALIZED VIEW per_card AS SELECT card, count(*) AS n, sum(tries) AS tries FROM worst GROUP BY card",
]


def events(seed, count):
    """The input, the same for a seed."""
    choose = random.Random(seed)
    clock = 1_700_000_000_000
    lines = []
    for number in range(count):
        clock += choose.randrange(250)
        late = choose.randrange(15_000) if choose.randrange(10) == 0 else 0
        lines.append(json.dumps({"card": f"c{choose.randrange(5)}", "ts": clock - late, "n": number}))
    return lines


def model(read):
    """What the four derived topics must hold after these events."""
    passed, changes, alerts = [], [], []
    counts, sums, windows = {}, {}, {}
    watermark = None
    for event in read:
        card, time_ms, number = event["card"], event["ts"], event["n"]
        if number % 3 != 0:
            passed.append({"card": card, "n": number})
        counts[card] = counts.get(card, 0) + 1
        sums[card] = sums.get(card, 0) + number
        changes.append({"card": card, "c": counts[card], "s": sums[card]})
        start = time_ms // WINDOW * WINDOW
        if watermark is None or start + WINDOW > watermark:
            windows[(card, start)] = windows.get((card, start), 0) + 1
        if watermark is None or time_ms > watermark:
            watermark = time_ms
            for key in sorted(key for key in windows if key[1] + WINDOW <= watermark):
                tries = windows.pop(key)
                if tries > 3:
                    alerts.append({"card": key[0], "w": key[1], "tries": tries})
    worst = [{"card": a["card"], "tries": a["tries"]} for a in alerts if a["tries"] > 5]
    return {"passed": passed, "changes": changes, "alerts": alerts, "worst": worst}


class Load(threading.Thread):
    """`kappa append` as a named producer, again and again until the whole input is in the log."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.server = server
        self.path = path
        self.failure = None

    def run(self):
        while True:
            result = subprocess.run([kappa.binary(), "append", "auth", self.path, "--producer", "load", "--batch", "20", "--rate",
                                     "6000", "--timeout", "3s", "-a", self.server.address], capture_output=True, text=True)
            if result.returncode == 0:
                return
            if result.returncode not in (1, 3, 5):
                self.failure = f"append ended with {result.returncode}: {result.stderr}"
                return
            time.sleep(0.01)  # The server is down; not for a check.


def topic(server, name):
    """The topic's events; without any, kappa read says that there is no such topic (4)."""
    out, _ = server.run("read", name, expect=(0, 4))
    return [json.loads(line) for line in out.splitlines()]


def check(server):
    server.sql("SELECT count(*) FROM worst", "--fresh", "--timeout", "60s")
    server.sql("SELECT count(*) FROM passed", "--fresh", "--timeout", "60s")
    server.sql("SELECT count(*) FROM changes", "--fresh", "--timeout", "60s")
    read = topic(server, "auth")
    if [event["n"] for event in read] != list(range(len(read))):
        raise kappa.Failure("the input itself is not in the log once and in order")
    for name, wanted in model(read).items():
        got = topic(server, name)
        if got != wanted:
            at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
            raise kappa.Failure(f"{name}: {len(got)} events, {len(wanted)} expected; they differ at {at}: "
                                f"{got[at:at + 3]} instead of {wanted[at:at + 3]}")
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE auth (card TEXT, n INTEGER)")
    database.executemany("INSERT INTO auth VALUES (?, ?)", [(e["card"], e["n"]) for e in read])
    by_sqlite = database.execute("SELECT card, n FROM auth WHERE n % 3 <> 0 ORDER BY n").fetchall()
    if [(e["card"], e["n"]) for e in topic(server, "passed")] != by_sqlite:
        raise kappa.Failure("the filter is not what SQLite says")
    database.execute("CREATE TABLE worst (card TEXT, tries INTEGER)")
    database.executemany("INSERT INTO worst VALUES (?, ?)", [(e["card"], e["tries"]) for e in model(read)["worst"]])
    by_sqlite = database.execute("SELECT card, count(*), sum(tries) FROM worst GROUP BY card ORDER BY card").fetchall()
    rows = [json.loads(line) for line in server.run("sql", "SELECT * FROM per_card ORDER BY card", "-o", "ndjson", "-q",
                                                    "--fresh", "--timeout", "60s")[0].splitlines()]
    if [(row["card"], row["n"], row["tries"]) for row in rows] != by_sqlite:
        raise kappa.Failure(f"the view over derived streams is {rows}, SQLite says {by_sqlite}")
    with open(server.log, encoding="utf-8", errors="replace") as file:
        for line in file:
            if "is rebuilt" in line or "failed:" in line:
                raise kappa.Failure("the server said: " + line.strip())
    return len(read)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--check-every", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    print(f"seed {arguments.seed}, {arguments.rounds} kills", flush=True)
    started = time.monotonic()
    kills = {"recovery": 0, "ready": 0, "load": 0}
    with kappa.Scratch("derived") as scratch:
        import socket
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = scratch.server(listen=f"127.0.0.1:{port}", flags=("--segment-bytes", "262144", "--commit-interval", "15"))
        lines = events(arguments.seed, 400_000)
        given = 0
        try:
            server.start()
            server.run("sql", "-q", *STATEMENTS)
            load = None
            for number in range(1, arguments.rounds + 1):
                if load is None or not load.is_alive():
                    if load is not None and load.failure:
                        raise kappa.Failure(load.failure)
                    given = min(len(lines), given + 1500)
                    path = os.path.join(scratch.path, "input")
                    with open(path, "w", encoding="utf-8") as file:
                        file.write("\n".join(lines[:given]) + "\n")
                    load = Load(server, path)
                    load.start()
                moment = choose.choice(["recovery", "ready", "load", "load", "load"])
                kills[moment] += 1
                if moment == "load":
                    time.sleep(choose.random() * 0.25)  # The moment of the kill; nothing is concluded from it.
                server.kill()
                if moment == "recovery":
                    server.launch()
                    time.sleep(choose.random() * 0.03)
                    server.kill()
                server.start()
                if number % arguments.check_every == 0 or number == arguments.rounds:
                    load.join()
                    if load.failure:
                        raise kappa.Failure(load.failure)
                    count = check(server)
                    print(f"round {number}: {count} events, every topic equal ({time.monotonic() - started:.0f} s)", flush=True)
            server.stop()
        except (kappa.Failure, ValueError) as problem:
            print(f"FAIL after {sum(kills.values())} kills, seed {arguments.seed}: {problem}")
            return 1
    print(f"kills during recovery {kills['recovery']}, at ready {kills['ready']}, under load {kills['load']}; seed {arguments.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
