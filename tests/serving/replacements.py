#!/usr/bin/env python3
"""Goal (issue "Changing your mind is cheap", must hold 3): a client that reads one key as fast as it can and a watcher,
during many replacements under append load, see no error, no stale version after a new one, no mix of versions, and
offsets that never go back.
Method: as tests/serving/replacements_test.cc, from other processes: the real server, `kappa append` fed without end,
`kappa watch`, and a reader that speaks the protocol itself. Every row says in `ver` of which version it is, and both
versions count the same events.

    tests/serving/replacements.py [--rounds N]
"""

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from kappa import Failure, Scratch, binary  # noqa: E402

KEYS = 50


def frame(kind, request, payload):
    tail = struct.pack("<QBBH", request, kind, 0, 0) + payload
    return struct.pack("<II", len(tail) + 4, zlib.crc32(tail)) + tail


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


class Reader(threading.Thread):
    """GETs one key as fast as the server answers."""

    def __init__(self, address):
        super().__init__()
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.socket.sendall(frame(1, 1, b"KAPPA\0\0\0" + struct.pack("<HHI", 1, 1, 0) + text("replacements")))
        kind, _ = self.answer()
        if kind != 2:
            raise Failure("no HELLO_OK")
        self.stop = False
        self.least = 0  # Every read that begins now sees at least this version.
        self.reads = 0
        self.failure = None

    def answer(self):
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from("<I", self.buffer)[0]:
            data = self.socket.recv(65536)
            if not data:
                raise Failure("the server closed the reader's connection")
            self.buffer += data
        size = 4 + struct.unpack_from("<I", self.buffer)[0]
        whole, self.buffer = self.buffer[:size], self.buffer[size:]
        return whole[16], whole[20:]

    def get(self):
        # No freshness; view v; key (TEXT k1).
        payload = struct.pack("<BQI", 0, 0, 1000) + text("v") + struct.pack("<HB", 1, 5) + text("k1")
        self.socket.sendall(frame(36, 7, payload))
        kind, body = self.answer()
        if kind == 3:
            raise Failure(f"a read failed: {body!r}")
        found, applied = struct.unpack_from("<BQ", body)
        at = 9
        count, = struct.unpack_from("<H", body, at)
        at += 2
        for _ in range(count):
            length, = struct.unpack_from("<I", body, at)
            at += 4 + length + 3
        if not found:
            return applied, None
        at += 2  # The row's count: TEXT k, BIGINT n, BIGINT ver.
        length, = struct.unpack_from("<I", body, at + 1)
        at += 5 + length
        n, = struct.unpack_from("<q", body, at + 1)
        version, = struct.unpack_from("<q", body, at + 10)
        return applied, (n, version)

    def run(self):
        try:
            last_applied, last_n, last_version = 0, 0, 0
            while not self.stop:
                least = self.least
                applied, row = self.get()
                self.reads += 1
                if applied < last_applied:
                    raise Failure(f"an offset went back: {applied} after {last_applied}")
                last_applied = applied
                if row is None:
                    if last_n:
                        raise Failure("the row is gone")
                    continue
                n, version = row
                if version < max(last_version, least):
                    raise Failure(f"stale: version {version} after {last_version}, at least {least}")
                if n < last_n:
                    raise Failure(f"a count went back: {n} after {last_n}")
                last_n, last_version = n, version
        except Exception as error:  # Told by the main thread.
            self.failure = error


class Watcher(threading.Thread):
    """Adds up what `kappa watch` prints."""

    def __init__(self, address):
        super().__init__()
        self.process = subprocess.Popen([binary(), "watch", "-a", address, "v"], stdout=subprocess.PIPE)
        self.rows = {}
        self.offset = 0
        self.steps = 0
        self.failure = None

    def check(self):
        """At the end of a step."""
        self.steps += 1
        versions = {row["ver"] for row in self.rows.values()}
        if len(versions) > 1:
            raise Failure(f"a mix of versions at {self.offset}: {sorted(versions)}")

    def run(self):
        try:
            for line in self.process.stdout:
                change = json.loads(line)
                if change["offset"] < self.offset:
                    raise Failure(f"an offset went back: {change['offset']} after {self.offset}")
                if change["offset"] > self.offset:
                    self.check()
                self.offset = change["offset"]
                if change["op"] == "reset":
                    raise Failure(f"a reset: {change}")
                row = change["row"]
                if change["op"] == "+":
                    if row["k"] in self.rows:
                        raise Failure(f"given twice: {row}")
                    self.rows[row["k"]] = row
                elif self.rows.pop(row["k"], None) != row:
                    raise Failure(f"taken without being there: {row}")
            self.check()
        except Exception as error:
            self.failure = error
            self.process.kill()


class Appender(threading.Thread):
    """Feeds `kappa append` without end, 5,000 events a second."""

    def __init__(self, address):
        super().__init__()
        self.process = subprocess.Popen([binary(), "append", "-a", address, "e", "-o", "json", "--rate", "5000"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.stop = False
        self.summary = None

    def run(self):
        lines = b"".join(b'{"k":"k%d"}\n' % (i % KEYS) for i in range(500))
        while not self.stop:
            self.process.stdin.write(lines)
            self.process.stdin.flush()
        self.process.stdin.close()
        self.summary = json.loads(self.process.stdout.read())
        self.process.wait()


def definition(version):
    return f"CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, {version} AS ver FROM e GROUP BY k"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=100)
    rounds = arguments.parse_args().rounds
    with Scratch("replacements") as scratch:
        server = scratch.server().start()
        server.sql("CREATE STREAM e (k TEXT)")
        server.sql(definition(0))
        reader, watcher, appender = Reader(server.address), Watcher(server.address), Appender(server.address)
        threads = [reader, watcher, appender]
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        poll = Reader(server.address)
        try:
            for version in range(1, rounds + 1):
                server.sql(definition(version))
                while True:
                    row = poll.get()[1]
                    if row is not None and row[1] == version:
                        break
                    for thread in (reader, watcher):
                        if thread.failure is not None:
                            raise thread.failure
                reader.least = version
        finally:
            appender.stop = True
            appender.join()
            reader.stop = True
            reader.join()
        # What the watcher has at the end is the view.
        expected = json.loads(server.run("sql", "--fresh", "-o", "json", "SELECT k, n, ver FROM v")[0])
        wanted = {row["k"]: row for row in expected}
        while watcher.rows != wanted and watcher.failure is None and watcher.is_alive():
            if time.monotonic() - begun > 500:
                break
            time.sleep(0.01)
        watcher.process.send_signal(2)
        watcher.join()
        watcher.process.wait()
        for thread in (reader, watcher):
            if thread.failure is not None:
                raise thread.failure
        if watcher.rows != wanted:
            raise Failure(f"the watcher has {watcher.rows}, the view is {wanted}")
        total = sum(row["n"] for row in expected)
        if total != appender.summary["appended"]:
            raise Failure(f"{appender.summary['appended']} events were appended, the view counts {total}")
        server.stop()
        print(f"{rounds} replacements in {time.monotonic() - begun:.1f} s: {total} events, {reader.reads} reads, "
              f"{watcher.steps} steps of the watcher: no error, nothing stale, no mix")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
