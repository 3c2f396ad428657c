#!/usr/bin/env python3
"""Goal: `kappa dead ls` shows every event that a stream set aside with its own bytes, and `kappa dead retry`
appends each of them once, however often and by however many it is run, and through kills of the server.

Method: the real binary against a real server; every shared bad line (a set of our own if they are not there)
is appended as a raw event; what the topic and the list hold is compared with what went in."""

import base64
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402


def expect(what, actual, wanted):
    if actual != wanted:
        raise kappa.Failure(f"{what}: expected {wanted!r}, got {actual!r}")


def dead(server, *arguments, stdin=None, wanted=0):
    """`kappa dead ...`; its stdout and stderr."""
    result = subprocess.run([kappa.binary(), "dead", *arguments, "-a", server.address], input=stdin, capture_output=True)
    if result.returncode != wanted:
        raise kappa.Failure(f"kappa dead {' '.join(arguments)} ended with {result.returncode}, expected {wanted}\n"
                            + result.stderr.decode(errors="replace"))
    return result.stdout, result.stderr


def letters(server, stream):
    return [json.loads(line) for line in dead(server, "ls", stream, "-o", "ndjson", "--fresh")[0].splitlines()]


def bytes_of(letter):
    if letter["event"] is not None:
        return letter["event"].encode()
    return base64.b64decode(letter["event_base64"])


def values(server, topic):
    return server.run("read", topic, "--format", "%v\\n")[0].splitlines()


def bad_lines():
    """(bytes, accepted) of the shared bad lines that are one event each."""
    shared = kappa.shared_directory()
    if shared is None:
        print("NOTE  the shared bad lines are not there; a few of our own stand in")
        return [(b"[1]", False), (b'{"a":1', False), (b"\xff\xfe", False), (b'{"a":"\xc3\x28"}', False), (b'{"a":1}', True)]
    found = []
    with open(os.path.join(shared, "bad-input", "lines.ndjson"), encoding="utf-8") as file:
        for line in file:
            described = json.loads(line)
            if described["expect"] not in ("accept", "reject") or "b64" not in described or not described["b64"]:
                continue
            data = base64.b64decode(described["b64"])
            if len(data) < 1 << 20:
                found.append((data, described["expect"] == "accept"))
    return found


def bad_events_are_all_there(server, _):
    server.sql("CREATE STREAM raw (zz_not_there BIGINT) WITH (on_error = 'dead_letter')")
    server.sql("CREATE MATERIALIZED VIEW raw_n AS SELECT count(*) AS n FROM raw")
    lines = bad_lines()
    for data, _accepted in lines:
        server.run("append", "raw", "-i", "raw", stdin=data)
    server.append("raw", b'{"last":1}\n')
    found = letters(server, "raw")
    expect("set aside", [bytes_of(letter) for letter in found], [data for data, accepted in lines if not accepted])
    if any(not letter["reason"] for letter in found):
        raise kappa.Failure("a letter has no reason")
    expect("kept", server.sql("SELECT n FROM raw_n", "--fresh").split()[-1], str(sum(a for _, a in lines) + 1))
    raw = dead(server, "ls", "raw", "-o", "raw")[0]
    expect("their own bytes", raw, b"".join(data + b"\n" for data, accepted in lines if not accepted))
    expect("the first", len(dead(server, "ls", "raw", "-n", "3", "-o", "ndjson")[0].splitlines()), 3)
    status = json.loads(server.run("status", "-o", "json")[0])
    stream = next(s for s in status["streams"] if s["name"] == "raw")
    expect("in the status", (stream["dead_letters"], stream["poison"]), (len(found), len(found)))
    text = server.run("status", "-o", "table")[0].decode()
    if "dead letters" not in text:
        raise kappa.Failure("the status table does not show dead letters:\n" + text)


def each_is_retried_once(server, _):
    server.sql("CREATE STREAM s (k TEXT, ms BIGINT) WITH (on_error = 'dead_letter')")
    server.sql("CREATE MATERIALIZED VIEW s_sum AS SELECT k, sum(ms) AS ms FROM s GROUP BY k")
    events = b"".join(b'{"k":"a","ms":"%d"}\n' % n for n in range(5)) + b'{"k":"a","ms":100}\n'
    server.append("s", events, "-k", "k")
    found = letters(server, "s")
    expect("letters", len(found), 5)
    # One as it is: it is wrong again.
    first = found[0]["offset"]
    expect("one", json.loads(dead(server, "retry", "s", "--offset", str(first), "-o", "json")[0])["retried"], 1)
    again = json.loads(dead(server, "retry", "s", "--offset", str(first), "-o", "json")[0])
    expect("the same", (again["retried"], again["left_out"]), (0, 1))
    found = letters(server, "s")
    expect("its retry", [(x["offset"], x["retry_of"], x["retried_by"]) for x in found if x["offset"] == first or x["retry_of"]],
           [(first, None, found[-1]["offset"]), (found[-1]["offset"], first, None)])
    # The others corrected, as a person would.
    corrected = b""
    for letter in found[1:5]:
        event = json.loads(letter["event"])
        event["ms"] = int(event["ms"])
        corrected += json.dumps({"offset": letter["offset"], "event": event}).encode() + b"\n"
    expect("corrected", json.loads(dead(server, "retry", "s", "--with", "-", "-o", "json", stdin=corrected)[0])["retried"], 4)
    expect("twice", json.loads(dead(server, "retry", "s", "--with", "-", "-o", "json", stdin=corrected)[0])["retried"], 0)
    expect("sum", server.sql("SELECT k, ms FROM s_sum", "--fresh"), 'k,ms\n"a",110\n')
    expect("nothing is left", json.loads(dead(server, "retry", "s", "--all", "-o", "json")[0])["retried"], 0)
    keys = server.run("read", "s", "--format", "%k\\n")[0].split()
    expect("keys", keys, [b"a"] * 11)
    forced = json.loads(dead(server, "retry", "s", "--offset", str(first), "--again", "-o", "json")[0])
    expect("again", forced["retried"], 1)


def what_is_refused(server, _):
    server.sql("CREATE STREAM plain (a BIGINT)")
    server.sql("CREATE STREAM \"Odd name\" (a BIGINT) WITH (topic = 'odd', on_error = 'dead_letter')")
    server.append("odd", b'{"a":"x"}\n')
    expect("a quoted name", len(letters(server, "Odd name")), 1)
    expect("its retry", json.loads(dead(server, "retry", "Odd name", "--all", "-o", "json")[0])["retried"], 1)
    dead(server, "ls", "nobody", wanted=4)
    dead(server, "ls", "plain", wanted=4)
    dead(server, "retry", "nobody", "--all", wanted=4)
    dead(server, "retry", "Odd name", "--offset", "1", wanted=4)
    dead(server, "retry", "Odd name", wanted=2)
    dead(server, "retry", "Odd name", "--with", "-", stdin=b'{"offset":1}\n', wanted=1)


def many_retry_at_once(server, _):
    """Several at a time, with the server killed in the middle: every letter is retried once."""
    server.sql("CREATE STREAM m (a BIGINT) WITH (on_error = 'dead_letter')")
    count = 400
    server.append("m", b"".join(b'{"a":"%d"}\n' % n for n in range(count)))
    originals = {letter["offset"] for letter in letters(server, "m")}
    expect("letters", len(originals), count)
    for round_number in range(6):
        running = [subprocess.Popen([kappa.binary(), "dead", "retry", "m", "--all", "-a", server.address, "--timeout", "20s"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
        if round_number == 1:
            server.kill()
            server.start()
        for process in running:
            process.wait()
    dead(server, "retry", "m", "--all")
    found = letters(server, "m")
    retries = [letter["retry_of"] for letter in found if letter["retry_of"] is not None]
    expect("each once", sorted(retries), sorted(originals))
    expect("in the topic", len(values(server, "m")), 2 * count)


CHECKS = [bad_events_are_all_there, each_is_retried_once, what_is_refused, many_retry_at_once]


def main():
    only = sys.argv[1:]
    failed = 0
    with kappa.Scratch("dead") as scratch:
        server = scratch.server().start()
        for check in CHECKS:
            if only and check.__name__ not in only:
                continue
            started = time.monotonic()
            try:
                check(server, scratch)
                print(f"ok    {check.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
            except (kappa.Failure, ValueError, KeyError) as problem:
                failed += 1
                print(f"FAIL  {check.__name__}: {problem}", flush=True)
        server.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
