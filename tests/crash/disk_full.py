#!/usr/bin/env python3
"""Goal: a full disk is a state. On a real file system of 64 MiB: appends are refused, queries and views
answer, the status says full; with not a byte free the server still stops with 0, starts after a SIGKILL, and
answers; when space comes back appends go on by themselves, and every acknowledged event is there once.

Method: a tmpfs in a mount namespace of this process alone, a ballast file that is deleted later, a second
one that takes the very last byte. Where mounting is refused the loud line SKIPPED says so, and the same
steps run against a disk that is only full by its reserve."""

import ctypes
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

SIZE = 64 << 20
BALLAST = 12 << 20
CHUNK = 4000
DEADLINE = 60
FLAGS = ["--segment-bytes", "1048576", "--commit-interval", "50"]
SETUP = """
CREATE STREAM hits (id BIGINT, page TEXT) WITH (topic = 'hits');
CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS n, max(id) AS top FROM hits GROUP BY page;
CREATE MATERIALIZED VIEW ids AS SELECT id, count(*) AS n FROM hits GROUP BY id;
"""
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 1 << 18


def mount_small_disk(path):
    """A tmpfs at `path` that only this process and its children see; None, or why not."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
    if libc.unshare(CLONE_NEWNS) != 0:
        return "unshare: " + os.strerror(ctypes.get_errno())
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return "making mounts private: " + os.strerror(ctypes.get_errno())
    if libc.mount(b"tmpfs", path.encode(), b"tmpfs", 0, f"size={SIZE}".encode()) != 0:
        return "mount: " + os.strerror(ctypes.get_errno())
    return None


def check(condition, what):
    if not condition:
        raise kappa.Failure(what)


def status(server):
    return json.loads(server.run("status", "-o", "json")[0])


def until(condition, what):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        check(time.monotonic() < deadline, "it did not become true in time: " + what)


class Ledger:
    """What was acknowledged: every id below `end`, apart from the chunk that was refused."""

    def __init__(self):
        self.next = 0
        self.acknowledged = []  # Ranges of ids.

    def append(self, server, timeout):
        """One chunk; True if all of it was acknowledged."""
        first, self.next = self.next, self.next + CHUNK
        data = "".join('{"id":%d,"page":"/p%d"}\n' % (i, i % 97) for i in range(first, self.next))
        command = [kappa.binary(), "append", "-a", server.address, "hits", "-o", "json", "--timeout", timeout, "--producer",
                   f"chunk{first}"]
        result = subprocess.run(command, input=data.encode(), capture_output=True)
        if result.returncode == 0:
            self.acknowledged.append((first, self.next))
            return True
        check(result.returncode in (1, 5), f"append ended with {result.returncode}: {result.stderr.decode()[-500:]}")
        check(b"K3004" in result.stderr or b"3004" in result.stderr or b"time" in result.stderr,
              "the refusal does not say that the disk is full: " + result.stderr.decode()[-500:])
        return False

    def check(self, server):
        """Every acknowledged event is in the log, once, and in the views."""
        seen = [json.loads(line)["id"] for line in server.run("read", "hits")[0].splitlines()]
        check(len(seen) == len(set(seen)), "an event is there twice")
        there = set(seen)
        for first, end in self.acknowledged:
            missing = [i for i in range(first, end) if i not in there]
            check(not missing, f"{len(missing)} acknowledged events are missing, the first is {missing[:1]}")
        return len(seen)


def answers(server):
    return [server.sql("SELECT sum(n), max(top) FROM pages"), server.sql("SELECT count(*), sum(n) FROM ids"),
            server.run("get", "pages", "/p5", "-o", "csv")[0].decode(),
            server.run("read", "hits", "-n", "3", "--format", "%o %v\\n")[0].decode()]


def take_the_last_byte(path):
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 4096):
            try:
                while True:
                    if file.write(bytes(size)) < size:
                        break
            except OSError:
                pass


def on_a_small_disk(scratch, disk):
    ballast, last = os.path.join(disk, "ballast"), os.path.join(disk, "last")
    with open(ballast, "wb") as file:
        file.write(bytes(BALLAST))
    server = scratch.server(os.path.join("disk", "data"), flags=FLAGS)
    server.log = os.path.join(scratch.path, "stderr")  # Not on the disk that gets full.
    server.start()
    server.run("sql", "-q", "--", SETUP)
    ledger = Ledger()
    while ledger.append(server, "2s"):
        check(ledger.next < 10_000_000, "the disk never got full")
    now = status(server)
    check(now["log"]["full"] and now["log"]["full_reason"], "the status does not say full")
    print(f"refused after {ledger.next} events, {now['log']['disk_free_bytes']} bytes free: "
          + now["log"]["full_reason"], flush=True)
    before = answers(server)
    count = ledger.check(server)
    # What is refused is refused clearly, for a statement too; dropping makes room and is possible.
    refused = server.run("sql", "CREATE STREAM more (a BIGINT)", expect=(1,))[1]
    check(b"K3004" in refused, "CREATE on a full disk: " + refused.decode())

    take_the_last_byte(last)
    check(os.statvfs(disk).f_bavail == 0, "there are bytes left")
    check(answers(server) == before, "answers changed on the full disk")
    server.stop()
    print("stopped with 0, not a byte free", flush=True)
    server.start()
    check(answers(server) == before, "answers changed over a restart on the full disk")
    check(not ledger.append(server, "1s"), "an append was taken without a byte free")
    server.kill()
    server.start()
    check(status(server)["log"]["full"], "the status does not say full after a SIGKILL and a start")
    until(lambda: answers(server) == before, "answers after a SIGKILL on the full disk")
    ledger.check(server)
    print("started after SIGKILL, not a byte free", flush=True)

    os.remove(last)
    os.remove(ballast)
    until(lambda: ledger.append(server, "5s"), "appends go on by themselves when there is space")
    check(not status(server)["log"]["full"], "the status still says full")
    for _ in range(5):
        check(ledger.append(server, "30s"), "an append was refused with space")
    total = ledger.check(server)
    check(total >= count + 6 * CHUNK, "events are missing")
    view, log = server.sql("SELECT sum(n) AS n FROM pages", "--fresh"), server.sql("SELECT count(*) AS n FROM hits")
    check(view == log, f"the view has {view!r}, the log {log!r}")
    for view in status(server)["views"]:
        check(view["state"] in ("live", "building"), f"view {view['name']} is {view['state']}: {view.get('error')}")
    server.stop()
    subprocess.run([kappa.binary(), "verify", "-q", "-d", server.directory], check=True)
    print(f"resumed by itself; {total} events, every acknowledged one there, once", flush=True)


def emulated(scratch):
    everything = str(1 << 59)
    server = scratch.server(flags=FLAGS).start()
    server.run("sql", "-q", "--", SETUP)
    ledger = Ledger()
    check(ledger.append(server, "30s"), "an append was refused")
    server.sql("SELECT count(*) FROM pages", "--fresh")
    before = answers(server)
    server.stop()
    server.flags = FLAGS + ["--disk-reserve", everything]
    for end in (server.stop, server.kill):
        server.start()
        check(status(server)["log"]["full"], "the status does not say full")
        check(not ledger.append(server, "1s"), "an append was taken from the reserve")
        until(lambda: answers(server) == before, "answers with the reserve short")
        end()
    server.flags = FLAGS
    server.start()
    check(ledger.append(server, "30s"), "an append was refused with space")
    ledger.check(server)
    server.stop()


def main():
    with kappa.Scratch("diskfull") as scratch:
        disk = os.path.join(scratch.path, "disk")
        os.makedirs(disk)
        problem = mount_small_disk(disk)
        if problem is None:
            try:
                on_a_small_disk(scratch, disk)
            finally:
                for server in scratch.servers:
                    if server.process is not None:
                        server.kill()
                subprocess.run(["umount", "-l", disk], check=False)
        else:
            print(f"SKIPPED: no small file system can be mounted here ({problem}); "
                  "only a disk that is full by its reserve is tested", flush=True)
            emulated(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
