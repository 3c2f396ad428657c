// The real file system: thin wrappers that handle EINTR, short transfers and IOV_MAX.
#include "log/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "log/mapping_guard.h"
#include "log/system_calls.h"

namespace kappa::log {
namespace {

// "kIo 3201": the operating system refused an operation on a file.
constexpr std::uint16_t kFileError = 3201;

std::unexpected<Error> file_error(const char* what, const std::filesystem::path& path, int code) {
  auto error = fail_errno(kFileError, std::string(what) + " " + path.string(), code);
  if (code == ENOENT) error.error().code = ErrorCode::kNotFound;
  if (out_of_handles(error.error())) error.error().code = ErrorCode::kFull;
  return error;
}

// Repeats a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

class RealMapping final : public Mapping {
 public:
  RealMapping(SystemCalls& calls, void* base, std::size_t size) : calls_(calls), base_(base), size_(size) {
    if (base != nullptr) guard_.emplace(base, size);
  }
  RealMapping(const RealMapping&) = delete;
  RealMapping& operator=(const RealMapping&) = delete;
  ~RealMapping() override {
    guard_.reset();  // First: its range may be somebody else's after the next line.
    if (base_ != nullptr) calls_.munmap(base_, size_);
  }
  [[nodiscard]] Bytes bytes() const override { return {static_cast<const std::byte*>(base_), size_}; }
  [[nodiscard]] std::optional<std::uint64_t> lost_byte(std::uint64_t from, std::uint64_t to) const override {
    return guard_ ? guard_->lost_byte(from, to) : std::nullopt;
  }

 private:
  SystemCalls& calls_;
  void* base_;
  std::size_t size_;
  std::optional<GuardedRange> guard_;
};

// Aligned as unbuffered I/O wants it; one piece is large enough for the device.
constexpr std::size_t kZeroBytes = std::size_t{1} << 20;
Bytes zeros() {
  // Not const, so that it takes no place in the binary; nobody writes to it.
  alignas(4096) static std::array<std::byte, kZeroBytes> bytes{};
  return bytes;
}

class RealFile final : public File {
 public:
  RealFile(SystemCalls& calls, int descriptor, std::filesystem::path path)
      : calls_(calls), descriptor_(descriptor), path_(std::move(path)) {}
  RealFile(const RealFile&) = delete;
  RealFile& operator=(const RealFile&) = delete;
  ~RealFile() override { calls_.close(descriptor_); }

  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
    // After a short write the rest of the broken piece goes first, alone.
    std::size_t index = 0;
    std::size_t skip = 0;
    while (index < pieces.size()) {
      ssize_t n = 0;
      if (skip != 0) {
        const iovec& piece = pieces[index];
        n = uninterrupted([&] {
          return calls_.pwrite(descriptor_, static_cast<const char*>(piece.iov_base) + skip, piece.iov_len - skip,
                          static_cast<off_t>(at));
        });
      } else {
        const std::size_t count = std::min<std::size_t>(pieces.size() - index, IOV_MAX);
        n = uninterrupted([&] {
          return calls_.pwritev(descriptor_, &pieces[index], static_cast<int>(count), static_cast<off_t>(at));
        });
      }
      if (n < 0) return file_error("write", path_, errno);
      at += static_cast<std::uint64_t>(n);
      std::size_t done = static_cast<std::size_t>(n) + skip;
      skip = 0;
      while (index < pieces.size() && done >= pieces[index].iov_len) done -= pieces[index++].iov_len;
      if (index < pieces.size()) {
        skip = done;
        if (n == 0) return file_error("write", path_, EIO);
      }
    }
    return {};
  }

  Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = uninterrupted([&] {
        return calls_.pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(at + done));
      });
      if (n < 0) return file_error("read", path_, errno);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Expected<std::size_t> pread_cold(std::span<std::byte> out, std::uint64_t at) override {
    // What is there in full without waiting for the disk was cached before.
    const iovec piece{out.data(), out.size()};
    if (::preadv2(descriptor_, &piece, 1, static_cast<off_t>(at), RWF_NOWAIT) ==
        static_cast<ssize_t>(out.size()))
      return out.size();
    KAPPA_TRY(const std::size_t got, pread(out, at));
    static_cast<void>(
        ::posix_fadvise(descriptor_, static_cast<off_t>(at), static_cast<off_t>(got), POSIX_FADV_DONTNEED));
    return got;
  }

  Status fdatasync() override {
    // Not repeated on EINTR either: Linux does not give it, and a second call could hide a loss.
    if (calls_.fdatasync(descriptor_) != 0) return file_error("fdatasync", path_, errno);
    return {};
  }

  Status allocate(std::uint64_t bytes) override {
    const int result =
        uninterrupted([&] { return calls_.fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes)); });
    if (result == 0) return {};
    // File systems without fallocate still get their zeros written by the caller.
    if (errno == EOPNOTSUPP) return truncate(bytes);
    return file_error("allocate", path_, errno);
  }

  Status write_zeros(std::uint64_t at, std::uint64_t bytes) override {
    const int flags = ::fcntl(descriptor_, F_GETFL);
    // Refused by file systems without unbuffered I/O: then through the cache.
    const bool direct = flags >= 0 && ::fcntl(descriptor_, F_SETFL, flags | O_DIRECT) == 0;
    Status written = File::write_zeros(at, bytes);
    if (direct) static_cast<void>(::fcntl(descriptor_, F_SETFL, flags));
    if (!written && direct && written.error().system_errno == EINVAL) written = File::write_zeros(at, bytes);
    return written;
  }

  Status truncate(std::uint64_t bytes) override {
    if (uninterrupted([&] { return calls_.ftruncate(descriptor_, static_cast<off_t>(bytes)); }) != 0)
      return file_error("truncate", path_, errno);
    return {};
  }

  Expected<std::uint64_t> size() override {
    struct stat info{};
    if (calls_.fstat(descriptor_, &info) != 0) return file_error("stat", path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Expected<std::shared_ptr<const Mapping>> map() override {
    KAPPA_TRY(const std::uint64_t bytes, size());
    if (bytes == 0) return std::make_shared<const RealMapping>(calls_, nullptr, 0);
    void* base = calls_.mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (base == MAP_FAILED) return file_error("map", path_, errno);
    return std::make_shared<const RealMapping>(calls_, base, bytes);
  }

  Expected<bool> has_name(const std::filesystem::path& path) override {
    struct stat own{};
    struct stat named{};
    if (calls_.fstat(descriptor_, &own) != 0) return file_error("stat", path_, errno);
    if (::stat(path.c_str(), &named) == 0) return own.st_dev == named.st_dev && own.st_ino == named.st_ino;
    if (errno == ENOENT) return false;
    return file_error("stat", path, errno);
  }

  void forget_cache() override {
    // Only advice: a file system that ignores it is as right as one that follows.
    static_cast<void>(::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED));
  }

  Expected<bool> lock(bool exclusive) override {
    const int result =
        uninterrupted([&] { return calls_.flock(descriptor_, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB); });
    if (result == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    return file_error("lock", path_, errno);
  }

 private:
  SystemCalls& calls_;
  int descriptor_;
  std::filesystem::path path_;
};

class RealDirectory final : public Directory {
 public:
  RealDirectory(SystemCalls& calls, int descriptor, std::filesystem::path path)
      : calls_(calls), descriptor_(descriptor), path_(std::move(path)) {}
  RealDirectory(const RealDirectory&) = delete;
  RealDirectory& operator=(const RealDirectory&) = delete;
  ~RealDirectory() override { calls_.close(descriptor_); }

  Status sync() override {
    if (calls_.fsync(descriptor_) == 0) return {};
    Status failed = file_error("fsync", path_, errno);
    failed.error().code = ErrorCode::kIo;
    return failed;
  }

 private:
  SystemCalls& calls_;
  int descriptor_;
  std::filesystem::path path_;
};

// Of a file system that has nothing to keep open.
class NamedDirectory final : public Directory {
 public:
  NamedDirectory(FileSystem& files, std::filesystem::path path) : files_(files), path_(std::move(path)) {}
  Status sync() override { return files_.sync_directory(path_); }

 private:
  FileSystem& files_;
  std::filesystem::path path_;
};

class RealFileSystem final : public FileSystem {
 public:
  explicit RealFileSystem(SystemCalls& calls) : calls_(calls) {}
  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case OpenMode::kRead: flags |= O_RDONLY; break;
      case OpenMode::kReadWrite: flags |= O_RDWR; break;
      case OpenMode::kCreate: flags |= O_RDWR | O_CREAT; break;
      case OpenMode::kCreateEmpty: flags |= O_RDWR | O_CREAT | O_TRUNC; break;
    }
    const int descriptor = uninterrupted([&] { return calls_.open(path.c_str(), flags, 0644); });
    if (descriptor < 0) return file_error("open", path, errno);
    return std::make_unique<RealFile>(calls_, descriptor, path);
  }

  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    if (calls_.rename(from.c_str(), to.c_str()) != 0) return file_error("rename", from, errno);
    return {};
  }

  Status unlink(const std::filesystem::path& path) override {
    if (calls_.unlink(path.c_str()) != 0) return file_error("remove", path, errno);
    return {};
  }

  Status link(const std::filesystem::path& from, const std::filesystem::path& to) override {
    if (calls_.link(from.c_str(), to.c_str()) == 0) return {};
    // Another file system, one without links, or a file with as many names as it can have.
    if (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP) return FileSystem::link(from, to);
    return file_error("link", from, errno);
  }

  Status sync_directory(const std::filesystem::path& path) override {
    KAPPA_TRY(const auto directory, open_directory(path));
    return directory->sync();
  }

  Expected<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path) override {
    const int descriptor =
        uninterrupted([&] { return calls_.open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
    if (descriptor < 0) return file_error("open", path, errno);
    return std::make_unique<RealDirectory>(calls_, descriptor, path);
  }

  Status create_directory(const std::filesystem::path& path) override {
    if (calls_.mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
      return file_error("create directory", path, errno);
    return {};
  }

  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override {
    std::vector<std::string> names;
    DIR* directory = calls_.opendir(path.c_str());
    if (directory == nullptr) return file_error("list", path, errno);
    int code = 0;
    for (;;) {
      errno = 0;
      const dirent* entry = calls_.readdir(directory);
      code = errno;
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(directory);
    if (code != 0) return file_error("list", path, code);
    std::sort(names.begin(), names.end());
    return names;
  }

  Expected<DiskSpace> disk_space(const std::filesystem::path& path) override {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0) return file_error("statvfs", path, errno);
    return DiskSpace{std::uint64_t{info.f_bavail} * info.f_frsize, std::uint64_t{info.f_blocks} * info.f_frsize};
  }

 private:
  SystemCalls& calls_;
};

}  // namespace

Status File::write_zeros(std::uint64_t at, std::uint64_t bytes) {
  for (std::uint64_t done = 0; done < bytes; done += kZeroBytes) {
    KAPPA_CHECK_OK(
        pwrite(zeros().first(static_cast<std::size_t>(std::min<std::uint64_t>(kZeroBytes, bytes - done))), at + done));
  }
  return {};
}

Status FileSystem::link(const std::filesystem::path& from, const std::filesystem::path&) {
  return fail(ErrorCode::kUnsupported, 3203, "no hard links for " + from.string());
}

Expected<std::unique_ptr<Directory>> FileSystem::open_directory(const std::filesystem::path& path) {
  return std::make_unique<NamedDirectory>(*this, path);
}

Expected<std::string> FileSystem::read_whole(const std::filesystem::path& path, std::size_t bytes_max) {
  KAPPA_TRY(const auto file, open(path, OpenMode::kRead));
  KAPPA_TRY(const std::uint64_t bytes, file->size());
  if (bytes > bytes_max) return fail(ErrorCode::kTooLarge, 3202, path.string() + " is larger than it can be");
  std::string content(bytes, '\0');
  KAPPA_TRY(const std::size_t got, file->pread(std::as_writable_bytes(std::span(content)), 0));
  content.resize(got);
  return content;
}

bool out_of_handles(const Error& error) {
  return error.system_errno == EMFILE || error.system_errno == ENFILE || error.system_errno == ENOMEM;
}

Status FileSystem::replace_whole(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::path beside = path;
  beside += ".tmp";
  const auto write = [&]() -> Status {
    KAPPA_TRY(const auto file, open(beside, OpenMode::kCreateEmpty));
    KAPPA_CHECK_OK(file->pwrite(as_bytes(content), 0));
    return file->fdatasync();
  };
  Status written = write();
  if (written) written = rename(beside, path);
  if (!written) {
    static_cast<void>(unlink(beside));  // A full disk should not be fuller for it.
    return written;
  }
  return sync_directory(path.parent_path());
}

Status FileSystem::replace_derived(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::path beside = path;
  beside += ".tmp";
  const auto write = [&]() -> Status {
    KAPPA_TRY(const auto file, open(beside, OpenMode::kCreateEmpty));
    return file->pwrite(as_bytes(content), 0);
  };
  Status written = write();
  if (written) written = rename(beside, path);
  if (!written) static_cast<void>(unlink(beside));
  return written;
}

FileSystem& real_file_system() {
  static RealFileSystem instance(plain_system_calls());
  return instance;
}

std::unique_ptr<FileSystem> make_real_file_system(SystemCalls& calls) {
  return std::make_unique<RealFileSystem>(calls);
}

}  // namespace kappa::log
