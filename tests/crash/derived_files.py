#!/usr/bin/env python3
"""Goal: the log is the only truth. Deleting every index file, every view directory, or both, while the
server is down changes no answer after the next start.

Method: real events, views of every shape, a log of many small segments. Then, again and again: stop
(or SIGKILL), delete, start, and compare every answer with the first ones, byte for byte; `kappa verify`
must be content each time."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

SETUP = """
CREATE STREAM flights (ts TIMESTAMP, origin TEXT, destination TEXT, delay BIGINT, distance BIGINT)
  WITH (topic = 'flights', event_time = 'ts');
CREATE STREAM quakes (id TEXT, ts TIMESTAMP PATH '$.properties.time', mag DOUBLE PATH '$.properties.mag',
  net TEXT PATH '$.properties.net', place TEXT PATH '$.properties.place') WITH (topic = 'quakes', event_time = 'ts');
CREATE MATERIALIZED VIEW origins AS
  SELECT origin, count(*) AS n, sum(distance) AS miles, min(delay) AS lo, max(delay) AS hi, avg(delay) AS mean
  FROM flights GROUP BY origin;
CREATE MATERIALIZED VIEW routes AS
  SELECT origin, destination, count(*) AS n, count(DISTINCT delay) AS delays FROM flights
  GROUP BY origin, destination HAVING count(*) > 20;
CREATE MATERIALIZED VIEW networks AS
  SELECT net, count(*) AS n, max(mag) AS strongest, min(mag) FILTER (WHERE mag > 0) AS weakest FROM quakes GROUP BY net;
CREATE MATERIALIZED VIEW strong AS SELECT id, mag, place, ts FROM quakes WHERE mag >= 4.5;
"""
QUERIES = [
    "SELECT * FROM origins ORDER BY origin",
    "SELECT * FROM routes ORDER BY origin, destination",
    "SELECT * FROM networks ORDER BY net",
    "SELECT * FROM strong ORDER BY mag DESC, id",
]


def answers(server):
    result = [server.sql(query, "--fresh") for query in QUERIES]
    result.append(server.run("get", "origins", "ORD", "-o", "csv", "--fresh")[0].decode())
    result.append(server.run("scan", "routes", "--prefix", "ATL", "-o", "csv", "--fresh")[0].decode())
    for topic in ("flights", "quakes"):
        result.append(server.run("read", topic, "--from", "1000", "-n", "5", "--format", "%o %v\\n")[0].decode())
        result.append(server.run("read", topic, "--from", "-3", "--format", "%o %v\\n")[0].decode())
    return result


def delete_indexes(directory):
    names = [n for n in os.listdir(os.path.join(directory, "log")) if n.endswith(".index")]
    for name in names:
        os.remove(os.path.join(directory, "log", name))
    return len(names)


def delete_views(directory):
    views = os.path.join(directory, "views")
    names = os.listdir(views)
    shutil.rmtree(views)
    return len(names)


def verify(server, expect):
    result = subprocess.run([kappa.binary(), "verify", "-q", "-d", server.directory], capture_output=True, text=True)
    if result.returncode != expect:
        raise kappa.Failure(f"verify ended with {result.returncode}, not {expect}\n{result.stdout}{result.stderr}")
    return result.stdout


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x40]))


def check_damage(server, first):
    """A changed byte is found by verify: in a view (which the next start mends), then in the log."""
    views = os.path.join(server.directory, "views")
    origins = max((os.path.join(views, n, "data.mdb") for n in os.listdir(views)), key=os.path.getsize)
    with open(origins, "rb") as file:
        # Past the meta pages: a place that holds a row of the newest tree.
        at = file.read().rfind(b"ORD")
    flip(origins, at)
    if "damage: view" not in verify(server, 7):
        raise kappa.Failure("verify does not name the damaged view")
    shutil.rmtree(views)
    server.start()
    if answers(server) != first:
        raise kappa.Failure("answers changed after a damaged view was deleted")
    server.stop()
    verify(server, 0)
    log = os.path.join(server.directory, "log")
    segment = sorted((n for n in os.listdir(log) if n.endswith(".segment")), key=lambda n: n)[1]
    flip(os.path.join(log, segment), 60_000)
    if "damage:" not in verify(server, 7):
        raise kappa.Failure("verify does not name the damaged segment")


def main():
    with kappa.Scratch("derived") as scratch:
        server = scratch.server(flags=("--segment-bytes", "262144")).start()
        server.run("sql", "-q", "--", SETUP)
        for topic in ("flights", "quakes"):
            server.append(topic, kappa.read_data(os.path.join(HERE, "..", "data", topic + ".ndjson.zst")))
        first = answers(server)
        for deletions in ([delete_indexes], [delete_views], [delete_indexes, delete_views]):
            for end in (server.stop, server.kill):
                end()
                count = sum(delete(server.directory) for delete in deletions)
                what = f"{' and '.join(d.__name__ for d in deletions)} after {end.__name__}: {count} entries"
                if count == 0:
                    raise kappa.Failure(what + ": there was nothing to delete")
                server.start()
                for number, (before, after) in enumerate(zip(first, answers(server))):
                    if before != after:
                        raise kappa.Failure(f"{what}: answer {number} changed from\n{before[:500]}to\n{after[:500]}")
                print(f"{what}, every answer the same", flush=True)
        server.stop()
        verify(server, 0)
        check_damage(server, first)
        print("verify finds a changed byte in a view and in the log")
    return 0


if __name__ == "__main__":
    sys.exit(main())
