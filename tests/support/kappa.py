"""One real server in a directory of its own, and the command line against it: what the end-to-end
tests share. Nothing here sleeps: a server is ready when it says so, a process has ended when it is
reaped."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

READY_SECONDS = 60


class Failure(Exception):
    """A check that did not hold; the message says what was expected and what came."""


def binary():
    """The binary under test: $KAPPA, else the release build."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("KAPPA", os.path.join(here, "..", "..", "build", "release", "tools", "kappa"))


def shared_directory():
    """The folder with the data that may not be copied into the project: $KAPPA_SHARED, else ../shared
    beside the project; None if it is not there."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("KAPPA_SHARED", os.path.join(here, "..", "..", "..", "shared"))
    return os.path.abspath(path) if os.path.isdir(path) else None


def read_data(path):
    """Bytes of a data file, decompressed if its name ends in .zst."""
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout
    with open(path, "rb") as file:
        return file.read()


class Server:
    """`kappa serve` on a data directory. stop() drains, kill() is SIGKILL; start() starts again."""

    def __init__(self, directory, listen="127.0.0.1:0", flags=()):
        self.directory = directory
        self.listen = listen
        self.flags = list(flags)
        self.process = None
        self.address = None
        self.log = os.path.join(directory, "..", os.path.basename(directory) + ".stderr")

    def launch(self):
        """Starts the process without waiting for the ready line."""
        command = [binary(), "serve", "-d", self.directory, "--listen", self.listen, *self.flags]
        with open(self.log, "ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL)

    def wait_ready(self):
        line = b""
        deadline = time.monotonic() + READY_SECONDS
        descriptor = self.process.stdout.fileno()
        while b"\n" not in line:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise Failure("the server did not say that it is ready\n" + self.stderr())
            piece = os.read(descriptor, 4096)
            if not piece:
                raise Failure(f"the server ended with {self.process.wait()} before it was ready\n" + self.stderr())
            line += piece
        found = re.search(rb"(127\.0\.0\.1|\[::1\]|localhost):\d+", line)
        if not found:
            raise Failure(f"no address in the ready line {line!r}")
        self.address = found.group().decode()
        return self

    def start(self):
        self.launch()
        return self.wait_ready()

    def stderr(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()[-4000:]
        except OSError:
            return ""

    def _reap(self):
        code = self.process.wait()
        self.process.stdout.close()
        self.process = None
        return code

    def stop(self):
        """SIGTERM; checks that the server drains and ends with 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self._reap()
        if code != 0:
            raise Failure(f"SIGTERM ended the server with {code}\n" + self.stderr())

    def kill(self):
        self.process.kill()
        self._reap()

    def run(self, *arguments, stdin=None, expect=(0,)):
        """A client command; returns (stdout, stderr) as bytes."""
        command, *rest = arguments
        result = subprocess.run([binary(), command, "-a", self.address, *rest], input=stdin, capture_output=True)
        if result.returncode not in expect:
            raise Failure(
                f"kappa {command} {' '.join(map(str, rest))[:200]} ended with {result.returncode}, expected {expect}\n"
                + result.stderr.decode(errors="replace")[-2000:]
                + self.stderr()
            )
        return result.stdout, result.stderr

    def sql(self, statement, *flags):
        return self.run("sql", statement, "-o", "csv", "-q", *flags)[0].decode()

    def append(self, topic, data, *flags):
        """Appends bytes; returns the JSON summary."""
        return json.loads(self.run("append", topic, "-o", "json", *flags, stdin=data)[0])


class Scratch:
    """A directory for a test, removed at its end (kept if the test failed, and named)."""

    def __init__(self, name):
        self.path = tempfile.mkdtemp(prefix=f"kappa-{name}-", dir=os.environ.get("KAPPA_SCRATCH"))
        self.servers = []

    def server(self, name="data", **options):
        directory = os.path.join(self.path, name)
        os.makedirs(directory, exist_ok=True)
        server = Server(directory, **options)
        self.servers.append(server)
        return server

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for server in self.servers:
            if server.process is not None:
                server.kill()
        if kind is None or not os.environ.get("KAPPA_KEEP"):
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print("kept", self.path)
