// kappa verify: offline check of a data directory.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "log/log.h"
#include "tools/command.h"
#include "tools/output.h"

namespace kappa::tools {
namespace {

struct VerifyFlags {
  std::string directory = "./kappa-data";
  bool quiet = false;
};

int run(const VerifyFlags& flags) {
  const std::filesystem::path data = flags.directory;
  std::error_code problem;
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
  out.write("log: " + std::to_string(report->segments) + " segments, " + std::to_string(report->batches) +
            " batches, " + std::to_string(report->events) + " events, " + std::to_string(report->damage.size()) +
            " damaged\n");
  out.flush();
  return report->damage.empty() ? kExitOk : kExitCorrupt;
}

}  // namespace

void add_verify(CLI::App& app, int& status) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* command = app.add_subcommand("verify", "Check a data directory, offline");
  command->description(R"(Examples:
  kappa verify -d ./kappa-data

Checks every segment, index and view of a data directory while no server runs on it; writes nothing.
Exit 7 on damage, with the exact offsets.)");
  command->add_option("-d,--data", flags->directory, "Data directory")->capture_default_str()->type_name("DIR");
  command->add_flag("-q,--quiet", flags->quiet, "Only findings and the summary");
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
