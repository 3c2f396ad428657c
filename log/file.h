// The seam between the log and the operating system: every byte the log reads or writes goes
// through a FileSystem, so that a recording or faulting one can stand behind the same code.
//
// Promises of an implementation: pwritev() writes everything or fails (short writes and EINTR are
// its business); nothing is durable before fdatasync() of the file (and sync_directory() for names).
// Files and mappings may be used from several threads at once. Errors: kIo, kFull for what may pass by
// itself (ENOSPC, EDQUOT; EMFILE, ENFILE, ENOMEM: no descriptor or memory for one is left), kNotFound for a
// missing file; the errno is in the error.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "proto/bytes.h"
#include "proto/error.h"

namespace kappa::log {

// A read-only view of a file as large as the file was when it was mapped; coherent with pwritev().
// The owner must not touch pages that a later truncate() took away.
class Mapping {
 public:
  virtual ~Mapping() = default;
  [[nodiscard]] virtual Bytes bytes() const = 0;
  // The first byte of [from, to) that the system could not deliver when it was touched (a read error of
  // the disk, a file that was cut under the mapping): it reads as zero. To be asked after the bytes were
  // used and before anything that came of them is believed. nullopt: all of it was the file's.
  [[nodiscard]] virtual std::optional<std::uint64_t> lost_byte(std::uint64_t from, std::uint64_t to) const {
    static_cast<void>(from), static_cast<void>(to);
    return std::nullopt;
  }
  [[nodiscard]] bool lost_any() const { return lost_byte(0, UINT64_MAX).has_value(); }
};

class File {
 public:
  virtual ~File() = default;
  // Writes every piece, in order, from byte `at` on.
  virtual Status pwritev(std::span<const iovec> pieces, std::uint64_t at) = 0;
  // Reads up to out.size() bytes; less only at the end of the file.
  [[nodiscard]] virtual Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) = 0;
  // The same for bytes that nobody will want again soon: what had to be fetched for it leaves the page
  // cache, what was there stays.
  [[nodiscard]] virtual Expected<std::size_t> pread_cold(std::span<std::byte> out, std::uint64_t at) {
    return pread(out, at);
  }
  // Data and size are on stable storage on return. A failure is final: never call it again for the
  // same data and believe the answer.
  virtual Status fdatasync() = 0;
  // Reserves space for [0, bytes) and extends the file to it.
  virtual Status allocate(std::uint64_t bytes) = 0;
  // Writes zeros to [at, at + bytes), past the page cache where the system can: nobody reads them, and
  // copying them costs as much as copying data. Both multiples of 4096. One thread at a time has the file.
  virtual Status write_zeros(std::uint64_t at, std::uint64_t bytes);
  virtual Status truncate(std::uint64_t bytes) = 0;
  [[nodiscard]] virtual Expected<std::uint64_t> size() = 0;
  [[nodiscard]] virtual Expected<std::shared_ptr<const Mapping>> map() = 0;
  // Whether `path` leads to this very file, which somebody else may have removed or replaced. Where nobody
  // else has a hand in the files: true.
  [[nodiscard]] virtual Expected<bool> has_name(const std::filesystem::path& path) {
    static_cast<void>(path);
    return true;
  }
  // Advice: the system may give the memory that caches this file to others. Content does not change;
  // pages that are mapped or not yet on disk stay.
  virtual void forget_cache() {}
  // Takes the advisory whole-file lock without waiting; false if another holder excludes it. Held
  // until the File dies (or the process does).
  [[nodiscard]] virtual Expected<bool> lock(bool exclusive) = 0;

  // fdatasync() of bytes that are not written anew before the next one: its failure is final, and so is
  // never kFull, which callers take for a state that passes.
  Status sync_for_good() {
    Status synced = fdatasync();
    if (!synced && synced.error().code == ErrorCode::kFull) synced.error().code = ErrorCode::kIo;
    return synced;
  }

  // One piece.
  Status pwrite(Bytes bytes, std::uint64_t at) {
    // iovec has no const form; the implementation only reads.
    const iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    return pwritev({&piece, 1}, at);
  }
};

// A directory that stays open: to sync it takes no descriptor, so it cannot fail for want of one.
class Directory {
 public:
  virtual ~Directory() = default;
  // As FileSystem::sync_directory(), but never kFull: every failure is final.
  virtual Status sync() = 0;
};

enum class OpenMode : std::uint8_t {
  kRead,         // Must exist.
  kReadWrite,    // Must exist.
  kCreate,       // Read and write; created if missing, kept if not.
  kCreateEmpty,  // Read and write; created, or emptied.
};

struct DiskSpace {
  std::uint64_t free_bytes = 0;  // What this process may still take.
  std::uint64_t total_bytes = 0;
};

// The process may open or map no more just now: this says nothing about the file.
[[nodiscard]] bool out_of_handles(const Error& error);

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  [[nodiscard]] virtual Expected<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                                             OpenMode mode) = 0;
  // Replaces `to`. Durable after sync_directory().
  virtual Status rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  virtual Status unlink(const std::filesystem::path& path) = 0;
  // A second name for a file; `to` must not exist. Durable after sync_directory(). kUnsupported when the
  // file system (or a stand-in) has none for these two places: copy instead.
  virtual Status link(const std::filesystem::path& from, const std::filesystem::path& to);
  // A failed sync is final, and never kFull, which callers take for a state that passes: names are not
  // written anew before the next one. kFull: no descriptor was left to open the directory with, nothing was
  // synced, it may be called again.
  virtual Status sync_directory(const std::filesystem::path& path) = 0;
  // For who cannot wait for a descriptor. A file system that does not say otherwise gives one that calls
  // sync_directory(), and must outlive it.
  [[nodiscard]] virtual Expected<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path);
  // One level; no error if it exists already.
  virtual Status create_directory(const std::filesystem::path& path) = 0;
  // Names of the entries, sorted; kNotFound if the directory is missing.
  [[nodiscard]] virtual Expected<std::vector<std::string>> list(const std::filesystem::path& path) = 0;
  // Space of the file system that holds `path`. A file system that does not know: all there can be.
  [[nodiscard]] virtual Expected<DiskSpace> disk_space(const std::filesystem::path& path) {
    static_cast<void>(path);
    return DiskSpace{UINT64_MAX, UINT64_MAX};
  }

  // Whole content, at most `bytes_max` (kTooLarge above).
  [[nodiscard]] Expected<std::string> read_whole(const std::filesystem::path& path, std::size_t bytes_max);
  // Writes `content` beside `path`, syncs it, renames it over `path`, syncs the directory: a crash
  // leaves the old or the new content. May be repeated after any error: it begins with an empty file.
  Status replace_whole(const std::filesystem::path& path, std::string_view content);
  // The same for a file that can be made anew: nothing is synced, so a crash may leave the old content,
  // the new one, or a part of it, which its reader must notice.
  Status replace_derived(const std::filesystem::path& path, std::string_view content);
};

// The operating system's. Lives as long as the process; no state.
[[nodiscard]] FileSystem& real_file_system();

class SystemCalls;  // log/system_calls.h
// The same code over other system calls, which must outlive it and every file and mapping it gave.
[[nodiscard]] std::unique_ptr<FileSystem> make_real_file_system(SystemCalls& calls);

}  // namespace kappa::log
