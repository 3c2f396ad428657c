// Counting and failing of calls.
#include "tests/log/sim/faulty_system_calls.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace kappa::log::sim {
namespace {

std::string file_name(const char* path) {
  return std::filesystem::path(path).filename().string();
}

std::string parent_name(const char* path) {
  return std::filesystem::path(path).parent_path().filename().string();
}

int errno_of(Fault fault) {
  switch (fault) {
    case Fault::kIo:
    case Fault::kSync: return EIO;
    case Fault::kFull: return ENOSPC;
    case Fault::kInterrupted:
    case Fault::kSyncInterrupted: return EINTR;
    case Fault::kDescriptors: return EMFILE;
    case Fault::kShort: return -1;
  }
  return EIO;
}

}  // namespace

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::kIo: return "EIO";
    case Fault::kFull: return "ENOSPC";
    case Fault::kInterrupted: return "EINTR";
    case Fault::kShort: return "short";
    case Fault::kDescriptors: return "EMFILE";
    case Fault::kSync: return "EIO_of_a_sync";
    case Fault::kSyncInterrupted: return "EINTR_of_a_sync";
  }
  return "unknown";
}

void FaultySystemCalls::arm(Fault fault, std::uint64_t n, bool forever) {
  std::lock_guard guard(mutex_);
  fault_ = fault;
  left_ = n;
  forever_ = forever;
  injected_.reset();
  failed_syncs_.clear();
  retried_.clear();
}
void FaultySystemCalls::disarm() {
  std::lock_guard guard(mutex_);
  fault_.reset();
}
void FaultySystemCalls::begin_process() {
  std::lock_guard guard(mutex_);
  failed_syncs_.clear();
}
std::optional<std::string> FaultySystemCalls::injected() const {
  std::lock_guard guard(mutex_);
  return injected_;
}
std::vector<std::string> FaultySystemCalls::retried_syncs() const {
  std::lock_guard guard(mutex_);
  return retried_;
}

int FaultySystemCalls::next(const char* call, const std::string& name,
                            std::initializer_list<Fault> possible) {
  std::lock_guard guard(mutex_);
  if (!fault_ || std::find(possible.begin(), possible.end(), *fault_) == possible.end()) return 0;
  if (left_ > 1) {
    --left_;
    return 0;
  }
  if (left_ == 0 && !forever_) return 0;
  left_ = 0;
  if (!injected_) injected_ = std::string(call) + " " + name;
  return errno_of(*fault_);
}

std::string FaultySystemCalls::name_of_descriptor(int descriptor) const {
  std::lock_guard guard(mutex_);
  const auto found = names_.find(descriptor);
  return found == names_.end() ? "?" : found->second;
}

void FaultySystemCalls::changed(const std::string& name) {
  std::lock_guard guard(mutex_);
  if (fault_ == Fault::kFull) failed_syncs_.erase(name);
}

int FaultySystemCalls::open(const char* path, int flags, mode_t mode) {
  const std::string name = file_name(path);
  const int code =
      (flags & O_CREAT) != 0
          ? next("open", name, {Fault::kIo, Fault::kFull, Fault::kInterrupted, Fault::kDescriptors})
          : next("open", name, {Fault::kIo, Fault::kInterrupted, Fault::kDescriptors});
  if (code != 0) {
    errno = code;
    return -1;
  }
  const int descriptor = SystemCalls::open(path, flags, mode);
  if (descriptor >= 0) {
    std::lock_guard guard(mutex_);
    names_[descriptor] = name;
    // Emptied or new: what its sync failed to write does not exist any more.
    if ((flags & O_TRUNC) != 0) failed_syncs_.erase(name);
  }
  if ((flags & O_CREAT) != 0) changed(parent_name(path));
  return descriptor;
}

int FaultySystemCalls::close(int descriptor) {
  {
    std::lock_guard guard(mutex_);
    names_.erase(descriptor);
  }
  return SystemCalls::close(descriptor);
}

ssize_t FaultySystemCalls::pwrite(int descriptor, const void* bytes, std::size_t n, off_t at) {
  const std::string name = name_of_descriptor(descriptor);
  const int code = n > 1
                       ? next("pwrite", name, {Fault::kIo, Fault::kFull, Fault::kInterrupted, Fault::kShort})
                       : next("pwrite", name, {Fault::kIo, Fault::kFull, Fault::kInterrupted});
  if (code > 0) {
    errno = code;
    return -1;
  }
  changed(name);
  return SystemCalls::pwrite(descriptor, bytes, code < 0 ? n / 2 : n, at);
}

ssize_t FaultySystemCalls::pwritev(int descriptor, const iovec* pieces, int count, off_t at) {
  const std::string name = name_of_descriptor(descriptor);
  const int code = next("pwritev", name, {Fault::kIo, Fault::kFull, Fault::kInterrupted, Fault::kShort});
  if (code > 0) {
    errno = code;
    return -1;
  }
  changed(name);
  if (code == 0) return SystemCalls::pwritev(descriptor, pieces, count, at);
  // Half of the bytes, which may end inside a piece.
  std::size_t total = 0;
  for (int i = 0; i < count; ++i) total += pieces[i].iov_len;
  std::vector<iovec> some;
  std::size_t left = std::max<std::size_t>(1, total / 2);
  for (int i = 0; i < count && left > 0; ++i) {
    some.push_back({pieces[i].iov_base, std::min(left, pieces[i].iov_len)});
    left -= some.back().iov_len;
  }
  return SystemCalls::pwritev(descriptor, some.data(), static_cast<int>(some.size()), at);
}

ssize_t FaultySystemCalls::pread(int descriptor, void* bytes, std::size_t n, off_t at) {
  const std::string name = name_of_descriptor(descriptor);
  const int code = n > 1 ? next("pread", name, {Fault::kIo, Fault::kInterrupted, Fault::kShort})
                         : next("pread", name, {Fault::kIo, Fault::kInterrupted});
  if (code > 0) {
    errno = code;
    return -1;
  }
  return SystemCalls::pread(descriptor, bytes, code < 0 ? n / 2 : n, at);
}

int FaultySystemCalls::sync(const char* call, int descriptor) {
  const std::string name = name_of_descriptor(descriptor);
  const int code = next(call, name, {Fault::kIo, Fault::kFull, Fault::kSync, Fault::kSyncInterrupted});
  std::lock_guard guard(mutex_);
  if (failed_syncs_.contains(name)) retried_.push_back(std::string(call) + " " + name);
  if (code == 0) return 0;
  failed_syncs_.insert(name);
  errno = code;
  return -1;
}
int FaultySystemCalls::fdatasync(int descriptor) {
  return sync("fdatasync", descriptor);
}
int FaultySystemCalls::fsync(int descriptor) {
  return sync("fsync", descriptor);
}

int FaultySystemCalls::fallocate(int descriptor, int mode, off_t at, off_t bytes) {
  const int code =
      next("fallocate", name_of_descriptor(descriptor), {Fault::kIo, Fault::kFull, Fault::kInterrupted});
  if (code != 0) {
    errno = code;
    return -1;
  }
  return SystemCalls::fallocate(descriptor, mode, at, bytes);
}

int FaultySystemCalls::ftruncate(int descriptor, off_t bytes) {
  const int code =
      next("ftruncate", name_of_descriptor(descriptor), {Fault::kIo, Fault::kFull, Fault::kInterrupted});
  if (code != 0) {
    errno = code;
    return -1;
  }
  return SystemCalls::ftruncate(descriptor, bytes);
}

int FaultySystemCalls::fstat(int descriptor, struct stat* out) {
  if (const int code = next("fstat", name_of_descriptor(descriptor), {Fault::kIo}); code != 0) {
    errno = code;
    return -1;
  }
  return SystemCalls::fstat(descriptor, out);
}

int FaultySystemCalls::flock(int descriptor, int operation) {
  const int code = next("flock", name_of_descriptor(descriptor), {Fault::kIo, Fault::kInterrupted});
  if (code != 0) {
    errno = code;
    return -1;
  }
  return SystemCalls::flock(descriptor, operation);
}

void* FaultySystemCalls::mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                              off_t at) {
  const int code = next("mmap", name_of_descriptor(descriptor), {Fault::kIo, Fault::kDescriptors});
  if (code != 0) {
    errno = code == EMFILE ? ENOMEM : code;
    return reinterpret_cast<void*>(-1);  // MAP_FAILED
  }
  return SystemCalls::mmap(address, bytes, protection, flags, descriptor, at);
}

int FaultySystemCalls::rename(const char* from, const char* to) {
  if (const int code = next("rename", file_name(to), {Fault::kIo, Fault::kFull}); code != 0) {
    errno = code;
    return -1;
  }
  {
    // Open files keep their identity under the new name.
    std::lock_guard guard(mutex_);
    failed_syncs_.erase(file_name(to));
    if (failed_syncs_.erase(file_name(from)) != 0) failed_syncs_.insert(file_name(to));
    for (auto& [descriptor, name] : names_)
      if (name == file_name(from)) name = file_name(to);
  }
  changed(parent_name(to));
  return SystemCalls::rename(from, to);
}

int FaultySystemCalls::unlink(const char* path) {
  if (const int code = next("unlink", file_name(path), {Fault::kIo}); code != 0) {
    errno = code;
    return -1;
  }
  {
    std::lock_guard guard(mutex_);
    failed_syncs_.erase(file_name(path));
  }
  return SystemCalls::unlink(path);
}

int FaultySystemCalls::mkdir(const char* path, mode_t mode) {
  if (const int code = next("mkdir", file_name(path), {Fault::kIo, Fault::kFull}); code != 0) {
    errno = code;
    return -1;
  }
  return SystemCalls::mkdir(path, mode);
}

DIR* FaultySystemCalls::opendir(const char* path) {
  if (const int code = next("opendir", file_name(path), {Fault::kIo, Fault::kDescriptors}); code != 0) {
    errno = code;
    return nullptr;
  }
  return SystemCalls::opendir(path);
}

dirent* FaultySystemCalls::readdir(DIR* directory) {
  if (const int code = next("readdir", "", {Fault::kIo}); code != 0) {
    errno = code;
    return nullptr;
  }
  return SystemCalls::readdir(directory);
}

}  // namespace kappa::log::sim
