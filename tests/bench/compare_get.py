#!/usr/bin/env python3
"""Goal: what a point read costs, side by side with Redis GET, in one run on one machine.

Method: one view of N keys (`key:000000000000` ...) with a text of 64 bytes each, and a Redis without persistence
with the same keys and values. Rounds; in each, every contender runs once for each pipeline depth, in an order that
turns: `kappa bench get` against a server with one network thread, `redis-benchmark -t get` against Redis with one
thread, 50 connections each. Medians over the rounds, and the median of the ratios within a round. The CPU time of a
request is the server's (all threads, /proc/PID/stat) over the requests.

  kappa          the view's entries in memory, as they are after it was built
  kappa disk     the same after a restart: read from the pages of the state's file
  kappa get      as `kappa`, by plain GETs, which name the view in every request
  kappa x2       two clients at once: no more than one means that the client is not the limit

Build first: cmake --preset release && cmake --build --preset release. Scratch space: $KAPPA_SCRATCH, else the default
for temporary files. What is not installed is skipped, loudly."""

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

TICKS = os.sysconf("SC_CLK_TCK")
VALUE_BYTES = 64
STATEMENTS = """CREATE STREAM pairs (k VARCHAR, v VARCHAR) WITH (topic = 'pairs');
CREATE MATERIALIZED VIEW latest AS SELECT k, last(v ORDER BY _offset) AS v FROM pairs GROUP BY k;"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def value(number):
    return (b"%012d" % number * 6)[:VALUE_BYTES]


class Redis:
    """A Redis with every key, ended with the block."""

    def __init__(self, keys):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", self.port), 30)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise kappa.Failure("redis-server did not start")
                time.sleep(0.05)
        with connection:
            answers = connection.makefile("rb")
            for begin in range(0, keys, 1000):
                numbers = range(begin, min(begin + 1000, keys))
                connection.sendall(b"".join(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$64\r\n%s\r\n" % (n, value(n))
                                            for n in numbers))
                for _ in numbers:
                    if answers.readline() != b"+OK\r\n":
                        raise kappa.Failure("redis refuses a SET")

    def bench(self, keys, clients, pipeline, requests):
        before = cpu_seconds(self.process.pid)
        started = time.monotonic()
        text = subprocess.run(["redis-benchmark", "-p", str(self.port), "--csv", "-c", str(clients), "-P", str(pipeline),
                               "-n", str(requests), "-r", str(keys), "-t", "get"],
                              check=True, stdout=subprocess.PIPE, text=True).stdout
        used = cpu_seconds(self.process.pid) - before
        fields = re.findall(r'"([^"]*)"', text.strip().split("\n")[-1])
        return {"rate": float(fields[1]), "cpu": used / requests * 1e6, "p50": float(fields[4]) * 1e3,
                "p99": float(fields[6]) * 1e3, "busy": used / (time.monotonic() - started)}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Kappa:
    """A server with the view, whose entries are in memory, or read from disk after a restart."""

    def __init__(self, scratch, name, keys):
        self.server = scratch.server(name).start()
        path = os.path.join(scratch.path, "pairs.ndjson")
        with open(path, "wb") as file:
            for begin in range(0, keys, 10000):
                file.write(b"".join(b'{"k":"key:%012d","v":"%s"}\n' % (n, value(n))
                                    for n in range(begin, min(begin + 10000, keys))))
        for statement in STATEMENTS.split("\n"):
            self.server.run("sql", statement)
        with open(path, "rb") as file:
            subprocess.run([kappa.binary(), "append", "pairs", "-a", self.server.address], check=True, stdin=file,
                           stderr=subprocess.DEVNULL)
        self.server.run("get", "latest", "key:%012d" % (keys - 1), "--fresh", "--timeout", "300s")
        os.unlink(path)
        self.keys = keys

    def client(self, clients, pipeline, seconds, form, seed):
        return subprocess.Popen([kappa.binary(), "bench", "get", "latest", "-a", self.server.address, "--keys",
                                 str(self.keys), "--clients", str(clients), "--pipeline", str(pipeline), "--duration",
                                 f"{seconds}s", "--form", form, "--seed", str(seed), "-o", "json"],
                                stdout=subprocess.PIPE, text=True)

    def bench(self, clients, pipeline, seconds, form="lookup", processes=1):
        pid = self.server.process.pid
        before = cpu_seconds(pid)
        running = [self.client(clients // processes, pipeline, seconds, form, seed + 1) for seed in range(processes)]
        results = []
        for one in running:
            text = one.communicate()[0]
            if one.returncode != 0:
                raise kappa.Failure("kappa bench get failed")
            results.append(json.loads(text))
        used = cpu_seconds(pid) - before
        requests = sum(result["requests"] for result in results)
        longest = max(result["seconds"] for result in results)
        return {"rate": sum(result["requests_per_second"] for result in results), "cpu": used / requests * 1e6,
                "p50": results[0]["latency_us"]["p50"], "p99": results[0]["latency_us"]["p99"],
                "busy": used / longest, "client": results[0]["client_cpu_seconds"] / results[0]["seconds"]}

    def restart(self):
        self.server.stop()
        self.server.start()
        self.server.run("get", "latest", "key:%012d" % (self.keys - 1), "--fresh", "--timeout", "300s")


def report(rounds, depths, names):
    print("\n| pipeline | | requests/s | min - max | server CPU a request | p50 | p99 | server busy |")
    print("|---:|---|---:|---|---:|---:|---:|---:|")
    for depth in depths:
        for name in names:
            runs = [one[name, depth] for one in rounds if (name, depth) in one]
            if not runs:
                continue
            middle = {key: statistics.median(run[key] for run in runs) for key in ("rate", "cpu", "p50", "p99", "busy")}
            print(f"| {depth} | {name} | {middle['rate']:,.0f} | {min(r['rate'] for r in runs):,.0f} - "
                  f"{max(r['rate'] for r in runs):,.0f} | {middle['cpu']:.2f} us | {middle['p50']:,.0f} us | "
                  f"{middle['p99']:,.0f} us | {middle['busy'] * 100:.0f} % |")
    print("\n| ratio to Redis, per round | requests/s | min - max | CPU a request | bound |\n|---|---:|---|---:|---|")
    for depth in depths:
        for name in names:
            pairs = [(one[name, depth], one["redis", depth]) for one in rounds
                     if (name, depth) in one and ("redis", depth) in one]
            if name == "redis" or not pairs:
                continue
            rates = [a["rate"] / b["rate"] for a, b in pairs]
            cpu = statistics.median(a["cpu"] / b["cpu"] for a, b in pairs)
            bound = ">= 0.9" if depth == 64 else ">= 1.0"
            print(f"| {name}, pipeline {depth} | {statistics.median(rates):.2f} | {min(rates):.2f} - {max(rates):.2f} | "
                  f"{cpu:.2f} | {bound} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--depths", default="1,16,64")
    parser.add_argument("--only", default="", help="names of contenders, as \"kappa,redis\"")
    arguments = parser.parse_args()
    depths = [int(depth) for depth in arguments.depths.split(",")]
    have_redis = shutil.which("redis-server") and shutil.which("redis-benchmark")
    with kappa.Scratch("compare_get") as scratch:
        memory = Kappa(scratch, "memory", arguments.keys)
        disk = Kappa(scratch, "disk", arguments.keys)
        disk.restart()  # Nothing brings entries into memory but changes.
        redis = Redis(arguments.keys) if have_redis else None
        rounds = []
        try:
            for number in range(arguments.rounds):
                one = {}
                for depth in depths:
                    runs = [("kappa", lambda: memory.bench(arguments.clients, depth, arguments.seconds)),
                            ("kappa disk", lambda: disk.bench(arguments.clients, depth, arguments.seconds)),
                            ("kappa get", lambda: memory.bench(arguments.clients, depth, arguments.seconds, form="get")),
                            ("kappa x2", lambda: memory.bench(arguments.clients, depth, arguments.seconds,
                                                              processes=2))]
                    if redis:
                        count = {1: 50_000, 16: 200_000}.get(depth, 400_000) * arguments.seconds
                        runs.append(("redis", lambda: redis.bench(arguments.keys, arguments.clients, depth, count)))
                    if arguments.only:
                        runs = [run for run in runs if run[0] in arguments.only.split(",")]
                    turn = number % len(runs)
                    for name, run in runs[turn:] + runs[:turn]:
                        one[name, depth] = run()
                        print(f"round {number + 1}, pipeline {depth}, {name}: " +
                              ", ".join(f"{key} {value:,.2f}" for key, value in one[name, depth].items()), flush=True)
                rounds.append(one)
        finally:
            if redis:
                redis.stop()
    report(rounds, depths, ("redis", "kappa", "kappa disk", "kappa get", "kappa x2"))
    if not redis:
        print("SKIPPED redis (no redis-server)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
