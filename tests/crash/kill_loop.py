#!/usr/bin/env python3
"""Goal: whatever the moment of a SIGKILL, every acknowledged event is in the log exactly once, in the
order of its producer, and every view equals its batch query over the log.

Method: four clients (processes of their own, each with a ledger of its acks) append without pause while
the server is killed and started again, N times, at moments that a seeded generator picks: during
recovery, right after the ready line, or after some random time under load. Every CHECK_EVERY rounds the
clients finish, the log is read back and compared with the ledgers event by event, and SQLite computes
each view from what was read. The seed is printed; --seed repeats the choices."""

import argparse
import json
import os
import random
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402
import rows  # noqa: E402

CLIENTS = 4
TOPIC = "load"
STREAM = "CREATE STREAM load (c BIGINT, n BIGINT, g VARCHAR, x BIGINT, d DOUBLE, s VARCHAR) WITH (topic = 'load')"
B, D, V = "BIGINT", "DOUBLE", "VARCHAR"
# name, query in both dialects, types of its columns.
VIEWS = [
    ("by_group", "SELECT g, count(*) AS n, count(x) AS nx, sum(x) AS sx, min(x) AS lo, max(x) AS hi, avg(d) AS mean "
     "FROM load GROUP BY g", [V, B, B, B, B, B, D]),
    ("totals", "SELECT count(*) AS n, sum(d) AS sd, max(s) AS longest FROM load", [B, D, V]),
    ("by_client", "SELECT c, count(*) AS n, max(n) AS last, count(DISTINCT g) AS groups FROM load GROUP BY c", [B, B, B, B]),
    ("some_groups", "SELECT g, c, count(*) AS n FROM load WHERE x > 0 AND d < 500 GROUP BY g, c HAVING count(*) % 2 = 0",
     [V, B, B]),
    ("filtered", "SELECT c, count(*) FILTER (WHERE x IS NULL) AS nulls, sum(n) FILTER (WHERE d >= 900) AS late "
     "FROM load GROUP BY c", [B, B, B]),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Loop:
    def __init__(self, scratch, seed):
        self.random = random.Random(seed)
        self.seed = seed
        # Small segments and frequent commits, so that kills hit their boundaries too.
        self.server = scratch.server(
            listen=f"127.0.0.1:{free_port()}", flags=("--segment-bytes", "131072", "--commit-interval", "20"))
        self.ledgers = [os.path.join(scratch.path, f"ledger{i}") for i in range(CLIENTS)]
        for path in self.ledgers:
            open(path, "wb").close()
        self.clients = []
        self.kills = {"recovery": 0, "ready": 0, "load": 0}

    def start_clients(self):
        program = os.environ.get("KAPPA_LOAD_CLIENT") or os.path.join(
            os.path.dirname(kappa.binary()), "..", "tests", "load_client")
        self.clients = [
            subprocess.Popen([program, self.server.address, TOPIC, str(i), self.ledgers[i], str(self.seed)])
            for i in range(CLIENTS)
        ]

    def finish_clients(self):
        for client in self.clients:
            client.send_signal(signal.SIGTERM)
        for index, client in enumerate(self.clients):
            code = client.wait()
            if code != 0:
                raise kappa.Failure(f"client {index} ended with {code}\n" + self.server.stderr())
        self.clients = []

    def abandon(self):
        for client in self.clients:
            client.kill()
            client.wait()

    def acked(self):
        """What each ledger says: events acknowledged."""
        result = []
        for path in self.ledgers:
            with open(path, "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 64))
                lines = file.read().split(b"\n")
            result.append(int(lines[-2]) if len(lines) > 1 else 0)
        return result

    def pause(self, seconds):
        """Waits a random time, but not for a dead server: its end is seen at once."""
        pidfd = os.pidfd_open(self.server.process.pid)
        try:
            if select.select([pidfd], [], [], seconds)[0]:
                raise kappa.Failure("the server ended by itself\n" + self.server.stderr())
        finally:
            os.close(pidfd)

    def wait_for_acks(self):
        """Until the load runs again: some ledger has grown since the start."""
        before = sum(self.acked())
        deadline = time.monotonic() + kappa.READY_SECONDS
        while sum(self.acked()) == before:
            if time.monotonic() > deadline:
                raise kappa.Failure("no acknowledgement since the restart\n" + self.server.stderr())
            for index, client in enumerate(self.clients):
                if client.poll() is not None:
                    raise kappa.Failure(f"client {index} ended with {client.returncode}\n" + self.server.stderr())
            self.pause(0.001)

    def kill_once(self):
        where = self.random.choices(["recovery", "ready", "load"], [2, 1, 7])[0]
        self.kills[where] += 1
        if where == "load":
            self.wait_for_acks()
            self.pause(self.random.uniform(0, 0.05))
            self.server.kill()
            self.server.start()
            return
        self.server.kill()
        self.server.launch()
        if where == "recovery":
            self.pause(self.random.uniform(0, 0.03))
        else:
            self.server.wait_ready()
        self.server.kill()
        self.server.start()

    def check(self):
        acked = self.acked()
        text, _ = self.server.run("read", TOPIC, "--format", "%o\\t%v\\n")
        next_n = [0] * CLIENTS
        events, previous = [], -1
        for line in text.split(b"\n")[:-1]:
            offset, _, value = line.partition(b"\t")
            event = json.loads(value)
            if int(offset) <= previous:
                raise kappa.Failure(f"offset {int(offset)} after {previous}")
            previous = int(offset)
            client, n = event["c"], event["n"]
            if n != next_n[client]:
                what = "again" if n < next_n[client] else "lost events before it"
                raise kappa.Failure(f"client {client}: event {n} at offset {previous}: {what}; expected {next_n[client]}")
            next_n[client] += 1
            events.append((client, n, event["g"], event.get("x"), event["d"], event["s"]))
        for client in range(CLIENTS):
            if acked[client] != next_n[client]:
                raise kappa.Failure(f"client {client}: {acked[client]} acknowledged, {next_n[client]} in the log")
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE load (c INTEGER, n INTEGER, g TEXT, x INTEGER, d REAL, s TEXT)")
        database.executemany("INSERT INTO load VALUES (?,?,?,?,?,?)", events)
        for name, query, types in VIEWS:
            cursor = database.execute(query)
            columns = [{"name": d[0], "type": t} for d, t in zip(cursor.description, types)]
            actual = rows.load(self.server.sql(f"SELECT * FROM {name}", "--fresh"), columns)
            found = rows.differences(cursor.fetchall(), actual, columns)
            if found:
                raise kappa.Failure(f"view {name} differs from its batch query:\n  " + "\n  ".join(found))
        return len(events)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--check-every", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.rounds} kills", flush=True)
    started = time.monotonic()
    with kappa.Scratch("kill") as scratch:
        loop = Loop(scratch, arguments.seed)
        try:
            loop.server.start()
            loop.server.run("sql", "-q", STREAM, *(f"CREATE MATERIALIZED VIEW {n} AS {q}" for n, q, _ in VIEWS))
            loop.start_clients()
            for number in range(1, arguments.rounds + 1):
                loop.kill_once()
                if number % arguments.check_every == 0 or number == arguments.rounds:
                    loop.finish_clients()
                    events = loop.check()
                    seconds = time.monotonic() - started
                    print(f"round {number}: {events} events, every view equal ({seconds:.0f} s)", flush=True)
                    if number < arguments.rounds:
                        loop.start_clients()
            loop.server.stop()
        except (kappa.Failure, ValueError) as problem:
            print(f"FAIL after {sum(loop.kills.values())} kills, seed {arguments.seed}: {problem}")
            return 1
        finally:
            loop.abandon()
    print(f"kills during recovery {loop.kills['recovery']}, at ready {loop.kills['ready']}, under load {loop.kills['load']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
