#!/usr/bin/env python3
"""Goal: whatever the moment of a SIGKILL, every acknowledged event is in the log exactly once, in the
order of its producer; every acknowledged CREATE and DROP holds; every view equals its batch query over the
log; every backup that was said to be complete is whole and has what was acknowledged before it began.

Method: four clients (processes of their own, each with a ledger of its acks) append as idempotent producers
that retry, one thread creates and drops streams and views, another backs the directory up again and again,
retention removes the oldest segments, while the server is killed and started again, N times, at moments that a seeded generator
picks: during recovery, right after the ready line, or after some random time under load. Every CHECK_EVERY rounds all of
them finish, the log is read back and compared with the ledgers event by event, SQLite computes each view
from what was read, the catalog is compared with what was acknowledged, and the last backup is restored and
compared with the log. The seed is printed; --seed repeats the choices."""

import argparse
import json
import os
import random
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402
import rows  # noqa: E402

CLIENTS = 4
TOPIC = "load"
STREAM = "CREATE STREAM load (c BIGINT, n BIGINT, g VARCHAR, x BIGINT, d DOUBLE, s VARCHAR) WITH (topic = 'load')"
B, D, V = "BIGINT", "DOUBLE", "VARCHAR"
# Several times what is appended between two checks: a check reads what is new before it is removed.
RETENTION = "16MiB"
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


def client_command(*arguments):
    """A command of `kappa`: (exit code, stderr)."""
    result = subprocess.run([kappa.binary(), *arguments], capture_output=True, text=True)
    return result.returncode, result.stderr


def retention_flags(size):
    """None for a server that keeps everything."""
    text = subprocess.run([kappa.binary(), "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return ("--retention-bytes", size) if "--retention-bytes" in text else ()


class Worker:
    """A thread that does one step after the other until it is told to stop; a failure is kept for the loop."""

    def __init__(self):
        self.thread = None
        self.failure = None
        self.stopping = threading.Event()

    def start(self):
        self.stopping.clear()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.is_set():
                self.step()
        except Exception as problem:  # noqa: BLE001 (told to the loop, whatever it is)
            self.failure = problem

    def finish(self):
        self.stopping.set()
        if self.thread:
            self.thread.join()
            self.thread = None
        self.check()

    def check(self):
        if self.failure:
            raise kappa.Failure(f"{type(self).__name__}: {self.failure}")


class Definitions(Worker):
    """Creates and drops streams with a view each, over the same topic. A statement whose outcome is unknown
    (the server was killed) is sent again until it is known, and then may find that it was done already."""

    SLOTS = 3
    QUERY = "SELECT g, count(*) AS n, sum(x) AS sx FROM {stream} GROUP BY g"
    TYPES = [V, B, B]

    def __init__(self, address, seed):
        super().__init__()
        self.address = address
        self.random = random.Random(seed + 1)
        self.names = [None] * self.SLOTS  # Of the stream and view that a slot holds.
        self.made = 0
        self.statements = 0

    def say(self, statement, done_already):
        """Returns once the statement is acknowledged. `done_already`: the refusal that means so on a retry."""
        unknown = False
        while True:
            code, errors = client_command("sql", "-a", self.address, "-q", "--timeout", "20s", statement)
            self.statements += 1
            if code == 0:
                return True
            if code == 1 and unknown and done_already in errors:
                return True
            # 3: no connection, or it broke; 5: no answer in time. The statement may have been done.
            if code not in (3, 5) and "K3002" not in errors:
                raise kappa.Failure(f"{statement} ended with {code}: {errors}")
            unknown = True
            if code == 3:
                time.sleep(0.005)  # The server is down; not for the check.

    def step(self):
        slot = self.random.randrange(self.SLOTS)
        name = self.names[slot]
        if name is None:
            name = f"extra{self.made}"
            self.made += 1
            self.say(STREAM.replace("STREAM load", f"STREAM {name}", 1), "already")
            self.say(f"CREATE MATERIALIZED VIEW {name}_v AS " + self.QUERY.format(stream=name), "already")
            self.names[slot] = name
        else:
            self.say(f"DROP VIEW {name}_v", "K2003")
            self.say(f"DROP STREAM {name}", "K2003")
            self.names[slot] = None


class Backups(Worker):
    """Renews one backup again and again, whatever the server does meanwhile."""

    def __init__(self, server, target, acked):
        super().__init__()
        self.server = server
        self.target = target
        self.acked = acked
        self.made = 0
        self.live = 0
        self.last_end = 0

    def step(self):
        acked = sum(self.acked())
        result = subprocess.run([kappa.binary(), "backup", self.target, "-d", self.server.directory, "--keep", "-o", "json"],
                                capture_output=True, text=True)
        if result.returncode != 0:
            raise kappa.Failure(f"backup ended with {result.returncode}: {result.stderr}")
        report = json.loads(result.stdout)
        self.made += 1
        self.live += report["live"]
        if report["end"] < acked or report["end"] < self.last_end:
            raise kappa.Failure(f"the backup ends at {report['end']}; {acked} events were acknowledged before it, and "
                                f"the backup before it ended at {self.last_end}")
        self.last_end = report["end"]


class Loop:
    def __init__(self, scratch, seed, retention, with_backups):
        self.with_backups = with_backups
        self.random = random.Random(seed)
        self.seed = seed
        # Small segments and frequent commits, so that kills hit their boundaries too.
        self.server = scratch.server(
            listen=f"127.0.0.1:{free_port()}",
            flags=("--segment-bytes", "131072", "--commit-interval", "20", *retention_flags(retention)))
        # What the checks have read so far: retention removes it from the log.
        self.text = b""
        self.read_upto = 0
        self.next_n = [0] * CLIENTS
        self.database = sqlite3.connect(":memory:")
        self.database.execute(
            "CREATE TABLE load (o INTEGER, c INTEGER, n INTEGER, g TEXT, x INTEGER, d REAL, s TEXT)")
        self.events = 0
        self.start = 0
        self.ledgers = [os.path.join(scratch.path, f"ledger{i}") for i in range(CLIENTS)]
        for path in self.ledgers:
            open(path, "wb").close()
        self.clients = []
        self.scratch = scratch
        self.backup_path = os.path.join(scratch.path, "backup")
        self.definitions = Definitions(self.server.listen, seed)
        self.backups = Backups(self.server, self.backup_path, self.acked)
        self.restores = 0
        self.kills = {"recovery": 0, "ready": 0, "load": 0}

    def start_clients(self):
        self.definitions.start()
        if self.with_backups:
            self.backups.start()
        program = os.environ.get("KAPPA_LOAD_CLIENT") or os.path.join(
            os.path.dirname(kappa.binary()), "..", "tests", "load_client")
        self.clients = [
            subprocess.Popen([program, self.server.address, TOPIC, str(i), self.ledgers[i], str(self.seed)])
            for i in range(CLIENTS)
        ]

    def finish_clients(self):
        self.definitions.finish()
        if self.with_backups:
            self.backups.finish()
        for client in self.clients:
            client.send_signal(signal.SIGTERM)
        for index, client in enumerate(self.clients):
            code = client.wait()
            if code != 0:
                raise kappa.Failure(f"client {index} ended with {code}\n" + self.server.stderr())
        self.clients = []

    def abandon(self):
        for worker in (self.definitions, self.backups):
            worker.stopping.set()
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
        self.definitions.check()
        if self.with_backups:
            self.backups.check()
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
        text, _ = self.server.run("read", TOPIC, "--from", str(self.read_upto), "--format", "%o\\t%v\\n")
        next_n = self.next_n
        events, previous = [], self.read_upto - 1
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
            events.append((previous, client, n, event["g"], event.get("x"), event["d"], event["s"]))
        for client in range(CLIENTS):
            if acked[client] != next_n[client]:
                raise kappa.Failure(f"client {client}: {acked[client]} acknowledged, {next_n[client]} in the log")
        self.read_upto = previous + 1
        self.text += text
        self.events += len(events)
        database = self.database
        database.executemany("INSERT INTO load VALUES (?,?,?,?,?,?,?)", events)
        status = json.loads(self.server.run("status", "-o", "json")[0])
        self.start = status["log"]["start"]
        extra = [name for name in self.definitions.names if name]
        begins = {view["name"]: view.get("from", 0) for view in status["views"]}
        for name in extra:
            # A view over a log that retention has shortened is made from what there was.
            database.execute(f"DROP VIEW IF EXISTS {name}")
            database.execute(f"CREATE VIEW {name} AS SELECT * FROM load WHERE o >= {begins.get(name + '_v', 0)}")
        views = VIEWS + [(f"{name}_v", Definitions.QUERY.format(stream=name), Definitions.TYPES) for name in extra]
        for name, query, types in views:
            cursor = database.execute(query)
            columns = [{"name": d[0], "type": t} for d, t in zip(cursor.description, types)]
            actual = rows.load(self.server.sql(f"SELECT * FROM {name}", "--fresh"), columns)
            found = rows.differences(cursor.fetchall(), actual, columns)
            if found:
                raise kappa.Failure(f"view {name} differs from its batch query:\n  " + "\n  ".join(found))
        self.check_catalog(status, views)
        self.check_backup(self.text)
        return self.events

    def check_catalog(self, status, views):
        """No more and no fewer views than were acknowledged."""
        found = sorted(view["name"] for view in status["views"])
        expected = sorted(name for name, _, _ in views)
        if found != expected:
            raise kappa.Failure(f"the views are {found}, acknowledged were {expected}")

    def check_backup(self, text):
        """The last backup, restored: whole, and a prefix of the log that ends where it said."""
        if not self.with_backups:
            return
        if self.backups.made == 0:
            raise kappa.Failure("no backup was made")
        data = os.path.join(self.scratch.path, f"restored{self.restores}")
        self.restores += 1
        for command in (["backup", "--verify", self.backup_path], ["restore", self.backup_path, "-d", data],
                        ["verify", "-q", "-d", data]):
            code, errors = client_command(*command)
            if code != 0:
                raise kappa.Failure(f"kappa {' '.join(command)} ended with {code}: {errors}")
        restored = kappa.Server(data)
        restored.start()
        try:
            part, _ = restored.run("read", TOPIC, "--format", "%o\\t%v\\n")
        finally:
            restored.kill()
        if not text.startswith(part):
            raise kappa.Failure("the restored log is not a prefix of the log")
        rest = text[len(part):].partition(b"\t")[0]
        last = part[:-1].rpartition(b"\n")[2].partition(b"\t")[0]
        if (rest and int(rest) < self.backups.last_end) or (last and int(last) >= self.backups.last_end):
            raise kappa.Failure(f"the backup said that it ends at {self.backups.last_end}, the restored log ends behind {last}")
        shutil.rmtree(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--check-every", type=int, default=25)
    parser.add_argument("--retention", default=RETENTION, help="how much of the log to keep, as 16MiB")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--no-backups", dest="backups", action="store_false", help="no backup beside the load")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.rounds} kills", flush=True)
    started = time.monotonic()
    with kappa.Scratch("kill") as scratch:
        loop = Loop(scratch, arguments.seed, arguments.retention, arguments.backups)
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
    print(f"kills during recovery {loop.kills['recovery']}, at ready {loop.kills['ready']}, under load {loop.kills['load']}; "
          f"{loop.definitions.statements} statements, {loop.definitions.made} streams with views made; {loop.backups.made} "
          f"backups, {loop.backups.live} of a running server, {loop.restores} restored; retention removed the log up to offset "
          f"{loop.start}; seed {arguments.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
