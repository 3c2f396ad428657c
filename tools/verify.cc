// kappa verify: offline check of a data directory.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "log/log.h"
#include "processor/verify_views.h"
#include "tools/backup.h"
#include "tools/command.h"
#include "tools/output.h"

namespace kappa::tools {
namespace {

struct VerifyFlags {
  std::string directory = "./kappa-data";
  bool quiet = false;
};

// Views are derived: a damaged one costs a rebuild, never an event. It is damage all the same.
std::uint64_t check_views(const std::filesystem::path& data, bool quiet, Output& out) {
  log::LogOptions options;
  options.directory = data / "log";
  options.read_only = true;
  const auto log = log::Log::open(std::move(options));
  if (!log) out.write("warning: views are not compared with the log: " + log.error().message + "\n");
  const auto report = processor::verify_views(data / "views", log ? log->get() : nullptr, [&](std::string_view text) {
    if (!quiet) {
      out.write(text);
      out.write("\n");
    }
  });
  for (const std::string& warning : report.warnings) out.write("warning: " + warning + "\n");
  for (const std::string& damage : report.damage) out.write("damage: " + damage + "\n");
  out.write("views: " + std::to_string(report.views) + ", " + std::to_string(report.damage.size()) + " damaged\n");
  return report.damage.size();
}

int run(const VerifyFlags& flags) {
  const std::filesystem::path data = flags.directory;
  std::error_code problem;
  if (std::filesystem::exists(data / log::kBackupName, problem)) return verify_backup_directory(flags.directory, false);
  if (!std::filesystem::is_directory(data / "log", problem)) {
    std::fprintf(stderr, "error: no log in %s; name the data directory with -d\n", flags.directory.c_str());
    return kExitNotFound;
  }
  Output out;
  const auto line = [&](std::string_view text) {
    if (flags.quiet) return;
    out.write(text);
    out.write("\n");
  };
  const auto report = log::verify(data / "log", line);
  if (!report) {
    out.flush();
    return fail_with(report.error());
  }
  for (const std::string& warning : report->warnings) out.write("warning: " + warning + "\n");
  for (const std::string& damage : report->damage) out.write("damage: " + damage + "\n");
  for (const log::GapRange& gap : report->gaps)
    out.write("gap: offsets [" + std::to_string(gap.first.value()) + ", " + std::to_string(gap.last.value()) +
              ") were given up by a repair\n");
  out.write("log: " + std::to_string(report->segments) + " segments, " + std::to_string(report->batches) +
            " batches, " + std::to_string(report->events) + " events, " + std::to_string(report->damage.size()) +
            " damaged\n");
  const std::uint64_t damaged_views = check_views(data, flags.quiet, out);
  out.flush();
  return report->damage.empty() && damaged_views == 0 ? kExitOk : kExitCorrupt;
}

}  // namespace

void add_verify(CLI::App& app, int& status) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* command = app.add_subcommand("verify", "Check a data directory, offline");
  command->description(R"(Examples:
  kappa verify -d ./kappa-data
  kappa verify -d /backup/kappa     # a backup: every file against its hash

Checks every segment, index and view of a data directory while no server runs on it; writes nothing.
Exit 7 on damage, with the exact offsets. A damaged view is reported as well (exit 7): it costs no
event, the next start rebuilds it from the log, unless the log begins too late for that, which is said.)");
  command->add_option("-d,--data", flags->directory, "Data directory")->capture_default_str()->type_name("DIR");
  command->add_flag("-q,--quiet", flags->quiet, "Only findings and the summary");
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
