// Backup and restore of a log directory, while its server runs or not.
//
// A backup directory holds sealed segments under their own names (hard links to the log's files, or
// copies), the bytes of the segments that were not sealed yet and a MANIFEST and CONTROL of its own with
// the backup's generation as a suffix, and BACKUP, which lists all of them with sizes and hashes. BACKUP
// is written last and replaced atomically: a crash while a backup is made or renewed leaves the one
// before whole, or (the first time) none. Views and index files are derived and not in it.
// docs/operations.md says how to use it, docs/log-format.md has the layout.
// Nothing here is thread-safe; several processes may back up one log, each into a directory of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "log/file.h"
#include "log/format.h"

namespace kappa::log {

inline constexpr const char* kBackupName = "BACKUP";

// One file of a backup.
struct BackupFile {
  std::string stored;    // Name in the backup directory.
  std::string restored;  // Name in a log directory.
  std::uint64_t bytes = 0;
  std::uint64_t restored_bytes = 0;  // >= bytes; the rest is zeros (room of the segment that takes appends).
  std::uint64_t hash = 0;            // XXH3_64 of the stored bytes.
  bool sealed = false;               // A sealed segment: immutable, may be shared by hard link.
  std::uint64_t footer_hash = 0;     // Of a sealed segment, as in MANIFEST: tells histories apart.
  bool operator==(const BackupFile&) const = default;
};

// What BACKUP says.
struct BackupManifest {
  LogId log_id;
  std::uint64_t generation = 1;  // Grows by one with every backup into the same directory.
  Timestamp created;             // Wall clock, for people.
  Offset start, end;             // Events [start, end) are in it.
  LogPosition position;          // Log position of the end.
  WriterEpoch writer_epoch;
  std::vector<BackupFile> files;
  [[nodiscard]] std::uint64_t bytes() const;
  bool operator==(const BackupManifest&) const = default;
};
[[nodiscard]] std::string encode_backup_manifest(const BackupManifest& manifest);
// kCorrupt 3181, kUnsupported 3103.
[[nodiscard]] Expected<BackupManifest> decode_backup_manifest(std::string_view text);
// kNotFound 3180 (no complete backup there), and the errors of decoding.
[[nodiscard]] Expected<BackupManifest> read_backup_manifest(FileSystem& files,
                                                            const std::filesystem::path& directory);

// Work done so far, of all; called after every file.
using BackupProgress = std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_all)>;

struct BackupOptions {
  std::filesystem::path log;                  // The log directory (DATA/log).
  std::filesystem::path target;               // Created if missing; empty, or holding an earlier backup.
  std::optional<std::filesystem::path> base;  // Another backup of the same log to share segments with.
  bool copy = false;                          // No hard links: own bytes, at the cost of space and time.
  // Segments of the earlier backup that retention has removed from the log since stay in the backup, so
  // that a restored log begins where the first backup did and old views can be rebuilt from it.
  bool keep_removed = false;
  std::uint32_t patience_ms = 10'000;  // How long a live server may take to make its last batches durable.
  FileSystem* files = nullptr;         // Borrowed; the real file system if null.
  BackupProgress progress;             // May be empty.
};

struct BackupReport {
  BackupManifest manifest;
  bool live = false;             // A server had the log open.
  std::uint64_t files_kept = 0;  // Removed from the log since; with keep_removed.
  std::uint64_t files_reused = 0, files_linked = 0, files_copied = 0;
  // Segments of the earlier backup that were missing there, or of another size: taken from the log again.
  std::vector<std::string> renewed;
  std::uint64_t bytes_copied = 0;   // Written by this backup.
  std::uint64_t bytes_checked = 0;  // Read and verified batch by batch.
};

// Backs up every event that was acknowledged before the call. Every batch that is not in an earlier
// backup already is verified on the way, so rot is reported, not kept. Durable on return.
// Errors: kNotFound 3011 (no log), kCorrupt 3112 (files of one, but no manifest), kCorrupt 3183 (damage in
// the log; names file, bytes, offsets), kInvalid 3184 (the target or base is a backup of another log or of another history of it), kExists
// 3185 (the target holds something else), kBusy 3186 (another backup writes there, or the log changes too
// fast), kTimeout 3187 (the server does not make its batches durable), kIo, kFull.
[[nodiscard]] Expected<BackupReport> make_backup(const BackupOptions& options);

// Reads every file of a backup and compares it with its hash; returns what is wrong, a line each.
// Errors: those of read_backup_manifest().
[[nodiscard]] Expected<std::vector<std::string>> verify_backup(FileSystem& files,
                                                               const std::filesystem::path& directory,
                                                               const BackupProgress& progress);

// Makes `data`, a data directory with the log of the backup in `data`/log, verifying every hash. `data`
// must be missing or empty. Built beside it as `data`.restoring and renamed: after an error or a crash
// `data` is as it was. Durable on return. Errors: those of read_backup_manifest(), kExists 3185 (`data`
// is not empty), kCorrupt 3182 (a file is missing or differs from its hash), kBusy 3186, kIo, kFull.
[[nodiscard]] Expected<BackupManifest> restore_backup(FileSystem& files,
                                                      const std::filesystem::path& directory,
                                                      const std::filesystem::path& data,
                                                      const BackupProgress& progress);

}  // namespace kappa::log
