#!/usr/bin/env python3
"""Goal: a replay stays within its memory, however many events it reads: the peak of what is not page cache (RssAnon).

Method: --events small events (about 75 bytes) go into a data directory; each view is then built
from nothing by `kappa bench replay` with the default budget of 256 MiB, while RssAnon is read every 20 ms. The bound is the
budget plus --slack MiB, which decoding, the process itself and what is being committed take.

  tests/bench/replay_memory.py --data DIR --events 100000000     DIR is made if it is not there, and is left there"""

import argparse
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

STREAMS = ("CREATE STREAM ev (user TEXT, page TEXT, bytes BIGINT) WITH (topic = 'ev'); "
           "CREATE STREAM pages (page TEXT, owner TEXT) WITH (topic = 'pages'); CREATE TABLE pt AS LATEST pages BY page; ")
VIEWS = {
    "few groups": "SELECT page, count(*) AS n, sum(bytes) AS s FROM ev GROUP BY page",
    "1 M groups": "SELECT user, count(*) AS n, sum(bytes) AS s FROM ev GROUP BY user",
    "join": "SELECT p.owner, count(*) AS n, sum(e.bytes) AS s FROM ev e JOIN pt p ON e.page = p.page GROUP BY p.owner",
}
POOL = 1_000_000


def make_data(options):
    os.makedirs(options.data)
    server = kappa.Server(options.data)
    server.start()
    picker = random.Random(7)
    pages = "".join(f'{{"page":"/p/{i:04}","owner":"o{i % 50}"}}\n' for i in range(1000))
    subprocess.run([kappa.binary(), "append", "pages", "-a", server.address], input=pages, text=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    append = subprocess.Popen([kappa.binary(), "append", "ev", "-a", server.address], stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # The same million users in another order each time: a group comes about every million events.
    lines = [f'{{"user":"u{i:07}","page":"/p/{i * 7919 % 1000:04}","bytes":{i % 60000},"act":"view"}}\n' for i in range(POOL)]
    left = options.events
    while left > 0:
        first = picker.randrange(POOL)
        step = picker.choice([1_009, 7_919, 104_729, 611_953])
        count = min(left, POOL)
        append.stdin.writelines(lines[(first + i * step) % POOL] for i in range(count))
        left -= count
    append.stdin.close()
    if append.wait() != 0:
        sys.exit("kappa append failed")
    server.stop()


def anonymous_mib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slack", type=int, default=64, help="MiB beside the budget of 256 MiB")
    options = parser.parse_args()
    options.data = os.path.abspath(options.data)
    if not os.path.exists(options.data):
        make_data(options)
    bound = 256 + options.slack
    over = False
    for name, query in VIEWS.items():
        process = subprocess.Popen([kappa.binary(), "bench", "replay", "-d", options.data, "--threads", str(options.threads),
                                    "--directory", os.path.dirname(options.data), "--sql", STREAMS + "CREATE VIEW v AS " + query],
                                   stdout=subprocess.PIPE, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, anonymous_mib(process.pid))
            time.sleep(0.02)
        if process.returncode != 0:
            sys.exit("kappa bench replay failed")
        print(f"{name}: RssAnon at most {peak:.0f} MiB; {process.stdout.read().strip()}", flush=True)
        over |= peak > bound
    sys.exit(f"over the bound of {bound} MiB" if over else 0)


if __name__ == "__main__":
    main()
