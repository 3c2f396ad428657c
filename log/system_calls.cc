// The plain calls.
#include "log/system_calls.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

namespace kappa::log {

int SystemCalls::open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
int SystemCalls::close(int descriptor) { return ::close(descriptor); }
ssize_t SystemCalls::pwrite(int descriptor, const void* bytes, std::size_t n, off_t at) {
  return ::pwrite(descriptor, bytes, n, at);
}
ssize_t SystemCalls::pwritev(int descriptor, const iovec* pieces, int count, off_t at) {
  return ::pwritev(descriptor, pieces, count, at);
}
ssize_t SystemCalls::pread(int descriptor, void* bytes, std::size_t n, off_t at) {
  return ::pread(descriptor, bytes, n, at);
}
int SystemCalls::fdatasync(int descriptor) { return ::fdatasync(descriptor); }
int SystemCalls::fsync(int descriptor) { return ::fsync(descriptor); }
int SystemCalls::fallocate(int descriptor, int mode, off_t at, off_t bytes) {
  return ::fallocate(descriptor, mode, at, bytes);
}
int SystemCalls::ftruncate(int descriptor, off_t bytes) { return ::ftruncate(descriptor, bytes); }
int SystemCalls::fstat(int descriptor, struct stat* out) { return ::fstat(descriptor, out); }
int SystemCalls::flock(int descriptor, int operation) { return ::flock(descriptor, operation); }
void* SystemCalls::mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                        off_t at) {
  return ::mmap(address, bytes, protection, flags, descriptor, at);
}
int SystemCalls::munmap(void* address, std::size_t bytes) { return ::munmap(address, bytes); }
int SystemCalls::rename(const char* from, const char* to) { return ::rename(from, to); }
int SystemCalls::unlink(const char* path) { return ::unlink(path); }
int SystemCalls::link(const char* from, const char* to) { return ::link(from, to); }
int SystemCalls::mkdir(const char* path, mode_t mode) { return ::mkdir(path, mode); }
DIR* SystemCalls::opendir(const char* path) { return ::opendir(path); }
dirent* SystemCalls::readdir(DIR* directory) { return ::readdir(directory); }

SystemCalls& plain_system_calls() {
  static SystemCalls instance;
  return instance;
}

}  // namespace kappa::log
