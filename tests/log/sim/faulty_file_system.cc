// Counts, then passes on.
#include "tests/log/sim/faulty_file_system.h"

#include <cerrno>

namespace kappa::log::sim {
namespace {

class FaultyFile final : public ForwardingFile {
 public:
  FaultyFile(FaultyFileSystem& files, std::unique_ptr<File> inner, std::filesystem::path path)
      : ForwardingFile(std::move(inner)), files_(files), path_(std::move(path)) {}
  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
    KAPPA_CHECK_OK(files_.next("write", path_));
    return file_->pwritev(pieces, at);
  }
  Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override {
    KAPPA_CHECK_OK(files_.next("read", path_, true));
    return file_->pread(out, at);
  }
  Status fdatasync() override {
    KAPPA_CHECK_OK(files_.next("fdatasync", path_));
    return file_->fdatasync();
  }
  Status allocate(std::uint64_t bytes) override {
    KAPPA_CHECK_OK(files_.next("allocate", path_));
    return file_->allocate(bytes);
  }
  Status truncate(std::uint64_t bytes) override {
    KAPPA_CHECK_OK(files_.next("truncate", path_));
    return file_->truncate(bytes);
  }
  Expected<std::shared_ptr<const Mapping>> map() override {
    KAPPA_CHECK_OK(files_.next("map", path_, true));
    return file_->map();
  }

 private:
  FaultyFileSystem& files_;
  std::filesystem::path path_;
};

}  // namespace

Status FaultyFileSystem::next(const char* call, const std::filesystem::path& path, bool reads) {
  if (reads && code_ == ENOSPC) return {};
  if (left_.fetch_sub(1) != 1) return {};
  return fail_errno(3201, std::string(call) + " " + path.string(), code_);
}

Expected<std::unique_ptr<File>> FaultyFileSystem::open(const std::filesystem::path& path, OpenMode mode) {
  KAPPA_CHECK_OK(next("open", path, mode == OpenMode::kRead || mode == OpenMode::kReadWrite));
  KAPPA_TRY(auto inner, inner_.open(path, mode));
  return std::make_unique<FaultyFile>(*this, std::move(inner), path);
}
Status FaultyFileSystem::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  KAPPA_CHECK_OK(next("rename", from));
  return inner_.rename(from, to);
}
Status FaultyFileSystem::unlink(const std::filesystem::path& path) {
  KAPPA_CHECK_OK(next("remove", path));
  return inner_.unlink(path);
}
Status FaultyFileSystem::sync_directory(const std::filesystem::path& path) {
  KAPPA_CHECK_OK(next("fsync", path));
  return inner_.sync_directory(path);
}
Status FaultyFileSystem::create_directory(const std::filesystem::path& path) {
  KAPPA_CHECK_OK(next("create directory", path));
  return inner_.create_directory(path);
}
Expected<std::vector<std::string>> FaultyFileSystem::list(const std::filesystem::path& path) {
  KAPPA_CHECK_OK(next("list", path, true));
  return inner_.list(path);
}

}  // namespace kappa::log::sim
