#!/usr/bin/env python3
"""Goal: the door of the real server holds against the real `openssl s_client` and the command line: what is not TLS 1.2 or
newer, not the right certificate, not a good token or not its scope gets nothing; no secret is ever in the log; a port that
others can reach does not open without TLS and tokens; SIGTERM still ends with 0.

Method: certificates by `openssl req`; each case runs against one server, and after all of them a good client is served."""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402


def check(condition, what):
    if not condition:
        raise kappa.Failure(what)


def run(*command, stdin=b"", env=None):
    result = subprocess.run(command, input=stdin, capture_output=True, timeout=60, env={**os.environ, **(env or {})})
    return result.returncode, result.stdout, result.stderr.decode(errors="replace")


def certificate(path, name):
    code, _, errors = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                          "-keyout", path(name + ".key"), "-out", path(name + ".crt"), "-subj", "/CN=" + name,
                          "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    check(code == 0, "openssl req: " + errors)
    return path(name + ".crt"), path(name + ".key")


def s_client(address, *flags, stdin=b""):
    """What the server sent inside TLS until it ended the connection, and what s_client says about it. A frame of no length
    makes it end."""
    return run("openssl", "s_client", "-connect", address, "-quiet", *flags, stdin=stdin + b"\0\0\0\0")[1:]


def hello(token=None):
    payload = b"KAPPA\0\0\0" + struct.pack("<HHI", 1, 1, 0) + struct.pack("<I", 3) + b"tls"
    if token is not None:
        payload += struct.pack("<I", len(token)) + token.encode()
    rest = struct.pack("<QBBH", 1, 1, 0, 0) + payload
    return struct.pack("<II", 4 + len(rest), zlib.crc32(rest)) + rest


def frame_types(data):
    types = []
    while len(data) >= 20:
        length, = struct.unpack_from("<I", data)
        types.append(data[16])
        data = data[4 + length:]
    return types


def error_number(data):
    return struct.unpack_from("<H", data, 22)[0]


HELLO_OK, ERROR = 2, 3


def refuses_to_start(path, good, key, tokens):
    for flags in ([], ["--tokens", tokens], ["--tls-cert", good, "--tls-key", key]):
        code, _, errors = run(kappa.binary(), "serve", "-d", path("never"), "--listen", "0.0.0.0:0", *flags)
        check(code == 1 and "K4003" in errors, f"a port for others opened with {flags}: {code} {errors}")
    check(not os.path.exists(path("never", "kappa.sock")), "a socket was left behind")


def protocols(address, authority):
    for flag in ("-tls1_2", "-tls1_3"):
        out, errors = s_client(address, flag, "-CAfile", authority, "-verify_return_error", stdin=hello(""))
        check(frame_types(out) == [ERROR] and error_number(out) == 4011, f"{flag}: {out!r} {errors}")
    for flag in ("-ssl3", "-tls1", "-tls1_1"):
        out, errors = s_client(address, flag, "-cipher", "ALL:@SECLEVEL=0", stdin=hello(""))
        check(out == b"" and re.search("alert|unsupported|unknown option|no protocols", errors, re.I), f"{flag}: {out!r} {errors}")
    for cipher in ("AES256-SHA", "ECDHE-ECDSA-AES256-SHA", "NULL"):
        out, errors = s_client(address, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0", stdin=hello(""))
        check(out == b"", f"{cipher} was taken: {errors}")


def tokens_of(address, authority, server, tokens, path):
    def add(*flags):
        code, out, errors = run(kappa.binary(), "token", "add", "--tokens", tokens, *flags)
        check(code == 0 and re.fullmatch(rb"kappa_[0-9a-f]{12}_[0-9a-f]{64}\n", out), errors)
        return out.decode().strip()

    def client(token, *command, stdin=b"", address=address):
        return run(kappa.binary(), *command, "-a", address, "--tls-ca", authority, stdin=stdin,
                   env={"KAPPA_TOKEN": token})

    secrets = []
    admin = add("--scope", "admin", "--expires", "1h")
    append = add("--scope", "append:hits", "--scope", "read:other")
    read = add("--scope", "read:page_hits,read:hits", "--expires", "never")
    ended = add("--scope", "admin", "--expires", "2001-01-01T00:00:00Z")
    wrong = admin[:-1] + ("0" if admin[-1] != "0" else "1")
    secrets += [admin, append, read, ended, wrong]
    # Over s_client: the frames themselves.
    out, errors = s_client(address, "-CAfile", authority, "-verify_return_error", stdin=hello(admin))
    check(frame_types(out) == [HELLO_OK, ERROR], f"a good token: {out!r} {errors}")
    for token in (None, wrong, ended):
        out, _ = s_client(address, "-CAfile", authority, stdin=hello(token))
        check(frame_types(out) == [ERROR] and error_number(out) == 4011, f"{token}: {out!r}")
    # Over the command line: what they may do.
    code, _, errors = client(admin, "sql", "CREATE STREAM hits (page TEXT); CREATE MATERIALIZED VIEW page_hits AS "
                             "SELECT page, count(*) AS n FROM hits GROUP BY page")
    check(code == 0, errors)
    code, _, errors = client(append, "append", "hits", stdin=b'{"page":"/"}\n')
    check(code == 0, errors)
    code, out, errors = client(read, "get", "page_hits", "/", "--fresh")
    check(code == 0 and b'"n":1' in out, f"{out} {errors}")
    code, out, errors = client(read, "sql", "SELECT sum(n) AS n FROM page_hits", "--fresh")
    check(code == 0 and b'"n":1' in out, f"{out} {errors}")
    for token, command in ((append, ("get", "page_hits", "/")), (append, ("watch", "page_hits")), (append, ("read", "hits")), (append, ("append", "others")),
                           (append, ("status",)), (read, ("append", "hits")), (read, ("sql", "DROP VIEW page_hits")),
                           (read, ("sql", "SHOW VIEWS"))):
        code, out, errors = client(token, *command, stdin=b"{}\n")
        check(code == 1 and "K4013" in errors and out == b"", f"{command} was allowed: {code} {out} {errors}")
    for token in ("", wrong, ended):
        code, out, errors = client(token, "status")
        check(code == 1 and "K4011" in errors and out == b"", f"{code} {errors}")
    # A certificate that is not trusted, and a name that it is not for.
    other, _ = certificate(path, "other")
    code, _, errors = run(kappa.binary(), "status", "-a", address, "--tls-ca", other, "--token", admin)
    check(code == 1 and "K1018" in errors, errors)
    # Revoked while the server runs.
    code, out, _ = run(kappa.binary(), "token", "ls", "--tokens", tokens, "-o", "csv")
    check(code == 0 and out.count(b"\n") == 5 and not any(s.rsplit("_", 1)[1].encode() in out for s in secrets), out)
    code, _, errors = run(kappa.binary(), "token", "revoke", "--tokens", tokens, read.split("_")[1])
    check(code == 0, errors)
    code, _, errors = client(read, "get", "page_hits", "/")
    check(code == 1 and "K4011" in errors, "a revoked token is still good")
    code, _, errors = run(kappa.binary(), "token", "revoke", "--tokens", tokens, "0123456789ab")
    check(code == 4, f"a token that is not there was revoked: {code}")
    with open(tokens, encoding="utf-8") as file:
        stored = file.read()
    return secrets, stored


def main():
    if not shutil.which("openssl"):
        print("SKIPPED: there is no openssl", file=sys.stderr)
        return 1
    work = tempfile.mkdtemp(prefix="kappa-tls-")
    try:
        def path(*names):
            return os.path.join(work, *names)

        good, key = certificate(path, "server")
        tokens = path("tokens")
        os.close(os.open(tokens, os.O_CREAT, 0o600))
        refuses_to_start(path, good, key, tokens)
        os.mkdir(path("data"))
        server = kappa.Server(path("data"), flags=["--tls-cert", good, "--tls-key", key, "--tokens", tokens])
        server.start()
        try:
            protocols(server.address, good)
            for junk in (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", hello("x"), b"\x16\x03\x01\xff\xff" + b"\0" * 64):
                code, out, _ = run("bash", "-c", 'exec 3<>"/dev/tcp/${0/://}"; cat >&3; timeout 20 cat <&3', server.address,
                                   stdin=junk)
                check(code in (0, 1) and len(out) <= 7 and out[:1] in (b"", b"\x15"), f"{junk!r} was answered: {code} {out!r}")
            secrets, stored = tokens_of(server.address, good, server, tokens, path)
            code, out, errors = run(kappa.binary(), "status", "-a", path("data", "kappa.sock"), "-o", "json")
            check(code == 0 and b'"tls":true' in out, errors)
        finally:
            server.stop()
        with open(server.log, encoding="utf-8") as file:
            log = file.read()
        for secret in secrets:
            check(secret.rsplit("_", 1)[1] not in log + stored, "a secret is in the log or in the file of tokens")
        for digest in re.findall(r'"sha256":"([0-9a-f]{64})"', stored):
            check(digest not in log, "a hash is in the log")
        check("unsupported protocol" in log, "the log does not say why a client was closed")
        check(not os.path.exists(path("data", "kappa.sock")), "the Unix socket outlives the server")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("the door holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
