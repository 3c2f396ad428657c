// kappa restore: a data directory from a backup.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "proto/value.h"
#include "tools/backup.h"
#include "tools/command.h"

namespace kappa::tools {
namespace {

struct RestoreFlags {
  std::string backup;
  std::string data = "./kappa-data";
  std::string output;
};

int run(const RestoreFlags& flags) {
  Progress progress;
  const std::int64_t start = steady_micros();
  const auto restored = log::restore_backup(log::real_file_system(), flags.backup, flags.data,
                                            byte_progress(progress, "restored"));
  progress.clear();
  if (!restored) return fail_with(restored.error());
  const double seconds = static_cast<double>(steady_micros() - start) / 1e6;
  std::fprintf(
      stderr,
      "restored offsets [%llu, %llu) to %s: %zu files, %.1f MB, %.2f s; views are built at the next start\n",
      static_cast<unsigned long long>(restored->start.value()),
      static_cast<unsigned long long>(restored->end.value()), flags.data.c_str(), restored->files.size(),
      static_cast<double>(restored->bytes()) / 1e6, seconds);
  if (flags.output == "json") {
    std::string name;
    append_json_string(flags.data, name);
    std::printf(
        "{\"data\":%s,\"log_id\":\"%s\",\"start\":%llu,\"end\":%llu,\"files\":%zu,\"bytes\":%llu,\"seconds\":"
        "%.6f}\n",
        name.c_str(), restored->log_id.text().c_str(),
        static_cast<unsigned long long>(restored->start.value()),
        static_cast<unsigned long long>(restored->end.value()), restored->files.size(),
        static_cast<unsigned long long>(restored->bytes()), seconds);
  }
  return kExitOk;
}

}  // namespace

void add_restore(CLI::App& app, int& status) {
  auto flags = std::make_shared<RestoreFlags>();
  CLI::App* command = app.add_subcommand("restore", "Make a data directory from a backup");
  command->description(R"(Examples:
  kappa restore /backup/kappa -d ./kappa-data
  kappa restore /backup/kappa -d ./elsewhere -o json

Copies a backup into a data directory that is missing or empty, and compares every file with its hash on
the way: a backup that is damaged (exit 7) or incomplete is refused, and nothing is left behind. Then
`kappa serve -d` answers as the source did at the end of the backup.)");
  command->add_option("dir", flags->backup, "Backup directory")->required()->type_name("DIR");
  command->add_option("-d,--data", flags->data, "Data directory to make")
      ->capture_default_str()
      ->type_name("DIR");
  command->add_option("-o,--output", flags->output, "json: a summary on stdout")
      ->check(CLI::IsMember({"json"}));
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
