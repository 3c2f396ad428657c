#!/usr/bin/env python3
"""Goal: `kappa sql` on a terminal is a shell: statements over several lines, errors that do not end it,
dot commands, history that is kept.

Method: the real binary on a pseudo-terminal; each step waits for what it expects to see."""

import os
import pty
import select
import subprocess
import sys
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402


class Shell:
    def __init__(self, server, state):
        self.master, slave = pty.openpty()
        environment = dict(os.environ, XDG_STATE_HOME=state, TERM="vt100", NO_COLOR="1")
        self.process = subprocess.Popen([kappa.binary(), "sql", "-a", server.address], stdin=slave, stdout=slave,
                                        stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        self.text = ""

    def expect(self, wanted):
        """Reads until `wanted` appears; gives what came before it."""
        deadline = time.monotonic() + 60
        while wanted not in self.text:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise kappa.Failure(f"the shell did not print {wanted!r}; it printed {self.text[-1500:]!r}")
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                raise kappa.Failure(f"the shell ended before {wanted!r}: {self.text[-1500:]!r}") from None
        before, _, self.text = self.text.partition(wanted)
        return before

    def send(self, text):
        os.write(self.master, text.encode())

    def ask(self, text, *wanted):
        self.send(text)
        for one in wanted:
            self.expect(one)

    def ask_until(self, text, wanted):
        """Asks again until the answer has `wanted`: for what becomes true in the background."""
        deadline = time.monotonic() + 60
        while True:
            self.send(text)
            if wanted in self.expect("kappa> "):
                return
            if time.monotonic() > deadline:
                raise kappa.Failure(f"{text!r} never answered {wanted!r}")

    def await_line_editor(self):
        """Until the terminal is the line editor's: the prompt may be printed a moment before, and what is
        typed in between is the terminal's to interpret (Ctrl-D would become a character)."""
        deadline = time.monotonic() + 60
        while termios.tcgetattr(self.master)[3] & termios.ICANON:
            if time.monotonic() > deadline:
                raise kappa.Failure("the shell never took the terminal")
            os.sched_yield()

    def end(self, text):
        self.await_line_editor()
        self.send(text)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise kappa.Failure(f"{text!r} did not end the shell") from None
        os.close(self.master)
        if code != 0:
            raise kappa.Failure(f"the shell ended with {code}")


def main():
    with kappa.Scratch("shell") as scratch:
        server = scratch.server().start()
        server.append("hits", b"".join(b'{"page":"/p%d","n":%d}\n' % (n % 3, n) for n in range(30)))
        # Typed only at a prompt: between prompts the terminal is not the shell's to read.
        shell = Shell(server, scratch.path)
        shell.expect("kappa> ")
        shell.ask("CREATE STREAM hits (page TEXT,\n", "...> ")
        shell.ask("n BIGINT);\n", "CREATE STREAM\r\n", "kappa> ")
        shell.ask("CREATE MATERIALIZED VIEW v AS SELECT page, sum(n) AS total FROM hits GROUP BY page;\n", "kappa> ")
        shell.ask("SELECT * FROM nowhere;\n", "error K2003", "^~~~~~~", "kappa> ")
        shell.ask_until(".views\n", "live")
        shell.ask(".nonsense\n", "no command .nonsense", "kappa> ")
        shell.ask("SELECT 'a;b' AS text, total FROM v WHERE page = '/p1';\n", "145", "kappa> ")
        shell.ask("\\?\n", "Ctrl-D", "kappa> ")
        shell.end("\\q\n")

        again = Shell(server, scratch.path)
        again.expect("kappa> ")
        again.ask("\x1b[A", "page = '/p1';")  # Up: the last statement of the shell before.
        again.ask("\n", "145", "kappa> ")
        again.end("\x04")
        server.stop()
    print("the shell keeps its promises")
    return 0


if __name__ == "__main__":
    sys.exit(main())
