#!/usr/bin/env python3
"""Goal: a backup of a running server under load, restored, answers as the server did at the backup's end:
the same bytes from `kappa read`, the same rows from every view. Renewing a backup takes only what is new. A
damaged or incomplete backup is refused and leaves nothing behind.

Method: a real server with small segments; clients append without pause while backups are taken, renewed and
restored. A restored server is compared with the source read up to the backup's end, and each view with its
batch query over what was read, computed by SQLite."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402
import rows  # noqa: E402

STREAM = "CREATE STREAM load (c BIGINT, n BIGINT, g VARCHAR, x BIGINT, d DOUBLE, s VARCHAR) WITH (topic = 'load')"
B, D, V = "BIGINT", "DOUBLE", "VARCHAR"
VIEWS = [
    ("by_group", "SELECT g, count(*) AS n, sum(x) AS sx, min(x) AS lo, avg(d) AS mean FROM load GROUP BY g", [V, B, B, B, D]),
    ("by_client", "SELECT c, count(*) AS n, max(n) AS last FROM load GROUP BY c", [B, B, B]),
]
FORMAT = "%o\\t%v\\n"


def kappa_run(*arguments, expect=0):
    result = subprocess.run([kappa.binary(), *arguments], capture_output=True, text=True)
    if result.returncode != expect:
        raise kappa.Failure(
            f"kappa {' '.join(arguments)} ended with {result.returncode}, expected {expect}\n{result.stdout}{result.stderr}")
    return result


def check_views(server, text):
    """Every view of the server against SQLite over the events in `text`."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE load (c INTEGER, n INTEGER, g TEXT, x INTEGER, d REAL, s TEXT)")
    for line in text.split(b"\n")[:-1]:
        event = json.loads(line.partition(b"\t")[2])
        database.execute("INSERT INTO load VALUES (?,?,?,?,?,?)", [event.get(k) for k in ("c", "n", "g", "x", "d", "s")])
    for name, query, types in VIEWS:
        cursor = database.execute(query)
        columns = [{"name": d[0], "type": t} for d, t in zip(cursor.description, types)]
        actual = rows.load(server.sql(f"SELECT * FROM {name}", "--fresh"), columns)
        found = rows.differences(cursor.fetchall(), actual, columns)
        if found:
            raise kappa.Failure(f"view {name} of the restored server differs:\n  " + "\n  ".join(found))


class Clients:
    def __init__(self, scratch, server):
        program = os.environ.get("KAPPA_LOAD_CLIENT") or os.path.join(
            os.path.dirname(kappa.binary()), "..", "tests", "load_client")
        self.ledgers = [os.path.join(scratch.path, f"ledger{i}") for i in range(2)]
        self.processes = [
            subprocess.Popen([program, server.address, "load", str(i), path, "1"]) for i, path in enumerate(self.ledgers)
        ]

    def acked(self):
        total = 0
        for path in self.ledgers:
            if os.path.exists(path):
                with open(path, "rb") as file:
                    lines = file.read().split(b"\n")
                total += int(lines[-2]) if len(lines) > 1 else 0
        return total

    def wait_for(self, count):
        while self.acked() < count:
            if any(p.poll() is not None for p in self.processes):
                raise kappa.Failure("a client ended by itself")
            time.sleep(0.001)  # Not for the check: only so that the wait does not take a core.

    def finish(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            if process.wait() != 0:
                raise kappa.Failure(f"a client ended with {process.returncode}")

    def abandon(self):
        for process in self.processes:
            process.kill()
            process.wait()


def main():
    with kappa.Scratch("backup") as scratch:
        path = lambda name: os.path.join(scratch.path, name)  # noqa: E731
        server = scratch.server(flags=("--segment-bytes", "131072")).start()
        server.run("sql", "-q", STREAM, *(f"CREATE MATERIALIZED VIEW {n} AS {q}" for n, q, _ in VIEWS))
        clients = Clients(scratch, server)
        made = []
        try:
            acked = 0
            for number in range(4):
                clients.wait_for(acked + 1500)
                acked = clients.acked()
                flags = [["-o", "json"], ["-o", "json"], ["-o", "json", "--copy"], ["-o", "json", "--base", path("b0")]][number]
                target = path(["b0", "b0", "b2", "b3"][number])
                report = json.loads(kappa_run("backup", target, "-d", server.directory, *flags).stdout)
                if not report["live"]:
                    raise kappa.Failure("the backup did not notice the server")
                if number in (1, 3) and report["reused"] == 0:
                    raise kappa.Failure(f"backup {number} took everything again: {report}")
                events = report["end"] - 1 - len(VIEWS)  # All but the catalog's records.
                if events < acked:
                    raise kappa.Failure(f"{acked} events were acknowledged, the backup has {events}")
                kappa_run("backup", "--verify", target)
                restored = scratch.server(f"r{number}")
                os.rmdir(restored.directory)
                kappa_run("restore", target, "-d", restored.directory)
                made.append((restored, report["end"], target))
        finally:
            clients.abandon() if sys.exc_info()[0] else clients.finish()
        source = server.run("read", "load", "--format", FORMAT)[0]
        for restored, end, target in made:
            kappa_run("verify", "-q", "-d", restored.directory)
            restored.start()
            text = restored.run("read", "load", "--format", FORMAT)[0]
            lines = text.count(b"\n")
            if not source.startswith(text) or lines != end - 1 - len(VIEWS):
                raise kappa.Failure(f"the restored log of {target} has other events: {lines} lines, end {end}")
            check_views(restored, text)
            restored.run("append", "load", stdin=b'{"c":9,"n":0,"g":"new"}\n')
            if restored.sql("SELECT n FROM by_client WHERE c = 9", "--fresh") != "n\n1\n":
                raise kappa.Failure("the restored server does not go on")
            restored.stop()
            print(f"{os.path.basename(target)}: {lines} events, every view equal", flush=True)

        # The same without a server, then what must be refused.
        server.kill()
        kappa_run("backup", path("b0"), "-d", server.directory)
        restored = scratch.server("offline")
        kappa_run("restore", path("b0"), "-d", restored.directory)  # Into the empty directory that is there.
        restored.start()
        if restored.run("read", "load", "--format", FORMAT)[0] != source:
            raise kappa.Failure("the offline backup lacks events")
        restored.stop()
        if "not empty" not in kappa_run("restore", path("b0"), "-d", restored.directory, expect=1).stderr:
            raise kappa.Failure("restore does not say why it refuses")
        victim = sorted(n for n in os.listdir(path("b2")) if n.endswith(".segment"))[1]
        with open(os.path.join(path("b2"), victim), "r+b") as file:
            file.seek(50_000)
            byte = file.read(1)
            file.seek(50_000)
            file.write(bytes([byte[0] ^ 4]))
        for command in (["backup", "--verify", path("b2")], ["verify", "-d", path("b2")]):
            if victim not in kappa_run(*command, expect=7).stdout:
                raise kappa.Failure("verify does not name the damaged file")
        kappa_run("restore", path("b2"), "-d", path("none"), expect=7)
        os.remove(os.path.join(path("b3"), "BACKUP"))
        kappa_run("restore", path("b3"), "-d", path("none"), expect=4)
        if os.path.exists(path("none")) or os.path.exists(path("none.restoring")):
            raise kappa.Failure("a refused restore left something behind")
        # Damage in the source is found by a backup that reads it.
        segment = sorted(n for n in os.listdir(os.path.join(server.directory, "log")) if n.endswith(".segment"))[0]
        with open(os.path.join(server.directory, "log", segment), "r+b") as file:
            file.seek(60_000)
            file.write(b"\xff\x00\xff\x00")
        shutil.rmtree(path("b3"))
        if "offsets [" not in kappa_run("backup", path("b3"), "-d", server.directory, expect=7).stderr:
            raise kappa.Failure("a backup of a damaged log does not name the offsets")
        print("damaged, incomplete and full targets refused")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except kappa.Failure as problem:
        print("FAIL", problem)
        sys.exit(1)
