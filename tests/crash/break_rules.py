#!/usr/bin/env python3
"""Goal: the tests notice when a rule of durability is broken. Method: each rule of docs/durability.md is
broken by a small edit in a copy of the tree; the copy is built, and the crash enumerator, then the log's
tests, must fail. Prints a table: rule, the test that failed first, or MISSED.

Not part of ctest: it builds the log once a rule. One rule takes about a minute.

    tests/crash/break_rules.py                      all rules, in a temporary directory
    tests/crash/break_rules.py --list
    tests/crash/break_rules.py ack_before_sync ...  these only
    tests/crash/break_rules.py --work DIR           keeps the copy and its build for the next run

Exit code: 0 if every broken rule was noticed and the unbroken copy passes, 1 if not, 2 if an edit does
not fit the source any more."""

import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mutations  # noqa: E402

# name, what is broken, [(file, old text, new text)]. The old text must be there exactly once.
RULES = [
    ("ack_before_sync", "acknowledged when written, in every mode", [
        ("log/log_append.cc",
         "    if (options_.durability == Durability::kWritten) acknowledge_written(group);\n",
         "    for (Completion& completion : group.completions) completion.done(std::move(completion.result));\n"
         "    group.completions.clear();\n")]),
    ("visible_before_sync", "readers see what is written", [
        ("log/group_sync.cc",
         "  bool strict = false;\n  const auto work = [&]() -> Status {\n",
         "  bool strict = false;\n"
         "  if (!groups.empty() && groups.back().bytes > 0) {\n"
         "    durable_position_.store(groups.back().end_position.value());\n"
         "    durable_offset_.store(groups.back().end_offset.value());\n"
         "    notify_durable();\n"
         "  }\n"
         "  const auto work = [&]() -> Status {\n")]),
    ("no_directory_sync_at_roll", "a new segment's name is not synced before its first group is acknowledged", [
        ("log/group_sync.cc",
         "        KAPPA_CHECK_OK(directory_->sync());\n", "")]),
    ("old_segment_not_synced_at_roll", "the segment before is not synced before the new one", [
        ("log/group_sync.cc",
         "        KAPPA_CHECK_OK(flush());\n        dirty = nullptr;\n", "        dirty = nullptr;\n")]),
    ("directory_name_not_synced", "a new log directory's own name is not synced", [
        ("log/initialize.cc",
         '  KAPPA_CHECK_OK(files.sync_directory(parent.empty() ? "." : parent));\n', "")]),
    ("replace_without_sync", "MANIFEST and CONTROL are renamed before their content is synced", [
        ("log/file.cc",
         "    KAPPA_CHECK_OK(file->pwrite(as_bytes(content), 0));\n    return file->fdatasync();\n",
         "    return file->pwrite(as_bytes(content), 0);\n")]),
    ("watermark_before_sync", "strict stores W before the batch is synced", [
        ("log/group_sync.cc",
         "    KAPPA_CHECK_OK(flush());\n"
         "    if (!strict) return {};\n",
         "    if (strict) KAPPA_CHECK_OK(control_->write(groups.back().end_position, groups.back().end_offset));\n"
         "    KAPPA_CHECK_OK(flush());\n"
         "    if (!strict) return {};\n")]),
    ("no_watermark", "recovery does not look at W", [
        ("log/recovery.cc", "  if (*facts.watermark > facts.end) return TailDecision::kRefuseRot;\n", "")]),
    ("no_durable_upto", "recovery does not look at a later header's durable_upto", [
        ("log/recovery.cc",
         "  if (facts.later_durable_upto && *facts.later_durable_upto > facts.end) return TailDecision::kRefuseRot;\n",
         "")]),
    ("no_search_behind_the_end", "the first invalid header ends the search", [
        ("log/recover.cc", "    bool any = false;\n    const auto note",
         "    bool any = false;\n    if (from > 0) return false;\n    const auto note")]),
    ("tail_not_written_again", "the accepted tail is taken as it is", [
        ("log/recover.cc",
         "    if (segment_end <= watermark && header.base_position < watermark) return {};\n",
         "    if (segment_end >= watermark || segment_end < watermark) return {};\n")]),
    ("header_page_not_written_again", "an empty last segment is taken as it is", [
        ("log/recover.cc",
         "    if (segment_end <= watermark && header.base_position < watermark) return {};\n",
         "    if (segment_end <= watermark) return {};\n")]),
    ("names_not_synced_at_opening", "names of a killed process are believed", [
        ("log/recover.cc",
         "    const LogPosition watermark = *facts_.watermark;\n"
         "    // Names that a killed process left behind may be known to the page cache only.\n"
         "    KAPPA_CHECK_OK(files_.sync_directory(directory_));\n",
         "    const LogPosition watermark = *facts_.watermark;\n")]),
    ("control_not_written_again", "the page of CONTROL that was read is taken as it is", [
        ("log/control_file.h", "    KAPPA_CHECK_OK(store(current_));\n", "")]),
    ("tail_only_synced", "the accepted tail is synced, but not written again", [
        ("log/recover.cc", "      KAPPA_CHECK_OK(file->pwrite(as_bytes(piece), at));\n      at += n;\n",
         "      at += n;\n")]),
    ("tail_not_zeroed", "a torn tail stays behind the end", [
        ("log/recover.cc", "        for (std::uint64_t at = stop_at_; at < end; at += zeros.size())\n",
         "        for (std::uint64_t at = end; at < end; at += zeros.size())\n")]),
    ("torn_footer_ends_the_log", "a torn footer in front of a segment that goes on ends the log", [
        ("log/recover.cc", "    torn_footer_ = !note_later(unsealed, at);\n",
         "    static_cast<void>(note_later(unsealed, at));\n")]),
    ("length_trusted", "a length is believed: neither the header's hash nor the body's is looked at", [
        ("proto/batch.cc", "    return fail(ErrorCode::kCorrupt, 3102, \"batch header: hash does not match\");\n",
         "    static_cast<void>(0);\n"),
        ("log/recover.cc",
         "      const auto found = batch_at(file, header, at);\n      if (!found",
         "      const auto found = batch_at(file, header, at, false);\n      if (!found")]),
    ("header_hash_not_checked", "a header is believed without its hash", [
        ("proto/batch.cc", "    return fail(ErrorCode::kCorrupt, 3102, \"batch header: hash does not match\");\n",
         "    static_cast<void>(0);\n")]),
    ("body_not_checked", "recovery believes bodies", [
        ("log/recover.cc",
         "      const auto found = batch_at(file, header, at);\n      if (!found",
         "      const auto found = batch_at(file, header, at, false);\n      if (!found")]),
    ("chain_not_checked", "a batch need not follow the one before it", [
        ("log/segment_scan.cc",
         "  if (batch.header.previous_header_hash != chain.header_hash)\n",
         "  if (batch.header.previous_header_hash != chain.header_hash && chain.header_hash == 1)\n")]),
    ("sealed_too_early", "a segment is sealed before the next one's first group is durable", [
        ("log/group_write.cc", "  group.seal_before = SealJob{active_, active_file_};\n",
         "  group.seal_before = SealJob{active_, active_file_};\n  preparer_->seal(*group.seal_before);\n"),
        ("log/group_sync.cc", "    if (group.seal_before) preparer_->seal(std::move(*group.seal_before));\n",
         "    static_cast<void>(group);\n")]),
    ("used_prepared_file", "a prepared file of an earlier run is taken without looking at its bytes", [
        ("log/preparer.cc", "    if (end_of_bytes(map->bytes(), 0) != 0 || map->lost_any()) return false;\n", "")]),
    ("removed_before_log_start", "retention unlinks before log_start is durable", [
        ("log/retention.cc",
         "  KAPPA_CHECK_OK(parts_.preparer.change_manifest([&](Manifest& next) {\n",
         "  for (std::size_t i = 0; i < count; ++i)\n"
         "    static_cast<void>(parts_.files.unlink(\n"
         "        parts_.directory / segment_name(manifest.sealed[i].number, manifest.sealed[i].base_offset)));\n"
         "  KAPPA_CHECK_OK(parts_.preparer.change_manifest([&](Manifest& next) {\n")]),
    ("sync_retried", "a failed sync is called again and believed", [
        ("log/group_sync.cc", "      KAPPA_CHECK_OK(dirty->fdatasync());\n",
         "      if (!dirty->fdatasync()) KAPPA_CHECK_OK(dirty->fdatasync());\n")]),
    ("control_sync_retried", "a failed sync of CONTROL is called again at closing", [
        ("log/control_file.h", "    if (!synced) failed_ = synced.error();\n", "")]),
    ("short_write_ignored", "a short write is taken for a whole one", [
        ("log/file.cc", "      std::size_t done = static_cast<std::size_t>(n) + skip;\n",
         "      std::size_t done = std::size_t{1} << 40;\n")]),
    ("interrupted_call_fails", "EINTR is an error", [
        ("log/file.cc", "    if (result != -1 || errno != EINTR) return result;\n", "    return result;\n")]),
]


def first_failure(work):
    """The first test that fails; None if all pass."""
    for program, extra in (("crash_enumerator", []), ("log_tests", [])):
        environment = dict(os.environ, KAPPA_CRASH_PERCENT=os.environ.get("KAPPA_CRASH_PERCENT", "40"))
        try:
            done = subprocess.run([os.path.join(work, "build", "tests", program), "--gtest_fail_fast", *extra],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=600,
                                  errors="replace", text=True)
        except subprocess.TimeoutExpired:
            return f"{program} hangs"
        if done.returncode == 0:
            continue
        failed = re.findall(r"^\[  FAILED  \] (\S+?),? ", done.stdout, re.MULTILINE)
        running = re.findall(r"^\[ RUN      \] (\S+)", done.stdout, re.MULTILINE)
        name = failed[0] if failed else (running[-1] + " (died)" if running else "?")
        return f"{program}: {name}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mutations.add_arguments(parser)

    def check(work):
        failed = first_failure(work)
        return failed is not None, failed or ""

    return mutations.run(parser.parse_args(), RULES, ["crash_enumerator", "log_tests"], check)


if __name__ == "__main__":
    sys.exit(main())
