// kappa repair: gives up, on record, what is lost of a damaged log, and keeps everything else.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>

#include "log/repair.h"
#include "processor/lost_definitions.h"
#include "tools/command.h"
#include "tools/output.h"

namespace kappa::tools {
namespace {

struct RepairFlags {
  std::string directory = "./kappa-data";
  bool accept_loss = false;
};

int run(const RepairFlags& flags) {
  const std::filesystem::path data = flags.directory;
  std::error_code problem;
  if (!std::filesystem::is_directory(data / "log", problem)) {
    std::fprintf(stderr, "error: no log in %s; name the data directory with -d\n", flags.directory.c_str());
    return kExitNotFound;
  }
  Output out;
  const auto report = log::repair({data / "log", flags.accept_loss, nullptr}, {});
  if (!report) return fail_with(report.error());
  if (report->damage.empty()) {
    out.write("nothing to repair: the log is sound\n");
    return kExitOk;
  }
  for (const std::string& damage : report->damage) out.write("damage: " + damage + "\n");
  for (const std::string& action : report->actions) out.write((report->done ? "done: " : "would: ") + action + "\n");
  std::uint64_t events = 0;
  for (const log::GapRange& gap : report->lost) events += gap.last - gap.first;
  out.write((report->done ? "lost: " : "would be lost: ") + std::to_string(events) + " events");
  for (const log::GapRange& gap : report->lost)
    out.write(", offsets [" + std::to_string(gap.first.value()) + ", " + std::to_string(gap.last.value()) + ")");
  out.write("\n");
  for (const std::string& text : processor::lost_definitions(*report, data / "views")) out.write(text + "\n");
  if (!report->done) {
    out.write("nothing was changed. A copy of the damaged files from a backup loses nothing; to go on without\n"
              "what is lost: kappa repair -d " + flags.directory + " --accept-loss\n");
    return kExitCorrupt;
  }
  for (const std::string& damage : report->remaining) out.write("damage that remains: " + damage + "\n");
  if (!report->remaining.empty()) return kExitCorrupt;
  out.write("the log is sound and takes appends again\n");
  return kExitOk;
}

}  // namespace

void add_repair(CLI::App& app, int& status) {
  auto flags = std::make_shared<RepairFlags>();
  CLI::App* command = app.add_subcommand("repair", "Make a damaged log writable again, offline");
  command->description(R"(Examples:
  kappa verify -d ./kappa-data                  # what is damaged
  kappa repair -d ./kappa-data                  # what repairing it would cost; changes nothing, exit 7
  kappa repair -d ./kappa-data --accept-loss    # does it

Checks the log while no server runs on it. What is lost is replaced by a gap over exactly the lost offsets;
topics, streams and views that were defined there and nowhere else are named;
everything else keeps its place, and the damaged bytes are kept beside the segments (damaged-*). What can be
made anew from the rest costs nothing. Readers pass over a gap; `kappa status` and `kappa verify` list it.
Exit 0: sound, or made sound. Killed in the middle, run it again.)");
  command->add_option("-d,--data", flags->directory, "Data directory")->capture_default_str()->type_name("DIR");
  command->add_flag("--accept-loss", flags->accept_loss, "Give up what is lost; without it nothing changes");
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
