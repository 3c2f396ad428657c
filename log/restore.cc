// Reading a backup: restoring it and verifying it. Every byte is compared with its hash before it counts.
#include <algorithm>
#include <system_error>

#include "log/backup.h"

namespace kappa::log {
namespace {

// Gives `use` the bytes of a stored file if they are those that BACKUP lists. kCorrupt 3182.
template <class Use>
Status with_checked(FileSystem& files, const std::filesystem::path& directory, const BackupFile& listed,
                    Use use) {
  const auto differs = [&](const std::string& why) {
    return fail(ErrorCode::kCorrupt, 3182, "file " + listed.stored + " of the backup " + why,
                "the backup is damaged; use another one");
  };
  const auto file = files.open(directory / listed.stored, OpenMode::kRead);
  if (!file && file.error().code == ErrorCode::kNotFound) return differs("is missing");
  if (!file) return std::unexpected(file.error());
  KAPPA_TRY(const std::uint64_t size, (*file)->size());
  if (size != listed.bytes)
    return differs("has " + std::to_string(size) + " bytes, not " + std::to_string(listed.bytes));
  KAPPA_TRY(const auto map, (*file)->map());
  if (hash_bytes(map->bytes(), 0) != listed.hash) return differs("does not match its hash");
  return use(map->bytes());
}

void report_progress(const BackupProgress& progress, std::uint64_t& done, std::uint64_t bytes,
                     std::uint64_t all) {
  done += bytes;
  if (progress) progress(done, all);
}

// Writes the restored form: the bytes, then real zeros, as the log's own files have.
Status write_restored(FileSystem& files, const std::filesystem::path& path, Bytes bytes,
                      std::uint64_t restored_bytes) {
  KAPPA_TRY(const auto file, files.open(path, OpenMode::kCreateEmpty));
  if (restored_bytes > bytes.size()) KAPPA_CHECK_OK(file->allocate(restored_bytes));
  constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes)
    KAPPA_CHECK_OK(file->pwrite(bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at)), at));
  const std::string zeros(kPieceBytes, '\0');
  for (std::uint64_t at = bytes.size(); at < restored_bytes; at += kPieceBytes)
    KAPPA_CHECK_OK(file->pwrite(as_bytes(zeros).first(static_cast<std::size_t>(
                                    std::min<std::uint64_t>(kPieceBytes, restored_bytes - at))),
                                at));
  return file->fdatasync();
}

}  // namespace

Expected<std::vector<std::string>> verify_backup(FileSystem& files, const std::filesystem::path& directory,
                                                 const BackupProgress& progress) {
  KAPPA_TRY(const BackupManifest manifest, read_backup_manifest(files, directory));
  std::vector<std::string> damage;
  std::uint64_t done = 0;
  const std::uint64_t all = manifest.bytes();
  for (const BackupFile& file : manifest.files) {
    const Status checked = with_checked(files, directory, file, [](Bytes) -> Status { return {}; });
    if (!checked) damage.push_back(checked.error().message);
    report_progress(progress, done, file.bytes, all);
  }
  return damage;
}

Expected<BackupManifest> restore_backup(FileSystem& files, const std::filesystem::path& directory,
                                        const std::filesystem::path& data, const BackupProgress& progress) {
  KAPPA_TRY(const BackupManifest manifest, read_backup_manifest(files, directory));
  std::filesystem::path target = std::filesystem::absolute(data).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  const auto present = files.list(target);
  if (present && !present->empty())
    return fail(ErrorCode::kExists, 3185, target.string() + " is not empty",
                "restore into a new directory; move the old one away first");
  if (!present && present.error().code != ErrorCode::kNotFound) return std::unexpected(present.error());

  std::filesystem::path building = target;
  building += ".restoring";
  KAPPA_CHECK_OK(files.create_directory(building));
  const auto lock = files.open(building / kLockName, OpenMode::kCreate);
  if (!lock) return std::unexpected(lock.error());
  KAPPA_TRY(const bool locked, (*lock)->lock(true));
  if (!locked)
    return fail(ErrorCode::kBusy, 3186, "another restore builds " + building.string(), "wait for it");
  // What a crash left of an earlier one.
  const std::filesystem::path log = building / "log";
  const auto clear = [&] {
    if (const auto names = files.list(log))
      for (const std::string& name : *names) static_cast<void>(files.unlink(log / name));
    std::error_code ignored;
    std::filesystem::remove(log, ignored);
  };
  clear();
  const auto build = [&]() -> Status {
    KAPPA_CHECK_OK(files.create_directory(log));
    std::uint64_t done = 0;
    const std::uint64_t all = manifest.bytes();
    for (const BackupFile& file : manifest.files) {
      KAPPA_CHECK_OK(with_checked(files, directory, file, [&](Bytes bytes) {
        return write_restored(files, log / file.restored, bytes, file.restored_bytes);
      }));
      report_progress(progress, done, file.bytes, all);
    }
    // As every log has: tools that only read lock it, too.
    KAPPA_TRY([[maybe_unused]] const auto log_lock, files.open(log / kLockName, OpenMode::kCreate));
    KAPPA_CHECK_OK(files.sync_directory(log));
    KAPPA_CHECK_OK(files.unlink(building / kLockName));
    KAPPA_CHECK_OK(files.sync_directory(building));
    // Over an empty directory, too.
    KAPPA_CHECK_OK(files.rename(building, target));
    return files.sync_directory(target.parent_path());
  };
  if (Status built = build(); !built) {
    clear();
    static_cast<void>(files.unlink(building / kLockName));
    std::error_code ignored;
    std::filesystem::remove(building, ignored);
    return std::unexpected(std::move(built).error());
  }
  return manifest;
}

}  // namespace kappa::log
