#!/usr/bin/env python3
"""Goal: what a replay on all cores costs the live views: p99 of append-to-visible with and without one, bound 2x.

Method: one server with a live view over one topic and N events in another. In a round one client appends events of the
live topic one by one, and asks for the view's row "at least at the event's offset" as soon as each is acknowledged:
the time from sending the event to having the row. Once while the server does nothing else, and once while a new view
over the N events is built; a round counts if the build still ran at its end. The order turns. Medians over the rounds
of p50 and p99, and of the ratio within a round.

Build first: cmake --preset release && cmake --build --preset release
Scratch space: $KAPPA_SCRATCH, else the default for temporary files."""

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

HELLO, HELLO_OK, ERROR, APPEND, GET = 1, 2, 3, 16, 36


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ask(HELLO, b"KAPPA\0\0\0" + struct.pack("<HHI", 1, 1, 0) + text("live_latency"))

    def ask(self, kind, payload):
        tail = struct.pack("<QBBH", 7, kind, 0, 0) + payload
        self.socket.sendall(struct.pack("<II", len(tail) + 4, zlib.crc32(tail)) + tail)
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from("<I", self.buffer)[0]:
            data = self.socket.recv(65536)
            if not data:
                raise kappa.Failure("the server closed the connection")
            self.buffer += data
        size = 4 + struct.unpack_from("<I", self.buffer)[0]
        whole, self.buffer = self.buffer[:size], self.buffer[size:]
        if whole[16] == ERROR:
            raise kappa.Failure(f"the server refused: {whole[20:]!r}")
        return whole[20:]

    def append(self, topic, value):
        """One event; its offset."""
        body = varint(1 + len(value)) + b"\0" + value
        payload = (text(topic) + struct.pack("<BBHIIQQIQ", 0, 0, 0, 1, len(body), 0, 0, 0, 0)
                   + struct.pack("<I", len(body)) + body)
        return struct.unpack_from("<Q", self.ask(APPEND, payload))[0]

    def get(self, view, key, at_least):
        return self.ask(GET, struct.pack("<BQI", 1, at_least, 60_000) + text(view) + struct.pack("<HB", 1, 5) + text(key))


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(client, count):
    times = []
    for number in range(count):
        started = time.perf_counter()
        offset = client.append("live", b'{"k":"k%d","n":1}' % (number % 50))
        client.get("live_view", f"k{number % 50}", offset)
        times.append((time.perf_counter() - started) * 1000)
    return percentile(times, 0.5), percentile(times, 0.99)


def replay_of(server, view):
    status = json.loads(server.run("status", "-o", "json")[0])
    return next(one.get("replay") for one in status["views"] if one["name"] == view)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=10_000_000, help="that the replay reads")
    parser.add_argument("--samples", type=int, default=1000, help="events appended in a measurement")
    arguments = parser.parse_args()
    rounds = []
    with kappa.Scratch("live-latency") as scratch:
        server = scratch.server("server").start()
        subprocess.run([kappa.binary(), "bench", "append", "-a", server.address, "--topic", "bench", "--events",
                        str(arguments.events), "-o", "json"], check=True, stdout=subprocess.DEVNULL)
        server.append("live", b'{"k":"k0","n":1}\n')
        server.sql("CREATE STREAM live (k TEXT, n BIGINT)")
        server.sql("CREATE STREAM bench (ts TIMESTAMP, page TEXT, bytes BIGINT)")
        server.sql("CREATE MATERIALIZED VIEW live_view AS SELECT k, sum(n) AS n FROM live GROUP BY k")
        client = Client(server.address)
        measure(client, 100)
        for number in range(arguments.rounds):
            one = {}
            for replaying in (False, True) if number % 2 == 0 else (True, False):
                if replaying:
                    server.sql("CREATE MATERIALIZED VIEW built AS SELECT page, count(*) AS n, sum(bytes) AS s, min(ts) AS t "
                               "FROM bench GROUP BY page")
                one[replaying] = measure(client, arguments.samples)
                if replaying:
                    if not replay_of(server, "built"):
                        raise kappa.Failure("the build ended before the measurement: more --events or fewer --samples")
                    server.sql("DROP VIEW built")
            rounds.append(one)
            print(f"round {number + 1}: without p50 {one[False][0]:.2f} ms, p99 {one[False][1]:.2f} ms; "
                  f"with a replay p50 {one[True][0]:.2f} ms, p99 {one[True][1]:.2f} ms", flush=True)
        server.stop()
    for name, at in (("p50", 0), ("p99", 1)):
        ratios = [one[True][at] / one[False][at] for one in rounds]
        print(f"{name}: without {statistics.median(o[False][at] for o in rounds):.2f} ms, with "
              f"{statistics.median(o[True][at] for o in rounds):.2f} ms; with / without median "
              f"{statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}" + (" (bound 2)" if at else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
