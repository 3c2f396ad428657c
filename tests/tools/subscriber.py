#!/usr/bin/env python3
"""Goal: `kappa read --subscriber` prints every event, once where nobody is killed, over any number of runs, restarts of
the server and a restore.
Method: a real server; runs with and without -n and -F; the outputs joined are the topic."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from kappa import Failure, Scratch, binary  # noqa: E402


def check(condition, message):
    if not condition:
        raise Failure(message)


def lines(first, end):
    return b"".join(b'{"n":%d}\n' % n for n in range(first, end))


def main():
    with Scratch("subscriber") as scratch:
        server = scratch.server().start()
        server.append("e", lines(0, 100))
        read = ["read", "e", "--subscriber", "s"]
        seen = server.run(*read, "-n", "30")[0]
        check(seen == lines(0, 30), f"the first 30: {seen!r}")
        server.listen = server.address
        server.stop()
        server.start()
        seen = server.run(*read, "--from", "end")[0]
        check(seen == lines(30, 100), f"after a restart: {seen!r}")
        check(server.run(*read)[0] == b"", "nothing was left to read")

        # A follower that is interrupted stores where it was.
        server.append("e", lines(100, 150))
        follower = subprocess.Popen([binary(), "read", "-a", server.address, "e", "-F", "--subscriber", "s"],
                                    stdout=subprocess.PIPE)
        seen = b"".join(follower.stdout.readline() for _ in range(50))
        check(seen == lines(100, 150), f"followed: {seen!r}")
        follower.send_signal(signal.SIGINT)
        check(follower.wait(timeout=60) == 130, "Ctrl-C")
        follower.stdout.close()
        server.append("e", lines(150, 160))
        check(server.run(*read)[0] == lines(150, 160), "after Ctrl-C")

        # Another topic is refused; forgetting begins anew; a backup has it.
        server.append("f", lines(0, 1))
        server.run("read", "f", "--subscriber", "s", expect=(1,))
        server.append("e", lines(160, 170))
        server.stop()
        copy = os.path.join(scratch.path, "copy")
        restored = scratch.server("restored")
        os.rmdir(restored.directory)
        for command in (["backup", copy, "-d", server.directory], ["restore", copy, "-d", restored.directory]):
            result = subprocess.run([binary(), *command], capture_output=True)
            check(result.returncode == 0, f"{command}: {result.stderr.decode()}")
        restored.start()
        check(restored.run(*read)[0] == lines(160, 170), "after a restore")
        restored.run(*read, "--forget")
        check(restored.run(*read)[0] == lines(0, 170), "after it was forgotten")
        restored.stop()
        print("subscribed: every event once")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
