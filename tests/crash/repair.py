#!/usr/bin/env python3
"""Goal: damage costs what it must and no more, seen through the real binary: a server meets a segment file
that is cut under it and lives; a damaged directory is served read-only; `kappa repair` says what it would
cost, does it, and the log, its views and its readers go on with the gap in plain sight.

Method: a log of many small segments with two topics and a view. Files are cut, changed and deleted while
a server runs and while none does; every answer, message and exit status is checked."""

import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

EVENTS = 3000
FLAGS = ["--segment-bytes", "65536", "--commit-interval", "50"]


def check(condition, what):
    if not condition:
        raise kappa.Failure(what)


def tool(*arguments, expect, **environment):
    result = subprocess.run([kappa.binary(), *arguments], capture_output=True, text=True,
                            env={**os.environ, **environment})
    check(result.returncode == expect,
          f"kappa {' '.join(arguments)} ended with {result.returncode}, not {expect}\n{result.stdout}{result.stderr}")
    return result.stdout


def status(server):
    return json.loads(server.run("status", "-o", "json")[0])


def segments(server):
    directory = os.path.join(server.directory, "log")
    return sorted(os.path.join(directory, n) for n in os.listdir(directory) if n.endswith(".segment"))


def base_offset(path):
    return int(os.path.basename(path)[11:31])


def write(server):
    server.sql("CREATE STREAM a (n BIGINT, k TEXT) WITH (topic = 'a')")
    server.sql("CREATE MATERIALIZED VIEW totals AS SELECT k, count(*) AS n, sum(n) AS total FROM a GROUP BY k")
    for topic in ("a", "b"):
        lines = "".join('{"n": %d, "k": "k%d", "pad": "%s"}\n' % (i, i % 7, "x" * 150) for i in range(EVENTS))
        server.append(topic, lines.encode(), "--batch", "50")


def read_offsets(server, topic, start):
    """Offsets of a topic from `start` on, stepping over damage as the errors say; and the errors."""
    offsets, errors = [], []
    while True:
        result = subprocess.run([kappa.binary(), "read", topic, "-a", server.address, "--from", str(start), "--format",
                                 "%o\\n"], capture_output=True, text=True)
        offsets += [int(line) for line in result.stdout.split()]
        if result.returncode == 0:
            return offsets, errors
        check(result.returncode == 7, f"a read over damage ended with {result.returncode}\n{result.stderr}")
        errors.append(result.stderr)
        start = int(re.search(r"can be read from offset (\d+)", result.stderr).group(1))
        check(len(errors) < 50, "reading does not get past the damage\n" + result.stderr)


def lost_in(errors):
    ranges = [re.search(r"offsets \[(\d+), (\d+)\) are damaged", error) for error in errors]
    check(all(ranges), f"an error names no offsets: {errors}")
    return [(int(r.group(1)), int(r.group(2))) for r in ranges]


def cut_under_a_server(server):
    """A sealed segment file is cut while the server has it mapped."""
    whole = {topic: read_offsets(server, topic, 0)[0] for topic in ("a", "b")}
    answer = server.sql("SELECT * FROM totals ORDER BY k")
    files = segments(server)
    victim = files[len(files) // 4]
    content = open(victim, "rb").read()
    os.truncate(victim, 12288)
    first, last = base_offset(victim), base_offset(files[files.index(victim) + 1])
    damaged = [o for o in whole["a"] if first <= o < last]
    check(damaged, "the segment that was cut has events of topic a")
    offsets, errors = read_offsets(server, "a", 0)
    check(errors, "nobody noticed the cut")
    for low, high in lost_in(errors):
        check(first <= low < high <= last, f"[{low}, {high}) is not inside [{first}, {last})")
        check(all(not low <= o < high for o in offsets), "a lost offset was served")
    lost = lost_in(errors)
    kept = [o for o in whole["a"] if not any(low <= o < high for low, high in lost)]
    check(offsets == kept, f"everything else of the topic is there: lost {lost}, not given "
          f"{sorted(set(kept) - set(offsets))[:20]}, given too much {sorted(set(offsets) - set(kept))[:20]}")
    check(os.path.basename(victim) in errors[0] and "bytes [" in errors[0], "the error names file and bytes: " + errors[0])
    other, errors = read_offsets(server, "b", max(whole["b"][0], last))
    check(not errors and other == [o for o in whole["b"] if o >= last], "another topic is not touched")
    check(server.sql("SELECT * FROM totals ORDER BY k") == answer, "the view answers as before")
    server.append("b", b'{"n": 1}\n')
    log = status(server)["log"]
    check(log["damaged_ranges"] >= 1 and not log["read_only"], "the status lists the damage; appends go on")
    check(log["damaged"][0]["file"] == os.path.basename(victim), "by file")
    text = server.run("status", "-o", "table")[0].decode()
    check(os.path.basename(victim) in text and str(log["damaged"][0]["first_offset"]) in text, "and as text:\n" + text)
    with open(victim, "wb") as file:
        file.write(content)


def refused(server):
    """Rot below the watermark in the last segment: served read-only."""
    answer = server.sql("SELECT * FROM totals ORDER BY k", "--fresh")
    whole = read_offsets(server, "b", 0)[0]
    server.stop()
    last = segments(server)[-1]
    with open(last, "r+b") as file:
        content = file.read()
        # The second batch of events: the first is the end of the page, the snapshot and one batch.
        places = [m.start() for m in re.finditer(b"KBAT", content)]
        file.seek(places[len(places) // 2] + 170)
        file.write(b"#")
    output = tool("verify", "-q", "-d", server.directory, expect=7)
    first, end = map(int, re.search(r"offsets \[(\d+), (\d+)\)", output).groups())
    server.start()
    log = status(server)["log"]
    check(log["read_only"] and log["damage"], "opened read-only")
    check([(d["first_offset"], d["end_offset"]) for d in log["damaged"]] == [(first, end)], f"exact offsets: {log}")
    offsets, errors = read_offsets(server, "b", 0)
    check(lost_in(errors) == [(first, end)], f"the read says what is lost: {errors}")
    check(offsets == [o for o in whole if not first <= o < end], "and gives everything else")
    check(server.sql("SELECT * FROM totals ORDER BY k") == answer, "the view answers what it has")
    error = server.run("append", "b", stdin=b'{"n": 1}\n', expect=(1,))[1].decode()
    check("read-only" in error and "kappa repair" in error, "the refusal says what to do: " + error)
    tool("repair", "-d", server.directory, expect=1)  # Not under a running server.
    server.stop()
    return (first, end)


def repair(server, lost):
    def tree():
        directory = os.path.join(server.directory, "log")
        return {n: open(os.path.join(directory, n), "rb").read() for n in os.listdir(directory)}

    before = tree()
    output = tool("repair", "-d", server.directory, expect=7)
    check(f"[{lost[0]}, {lost[1]})" in output and "--accept-loss" in output, "says what it would cost: " + output)
    tool("repair", "-d", server.directory, expect=7, KAPPA_ACCEPT_LOSS="1")
    check(tree() == before, "nothing changes without --accept-loss, which no setting gives")
    output = tool("repair", "-d", server.directory, "--accept-loss", expect=0)
    check(f"lost: {lost[1] - lost[0]} events, offsets [{lost[0]}, {lost[1]})" in output, output)
    check(any(n.startswith("damaged-") for n in tree()), "the damaged bytes are kept")
    output = tool("verify", "-d", server.directory, expect=0)
    check(f"gap: offsets [{lost[0]}, {lost[1]})" in output, "verify lists the gap: " + output)
    check("nothing to repair" in tool("repair", "-d", server.directory, "--accept-loss", expect=0), "once is enough")


def goes_on(server, lost):
    server.start()
    answer = status(server)
    check(not answer["log"]["read_only"] and not answer["log"]["damage"], "writable again")
    check(answer["log"]["gaps"] == [{"first_offset": lost[0], "end_offset": lost[1]}], f"gaps: {answer['log']['gaps']}")
    server.append("a", b'{"n": 1, "k": "new"}\n')
    check('"new",1,1' in server.sql("SELECT * FROM totals ORDER BY k", "--fresh"), "the view goes on")
    view = [v for v in status(server)["views"] if v["name"] == "totals"][0]
    check(view["gaps"] == f"[{lost[0]}, {lost[1]})", f"the view's status names the gap: {view}")
    out, err = server.run("read", "b", "--format", "%o\\n")
    check(f"offsets [{lost[0]}, {lost[1]}) are a gap" in err.decode(), "read warns: " + err.decode())
    check(not any(lost[0] <= int(o) < lost[1] for o in out.split()), "nothing is given for it")
    err = server.run("read", "b", "--from", str(lost[1]), "--format", "%o\\n")[1].decode()
    check("gap" not in err, "a read behind it does not warn: " + err)
    # A view over the gap is built from what is left.
    server.sql("CREATE STREAM b (n BIGINT) WITH (topic = 'b')")
    server.sql("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM b")
    kept = len(out.split())
    check(server.sql("SELECT * FROM counted", "--fresh").split() == ["n", str(kept)], "a new view counts what is left")
    server.stop()
    server.start()
    check(status(server)["log"]["gaps"] == [{"first_offset": lost[0], "end_offset": lost[1]}], "after another start too")
    server.stop()


def main():
    with kappa.Scratch("repair") as scratch:
        server = scratch.server(flags=FLAGS).start()
        write(server)
        check(len(segments(server)) > 8, "many segments")
        cut_under_a_server(server)
        lost = refused(server)
        repair(server, lost)
        goes_on(server, lost)
        tool("verify", "-q", "-d", server.directory, expect=0)
    print("ok")


if __name__ == "__main__":
    main()
