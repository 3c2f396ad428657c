#!/usr/bin/env python3
"""Goal: the pages tell of what is there. Every test, path, flag and error number that they name exists, and
every row of docs/durability.md that claims something names what shows it, or says that no test does.

Method: the names are taken from the pages' code spans, code blocks, links and tables, and looked for in the
tree: `Suite.Test` among the TEST macros (with `*` for a part of it), paths from the project's root, flags in
the sources of the tools and scripts, numbers of the log's errors in both directions, the log's files in
docs/architecture.md. A second part runs the
same functions on made-up pages, so that each check is known to fail when it should."""

import glob
import os
import re
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
FOLDERS = ("proto", "log", "processor", "serving", "tools", "tests", "docs", ".ci")
DURABILITY = "docs/durability.md"
SHOWN = "shown by"
NO_TEST = "no test"

MACRO = re.compile(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST)\(\s*(\w+),\s*(\w+)\s*\)", re.MULTILINE)
# A test in a code span. Names of files (README.md) and of types have no capital behind the point.
TEST = re.compile(r"^[A-Z]\w*\.(?:[A-Z]\w*\*?|\*)$")
SPAN = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
LINK = re.compile(r"\]\(([^)#:]+)\)")
CTEST = re.compile(r"ctest [^\n`]*-R ([\w.]+)")
# Where an error is made, as far as one can see; and any number that may be one.
ERROR = re.compile(r"\bfail(?:_errno)?\(\s*(?:ErrorCode::k\w+,\s*)?(3\d\d\d)\b|\{ErrorCode::k\w+,\s*(3\d\d\d)\b|"
                   r"Number = (3\d\d\d);")
NUMBER = re.compile(r"\b3\d\d\d\b")


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def files_in(folders, suffixes):
    for top in folders:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def tests_in(source):
    return {f"{suite}.{test}" for suite, test in MACRO.findall(source)}


def spans_of(page):
    """Code spans, without those inside blocks."""
    return SPAN.findall(BLOCK.sub("", page))


def missing_tests(page, tests):
    wanted = [span for span in spans_of(page) if TEST.match(span)]
    return [name for name in wanted
            if name not in tests and not (name.endswith("*") and any(t.startswith(name[:-1]) for t in tests))]


def missing_ctests(page, tests):
    return [name for name in CTEST.findall(page) if not any(name in test for test in tests)]


def paths_of(page):
    """The first word of each span that begins with one of the project's folders and names something in it."""
    for span in spans_of(page):
        word = span.split()[0] if span.split() else ""
        if word.split("/")[0] in FOLDERS and "/" in word and "<" not in word:
            yield word


def missing_paths(page):
    return [path for path in paths_of(page) if not glob.glob(os.path.join(ROOT, path))]


def missing_links(name, page):
    folder = os.path.dirname(os.path.join(ROOT, name))
    return [link for link in LINK.findall(page) if not os.path.exists(os.path.join(folder, link))]


def missing_flags(page, sources):
    """Flags of ctest and cmake are theirs; they stand in lines that begin with these words."""
    text = "\n".join(spans_of(page) + BLOCK.findall(page))
    lines = [line for line in text.split("\n") if not re.match(r"\s*(ctest|cmake)\b", line)]
    return sorted({flag for line in lines for flag in FLAG.findall(line.split("cmake")[0])
                   if f'"{flag}' not in sources and f",{flag}" not in sources})


def tables_of(page):
    """[(header, rows)] of a page, as lists of cells."""
    tables = []
    for line in BLOCK.sub("", page).split("\n") + [""]:
        if not line.startswith("|"):
            open_table = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not tables or not open_table:
            tables.append((cells, []))
            open_table = True
        elif not all(set(cell) <= set("-:") for cell in cells):
            tables[-1][1].append(cells)
    return tables


def unshown_rows(page):
    """Rows of tables with a column `shown by` that neither name a test nor say that there is none."""
    unshown = []
    for header, rows in tables_of(page):
        if SHOWN not in header:
            continue
        for row in rows:
            proof = row[header.index(SHOWN)] if len(row) == len(header) else ""
            named = [s for s in SPAN.findall(proof) if TEST.match(s) or s.split("/")[0] == "tests"]
            if not named and NO_TEST not in proof:
                unshown.append(row[0])
    return unshown


def numbers_of(page):
    """Numbers of the tables `number | code | when`."""
    numbers = set()
    for header, rows in tables_of(page):
        if header[0] != "number":
            continue
        for row in rows:
            for part in row[0].split(","):
                first, _, last = part.strip().partition("-")
                numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def ctest_names():
    names = set(re.findall(r"add_test\(NAME ([\w.-]+)", text_of("tests/CMakeLists.txt")))
    for name, label in re.findall(r"^kappa_script\((\w+) ([\w-]+)", text_of("tests/CMakeLists.txt"), re.MULTILINE):
        names.add(f"{label}.{name}")
    return names


def self_test():
    tests = {"Recovery.TornTail", "DiskFull.ASync"}
    assert tests_in("TEST_F(Recovery,\n       TornTail) {") == {"Recovery.TornTail"}
    assert missing_tests("`Recovery.TornTail` `DiskFull.*` `README.md` `DiskFull.A*`", tests) == []
    assert missing_tests("`Recovery.Gone` `Gone.*` `DiskFull.B*`", tests) == ["Recovery.Gone", "Gone.*", "DiskFull.B*"]
    assert missing_ctests("`ctest -L x -R Torn`", tests) == [] and missing_ctests("ctest -R Gone", tests) == ["Gone"]
    assert missing_paths("`log/log.h` `tests/crash/*.py --x` `$DATA/x` `views/`") == []
    assert missing_paths("`log/gone.h` `tests/*/gone.py`") == ["log/gone.h", "tests/*/gone.py"]
    assert missing_links("docs/x.md", "[a](sql.md) [b](https://x) [c](sql.md#d)") == []
    assert missing_links("docs/x.md", "[a](gone.md)") == ["gone.md"]
    assert missing_flags("`--yes` `ctest --preset x`\n```sh\nkappa --no\n```\n", '"--yes"') == ["--no"]
    table = f"| a | {SHOWN} |\n|---|---|\n| 1 | `A.B` |\n| 2 | `tests/x.py` |\n| 3 | {NO_TEST} |\n| 4 | surely |\n| 5 |\n"
    assert unshown_rows(table) == ["4", "5"]
    assert numbers_of("| number | code |\n|---|---|\n| 3001 | x |\n| 3020-3022, 3030 | y |\n") == {
        3001, 3020, 3021, 3022, 3030}


def main():
    self_test()
    tests = set()
    for path in files_in(["tests"], (".cc", ".h")):
        tests |= tests_in(text_of(path))
    every_test = tests | ctest_names()
    sources = "".join(text_of(p) for p in files_in(["tools", "tests"], (".cc", ".h", ".py")))
    pages = sorted(files_in(["docs"], (".md",))) + ["README.md", "CONTRIBUTING.md"]
    problems = []
    numbers = set()
    for name in pages:
        page = text_of(name)
        numbers |= numbers_of(page)
        for what, found in (("test", missing_tests(page, tests)), ("ctest test", missing_ctests(page, every_test)),
                            ("path", missing_paths(page)), ("page", missing_links(name, page)),
                            ("flag", missing_flags(page, sources))):
            problems += [f"{name}: there is no {what} {it}" for it in found]
    durability = text_of(DURABILITY)
    if not any(SHOWN in header for header, _ in tables_of(durability)):
        problems.append(f"{DURABILITY}: no table has a column \"{SHOWN}\"")
    problems += [f"{DURABILITY}: nothing shows \"{row}\"" for row in unshown_rows(durability)]
    used, seen = set(), set()
    for path in files_in(["proto", "log", "processor", "tools"], (".cc", ".h")):
        source = text_of(path)
        used |= {int(number) for groups in ERROR.findall(source) for number in groups if number}
        seen |= {int(number) for number in NUMBER.findall(source)}
    problems += [f"error {number} is in no table" for number in sorted(used - numbers)]
    problems += [f"error {number} is in a table and nowhere in the code"
                 for number in sorted(n for n in numbers - seen if 3000 <= n < 4000)]
    flags = set(re.findall(r'"(?:-\w,)?(--[a-z-]+)"', text_of("tools/serve_command.cc")))
    operations = text_of("docs/operations.md")
    problems += [f"docs/operations.md: `serve` has {flag}" for flag in sorted(flags) if f"{flag}" not in operations]
    architecture = text_of("docs/architecture.md")
    for path in files_in(["log"], (".cc", ".h")):
        stem = os.path.splitext(os.path.basename(path))[0]
        if not re.search(rf"`{stem}\.(h|cc)`", architecture):
            problems.append(f"docs/architecture.md does not say where {path} belongs")
    cited = sum(len([s for s in spans_of(text_of(name)) if TEST.match(s)]) for name in pages)
    print("\n".join(problems) if problems else f"{len(pages)} pages, {cited} tests named, all there")
    return 1 if problems or cited == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
