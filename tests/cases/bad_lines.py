#!/usr/bin/env python3
"""Goal: a bad line is named by number and reason, changes nothing, and never stops the lines after it.

Method: every line of a set (a small one of our own, and the big one of $KAPPA_SHARED/bad-input where it
exists) goes between two good lines through `kappa append`; then the whole set goes in at once. Exit
codes, messages, the rejects file and the log's content are compared with what the set's manifest
expects. Where RFC 8259 leaves a choice, docs/operations.md says ours, and CHOICES below holds it."""

import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

MIB = 1 << 20
OWN = [
    (b'{"a":1}', "accept"),
    (b"", "skip"),
    (b" \t\r", "skip"),
    (b'{"a":1}\r', "accept"),
    (b'{"a":1', "reject"),
    (b"[1]", "reject"),
    (b"null", "reject"),
    (b'{"a":01}', "reject"),
    (b'{"a":"\xff"}', "reject"),
    (b'{"a":"\xed\xa0\x80"}', "reject"),
    (b'{"a":"\x01"}', "reject"),
    (b'{"a":"\\ud800"}', "reject"),
    (b"\xef\xbb\xbf" + b'{"a":1}', "reject"),  # A byte order mark is for the first line of an input.
    (b'{"a":1}{"b":2}', "reject"),
    (b'{"a":1}\x00', "reject"),
    (b'{"a":1,}', "reject"),
    (b'{"a":"\\u0000"}', "accept"),
    (b'{"a":1,"a":2}', "accept"),
    (b'{"a":' + b"9" * 400 + b"}", "accept"),
    (b'{"a":' * 500 + b"1" + b"}" * 500, "accept"),
    (b'{"a":' * 513 + b"1" + b"}" * 513, "reject"),
    (b'{"a":"' + b"x" * (MIB - 8) + b'"}', "accept"),  # 1 MiB exactly.
    (b'{"a":"' + b"x" * (MIB - 7) + b'"}', "reject"),
    (b'{"a":"' + b"x" * (3 * MIB), "reject"),
    (b'{"a":2}', "accept"),
]
# Of the groups that the standard leaves open.
CHOICES = {"bom": "reject", "surrogate": "reject", "huge-number": "accept", "duplicate": "accept"}


def choice(entry):
    if entry["expect"] != "either":
        return entry["expect"]
    if entry["group"] in CHOICES:
        return CHOICES[entry["group"]]
    if entry["group"] == "depth":
        return "accept" if "500" in entry["why"].split() else "reject"
    return "accept" if entry["bytes"] <= MIB else "reject"


def shared_set():
    shared = kappa.shared_directory()
    folder = os.path.join(shared, "bad-input") if shared else None
    if not folder or not os.path.exists(os.path.join(folder, "lines.bin")):
        return None
    with open(os.path.join(folder, "lines.bin"), "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    with open(os.path.join(folder, "lines.ndjson"), encoding="utf-8") as file:
        manifest = [json.loads(line) for line in file]
    if len(lines) != len(manifest):
        raise kappa.Failure("lines.bin and its manifest have different lengths")
    return [(line, choice(entry)) for line, entry in zip(lines, manifest)]


def log_of(server, topic):
    return server.run("read", topic)[0].split(b"\n")[:-1]


def check_one_by_one(server, topic, lines):
    good = [b'{"before":1}', b'{"after":1}']
    expected = []
    for number, (line, expect) in enumerate(lines, 1):
        data = good[0] + b"\n" + line + b"\n" + good[1] + b"\n"
        code = 6 if expect == "reject" else 0
        try:
            out, errors = server.run("append", topic, "-o", "json", stdin=data, expect=(code,))
        except kappa.Failure as problem:
            raise kappa.Failure(f"line {number} {line[:60]!r}, {expect}: {problem}") from None
        summary = json.loads(out)
        count = 3 if expect == "accept" else 2
        if summary["appended"] != count or summary["rejected"] != (expect == "reject"):
            raise kappa.Failure(f"line {number} {line[:60]!r}, {expect}: {summary}")
        if expect == "reject" and not re.search(rb"line 2: K\d{4}: \S", errors):
            raise kappa.Failure(f"line {number}: no number and reason in {errors!r}")
        expected += [good[0]] + ([line] if expect == "accept" else []) + [good[1]]
    if log_of(server, topic) != expected:
        raise kappa.Failure("the log holds something else than the good lines")


def check_at_once(scratch, server, topic, lines):
    rejects = os.path.join(scratch.path, topic + ".rejects")
    data = b"".join(line + b"\n" for line, _ in lines)
    out, errors = server.run("append", topic, "-o", "json", "--rejects", rejects, stdin=data, expect=(6,))
    good = [line for line, expect in lines if expect == "accept"]
    bad = [(number, line) for number, (line, expect) in enumerate(lines, 1) if expect == "reject"]
    summary = json.loads(out)
    if (summary["appended"], summary["rejected"]) != (len(good), len(bad)):
        raise kappa.Failure(f"{len(good)} good and {len(bad)} bad lines gave {summary}")
    shown = [int(n) for n in re.findall(rb"line (\d+): K", errors)]
    if shown != [number for number, _ in bad[:5]]:
        raise kappa.Failure(f"named {shown}, expected {[n for n, _ in bad[:5]]}")
    if log_of(server, topic) != good:
        raise kappa.Failure("the log holds something else than the good lines")
    with open(rejects, "rb") as file:
        kept = file.read().split(b"\n")[:-1]
    for (_, line), found in zip(bad, kept, strict=True):
        if found != (line if len(line) <= MIB else line[: len(found)]):
            raise kappa.Failure(f"the rejects file has {found[:60]!r} for {line[:60]!r}")


def check_stop(server):
    data = b'{"a":1}\n[2]\n{"a":3}\n'
    out, _ = server.run("append", "stop", "-o", "json", "--on-error", "stop", stdin=data, expect=(6,))
    if json.loads(out)["appended"] != 1 or log_of(server, "stop") != [b'{"a":1}']:
        raise kappa.Failure("--on-error stop went on")


def check_byte_order_mark(server):
    server.append("bom", b"\xef\xbb\xbf" + b'{"a":1}\n')
    if log_of(server, "bom") != [b'{"a":1}']:
        raise kappa.Failure("the byte order mark of the first line was kept")


def main():
    shared = shared_set()
    with kappa.Scratch("bad") as scratch:
        server = scratch.server().start()
        for name, lines in [("own", OWN), ("shared", shared)]:
            if lines is None:
                continue
            check_one_by_one(server, name + "_single", lines)
            check_at_once(scratch, server, name + "_all", lines)
            print(f"{name}: {len(lines)} lines, each as expected")
        check_stop(server)
        check_byte_order_mark(server)
        server.stop()
    if shared is None:
        print("SKIPPED the big set of bad lines: set KAPPA_SHARED to the folder that holds bad-input/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
