// The system calls behind the real file system, one level below log/file.h: a test derives from this
// and makes the n-th call fail, come back short or be interrupted, so that the code that handles it
// (log/file.cc) is the code that runs in production.
//
// Each function has the meaning, the result and the errno of the call of its name. Thread-safe. The
// cost is one virtual call before a system call.
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace kappa::log {

class SystemCalls {
 public:
  virtual ~SystemCalls() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual int close(int descriptor);
  virtual ssize_t pwrite(int descriptor, const void* bytes, std::size_t n, off_t at);
  virtual ssize_t pwritev(int descriptor, const iovec* pieces, int count, off_t at);
  virtual ssize_t pread(int descriptor, void* bytes, std::size_t n, off_t at);
  virtual int fdatasync(int descriptor);
  virtual int fsync(int descriptor);
  virtual int fallocate(int descriptor, int mode, off_t at, off_t bytes);
  virtual int ftruncate(int descriptor, off_t bytes);
  virtual int fstat(int descriptor, struct stat* out);
  virtual int flock(int descriptor, int operation);
  virtual void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t at);
  virtual int munmap(void* address, std::size_t bytes);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int link(const char* from, const char* to);
  virtual int mkdir(const char* path, mode_t mode);
  virtual DIR* opendir(const char* path);
  // nullptr at the end with errno as it was, or with an error in errno.
  virtual dirent* readdir(DIR* directory);
};

// The operating system's own. Lives as long as the process; no state.
[[nodiscard]] SystemCalls& plain_system_calls();

}  // namespace kappa::log
