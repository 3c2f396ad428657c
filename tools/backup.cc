// kappa backup: a backup of a data directory, while its server runs or not; --verify checks one.
#include "tools/backup.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>

#include "proto/value.h"
#include "tools/command.h"
#include "tools/output.h"

namespace kappa::tools {
namespace {

struct BackupFlags {
  std::string target;
  std::string data = "./kappa-data";
  std::string base;
  std::string output;
  std::string timeout = "10s";
  bool copy = false;
  bool keep = false;
  bool verify = false;
};

int run_verify(const BackupFlags& flags) {
  return verify_backup_directory(flags.target, flags.output == "json");
}

int run_backup(const BackupFlags& flags) {
  Progress progress;
  log::BackupOptions options;
  options.log = std::filesystem::path(flags.data) / "log";
  options.target = flags.target;
  if (!flags.base.empty()) options.base = flags.base;
  options.copy = flags.copy;
  options.keep_removed = flags.keep;
  options.patience_ms = static_cast<std::uint32_t>(
      std::min<std::int64_t>(parse_duration(flags.timeout)->count(), 24 * 60 * 60 * 1000));
  options.progress = byte_progress(progress, "backed up");
  const std::int64_t start = steady_micros();
  const auto report = log::make_backup(options);
  progress.clear();
  if (!report) return fail_with(report.error());
  const double seconds = static_cast<double>(steady_micros() - start) / 1e6;
  const log::BackupManifest& manifest = report->manifest;
  std::fprintf(stderr,
               "backed up offsets [%llu, %llu) to %s: %zu files, %.1f MB (%llu reused, %llu linked, %llu "
               "copied), %.2f s\n",
               static_cast<unsigned long long>(manifest.start.value()),
               static_cast<unsigned long long>(manifest.end.value()), flags.target.c_str(),
               manifest.files.size(), static_cast<double>(manifest.bytes()) / 1e6,
               static_cast<unsigned long long>(report->files_reused),
               static_cast<unsigned long long>(report->files_linked),
               static_cast<unsigned long long>(report->files_copied), seconds);
  for (const std::string& name : report->renewed)
    std::fprintf(stderr, "warning: %s of the earlier backup was missing or cut; it was taken from the log again\n",
                 name.c_str());
  if (manifest.start.value() != 0)
    std::fprintf(
        stderr,
        "note: the log begins at offset %llu; a restored server cannot rebuild views that are older (--keep "
        "keeps what retention removes)\n",
        static_cast<unsigned long long>(manifest.start.value()));
  if (flags.output == "json") {
    std::string name;
    append_json_string(flags.target, name);
    std::printf(
        "{\"backup\":%s,\"log_id\":\"%s\",\"generation\":%llu,\"start\":%llu,\"end\":%llu,\"live\":%s,"
        "\"files\":%zu,"
        "\"bytes\":%llu,\"kept\":%llu,\"reused\":%llu,\"linked\":%llu,\"copied\":%llu,\"bytes_copied\":%llu,"
        "\"bytes_checked\":%llu,"
        "\"seconds\":%.6f}\n",
        name.c_str(), manifest.log_id.text().c_str(), static_cast<unsigned long long>(manifest.generation),
        static_cast<unsigned long long>(manifest.start.value()),
        static_cast<unsigned long long>(manifest.end.value()), report->live ? "true" : "false",
        manifest.files.size(), static_cast<unsigned long long>(manifest.bytes()),
        static_cast<unsigned long long>(report->files_kept),
        static_cast<unsigned long long>(report->files_reused),
        static_cast<unsigned long long>(report->files_linked),
        static_cast<unsigned long long>(report->files_copied),
        static_cast<unsigned long long>(report->bytes_copied),
        static_cast<unsigned long long>(report->bytes_checked), seconds);
  }
  return kExitOk;
}

}  // namespace

log::BackupProgress byte_progress(Progress& progress, const char* what) {
  return [&progress, what](std::uint64_t done, std::uint64_t all) {
    if (!progress.due()) return;
    char text[64];
    std::snprintf(text, sizeof text, "%s %.1f of %.1f MB", what, static_cast<double>(done) / 1e6,
                  static_cast<double>(all) / 1e6);
    progress.show(done, all, text);
  };
}

int verify_backup_directory(const std::string& directory, bool json) {
  Progress progress;
  log::FileSystem& files = log::real_file_system();
  const auto manifest = log::read_backup_manifest(files, directory);
  if (!manifest) return fail_with(manifest.error());
  const auto damage = log::verify_backup(files, directory, byte_progress(progress, "verified"));
  progress.clear();
  if (!damage) return fail_with(damage.error());
  Output out;
  std::string list;
  for (const std::string& line : *damage) {
    if (!json) out.write("damage: " + line + "\n");
    if (!list.empty()) list += ',';
    append_json_string(line, list);
  }
  if (json) {
    out.write("{\"log_id\":\"" + manifest->log_id.text() + "\",\"start\":" +
              std::to_string(manifest->start.value()) + ",\"end\":" + std::to_string(manifest->end.value()) +
              ",\"files\":" + std::to_string(manifest->files.size()) +
              ",\"bytes\":" + std::to_string(manifest->bytes()) + ",\"damage\":[" + list + "]}\n");
  } else {
    out.write("backup of log " + manifest->log_id.text() + ": offsets [" +
              std::to_string(manifest->start.value()) + ", " + std::to_string(manifest->end.value()) + "), " +
              std::to_string(manifest->files.size()) + " files, " + std::to_string(damage->size()) +
              " damaged\n");
  }
  out.flush();
  return damage->empty() ? kExitOk : kExitCorrupt;
}

void add_backup(CLI::App& app, int& status) {
  auto flags = std::make_shared<BackupFlags>();
  CLI::App* command = app.add_subcommand("backup", "Back up a data directory, running or not");
  command->description(R"(Examples:
  kappa backup /backup/kappa -d ./kappa-data                       # again later: only what is new
  kappa backup /backup/tuesday -d ./kappa-data --base /backup/monday
  kappa backup /mnt/disk2/kappa -d ./kappa-data --copy             # shares no file with the log
  kappa backup --verify /backup/kappa

Backs up every event that was acknowledged before the command began, while the server runs or not. Sealed
segments are hard links where the file system allows, else copies; every batch is verified on the way, and
damage ends the command with exit 7 and the exact offsets. Hard links share damage with the log: keep a
backup on another disk, or made with --copy, as well. Of the files that an earlier backup has already, only
existence and size are looked at: one that is missing or cut is taken from the log again, or (with --keep, if
the log has removed it) ends the command with exit 7. --verify reads every byte. Views are not in it: a restored server builds them
again from the log.)");
  command->add_option("dir", flags->target, "Backup directory: new, empty or with an earlier backup")
      ->required()
      ->type_name("DIR");
  command->add_option("-d,--data", flags->data, "Data directory")->capture_default_str()->type_name("DIR");
  command->add_option("--base", flags->base, "An earlier backup whose unchanged segments are shared")
      ->type_name("DIR");
  command->add_flag("--copy", flags->copy, "Copy instead of linking");
  command->add_flag("--keep", flags->keep,
                    "Keep what retention removed from the log since the earlier backup");
  command->add_flag("--verify", flags->verify, "Check the backup in DIR against its hashes; writes nothing");
  command
      ->add_option("--timeout", flags->timeout, "How long a server may take to make its last batches durable")
      ->capture_default_str()
      ->check(
          [](const std::string& text) { return parse_duration(text) ? std::string() : "not a duration"; });
  command->add_option("-o,--output", flags->output, "json: a summary on stdout")
      ->check(CLI::IsMember({"json"}));
  command->callback([flags, &status] { status = flags->verify ? run_verify(*flags) : run_backup(*flags); });
}

}  // namespace kappa::tools
