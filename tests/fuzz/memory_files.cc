// See memory_files.h.
#include "tests/fuzz/memory_files.h"

#include <cerrno>
#include <cstring>

#include "proto/check.h"

namespace kappa::fuzz {
namespace {

using Inode = MemoryFiles::Inode;

class MemoryMapping final : public log::Mapping {
 public:
  MemoryMapping(std::shared_ptr<char[]> bytes, std::size_t size) : bytes_(std::move(bytes)), size_(size) {}
  Bytes bytes() const override { return as_bytes({bytes_.get(), size_}); }

 private:
  std::shared_ptr<char[]> bytes_;
  std::size_t size_;
};

class MemoryFile final : public log::File {
 public:
  explicit MemoryFile(std::shared_ptr<Inode> inode) : inode_(std::move(inode)) {}
  ~MemoryFile() override {
    const std::lock_guard lock(inode_->mutex);
    if (held_ && exclusive_) inode_->exclusive = false;
    if (held_ && !exclusive_) --inode_->shared;
  }

  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
    const std::lock_guard lock(inode_->mutex);
    for (const iovec& piece : pieces) {
      if (piece.iov_len == 0) continue;
      if (at + piece.iov_len > inode_->size) inode_->resize(at + piece.iov_len);
      std::memcpy(inode_->bytes.get() + at, piece.iov_base, piece.iov_len);
      at += piece.iov_len;
    }
    return {};
  }
  Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override {
    const std::lock_guard lock(inode_->mutex);
    if (at >= inode_->size || out.empty()) return 0;
    const std::size_t n = std::min<std::size_t>(out.size(), inode_->size - at);
    std::memcpy(out.data(), inode_->bytes.get() + at, n);
    return n;
  }
  Status fdatasync() override { return {}; }
  Status allocate(std::uint64_t bytes) override {
    const std::lock_guard lock(inode_->mutex);
    if (bytes > inode_->size) inode_->resize(bytes);
    return {};
  }
  Status truncate(std::uint64_t bytes) override {
    const std::lock_guard lock(inode_->mutex);
    inode_->resize(bytes);
    return {};
  }
  Expected<std::uint64_t> size() override {
    const std::lock_guard lock(inode_->mutex);
    return inode_->size;
  }
  Expected<std::shared_ptr<const log::Mapping>> map() override {
    const std::lock_guard lock(inode_->mutex);
    return std::make_shared<MemoryMapping>(inode_->bytes, inode_->size);
  }
  Expected<bool> lock(bool exclusive) override {
    const std::lock_guard guard(inode_->mutex);
    if (inode_->exclusive || (exclusive && inode_->shared > 0)) return false;
    (exclusive ? inode_->exclusive = true : ++inode_->shared);
    held_ = true;
    exclusive_ = exclusive;
    return true;
  }

 private:
  std::shared_ptr<Inode> inode_;
  bool held_ = false;
  bool exclusive_ = false;
};

std::shared_ptr<Inode> make_inode(std::string_view content) {
  auto inode = std::make_shared<Inode>();
  inode->resize(content.size());
  if (!content.empty()) std::memcpy(inode->bytes.get(), content.data(), content.size());
  return inode;
}

}  // namespace

void Inode::resize(std::size_t to) {
  // Nothing that an input describes is large: a length that was believed shows here.
  KAPPA_CHECK(to < std::size_t{64} << 20, "a file grows without bounds");
  if (to > room) {
    const std::size_t more = std::max(kRoom, 2 * to);
    std::shared_ptr<char[]> grown(new char[more]);
    if (size > 0) std::memcpy(grown.get(), bytes.get(), size);
    bytes = std::move(grown);
    room = more;
  }
  if (to > size) std::memset(bytes.get() + size, 0, to - size);
  size = to;
}

MemoryFiles::MemoryFiles(const Directory& content) {
  for (const auto& [name, bytes] : content) files_.emplace(name, make_inode(bytes));
}

Directory MemoryFiles::content() const {
  const std::lock_guard lock(mutex_);
  Directory all;
  for (const auto& [name, inode] : files_) {
    const std::lock_guard guard(inode->mutex);
    all.emplace(name, std::string(inode->bytes.get(), inode->size));
  }
  return all;
}

Expected<std::unique_ptr<log::File>> MemoryFiles::open(const std::filesystem::path& path,
                                                       log::OpenMode mode) {
  const std::lock_guard lock(mutex_);
  const std::string name = path.filename().string();
  auto found = files_.find(name);
  const bool may_create = mode == log::OpenMode::kCreate || mode == log::OpenMode::kCreateEmpty;
  if (found == files_.end()) {
    if (!may_create) {
      auto missing = fail_errno(3203, "cannot open " + path.string(), ENOENT);
      missing.error().code = ErrorCode::kNotFound;
      return missing;
    }
    found = files_.emplace(name, make_inode({})).first;
  }
  auto file = std::make_unique<MemoryFile>(found->second);
  if (mode == log::OpenMode::kCreateEmpty) KAPPA_CHECK_OK(file->truncate(0));
  return file;
}

Status MemoryFiles::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(from.filename().string());
  if (found == files_.end()) return fail_errno(3201, "cannot rename " + from.string(), ENOENT);
  auto inode = found->second;
  files_.erase(found);
  files_.insert_or_assign(to.filename().string(), std::move(inode));
  return {};
}

Status MemoryFiles::unlink(const std::filesystem::path& path) {
  const std::lock_guard lock(mutex_);
  if (files_.erase(path.filename().string()) == 0)
    return fail(ErrorCode::kNotFound, 3203, "cannot unlink " + path.string());
  return {};
}

Expected<std::vector<std::string>> MemoryFiles::list(const std::filesystem::path&) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, inode] : files_) names.push_back(name);
  return names;
}

}  // namespace kappa::fuzz
