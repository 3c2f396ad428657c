#!/usr/bin/env python3
"""Goal: `kappa bench nexmark` runs every query from a durable log and says what it measured. Method: few events,
JSON output; the figures must be there and fit each other. How fast it is, no test asks."""

import json
import os
import subprocess
import sys

KAPPA = os.environ["KAPPA"]
EVENTS = 3000


def bench(*arguments):
    return subprocess.run([KAPPA, "bench", "nexmark", *arguments], capture_output=True, text=True, timeout=500)


def main():
    done = bench("--events", str(EVENTS), "--out-of-order", "50", "-o", "json")
    assert done.returncode == 0, done.stderr + done.stdout
    said = json.loads(done.stdout)
    assert said["events"] == EVENTS and said["durability"] == "sync" and said["machine"], said
    assert said["bytes"] > EVENTS * 100, said
    assert len(said["queries"]) == 20, said
    for query in said["queries"]:
        assert query["events_per_second"] > 0 and query["events_per_core_second"] > 0, query
    assert said["queries"][0]["rows"] == EVENTS * 46 // 50, said
    assert said["queries"][0]["state_bytes"] > 100 * said["queries"][0]["rows"], said

    table = bench("--events", "100", "--cores", "1", "--queries", "q1")
    assert table.returncode == 0, table.stderr
    assert "RisingWave" in table.stdout and "on 1 core" in table.stdout, table.stdout

    unknown = bench("--queries", "q10")
    assert unknown.returncode == 1 and "no query q10" in unknown.stderr, unknown.stderr
    print("bench nexmark: ok")


if __name__ == "__main__":
    sys.exit(main())
