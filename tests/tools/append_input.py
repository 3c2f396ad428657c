#!/usr/bin/env python3
"""Goal: `kappa append` and `kappa read` keep their promises at the edges: exit codes, summaries, named
producers, slow input, keys, input formats, ways to start reading, closed pipes.

Method: the real binary against a real server; what comes out of the log is compared with what went in."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402


def expect(what, actual, wanted):
    if actual != wanted:
        raise kappa.Failure(f"{what}: expected {wanted!r}, got {actual!r}")


def lines(count, start=0):
    return b"".join(b'{"n":%d}\n' % n for n in range(start, start + count))


def summary_and_offsets(server, _):
    out, errors = server.run("append", "summary", "-o", "json", stdin=lines(1000))
    summary = json.loads(out)
    expect("appended", summary["appended"], 1000)
    expect("rejected", summary["rejected"], 0)
    expect("offsets", summary["last_offset"] - summary["first_offset"], 999)
    expect("durability", summary["durability"], "sync")
    first, last = summary["first_offset"], summary["last_offset"]
    expect("stderr", errors.decode().strip(), f"appended 1000 events, offsets {first}..{last}, durable")
    out, errors = server.run("append", "summary", stdin=b"")
    expect("nothing appended", (out, errors), (b"", b"appended 0 events\n"))


def named_producer_continues(server, _):
    expect("first run", server.append("named", lines(500), "--producer", "p")["appended"], 500)
    again = server.append("named", lines(800), "--producer", "p", "--batch", "7")
    expect("second run", (again["appended"], again["already_there"]), (300, 500))
    expect("third run", server.append("named", lines(800), "--producer", "p")["appended"], 0)
    expect("another name", server.append("named", lines(2), "--producer", "q")["appended"], 2)
    expect("in the log", server.run("read", "named")[0], lines(800) + lines(2))


def named_producer_survives_kills(server, _):
    """The input stops at a kill in the middle; the same command again completes it."""
    data = lines(3000)
    process = subprocess.Popen([kappa.binary(), "append", "killed", "-a", server.address, "--producer", "p", "--batch",
                                "10", "--rate", "20000"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(data[: len(data) // 2])
    process.stdin.flush()
    while b"n" not in server.run("read", "killed", expect=(0, 4))[0]:
        pass
    process.kill()
    process.communicate()
    server.append("killed", data, "--producer", "p")
    expect("in the log", server.run("read", "killed")[0], data)


def slow_input_is_flushed(server, _):
    process = subprocess.Popen([kappa.binary(), "append", "slow", "-a", server.address], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    follow = subprocess.Popen([kappa.binary(), "read", "slow", "-F", "--from", "0", "-a", server.address, "-n", "3"],
                              stdout=subprocess.PIPE)
    for n in range(3):
        process.stdin.write(b'{"n":%d}\n' % n)
        process.stdin.flush()
        # The event is seen although the input stays open.
        if not select.select([follow.stdout], [], [], 30)[0]:
            raise kappa.Failure("a slow event did not arrive")
        expect("slow event", follow.stdout.readline(), b'{"n":%d}\n' % n)
    expect("reader's exit", follow.wait(), 0)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    expect("Ctrl-C", process.returncode, 130)
    if not errors.startswith(b"appended 3 events"):
        raise kappa.Failure(f"no summary after Ctrl-C: {errors!r}")


def input_formats(server, scratch):
    path = os.path.join(scratch.path, "in.csv")
    with open(path, "wb") as file:
        file.write(b'id,name,ok\n1,"x, ""y""",true\n2,,\n')
    server.run("append", "csv", "-i", "csv", "-k", "id", path)
    expect("csv", server.run("read", "csv", "-k")[0],
           b'1\t{"id":1,"name":"x, \\"y\\"","ok":true}\n2\t{"id":2,"name":null,"ok":null}\n')
    server.run("append", "lines", "-i", "lines", stdin=b"not json\r\n\nlast")
    expect("lines", server.run("read", "lines")[0], b"not json\n\nlast\n")
    server.run("append", "raw", "-i", "raw", stdin=b"one\nevent")
    expect("raw", json.loads(server.run("read", "raw", "-o", "json")[0])["value"], "one\nevent")
    files = []
    for name in ("a", "b"):
        files.append(os.path.join(scratch.path, name))
        with open(files[-1], "wb") as file:
            file.write(b'{"f":"%s"}' % name.encode())
    server.run("append", "files", *files)
    expect("files", server.run("read", "files")[0], b'{"f":"a"}\n{"f":"b"}\n')


def where_reading_starts(server, _):
    first = server.append("from", lines(10))["first_offset"]
    expect("offset", server.run("read", "from", "--from", str(first + 8))[0], lines(2, 8))
    expect("last", server.run("read", "from", "--from", "-3")[0], lines(3, 7))
    expect("limit", server.run("read", "from", "-n", "2")[0], lines(2))
    expect("end", server.run("read", "from", "--from", "end")[0], b"")
    expect("time", server.run("read", "from", "--from", "@1970-01-01T00:00:00Z")[0], lines(10))
    expect("future", server.run("read", "from", "--from", "@2200-01-01T00:00:00Z")[0], b"")
    event = json.loads(server.run("read", "from", "-n", "1", "-o", "json")[0])
    expect("json", (event["offset"], event["key"], event["value"]), (first, None, {"n": 0}))
    expect("format", server.run("read", "from", "-n", "1", "--format", "%o=%v\\n")[0], b'%d={"n":0}\n' % first)


def closed_pipe_is_quiet(server, _):
    server.append("pipe", lines(200_000))
    reader = subprocess.Popen([kappa.binary(), "read", "pipe", "-a", server.address], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    reader.stdout.readline()
    reader.stdout.close()
    expect("stderr", reader.stderr.read(), b"")
    expect("exit", reader.wait(), 0)
    reader.stderr.close()


def exit_codes(server, scratch):
    server.run("sql", "-q", "CREATE STREAM codes (k TEXT, n BIGINT); CREATE MATERIALIZED VIEW by_k AS "
               "SELECT k, count(*) AS n FROM codes GROUP BY k")
    server.append("codes", b'{"k":"a","n":1}\n')
    expect("get", server.run("get", "by_k", "a", "--fresh", "-o", "csv")[0], b'k,n\n"a",1\n')
    server.run("get", "by_k", "absent", expect=(4,))
    server.run("get", "no_such_view", "a", expect=(4,))
    _, errors = server.run("sql", "SELECT * FROM by_x", expect=(1,))
    if not errors.startswith(b"error K2003: ") or b"^" not in errors:
        raise kappa.Failure(f"an SQL error without code or caret: {errors!r}")
    _, errors = server.run("sql", "SELECT 1 FROM; SELECT * FROM by_k", expect=(1,))
    server.run("sql", "--at-least", "99999999", "--timeout", "50ms", "SELECT * FROM by_k", expect=(5,))
    server.run("get", "by_k", "a", "--at-least", "99999999", "--timeout", "50ms", expect=(5,))
    for usage in (["append"], ["no_such_command"], ["read", "t", "--from", "soon"], ["get"], ["sql", "-o", "xml", "x"]):
        expect(f"usage {usage}", subprocess.run([kappa.binary(), *usage], capture_output=True).returncode, 2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % closed.getsockname()[1]
        for command in (["status"], ["read", "t"], ["sql", "SELECT 1"]):
            result = subprocess.run([kappa.binary(), *command, "-a", address], capture_output=True)
            expect(f"nobody listens, {command}", result.returncode, 3)
    second = subprocess.run([kappa.binary(), "serve", "-d", server.directory, "--listen", "127.0.0.1:0"],
                            capture_output=True)
    if second.returncode == 0 or b"K3001" not in second.stderr:
        raise kappa.Failure(f"a second server on one directory: {second.returncode} {second.stderr!r}")


def flags_come_from_environment_and_file(server, scratch):
    path = os.path.join(scratch.path, "kappa.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'addr = "{server.address}"\noutput = "csv"\n[sql]\noutput = "json"\n')
    query = "SELECT 1 AS one FROM flags LIMIT 1"
    server.run("sql", "-q", "CREATE STREAM flags (a BIGINT)")
    server.append("flags", b'{"a":1}\n')

    def run(*arguments, **environment):
        result = subprocess.run([kappa.binary(), "sql", query, *arguments], capture_output=True,
                                env=dict(os.environ, **environment))
        return result.stdout

    expect("file, the command's table", run("--config", path), b'[\n{"one":1}\n]\n')
    expect("environment over file", run("--config", path, KAPPA_OUTPUT="csv"), b"one\n1\n")
    expect("flag over environment", run("--config", path, "-o", "ndjson", KAPPA_OUTPUT="csv"), b'{"one":1}\n')
    expect("file named by environment", run(KAPPA_CONFIG=path), b'[\n{"one":1}\n]\n')


def status_and_version(server, _):
    status = json.loads(server.run("status", "-o", "json")[0])
    for member in ("log", "views"):
        if member not in status:
            raise kappa.Failure(f"status without {member}: {status}")
    text = server.run("status", "-o", "table")[0].decode()
    if "lag events" not in text:
        raise kappa.Failure("the status table does not show the lag of views:\n" + text)
    version = subprocess.run([kappa.binary(), "version"], capture_output=True, text=True).stdout
    if not version.startswith("kappa "):
        raise kappa.Failure(f"version says {version!r}")
    for shell in ("bash", "zsh", "fish"):
        script = subprocess.run([kappa.binary(), "completion", shell], capture_output=True, text=True)
        if script.returncode != 0 or "append" not in script.stdout:
            raise kappa.Failure(f"completion for {shell}: {script}")
    bash = subprocess.run([kappa.binary(), "completion", "bash"], capture_output=True).stdout
    expect("bash reads its completion", subprocess.run(["bash", "-n"], input=bash).returncode, 0)


CHECKS = [summary_and_offsets, named_producer_continues, named_producer_survives_kills, slow_input_is_flushed,
          input_formats, where_reading_starts, closed_pipe_is_quiet, exit_codes, flags_come_from_environment_and_file,
          status_and_version]


def main():
    only = sys.argv[1:]
    failed = 0
    with kappa.Scratch("cli") as scratch:
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
