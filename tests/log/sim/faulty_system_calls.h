// System calls of which the n-th goes wrong: under the real file system's own code (log/file.cc).
//
// Everything else is passed on, but for syncs, which only count: these tests cut no power, and a real
// sync would take most of their time. Notes a sync that is called again for a file whose sync failed (for
// want of space: unless the file was written again in between).
// Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "log/system_calls.h"

namespace kappa::log::sim {

enum class Fault {
  kIo,               // EIO, of any call.
  kFull,             // ENOSPC, of calls that may need space, syncs included.
  kInterrupted,      // EINTR, of calls that a signal may interrupt (not of syncs: see kSyncInterrupted).
  kShort,            // A read or a write that does half of what it was asked for.
  kDescriptors,      // EMFILE of what opens; ENOMEM of a mapping.
  kSync,             // EIO of fdatasync and fsync only.
  kSyncInterrupted,  // EINTR of fdatasync and fsync.
};
[[nodiscard]] const char* name_of(Fault fault);

class FaultySystemCalls final : public SystemCalls {
 public:
  // The n-th call (from 1) that can have this fault has it, once; with `forever` all later ones too.
  void arm(Fault fault, std::uint64_t n, bool forever = false);
  void disarm();
  // The process ends and another one begins: which syncs failed is not known to it.
  void begin_process();
  // "pwritev CONTROL", if the armed call was reached.
  [[nodiscard]] std::optional<std::string> injected() const;
  [[nodiscard]] std::vector<std::string> retried_syncs() const;

  int open(const char* path, int flags, mode_t mode) override;
  int close(int descriptor) override;
  ssize_t pwrite(int descriptor, const void* bytes, std::size_t n, off_t at) override;
  ssize_t pwritev(int descriptor, const iovec* pieces, int count, off_t at) override;
  ssize_t pread(int descriptor, void* bytes, std::size_t n, off_t at) override;
  int fdatasync(int descriptor) override;
  int fsync(int descriptor) override;
  int fallocate(int descriptor, int mode, off_t at, off_t bytes) override;
  int ftruncate(int descriptor, off_t bytes) override;
  int fstat(int descriptor, struct stat* out) override;
  int flock(int descriptor, int operation) override;
  void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t at) override;
  int rename(const char* from, const char* to) override;
  int unlink(const char* path) override;
  int mkdir(const char* path, mode_t mode) override;
  DIR* opendir(const char* path) override;
  dirent* readdir(DIR* directory) override;

 private:
  // The errno to give, or 0; kShort gives -1.
  int next(const char* call, const std::string& name, std::initializer_list<Fault> possible);
  // Written again: for want of space, its sync may be called again.
  void changed(const std::string& name);
  std::string name_of_descriptor(int descriptor) const;
  int sync(const char* call, int descriptor);

  mutable std::mutex mutex_;
  std::optional<Fault> fault_;
  std::uint64_t left_ = 0;
  bool forever_ = false;
  std::optional<std::string> injected_;
  std::map<int, std::string> names_;
  std::set<std::string> failed_syncs_;  // By name; a file that is made anew is another one.
  std::vector<std::string> retried_;
};

}  // namespace kappa::log::sim
