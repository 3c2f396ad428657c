#!/usr/bin/env python3
"""Goal: each hostile client of the numbered list below costs only itself: no crash, no hang, no event that was not
acknowledged, and afterwards a fresh client appends and queries. Method: raw bytes over real sockets to the real server,
one case after the other on one server. Where $KAPPA_SHARED (or ../shared) has bad-input/hostile_frames.md, every number
of that list must have a case here; where it is not there, this is said. `tests/serving/hostile_test.cc` has the finer
checks, under the sanitizers too; set KAPPA to a binary with a sanitizer to run this with it."""

import os
import re
import shutil
import socket
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import kappa  # noqa: E402
from storm import HELLO, Wire, append, check, frame, read_all, text  # noqa: E402

ERROR, PONG, APPEND_OK, END = 3, 5, 17, 35
PING = frame(4, 90, b"")
FRESH = struct.pack("<BQI", 0, 0, 10_000)


def sql(number, statement):
    return frame(32, number, FRESH + text(statement))


def until_closed(wire):
    """What the server still says; it has to end the connection."""
    data = b""
    wire.socket.settimeout(60)
    try:
        while piece := wire.socket.recv(1 << 16):
            data += piece
    except ConnectionResetError:
        pass
    return data


def number_of(answer):
    kind, payload = answer
    check(kind == ERROR, f"an answer of type {kind} instead of an error")
    return struct.unpack_from("<H", payload, 2)[0]


def greeted(server):
    return Wire(server.address).greet()


def length_field(server, length):
    wire = greeted(server)
    wire.socket.sendall(length + b"\0" * 64)
    check(until_closed(wire)[16:17] in (b"\x03", b""), "a wrong length was answered with no error")


def raw_start(server, data):
    wire = Wire(server.address)
    wire.socket.sendall(data)
    try:
        wire.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    answer = until_closed(wire)
    check(not data or data[:16] not in answer, "the bytes came back")
    return answer


def framing_lengths(server):
    for length in (0, 1, 2**31, 2**31 - 1, 2**32 - 1):
        length_field(server, struct.pack("<I", length))
    length_field(server, struct.pack(">I", 64))


def largest(server):
    wire = greeted(server)
    one = append(2, [b"x" * 1_000_000] * 8)
    wire.socket.sendall(one)
    check(wire.frame()[0] == APPEND_OK, "a large valid frame was refused")


def short_payload(server):
    wire = greeted(server)
    wire.socket.sendall(append(2, [b'{"never":1}'])[:-1])
    wire.socket.shutdown(socket.SHUT_WR)
    check(until_closed(wire) == b"", "half a frame was answered")


def silent(server):
    wires = [Wire(server.address) for _ in range(300)]
    for wire in wires:
        wire.socket.sendall(HELLO[:8])
    healthy(server)
    for wire in wires:
        wire.socket.close()


def slow_reader(server):
    wire = greeted(server)
    wire.socket.sendall(read_all(2))
    wire.socket.recv(1)
    healthy(server)


def every_split(server):
    one = append(2, [b'{"split":1}'])
    for at in range(1, len(one)):
        wire = greeted(server)
        wire.socket.sendall(one[:at])
        wire.socket.sendall(one[at:])
        check(wire.frame()[0] == APPEND_OK, f"split at {at}")
        wire.socket.close()


def same_id(server):
    wire = greeted(server)
    waiting = frame(20, 7, text(b"t") + struct.pack("<BqQII", 1, 0, 0, 1000, 60_000))
    wire.socket.sendall(waiting + frame(4, 7, b""))
    check(number_of(wire.frame()) == 1008, "an id in flight was taken again")


def types(server):
    wire = greeted(server)
    for kind in (0, 0x7F, 0xFF):
        wire.socket.sendall(frame(kind, 5, b""))
        check(number_of(wire.frame()) == 1005, f"type {kind}")
    wire.socket.sendall(PING)
    check(wire.frame()[0] == PONG, "the connection ended")


def versions(server):
    for version in (0, 2, 255):
        said = raw_start(server, frame(1, 1, b"KAPPA\0\0\0" + struct.pack("<HHI", version, version, 0) + text(b"x")))
        check(b"1 to 1" in said, f"version {version}: {said!r}")


def strangers(server):
    for data in (frame(1, 1, b"OTHER\0\0\0" + struct.pack("<HHI", 1, 1, 0) + text(b"x")), b"GET / HTTP/1.1\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, b"SSH-2.0-x\r\n"):
        check(raw_start(server, data) == b"", f"{data[:20]!r} was answered")


def inner_lengths(server):
    wire = greeted(server)
    for kind in (16, 18, 20, 32, 36, 38, 40):
        for payload in (b"", b"\xff" * 4, b"\xff" * 300, struct.pack("<I", 5) + b"abcd", FRESH + b"\xff" * 8):
            wire.socket.sendall(frame(kind, 5, payload))
            check(number_of(wire.frame()) == 1006, f"type {kind}, {payload[:8]!r}")


def names(server):
    wire = greeted(server)
    for name in (b"a\0b", b"\xff\xfe", b"n" * 65536, b"", b"../../etc/passwd", b"\"q\" 'q'"):
        wire.socket.sendall(frame(36, 5, FRESH + text(name) + struct.pack("<HB", 1, 5) + text(name)))
        check(wire.frame()[0] == ERROR, f"a view named {name[:20]!r}")
        wire.socket.sendall(append(6, [b"{}"]).replace(text(b"t"), b"", 0))
        check(wire.frame()[0] == APPEND_OK, "an append failed")
    check(sorted(os.listdir(server.directory)) == ["kappa.sock", "log", "views"], "something lies in the data directory")


def no_events(server):
    wire = greeted(server)
    wire.socket.sendall(append(2, []) + append(3, []))
    first, second = wire.frame(), wire.frame()
    check(first[0] == second[0] == APPEND_OK and first[1] == second[1], "an empty batch moved the offset")


def reset(server):
    for _ in range(50):
        wire = greeted(server)
        wire.socket.sendall(append(2, [b'{"reset":1}'] * 10))
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.socket.close()
    healthy(server)
    count = server.run("read", "t")[0].split(b"\n").count(b'{"reset":1}')
    check(count % 10 == 0, f"{count} events of batches of 10: one was torn")


def come_and_go(server):
    for _ in range(2000):
        Wire(server.address).socket.close()


def offsets(server):
    wire = greeted(server)
    for value in (2**63 - 1, -1, -(2**63), 10**12):
        wire.socket.sendall(frame(20, 5, text(b"t") + struct.pack("<BqQII", 0, value, 0, 1000, 0)))
        check(number_of(wire.frame()) == 1011, f"offset {value}")


def statements(server):
    wire = greeted(server)
    for statement in (b"SELECT " + b"1+" * 524_000 + b"1", b"SELECT " + b"(" * 10_000 + b"1" + b")" * 10_000, b"SELECT 'open",
                      b"-- only a comment", b"", b"SELECT \0 1"):
        wire.socket.sendall(sql(5, statement))
        check(wire.frame()[0] == ERROR, f"{statement[:20]!r} was taken")


def killed(server):
    wire = greeted(server)
    wire.socket.sendall(append(2, [b'{"killed":1}']))
    check(wire.frame()[0] == APPEND_OK, "an append failed")
    server.kill()
    server.start()
    check(server.run("read", "t")[0].split(b"\n").count(b'{"killed":1}') == 1, "an acknowledged event is not there once")


CASES = {1: framing_lengths, 3: framing_lengths, 5: largest, 7: short_payload, 9: framing_lengths, 11: silent, 13: slow_reader,
         15: every_split, 17: same_id, 19: types, 21: versions, 23: strangers, 25: inner_lengths, 27: inner_lengths, 29: names,
         31: no_events, 33: reset, 35: come_and_go, 37: offsets, 39: statements, 41: killed}


def healthy(server):
    wire = greeted(server)
    wire.socket.sendall(append(2, [b'{"page":"/"}']) + sql(3, b"SELECT count(*) AS n FROM v"))
    kinds = []
    while APPEND_OK not in kinds or END not in kinds:
        kind, payload = wire.frame()
        check(kind != ERROR, f"a fresh client got {payload!r}")
        kinds.append(kind)
    wire.socket.close()


def main():
    shared = kappa.shared_directory()
    path = os.path.join(shared or "", "bad-input", "hostile_frames.md")
    if shared and os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            listed = {int(number) for number in re.findall(r"^(\d+)\. ", file.read(), re.MULTILINE)}
        check(listed <= set(CASES), f"no case for {sorted(listed - set(CASES))}")
    else:
        print("SKIPPED: the comparison with bad-input/hostile_frames.md, which is not there", file=sys.stderr)
    work = tempfile.mkdtemp(prefix="kappa-hostile-")
    try:
        os.mkdir(os.path.join(work, "data"))
        server = kappa.Server(os.path.join(work, "data"))
        server.start()
        try:
            server.sql("CREATE STREAM t (page TEXT)")
            server.sql("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM t GROUP BY page")
            for case in dict.fromkeys(CASES.values()):
                try:
                    case(server)
                    healthy(server)
                except Exception as problem:
                    raise kappa.Failure(f"{case.__name__}: {problem}\n{server.stderr()}") from problem
            check(b"never" not in server.run("read", "t")[0], "an unfinished frame is in the log")
        finally:
            server.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(CASES)} hostile clients harmed nobody")
    return 0


if __name__ == "__main__":
    sys.exit(main())
