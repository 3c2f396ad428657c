#!/usr/bin/env python3
"""Goal: the oracle notices a wrong answer. Method: one bug at a time is planted by a small edit in a copy of the
tree; the copy's oracle is built and run for a bounded time, and must report a mismatch. Prints a table: bug, and
how many comparisons it took to notice it, or MISSED.

Not part of ctest: it builds the processor once a bug.

    tests/oracle/plant_bugs.py                        all bugs, in a temporary directory
    tests/oracle/plant_bugs.py --list
    tests/oracle/plant_bugs.py sum_rounded ...        these only
    tests/oracle/plant_bugs.py --work DIR             keeps the copy and its build for the next run

Exit code: 0 if every bug was noticed and the sound copy passes, 1 if not, 2 if an edit does not fit the source
any more."""

import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mutations  # noqa: E402

# name, what is wrong, [(file, old text, new text)]. The old text must be there exactly once.
BUGS = [
    ("retraction_dropped", "a value that is taken back stays in the multiset of min, max and DISTINCT", [
        ("processor/operators/aggregates/multiset.cc",
         "  step.after = step.before + weight;\n",
         "  step.after = weight < 0 && step.before == 1 ? step.before : step.before + weight;\n")]),
    ("count_of_null", "count(x) counts NULLs", [
        ("processor/operators/aggregates/count.cc", "      if (valid != nullptr && !valid[row]) continue;\n", "")]),
    ("null_and_false", "NULL AND FALSE is NULL", [
        ("processor/vector/kernels_logic.cc",
         "valid[row] = static_cast<std::uint8_t>(decided || (a_valid[row] & b_valid[row]) != 0);",
         "valid[row] = static_cast<std::uint8_t>((a_valid[row] & b_valid[row]) != 0);")]),
    ("sum_rounded", "a sum of doubles is rounded at each step", [
        ("processor/operators/aggregates/sum.cc",
         "      add(sum, values[row], weight);\n      char stored",
         "      add(sum, values[row], weight);\n"
         "      if constexpr (std::is_same_v<Number, double>) {\n"
         "        if (const auto rounded = sum.to_double(-1074, 1, 0)) {\n"
         "          sum = WideInteger();\n"
         "          sum.add(*rounded, 1);\n"
         "        }\n"
         "      }\n"
         "      char stored")]),
    ("sum_wraps", "a sum of integers wraps at 64 bits", [
        ("processor/operators/aggregates/sum.cc",
         "      store_raw(at + 8, load_raw<Int128>(at + 8) + static_cast<Int128>(values[row]) * weight);\n",
         "      store_raw(at + 8, Int128{static_cast<std::int64_t>(static_cast<std::uint64_t>(load_raw<Int128>(at + 8)) +\n"
         "                        static_cast<std::uint64_t>(values[row]) * static_cast<std::uint64_t>(weight))});\n")]),
    ("window_bound", "an event at the end of a hopping window is in it", [
        ("processor/operators/hop.cc",
         "for (; start > Int128{time} - size_ && status; start -= slide_) {",
         "for (; start >= Int128{time} - size_ && status; start -= slide_) {")]),
    ("pane_before_1970", "panes of hopping windows round toward zero", [
        ("processor/sql/panes.cc", "return time - (time % slide_ + slide_) % slide_;",
         "return time - time % slide_;")]),
    ("pane_bound", "a hopping window of panes has one pane too many", [
        ("processor/sql/panes.cc", "return std::max(floor(time) + slide_,", "return std::max(floor(time),")]),
    ("window_before_1970", "hopping windows round toward zero", [
        ("processor/operators/hop.cc", " - (time % slide_ < 0 ? slide_ : 0);", ";")]),
    ("like_by_bytes", "_ of LIKE is one byte", [
        ("processor/vector/like.cc",
         "      for (++at; at < text.size() && !starts_code_point(text[at]); ++at) {",
         "      for (++at; at < text.size() && at < at; ++at) {")]),
    ("overflow_wraps", "BIGINT addition wraps", [
        ("processor/vector/kernels_arithmetic.cc",
         "    return !__builtin_add_overflow(a, b, &out);\n", "    return __builtin_add_overflow(a, b, &out) || true;\n")]),
    ("late_merge_lost", "what a session had that a late event joins to another one is forgotten", [
        ("processor/operators/session_aggregate.cc",
         "    KAPPA_CHECK_OK(aggregates_->merge(run.group.value, std::string_view(found.value).substr(kLastBytes)));\n", "")]),
    ("derived_lost", "the first event that a derived stream makes anew after a restart is taken for one the topic has", [
        ("processor/derived_writer.cc",
         "    next_ = last ? *last + 1 : state.next_sequence;\n", "    next_ = last ? *last + 2 : state.next_sequence;\n")]),
    ("derived_doubled", "the last event that a derived stream's topic has is made again after a restart", [
        ("processor/derived_writer.cc",
         "    next_ = last ? *last + 1 : state.next_sequence;\n", "    next_ = last ? *last : state.next_sequence;\n")]),
    ("scan_without_end", "a scan's upper bound is forgotten", [
        ("processor/query.cc", "    clip(range, {}, std::move(to));\n", "")]),
    ("retain_late", "a window leaves one microsecond late", [
        ("processor/operators/window_expiry.h", "Int128{*end} + after_ + (session_ ? 1 : 0) <= watermark_", "Int128{*end} + after_ + (session_ ? 1 : 0) < watermark_")]),
    ("extreme_not_lost", "a maximum that is taken back stays", [
        ("processor/operators/aggregates/extremum.cc",
         "        lost_.push_back(&group);\n",
         "        if (rows.rows.size() > 1) lost_.push_back(&group);\n")]),
]


def run(work, seconds, seed):
    """(problems, comparisons, the first line of the first problem)."""
    command = [os.path.join(work, "build", "tests", "oracle", "oracle"), "--seconds", str(seconds), "--seed", str(seed),
               "--problems", "1", "--cases", "none"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds * 4 + 240,
                              errors="replace", text=True)
    except subprocess.TimeoutExpired:
        return 1, 0, "hangs"
    summary = re.search(r"(\d+) comparisons .* (\d+) problems", done.stdout)
    if not summary:
        return 1, 0, f"ended with {done.returncode}"
    first = re.search(r"^MISMATCH (.*)$", done.stdout, re.MULTILINE)
    return int(summary.group(2)), int(summary.group(1)), first.group(1)[:60] if first else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mutations.add_arguments(parser)
    parser.add_argument("--seconds", type=int, default=60, help="for each bug")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    def check(work):
        problems, comparisons, first = run(work, arguments.seconds, arguments.seed)
        return problems > 0, f"{comparisons} comparisons {first}"

    return mutations.run(arguments, BUGS, ["oracle"], check)


if __name__ == "__main__":
    sys.exit(main())
