// Making a backup.
//
// Order of durability: every new file is synced, then the directory, then BACKUP replaces the one
// before, then files that only the one before needed are removed. Sealed segments are stored under
// their own names, which stand for one content only; what changes from one backup to the next (the
// bytes of open segments, MANIFEST, CONTROL) carries the generation in its name. So whatever BACKUP is
// there, the files it lists are.
#include "log/backup.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "log/backup_source.h"
#include "log/sealed_check.h"

namespace kappa::log {
namespace {

constexpr const char* kBackupLockName = "BACKUP.lock";
// Times the oldest segments may be given up by retention while they are linked or copied.
constexpr int kAttempts = 20;
// Behind the last batch of a segment that takes no more: readers may touch a little more than it holds.
constexpr std::uint64_t kRoomBytes = 4096;

std::unexpected<Error> damaged(std::string what) {
  return fail(ErrorCode::kCorrupt, 3183, std::move(what), "kappa verify shows the damage");
}

class Backup {
 public:
  explicit Backup(const BackupOptions& options)
      : options_(options), files_(options.files != nullptr ? *options.files : real_file_system()) {}

  Expected<BackupReport> run() {
    KAPPA_CHECK_OK(prepare_target());
    for (int attempt = 1;; ++attempt) {
      KAPPA_TRY(source_, read_backup_source(files_, options_.log, options_.patience_ms));
      KAPPA_CHECK_OK(check_history());
      report_ = {};
      done_ = 0;
      all_ = 0;
      if (options_.keep_removed) KAPPA_CHECK_OK(keep_removed());
      for (const ManifestEntry& entry : source_.manifest.sealed) all_ += entry.file_bytes;
      for (const BackupSource::Open& open : source_.open) all_ += open.content.size();
      const Status stored = store_sealed();
      if (stored) break;
      // Given up by retention meanwhile: the next picture begins behind it.
      if (stored.error().code != ErrorCode::kNotFound || attempt == kAttempts)
        return std::unexpected(stored.error());
    }
    KAPPA_CHECK_OK(store_own());
    KAPPA_CHECK_OK(files_.sync_directory(options_.target));
    KAPPA_CHECK_OK(
        files_.replace_whole(options_.target / kBackupName, encode_backup_manifest(report_.manifest)));
    remove_leftovers();
    report_.live = source_.live;
    return std::move(report_);
  }

 private:
  // Creates the target, locks it, reads what is there.
  Status prepare_target() {
    KAPPA_CHECK_OK(files_.create_directory(options_.target));
    KAPPA_TRY(const auto names, files_.list(options_.target));
    const auto has = [&](const char* name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (!names.empty() && !has(kBackupName) && !has(kBackupLockName))
      return fail(ErrorCode::kExists, 3185, options_.target.string() + " is not empty and not a backup",
                  "name a new directory, or one that holds a backup of this log");
    KAPPA_TRY(lock_, files_.open(options_.target / kBackupLockName, OpenMode::kCreate));
    KAPPA_TRY(const bool locked, lock_->lock(true));
    if (!locked)
      return fail(ErrorCode::kBusy, 3186, "another backup writes to " + options_.target.string(),
                  "wait for it");
    if (has(kBackupName)) {
      KAPPA_TRY(previous_, read_backup_manifest(files_, options_.target));
      add_base(options_.target, *previous_);
      generation_ = previous_->generation + 1;
    }
    if (options_.base) {
      KAPPA_TRY(base_, read_backup_manifest(files_, *options_.base));
      add_base(*options_.base, *base_);
    }
    return {};
  }

  struct Shared {
    std::filesystem::path directory;
    BackupFile file;
  };
  void add_base(const std::filesystem::path& directory, const BackupManifest& manifest) {
    for (const BackupFile& file : manifest.files)
      if (file.sealed) shared_.try_emplace(file.stored, Shared{directory, file});
  }

  // An earlier backup must be of this log, and of the same history: a log that was restored and went on
  // has the same id.
  Status check_history() {
    for (const auto& manifest : {previous_, base_}) {
      if (!manifest) continue;
      const char* which = manifest == previous_ ? "the backup in the target" : "the base";
      if (manifest->log_id != source_.manifest.log_id)
        return fail(ErrorCode::kInvalid, 3184, std::string(which) + " is of another log",
                    "name a new directory");
      bool same = manifest->end <= source_.chain.next_offset;
      for (const ManifestEntry& entry : source_.manifest.sealed) {
        const auto found = shared_.find(segment_name(entry.number, entry.base_offset));
        same = same && (found == shared_.end() || found->second.file.footer_hash == entry.footer_hash);
      }
      if (!same)
        return fail(
            ErrorCode::kInvalid, 3184,
            std::string(which) + " has events that this log does not have: the log is another history of it",
            "name a new directory");
    }
    return {};
  }

  // Puts the segments that only the earlier backup still has before those of the log.
  Status keep_removed() {
    const auto& manifest = previous_ ? previous_ : base_;
    if (!manifest) return {};
    const std::filesystem::path& directory = previous_ ? options_.target : *options_.base;
    for (const BackupFile& file : manifest->files) {
      if (file.restored != kManifestName) continue;
      KAPPA_TRY(const std::string bytes, files_.read_whole(directory / file.stored, kManifestBytesMax));
      KAPPA_TRY(Manifest earlier, decode_manifest(bytes));
      Manifest& now = source_.manifest;
      const Offset start =
          now.sealed.empty() ? source_.open.front().header.base_offset : now.sealed.front().base_offset;
      while (!earlier.sealed.empty() && earlier.sealed.back().base_offset >= start) earlier.sealed.pop_back();
      // Only without a gap: what was removed and never backed up is lost.
      if (earlier.sealed.empty() || earlier.sealed.back().end_offset != start) return {};
      report_.files_kept = earlier.sealed.size();
      now.sealed.insert(now.sealed.begin(), earlier.sealed.begin(), earlier.sealed.end());
      now.log_start = earlier.log_start;
    }
    return {};
  }

  Status store_sealed() {
    std::optional<ChainState> chain;
    for (const ManifestEntry& entry : source_.manifest.sealed) {
      BackupFile file;
      file.stored = file.restored = segment_name(entry.number, entry.base_offset);
      file.bytes = file.restored_bytes = entry.file_bytes;
      file.sealed = true;
      file.footer_hash = entry.footer_hash;
      KAPPA_TRY(const bool known, reuse(file));
      if (known) {
        ++report_.files_reused;
        chain.reset();
      } else if (report_.files_reused < report_.files_kept) {
        return fail(ErrorCode::kCorrupt, 3182,
                    "segment file " + file.stored + " of the earlier backup is missing or short",
                    "the earlier backup is damaged, and the log no longer has it; begin a new backup");
      } else {
        KAPPA_CHECK_OK(store_one(entry, file, chain));
      }
      add(std::move(file));
    }
    const BackupSource::Open& next = source_.open.front();
    if (chain && chain->header_hash != next.header.previous_header_hash)
      return damaged("segment file " + next.name + " does not continue the sealed segments");
    return {};
  }

  // An unchanged segment of an earlier backup: its hash is known, its bytes are not read again.
  Expected<bool> reuse(BackupFile& file) {
    const auto found = shared_.find(file.stored);
    if (found == shared_.end() || found->second.file.bytes != file.bytes) return false;
    const std::filesystem::path from = found->second.directory / file.stored;
    const auto size = size_of(from);
    if (!size && size.error().code != ErrorCode::kNotFound) return std::unexpected(size.error());
    if (!size || *size != file.bytes) {
      report_.renewed.push_back(file.stored);
      return false;
    }
    file.hash = found->second.file.hash;
    if (found->second.directory == options_.target) return true;
    static_cast<void>(files_.unlink(options_.target / file.stored));
    if (!options_.copy && files_.link(from, options_.target / file.stored)) return true;
    // Not from the log: its bytes are verified there. But the log may not have it any more.
    if (report_.files_reused >= report_.files_kept) return false;
    KAPPA_TRY(const auto handle, files_.open(from, OpenMode::kRead));
    KAPPA_TRY(const auto map, handle->map());
    if (hash_bytes(map->bytes(), 0) != file.hash)
      return fail(ErrorCode::kCorrupt, 3182, "file " + file.stored + " of the base does not match its hash");
    KAPPA_CHECK_OK(write_file(options_.target / file.stored, map->bytes()));
    return true;
  }

  Expected<std::uint64_t> size_of(const std::filesystem::path& path) {
    KAPPA_TRY(const auto file, files_.open(path, OpenMode::kRead));
    return file->size();
  }

  // A sealed segment of the log: verified, then linked or copied.
  Status store_one(const ManifestEntry& entry, BackupFile& file, std::optional<ChainState>& chain) {
    const std::filesystem::path from = options_.log / file.stored;
    const std::filesystem::path to = options_.target / file.stored;
    KAPPA_TRY(const auto handle, files_.open(from, OpenMode::kRead));
    KAPPA_TRY(const auto map, handle->map());
    const Bytes bytes = map->bytes();
    if (bytes.size() != file.bytes)
      return damaged("segment file " + file.stored + " has " + std::to_string(bytes.size()) +
                     " bytes, not the " + std::to_string(file.bytes) + " of the manifest");
    KAPPA_CHECK_OK(check_sealed_segment(bytes, entry, source_.manifest.log_id, chain));
    file.hash = hash_bytes(bytes, 0);
    report_.bytes_checked += bytes.size();
    static_cast<void>(files_.unlink(to));  // Of an interrupted backup.
    if (!options_.copy) {
      const Status linked = files_.link(from, to);
      if (linked) {
        ++report_.files_linked;
        return {};
      }
      if (linked.error().code != ErrorCode::kUnsupported) return linked;
    }
    ++report_.files_copied;
    return write_file(to, bytes);
  }

  // Copies the open segments' bytes and writes MANIFEST and CONTROL of the backup.
  Status store_own() {
    const std::string suffix = "." + std::to_string(generation_);
    const auto store = [&](const std::string& name, std::string_view content, std::uint64_t room) -> Status {
      BackupFile file;
      file.stored = name + suffix;
      file.restored = name;
      file.bytes = content.size();
      file.restored_bytes = room;
      file.hash = hash_bytes(as_bytes(content), 0);
      KAPPA_CHECK_OK(write_file(options_.target / file.stored, as_bytes(content)));
      ++report_.files_copied;
      add(std::move(file));
      return {};
    };
    for (const BackupSource::Open& open : source_.open) {
      const bool last = &open == &source_.open.back();
      const std::uint64_t least = (open.content.size() + kRoomBytes) / 4096 * 4096;
      KAPPA_CHECK_OK(store(open.name, open.content, last ? std::max(least, open.file_bytes) : least));
      report_.bytes_checked += open.content.size();
    }
    const std::string manifest = encode_manifest(source_.manifest);
    KAPPA_CHECK_OK(store(kManifestName, manifest, manifest.size()));
    // All of it is durable here, so W is its end: later damage is told from a torn tail.
    ControlPage page;
    page.log_id = source_.manifest.log_id;
    page.generation = 1;
    page.writer_epoch = source_.writer_epoch;
    page.watermark = source_.end;
    page.watermark_offset = source_.chain.next_offset;
    const std::string control = std::string(kControlPageBytes, '\0') + encode_control_page(page);
    KAPPA_CHECK_OK(store(kControlName, control, control.size()));
    BackupManifest& out = report_.manifest;
    out.log_id = source_.manifest.log_id;
    out.generation = generation_;
    out.created = Timestamp(std::chrono::duration_cast<std::chrono::microseconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count());
    out.start = source_.manifest.log_start;
    out.end = source_.chain.next_offset;
    out.position = source_.end;
    out.writer_epoch = source_.writer_epoch;
    return {};
  }

  Status write_file(const std::filesystem::path& to, Bytes bytes) {
    KAPPA_TRY(const auto file, files_.open(to, OpenMode::kCreateEmpty));
    KAPPA_CHECK_OK(file->pwrite(bytes, 0));
    KAPPA_CHECK_OK(file->fdatasync());
    report_.bytes_copied += bytes.size();
    return {};
  }

  void add(BackupFile file) {
    done_ += file.bytes;
    report_.manifest.files.push_back(std::move(file));
    if (options_.progress) options_.progress(std::min(done_, all_), all_);
  }

  // What no complete backup lists; a failure leaves it for the next time.
  void remove_leftovers() {
    std::set<std::string> keep = {kBackupName, kBackupLockName};
    for (const BackupFile& file : report_.manifest.files) keep.insert(file.stored);
    const auto names = files_.list(options_.target);
    if (!names) return;
    for (const std::string& name : *names) {
      const bool ours = name.find(".segment") != std::string::npos || name.starts_with(kManifestName) ||
                        name.starts_with(kControlName);
      if (ours && !keep.contains(name)) static_cast<void>(files_.unlink(options_.target / name));
    }
  }

  const BackupOptions& options_;
  FileSystem& files_;
  std::unique_ptr<File> lock_;
  std::optional<BackupManifest> previous_, base_;
  std::map<std::string, Shared> shared_;  // Sealed segments of earlier backups.
  std::uint64_t generation_ = 1;
  BackupSource source_;
  BackupReport report_;
  std::uint64_t done_ = 0, all_ = 0;
};

}  // namespace

Expected<BackupReport> make_backup(const BackupOptions& options) {
  return Backup(options).run();
}

}  // namespace kappa::log
