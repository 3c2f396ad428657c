#!/usr/bin/env python3
"""Goal: `kappa apply` makes the server hold what a file says, once; `kappa view` compares, switches and goes back; and
both say what they do and end with the exit codes of docs/operations.md.

Method: the real binary against a real server. What was done is told from the log's end (nothing may be appended by a
run that has nothing to do), from the rows that views give, and from the definitions that the server holds."""

import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import kappa  # noqa: E402


def expect(what, actual, wanted):
    if actual != wanted:
        raise kappa.Failure(f"{what}: expected {wanted!r}, got {actual!r}")


def contains(what, text, *wanted):
    for piece in wanted:
        if piece not in text:
            raise kappa.Failure(f"{what}: expected {piece!r} in\n{text}")


class Cli:
    """Commands with two words, which Server.run() does not know."""

    def __init__(self, server, directory):
        self.server = server
        self.directory = directory

    def __call__(self, *arguments, wanted=0, stdin=None):
        result = subprocess.run([kappa.binary(), *arguments, "-a", self.server.address], input=stdin, capture_output=True,
                                cwd=self.directory, text=True, timeout=120)
        if result.returncode != wanted:
            raise kappa.Failure(f"kappa {' '.join(arguments)} ended with {result.returncode}, expected {wanted}\n"
                                + result.stdout + result.stderr + self.server.stderr())
        return result.stdout, result.stderr

    def apply(self, text, *flags, wanted=0, name="views.sql"):
        """`kappa apply` of a file with this text; the actions by name, and stderr."""
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
            file.write(text)
        out, err = self("apply", name, "-o", "ndjson", *flags, wanted=wanted)
        rows = [json.loads(line) for line in out.splitlines()]
        return {row["name"]: row for row in rows}, err

    def actions(self, text, *flags, wanted=0):
        return {name: row["action"] for name, row in self.apply(text, *flags, wanted=wanted)[0].items()}

    def log_end(self):
        return json.loads(self("status", "-o", "json")[0])["log"]["end"]

    def info(self, name):
        return json.loads(self("view", "info", name, "-o", "json")[0])

    def exists(self, name):
        rows = self.server.run("sql", "SHOW DEFINITIONS", "-o", "ndjson")[0].splitlines()
        return any(json.loads(row)["name"] == name for row in rows)

    def rows(self, sql):
        return self.server.sql(sql, "--fresh").splitlines()[1:]


STREAM = "CREATE STREAM hits (page TEXT, ms BIGINT);\n"
COUNTS = "CREATE MATERIALIZED VIEW page_hits AS SELECT page, count(*) AS n FROM hits GROUP BY page;\n"
SUMS = "CREATE MATERIALIZED VIEW page_hits AS SELECT page, sum(ms) AS n FROM hits GROUP BY page;\n"
MANUAL_SUMS = SUMS.replace("AS SELECT", "WITH (cutover = 'manual') AS SELECT")
TOP = "CREATE MATERIALIZED VIEW top AS SELECT max(n) AS n FROM page_hits;\n"
EVENTS = b"".join(b'{"page":"/%d","ms":%d}\n' % (n % 3, n) for n in range(30))


def twice_is_once(cli):
    script = STREAM + COUNTS + TOP
    before = cli.log_end()
    expect("a dry run", cli.actions(script, "--dry-run"), {"hits": "new", "page_hits": "new", "top": "new"})
    expect("a dry run appends nothing", cli.log_end(), before)
    expect("the first run", cli.actions(script), {"hits": "new", "page_hits": "new", "top": "new"})
    cli.server.append("hits", EVENTS)
    expect("rows", cli.rows("SELECT page, n FROM page_hits"), ['"/0",10', '"/1",10', '"/2",10'])
    before = cli.log_end()
    same = {"hits": "unchanged", "page_hits": "unchanged", "top": "unchanged"}
    expect("the second run", cli.actions(script), same)
    # The same, written by somebody else.
    other = ("-- the stream\ncreate stream if not exists HITS (page text, ms bigint) ;\n\n/* counts */\n"
             "create or replace view page_hits as\n  select page, COUNT(*) as n\n  from hits group by page;\n"
             "create view top with (keep_old = '1 hour') as select MAX(n) as n from page_hits")
    expect("written in another way", cli.actions(other), same)
    expect("nothing was appended", cli.log_end(), before)


def a_change_is_replayed_and_can_be_taken_back(cli):
    before = cli.log_end()
    plan, err = cli.apply(STREAM + SUMS, "--dry-run")
    expect("dry run", {name: row["action"] for name, row in plan.items()},
           {"hits": "unchanged", "page_hits": "changed", "top": "left alone"})
    expect("the replay that it needs", plan["page_hits"]["events"], before)
    contains("what goes with it", plan["page_hits"]["note"], "top")
    expect("a dry run appends nothing", cli.log_end(), before)
    expect("the run", cli.actions(STREAM + SUMS + TOP, "--wait"),
           {"hits": "unchanged", "page_hits": "changed", "top": "unchanged"})
    sums = ['"/0",135', '"/1",145', '"/2",155']
    expect("the new rows", cli.rows("SELECT page, n FROM page_hits"), sums)
    expect("what reads it", cli.rows("SELECT n FROM top"), ["155"])
    roles = {version["version"]: version["role"] for version in cli.info("page_hits")["versions"]}
    expect("versions", roles, {1: "kept", 2: "serving"})

    out, err = cli("view", "diff", "page_hits@1", "page_hits@2", "-o", "ndjson", wanted=1)
    expect("differences", [json.loads(line) for line in out.splitlines()][:2],
           [{"op": "-", "row": {"page": "/0", "n": 10}}, {"op": "+", "row": {"page": "/0", "n": 135}}])
    contains("their summary", err, "0 rows equal, 3 differ, 0 only in page_hits@1, 0 only in page_hits@2", "at offset")
    out, err = cli("view", "diff", "page_hits@2", "page_hits", "-o", "ndjson")
    expect("a version and itself", out, "")
    contains("their summary", err, "3 rows equal")

    cli("view", "rollback", "page_hits")
    expect("rolled back", cli.rows("SELECT n FROM top"), ["10"])
    # What the file says is kept: it serves again without being built again.
    plan, _ = cli.apply(STREAM + SUMS + TOP)
    expect("forward again", plan["page_hits"]["action"], "changed")
    expect("without a replay", plan["page_hits"]["events"], None)
    expect("rows", cli.rows("SELECT page, n FROM page_hits"), sums)
    expect("no third version", max(version["version"] for version in cli.info("page_hits")["versions"]), 2)
    plan, _ = cli.apply(STREAM + COUNTS + TOP)
    expect("the old file", cli.rows("SELECT n FROM top"), ["10"])


def what_is_being_built_is_not_begun_again(cli):
    name = "CREATE MATERIALIZED VIEW slow {} AS SELECT page, {} AS n FROM hits GROUP BY page;\n"
    manual = "WITH (cutover = 'manual')"
    first, second, third = (name.format(options, what) for options, what in
                            [("", "count(*)"), (manual, "sum(ms)"), (manual, "max(ms)")])
    cli.apply(first)
    expect("a manual change", cli.actions(second)["slow"], "changed")
    before = cli.log_end()
    expect("again", cli.actions(second)["slow"], "being built")
    # Nobody switches to it, so what needs it cannot wait for it.
    _, err = cli.apply(third, wanted=1)
    contains("another text meanwhile", err, "views.sql:1:1: ", "K2016", "being replaced")
    expect("nothing was appended", cli.log_end(), before)
    expect("the definition", [version["role"] for version in cli.info("slow")["versions"]], ["serving", "next"])
    cli("view", "cancel", "slow")
    expect("cancelled", [version["role"] for version in cli.info("slow")["versions"]], ["serving"])
    cli.apply(second)
    # It is there once the old one's events are in it.
    cli("view", "diff", "slow@1", "slow@" + str(cli.info("slow")["versions"][-1]["version"]), wanted=1)
    cli("view", "cutover", "slow")
    expect("switched", cli.rows("SELECT n FROM slow WHERE page = '/0'"), ["135"])
    expect("and the file says so", cli.actions(second)["slow"], "unchanged")
    cli("view", "drop", "slow")
    cli("view", "info", "slow", wanted=4)


def changes_that_depend_on_each_other_go_one_after_the_other(cli):
    script = STREAM.replace("BIGINT", "DOUBLE") + SUMS + TOP.replace("max", "min")
    expect("all three", cli.actions(script, "--wait"), {"hits": "changed", "page_hits": "changed", "top": "changed"})
    expect("rows", cli.rows("SELECT n FROM top"), ["135"])
    before = cli.log_end()
    expect("then", cli.actions(script), {"hits": "unchanged", "page_hits": "unchanged", "top": "unchanged"})
    expect("nothing was appended", cli.log_end(), before)


def changes_that_only_fit_together_are_one_replacement(cli):
    cli.server.append("pairs", b"".join(b'{"a":"%d","b":"%d","n":1}\n' % (n % 2, n % 5) for n in range(20)))
    first = ("CREATE STREAM pairs (a TEXT, n BIGINT);\n"
             "CREATE VIEW by_pair AS SELECT a AS k, sum(n) AS n FROM pairs GROUP BY a;\n"
             "CREATE VIEW most AS SELECT max(n) AS n FROM by_pair;\n")
    cli.apply(first, "--wait")
    expect("before", cli.rows("SELECT n FROM most"), ["10"])
    # The stream loses the column that the view reads, the view reads one that the stream does not have yet; and
    # something new that needs both. In the order of the file no two of them could go one after the other.
    second = ("CREATE VIEW by_pair AS SELECT b AS k, sum(n) AS n\n  FROM pairs GROUP BY b;\n"
              "CREATE VIEW count_b AS SELECT count(*) AS n FROM pairs;\n"
              "CREATE STREAM pairs (b TEXT, n BIGINT);\n"
              "CREATE VIEW most AS SELECT min(n) AS n FROM by_pair WHERE n > 0;\n")
    before = cli.log_end()
    plan, _ = cli.apply(second, "--dry-run")
    expect("dry run", {name: plan[name]["action"] for name in ("by_pair", "count_b", "pairs", "most")},
           {"by_pair": "changed", "count_b": "new", "pairs": "changed", "most": "changed"})
    expect("its replay", (plan["by_pair"]["events"], plan["by_pair"]["seconds"] is not None), (before, True))
    expect("a dry run appends nothing", cli.log_end(), before)
    _, err = cli.apply(second.replace("min(n)", "min(nope)"), wanted=1)
    contains("an error in the set", err, "views.sql:5:32: error K2006", "min(nope)")
    expect("nothing was replaced", [v["role"] for v in cli.info("pairs")["versions"]], ["serving"])
    _, err = cli.apply(second, "--wait")
    contains("what was done", err, "CREATE VIEW by_pair", "CREATE STREAM pairs", "CREATE VIEW most", "CREATE VIEW count_b")
    expect("after", cli.rows("SELECT n FROM most"), ["4"])
    expect("the new one", cli.rows("SELECT n FROM count_b"), ["20"])
    expect("one version each", [[v["version"] for v in cli.info(name)["versions"]] for name in ("pairs", "by_pair", "most")],
           [[1, 2], [1, 2], [1, 2]])
    before = cli.log_end()
    expect("again", {row["action"] for name, row in cli.apply(second)[0].items() if name in plan and row["action"] != "left alone"},
           {"unchanged"})
    expect("nothing was appended", cli.log_end(), before)
    cli("view", "drop", "most")
    cli("view", "drop", "by_pair")
    cli("view", "drop", "count_b")
    cli.server.sql("DROP STREAM pairs")


def it_stops_at_the_first_failure(cli):
    before = cli.log_end()
    broken = "CREATE VIEW a AS SELECT page FROM hits;\n\nCREATE VIEW b AS\n  SELEC page FROM hits;\n"
    plan, err = cli.apply(broken, wanted=1)
    contains("a syntax error", err, "views.sql:4:3: error K2001", "SELEC page", "^")
    expect("nothing is run", (plan, cli.log_end()), ({}, before))
    _, err = cli.apply(broken, "--dry-run", wanted=1)
    contains("nor does a dry run take it", err, "K2001")
    _, err = cli.apply("CREATE VIEW a AS SELECT page FROM hits;\nSELECT * FROM a;\n", wanted=1)
    contains("a query", err, "views.sql:2:1: error K2005", "only CREATE and DROP")
    expect("nothing is run", cli.log_end(), before)
    unknown = ("CREATE VIEW a AS SELECT page FROM hits;\nCREATE VIEW b AS\n  SELECT nope FROM hits;\n"
               "CREATE VIEW c AS SELECT ms FROM hits;\n")
    _, err = cli.apply(unknown, wanted=1)
    contains("an error of the second", err, "views.sql:3:10: error K2006", "nope")
    expect("only the first ran", [name for name in ("a", "b", "c") if cli.exists(name)], ["a"])
    # In a text that is a change, the words that make it one are not in the file.
    _, err = cli.apply("CREATE VIEW a AS SELECT nope FROM hits;\n", wanted=1)
    contains("an error of a change", err, "views.sql:1:25: error K2006", "1 | CREATE VIEW a AS SELECT nope", "nope")
    _, err = cli.apply("CREATE STREAM a (x BIGINT)", wanted=1)
    contains("another kind", err, "views.sql:1:1: error K2007", "is a view")
    expect("dropped, and absent", cli.actions("DROP VIEW a; DROP VIEW IF EXISTS b; DROP VIEW nobody;\n"),
           {"a": "drop", "b": "absent", "nobody": "absent", "hits": "left alone", "page_hits": "left alone",
            "top": "left alone"})
    cli("apply", "not-there.sql", wanted=2)
    cli("apply", "-", "-o", "ndjson", stdin=STREAM.replace("BIGINT", "DOUBLE"))


def versions_are_listed_and_refused(cli):
    listed = [json.loads(line) for line in cli("view", "ls", "-o", "ndjson")[0].splitlines()]
    expect("ls", sorted({row["view"] for row in listed}), ["page_hits", "top"])
    info = cli.info("page_hits")
    expect("info", (info["kind"], info["read_by"]), ("view", ["top"]))
    contains("its text", [v for v in info["versions"] if v["role"] == "serving"][0]["sql"], "sum(ms)")
    contains("for people", cli("view", "info", "page_hits", "-o", "table")[0], "page_hits@", "applied", "sql")
    expect("a stream", cli.info("hits")["read_by"], ["page_hits", "top"])
    _, err = cli("view", "drop", "page_hits", wanted=1)
    contains("in use", err, "K2010", "top", "CASCADE")
    for command in ("info", "cutover", "rollback", "cancel", "pause", "resume", "drop"):
        _, err = cli("view", command, "page_hist", wanted=4)
        contains(command, err, "K2003", "did you mean")
    _, err = cli("view", "rollback", "top@1", wanted=1)
    cli("view", "diff", "page_hits", "hits", wanted=1)
    cli("view", "cancel", "page_hits", wanted=1)
    cli("view", "pause", "page_hits", wanted=4)
    # Without a key that both have, rows are compared whole, each with its columns.
    cli.server.sql("CREATE MATERIALIZED VIEW all_hits AS SELECT page, ms FROM hits")
    out, err = cli("view", "diff", "all_hits", "page_hits", "-o", "ndjson", wanted=1)
    rows = [json.loads(line) for line in out.splitlines()]
    # Three pages are in both; of the 30 rows 27 are over.
    expect("pages", (len(rows), {row["op"] for row in rows}), (27, {"-"}))
    contains("columns", err, "only all_hits@1 has: ms", "has: n", "3 rows equal")
    cli("view", "diff", "all_hits", "all_hits@1")
    cli("view", "drop", "page_hits", "--cascade")
    expect("gone", (cli.exists("page_hits"), cli.exists("top")), (False, False))

def large_versions_are_compared_in_step(cli):
    """More rows than the sockets hold: both scans wait for their reader, and neither may wait for the other."""
    count = 60_000
    cli.server.sql("CREATE STREAM wide (k TEXT, n BIGINT)")
    pad = "x" * 150
    cli.server.append("wide", b"".join(b'{"k":"%d-%s","n":%d}\n' % (n, pad.encode(), n) for n in range(count)))
    view = "CREATE MATERIALIZED VIEW big AS SELECT k, max(n) AS n FROM wide GROUP BY k;\n"
    cli.apply(view, "--wait")
    cli.apply(view.replace("max(n)", "max(CASE WHEN n = 41999 THEN -1 ELSE n END)"), "--wait", "--timeout", "60s")
    out, err = cli("view", "diff", "big@1", "big@2", "-o", "ndjson", wanted=1)
    expect("the one that differs", [(row["op"], row["row"]["n"]) for row in map(json.loads, out.splitlines())],
           [("-", 41999), ("+", -1)])
    contains("the others", err, f"{count - 1} rows equal, 1 differ, 0 only")
    out, err = cli("view", "diff", "big@1", "big@2", "-o", "csv", wanted=1)
    expect("as CSV", out, f'op,k,n\n"-","41999-{pad}",41999\n"+","41999-{pad}",-1\n')


# In this order: each begins with what the one before left.
CHECKS = [twice_is_once, a_change_is_replayed_and_can_be_taken_back, what_is_being_built_is_not_begun_again,
          changes_that_depend_on_each_other_go_one_after_the_other, changes_that_only_fit_together_are_one_replacement,
          it_stops_at_the_first_failure,
          versions_are_listed_and_refused, large_versions_are_compared_in_step]


def main():
    with kappa.Scratch("apply") as scratch:
        cli = Cli(scratch.server().start(), scratch.path)
        for check in CHECKS:
            started = time.monotonic()
            try:
                check(cli)
                print(f"ok    {check.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
            except (kappa.Failure, ValueError, KeyError, subprocess.TimeoutExpired) as problem:
                print(f"FAIL  {check.__name__}: {problem}", flush=True)
                return 1
        cli.server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
