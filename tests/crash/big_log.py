#!/usr/bin/env python3
"""Goal: after SIGKILL the server answers queries within two seconds however long the log is, because opening
reads the footers of sealed segments and at most two segments whole.

Method: `kappa bench append` fills a log with a view over it; SIGKILL while it still appends; the pages of the
data directory leave the page cache; the next start is measured from the start of the process to the first
answered query. That opening scanned at most two segments comes from `kappa status` and, independently, from
strace (if it is there) on a further start: which segment files were opened before the ready line, and from
/proc: bytes that the process read from the disk until it answered.

  big_log.py --mib 200             what ctest runs
  big_log.py --mib 10240           the large form: 11 GiB of disk, some minutes; KAPPA_SCRATCH says where
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402

STREAM = "CREATE STREAM bench (page VARCHAR, ms BIGINT) WITH (topic = 'bench')"
VIEW = "CREATE MATERIALIZED VIEW by_page AS SELECT page, count(*) AS n, sum(ms) AS total FROM bench GROUP BY page"
EVENT_BYTES = 200
SECONDS_MAX = 2.0


def drop_cache(directory):
    """The directory's files leave the page cache (dirty pages are written first)."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue  # The server's socket.
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                total += os.fstat(descriptor).st_blocks * 512
            finally:
                os.close(descriptor)
    return total


def disk_reads(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(re.search(r"^read_bytes: (\d+)", file.read(), re.M).group(1))


def first_answer(server):
    """Seconds from the start of the process to the ready line and to the first answered query."""
    begin = time.monotonic()
    server.start()
    ready = time.monotonic() - begin
    # Fresh: what the view had not committed when the server was killed is applied first.
    answer = server.sql("SELECT count(*) AS pages FROM by_page", "--fresh")
    seconds = time.monotonic() - begin
    if not re.fullmatch(r"pages\n\d+\n", answer) or int(answer.split()[1]) == 0:
        raise kappa.Failure(f"the first query answered {answer!r}")
    return ready, seconds, disk_reads(server.process.pid)


def check_status(server, segments_min):
    log = json.loads(server.run("status", "-o", "json")[0])["log"]
    if log["segments"] < segments_min:
        raise kappa.Failure(f"only {log['segments']} segments: the load did not roll")
    if log["recovery_segments_scanned"] > 2:
        raise kappa.Failure(f"opening scanned {log['recovery_segments_scanned']} segments")
    return log


def traced_start(server):
    """Segment files opened before the ready line, and calls, by strace; None where it cannot trace."""
    if shutil.which("strace") is None:
        return None
    path = os.path.join(server.directory, "..", "trace")
    command = ["strace", "-f", "-qq", "-o", path, "-e", "trace=openat,pread64,read,mmap,write",
               kappa.binary(), "serve", "-d", server.directory, "--listen", "127.0.0.1:0", *server.flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    ready = process.stdout.readline()
    if "ready" not in ready:
        process.wait()
        return None
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        for child in file.read().split():
            os.kill(int(child), signal.SIGTERM)
    process.wait()
    process.stdout.close()
    opened, whole = set(), set()
    handles = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if "write(1," in line and "ready" in line:
                break
            found = re.search(r'openat\(.*?"([^"]+)".*\) = (\d+)$', line)
            if found:
                handles[found.group(2)] = found.group(1)
                if found.group(1).endswith(".segment"):
                    opened.add(found.group(1))
            found = re.search(r"mmap\(NULL, (\d+), PROT_READ, MAP_SHARED, (\d+)", line)
            if found and handles.get(found.group(2), "").endswith(".segment"):
                whole.add(handles[found.group(2)])
    os.remove(path)
    return len(opened), len(whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=int, default=200, help="size of the log")
    parser.add_argument("--segment-bytes", type=int, default=0, help="default: 64 MiB, 32 MiB for a small log; below that more than two may be scanned")
    parser.add_argument("--starts", type=int, default=3, help="kills and starts")
    arguments = parser.parse_args()
    segment = arguments.segment_bytes or (64 << 20 if arguments.mib >= 2048 else 32 << 20)
    events = (arguments.mib << 20) // (EVENT_BYTES + 3)
    with kappa.Scratch("big") as scratch:
        server = scratch.server(flags=("--segment-bytes", str(segment))).start()
        server.run("sql", "-q", STREAM, VIEW)
        begin = time.monotonic()
        subprocess.run([kappa.binary(), "bench", "append", "-a", server.address, "--events", str(events), "--size",
                        str(EVENT_BYTES)], check=True, stdout=subprocess.DEVNULL)
        print(f"filled {arguments.mib} MiB in {time.monotonic() - begin:.1f} s", flush=True)
        worst = 0.0
        for number in range(arguments.starts):
            load = subprocess.Popen(
                [kappa.binary(), "bench", "append", "-a", server.address, "--duration", "10m", "--timeout", "1s"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            appended = lambda: json.loads(server.run("status", "-o", "json")[0])["log"]["events_appended"]  # noqa: E731
            before = appended()
            while appended() < before + 20_000:
                if load.poll() is not None:
                    raise kappa.Failure("the load ended by itself")
            server.kill()
            load.wait()
            size = drop_cache(server.directory)
            ready, seconds, read = first_answer(server)
            worst = max(worst, seconds)
            log = check_status(server, arguments.mib * (1 << 20) // segment * 3 // 4)
            print(f"start {number + 1}: {size / 2**30:.2f} GiB on disk, {log['segments']} segments, ready after {ready:.3f} s, "
                  f"first answer after {seconds:.3f} s; recovery ({log['recovery']}) scanned "
                  f"{log['recovery_segments_scanned']} segments, read {log['recovery_bytes_read'] / 2**20:.1f} MiB; "
                  f"the process read {read / 2**20:.1f} MiB from disk", flush=True)
        begin = time.monotonic()
        server.sql("SELECT count(*) AS pages FROM by_page", "--fresh", "--timeout", "10m")
        total = server.sql("SELECT sum(n) AS n FROM by_page", "--fresh")
        end = json.loads(server.run("status", "-o", "json")[0])["log"]["end"]
        if int(total.split()[1]) != end - 2:
            raise kappa.Failure(f"the view counts {total.split()[1]} events, the log has {end - 2}")
        print(f"view equal to the log ({end - 2} events) {time.monotonic() - begin:.1f} s later", flush=True)
        server.kill()
        traced = traced_start(server)
        if traced is None:
            print("strace: not available here")
        else:
            print(f"strace: {traced[0]} segment files opened before ready, {traced[1]} of them mapped; the others only "
                  "for their footers")
            if traced[1] > 3:  # The two that recovery scans, and the one the views' marks are in.
                raise kappa.Failure(f"{traced[1]} segments were mapped before the ready line")
        if worst > SECONDS_MAX:
            raise kappa.Failure(f"the first answer took {worst:.3f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except kappa.Failure as problem:
        print("FAIL", problem)
        sys.exit(1)
