#!/usr/bin/env python3
"""Goal: what appending costs, side by side with others and with the device, in one run on one machine.

Method: rounds; in each, every contender runs once, in an order that turns, on a fresh directory of the
same file system. Medians over the rounds, and the median of the ratios within a round. Contenders:

  kappa        `kappa bench append`: N 200-byte JSON events, validated, durable acks, one connection
  kappa cli    `kappa append < file` of the same
  redis P64    redis-benchmark XADD, 50 connections, 64 in flight each, appendfsync always
  redis P1     the same with one in flight each; against kappa with 50 connections, one event each
  sqlite       WAL, synchronous=FULL, 1000 rows a transaction
  jetstream    async publish, 4096 in flight, file storage (needs `natsb` of $KAPPA_SHARED/peers)
  device       zeroing 64 MiB segments, then write + fdatasync of 1 MiB groups, zeroing on the clock
  single       kappa, one connection, one event in flight: p50 against fdatasync p50 + loopback p50

Build first: cmake --preset release -D KAPPA_BENCHMARKS=ON && cmake --build --preset release
What is not installed is skipped, loudly. Scratch space: $KAPPA_SCRATCH, else the default for temporary
files; it must be on the device to be measured."""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

SKIPPED = []


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process):
    """Until somebody listens; the peers have no ready line."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise kappa.Failure("a peer did not start")


class Peer:
    """A server process on a port of its own, ended with the block."""

    def __init__(self, port, *command):
        self.port, self.command = port, command

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Bench:
    def __init__(self, scratch, events, limits):
        self.scratch, self.events, self.limits = scratch, events, limits
        self.file = os.path.join(scratch.path, "events.ndjson")
        self.runs = 0
        self.event = None
        self.natsb = None

    def prepare(self):
        """The file of events, read out of a log that the benchmark filled; natsb, built in scratch."""
        server = self.scratch.server("prepare").start()
        subprocess.run([kappa.binary(), "bench", "append", "-a", server.address, "--events", str(self.events)],
                       check=True, stdout=subprocess.DEVNULL)
        with open(self.file, "wb") as file:
            subprocess.run([kappa.binary(), "read", "bench", "-a", server.address], check=True, stdout=file)
        server.stop()
        shutil.rmtree(server.directory)
        with open(self.file, "rb") as file:
            self.event = file.readline().rstrip(b"\n").decode()
        shared = kappa.shared_directory()
        peers = os.path.join(shared, "peers") if shared else None
        if peers and os.path.exists(os.path.join(peers, "natsb.cpp")) and shutil.which("nats-server"):
            copy = os.path.join(self.scratch.path, "peers")
            os.makedirs(copy)
            for name in ("natsb.cpp", "bench.hpp", "Makefile"):
                shutil.copyfile(os.path.join(peers, name), os.path.join(copy, name))
            if subprocess.run(["make", "-s", "-C", copy, "natsb"]).returncode == 0:
                self.natsb = os.path.join(copy, "natsb")

    def fresh(self, name):
        self.runs += 1
        path = os.path.join(self.scratch.path, f"{name}{self.runs}")
        os.makedirs(path)
        return path

    def with_server(self, work):
        self.runs += 1
        server = self.scratch.server(f"kappa{self.runs}").start()
        try:
            return work(server)
        finally:
            server.stop()
            self.scratch.servers.remove(server)
            shutil.rmtree(server.directory)

    def bench(self, server, *flags):
        return json.loads(output(kappa.binary(), "bench", "append", "-a", server.address, "-o", "json", *flags))

    # Each contender gives {name: value} of what it measured.
    def kappa(self):
        def work(server):
            result = self.bench(server, "--events", str(self.events))
            return {"kappa": result["events_per_second"], "kappa MB/s": result["mb_per_second"]}
        return self.with_server(work)

    def kappa_cli(self):
        def work(server):
            started = time.monotonic()
            with open(self.file, "rb") as file:
                subprocess.run([kappa.binary(), "append", "bench", "-a", server.address], check=True, stdin=file,
                               stderr=subprocess.DEVNULL)
            return {"kappa cli": self.events / (time.monotonic() - started)}
        return self.with_server(work)

    def kappa_connections(self):
        def work(server):
            result = self.bench(server, "--clients", "50", "--pipeline", "1", "--batch", "1", "--duration", "5s")
            return {"kappa 50x1": result["events_per_second"]}
        return self.with_server(work)

    def single(self):
        def work(server):
            result = self.bench(server, "--clients", "1", "--pipeline", "1", "--batch", "1", "--duration", "5s")
            before = json.loads(server.run("status", "-o", "json")[0])["process"]["cpu_seconds"]
            started = time.monotonic()
            time.sleep(3)  # Idle on purpose: what the server uses when nobody asks.
            status = json.loads(server.run("status", "-o", "json")[0])["process"]
            idle = (status["cpu_seconds"] - before) / (time.monotonic() - started) * 100
            return {"kappa single p50": result["latency_us"]["p50"], "kappa idle cpu": idle,
                    "kappa rss anon": status["rss_anon_bytes"] / 1e6}
        return self.with_server(work)

    def redis(self):
        if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
            SKIPPED.append("redis (no redis-server)")
            return {}
        directory, port = self.fresh("redis"), free_port()
        result = {}
        with Peer(port, "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", directory, "--save", "",
                  "--appendonly", "yes", "--appendfsync", "always"):
            for name, pipeline, count in (("redis P64", "64", 1_000_000), ("redis P1", "1", 100_000)):
                text = output("redis-benchmark", "-p", str(port), "--csv", "-c", "50", "-P", pipeline, "-n", str(count),
                              "XADD", "s", "*", "e", self.event)
                # The command is in the first field, and it contains quotes and commas.
                result[name] = float(re.findall(r'"([\d.]+)"', text.strip().split("\n")[-1])[-7])
        shutil.rmtree(directory)
        return result

    def jetstream(self):
        if not self.natsb:
            SKIPPED.append("jetstream (needs nats-server, libnats-dev and $KAPPA_SHARED/peers)")
            return {}
        directory, port = self.fresh("nats"), free_port()
        with Peer(port, "nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", directory):
            process = subprocess.Popen([self.natsb, f"nats://127.0.0.1:{port}", "1", "500000"], stdout=subprocess.PIPE,
                                       text=True)
            value = None
            for line in process.stdout:
                name, number, _ = line.split("\t")
                if "async publish" in name and ", 200 B" in name:
                    value = float(number)
                    break
            process.kill()
            process.communicate()
        shutil.rmtree(directory)
        return {"jetstream": value}

    def machine(self):
        directory = self.fresh("limits")
        result = {}
        for what in ("device", "sync", "rtt", "sqlite"):
            name, number, _ = output(self.limits, what, directory).split("\t")
            result[name] = float(number)
        shutil.rmtree(directory)
        return result


# numerator, denominator, what it says, the bound that the project holds itself to.
RATIOS = [
    ("kappa", "redis P64", "batch client / Redis XADD P64 always", ">= 5"),
    ("kappa", "sqlite", "batch client / SQLite WAL FULL 1000 a txn", ">= 4"),
    ("kappa", "jetstream", "batch client / JetStream async publish", ">= 12"),
    ("kappa MB/s", "device", "batch client / device", ">= 0.5"),
    ("kappa cli", "redis P64", "kappa append < file / Redis XADD P64 always", ">= 5"),
    ("kappa cli", "sqlite", "kappa append < file / SQLite WAL FULL 1000 a txn", ">= 4"),
    ("kappa cli", "jetstream", "kappa append < file / JetStream async publish", ">= 12"),
    ("kappa 50x1", "redis P1", "50 connections, one event each / Redis XADD P1 always", ">= 1.5"),
    ("kappa single p50", "sync+rtt", "one event in flight, p50 / (fdatasync p50 + loopback p50)", "<= 1.3"),
]


def report(rounds):
    print("\n| measured | median | min | max |\n|---|---:|---:|---:|")
    for name in sorted({name for one in rounds for name in one}):
        values = [one[name] for one in rounds if one.get(name) is not None]
        print(f"| {name} | {statistics.median(values):,.1f} | {min(values):,.1f} | {max(values):,.1f} |")
    print("\n| ratio, per round | median | min | max | bound |\n|---|---:|---:|---:|---|")
    for above, below, what, bound in RATIOS:
        values = [one[above] / one[below] for one in rounds if one.get(above) and one.get(below)]
        if values:
            print(f"| {what} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} | {bound} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--limits", default=os.path.join(os.path.dirname(kappa.binary()), "..", "tests", "limits"))
    parser.add_argument("--only", default="", help="names of contenders, as kappa,machine,single")
    arguments = parser.parse_args()
    with kappa.Scratch("compare") as scratch:
        bench = Bench(scratch, arguments.events, arguments.limits)
        bench.prepare()
        contenders = [bench.kappa, bench.redis, bench.machine, bench.kappa_cli, bench.jetstream,
                      bench.kappa_connections, bench.single]
        if arguments.only:
            contenders = [one for one in contenders if one.__name__ in arguments.only.split(",")]
        rounds = []
        for number in range(arguments.rounds):
            one = {}
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                one.update(contender())
            if "sync" in one:
                one["sync+rtt"] = one["sync"] + one["rtt"]
            rounds.append(one)
            print(f"round {number + 1}: " + ", ".join(f"{k} {v:,.1f}" for k, v in one.items()), flush=True)
    report(rounds)
    for what in sorted(set(SKIPPED)):
        print("SKIPPED", what)
    return 0


if __name__ == "__main__":
    sys.exit(main())
