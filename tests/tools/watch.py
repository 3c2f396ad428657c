#!/usr/bin/env python3
"""Goal: `kappa watch` prints lines that add up to the view, in the form that the contract names, and ends and goes on
as its help says.
Method: a real server; the command's own output is added up and compared with `kappa sql`; the server is stopped, killed
and started again under it."""

import json
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from kappa import Failure, Scratch, binary  # noqa: E402


def check(condition, message):
    if not condition:
        raise Failure(message)


class Watch:
    """The command in the background; rows() are what its lines add up to."""

    def __init__(self, server, *arguments):
        self.snapshot = "--no-snapshot" not in arguments
        self.process = subprocess.Popen([binary(), "watch", "-a", server.address, *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rows = {}
        self.offset = -1
        self.resets = []
        self.lines = 0
        self.failure = None
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            change = json.loads(line)
            with self.changed:
                self.lines += 1
                if change["offset"] < self.offset:
                    self.failure = f"an offset went back: {line!r}"
                self.offset = change["offset"]
                if change["op"] == "reset":
                    self.resets.append(change["reason"])
                    self.rows = {}
                else:
                    row = json.dumps(change["row"])
                    copies = self.rows.get(row, 0) + (1 if change["op"] == "+" else -1)
                    if copies < 0 and self.snapshot:
                        self.failure = f"taken without being there: {line!r}"
                    self.rows[row] = copies
                    if copies == 0:
                        del self.rows[row]
                self.changed.notify_all()

    def wait_for(self, wanted):
        """Until the lines add up to these rows."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.failure or self.rows == wanted, timeout=120):
                raise Failure(f"the watch has {self.rows}, not {wanted}")
        check(self.failure is None, self.failure)

    def end(self, number=None):
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=120)
        self.thread.join()
        errors = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        check(self.failure is None, self.failure)
        return code, errors


def rows(server, statement):
    lines = server.run("sql", "--fresh", "-o", "ndjson", statement)[0].decode().splitlines()
    return {json.dumps(json.loads(line)): 1 for line in lines}


def events(*keys):
    return b"".join(b'{"k":"%s"}\n' % key.encode() for key in keys)


def main():
    with Scratch("watch") as scratch:
        server = scratch.server().start()
        server.sql("CREATE STREAM e (k TEXT)")
        server.sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k")
        server.append("e", events("a", "b", "a"))
        rows(server, "SELECT * FROM v")

        # The form of a line, and -n.
        output = server.run("watch", "v", "-n", "2")[0].decode()
        check(len(output.splitlines()) == 2, output)
        first = json.loads(output.splitlines()[0])
        check(list(first) == ["op", "offset", "row"] and first["op"] == "+" and first["row"] == {"k": "a", "n": 2}, output)
        csv = server.run("watch", "v", "a", "-n", "1", "-o", "csv")[0].decode().splitlines()
        check(csv[0] == "op,offset,k,n" and csv[1].split(",")[0] == '"+"' and csv[1].endswith(',"a",2'), str(csv))

        # What there is, a key, changes alone.
        whole, one, changes = Watch(server, "v"), Watch(server, "v", "a"), Watch(server, "v", "--no-snapshot")
        whole.wait_for(rows(server, "SELECT * FROM v"))
        one.wait_for(rows(server, "SELECT * FROM v WHERE k = 'a'"))
        changes_begun = subprocess.Popen([binary(), "watch", "-a", server.address, "v", "--no-snapshot", "-n", "1"],
                                         stdout=subprocess.PIPE)
        while changes_begun.poll() is None:
            server.append("e", events("a", "c"))  # Until it has begun to watch, and sees one.
        check(changes_begun.stdout.read().count(b"\n") == 1, "-n 1 printed another number of lines")
        changes_begun.stdout.close()
        whole.wait_for(rows(server, "SELECT * FROM v"))
        one.wait_for(rows(server, "SELECT * FROM v WHERE k = 'a'"))

        # A cutover is a difference.
        server.sql("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e WHERE k <> 'b' GROUP BY k")
        whole.wait_for({row: 1 for row in whole.rows if '"b"' not in row})

        # The server goes, and comes back: first as if nothing had happened, then with a change in between.
        server.listen = server.address
        server.stop()
        server.start()
        server.append("e", events("d"))
        whole.wait_for(rows(server, "SELECT * FROM v"))
        one.wait_for(rows(server, "SELECT * FROM v WHERE k = 'a'"))
        server.kill()
        server.start()
        server.append("e", events("a", "b", "e"))
        whole.wait_for(rows(server, "SELECT * FROM v"))
        one.wait_for(rows(server, "SELECT * FROM v WHERE k = 'a'"))

        # Ends.
        code, _ = one.end(signal.SIGINT)
        check(code == 130, f"Ctrl-C ended it with {code}")
        server.sql("DROP MATERIALIZED VIEW v")
        for watch in (whole, changes):
            code, errors = watch.end()
            check(code == 4 and "K2003" in errors, f"a dropped view ended it with {code}: {errors}")
        server.run("watch", "none", expect=(4,))
        server.stop()
        print(f"watched: {whole.lines} lines, resets {whole.resets}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
