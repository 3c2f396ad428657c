// Nodes, handles and mappings of the file system in memory.
#include "tests/log/sim/memory_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace kappa::log::sim {
namespace {

constexpr std::uint16_t kFileError = 3201;
constexpr std::size_t kPageBytes = 4096;

std::unexpected<Error> refused(const char* what, const std::filesystem::path& path, int code) {
  auto error = fail_errno(kFileError, std::string(what) + " " + path.string(), code);
  if (code == ENOENT) error.error().code = ErrorCode::kNotFound;
  return error;
}

// Bytes that a mapping may point into: never moved while somebody holds them.
struct Buffer {
  explicit Buffer(std::size_t capacity) : bytes(capacity, '\0') {}
  std::string bytes;
};

class MemoryMapping final : public Mapping {
 public:
  MemoryMapping(std::shared_ptr<Buffer> buffer, std::size_t size) : buffer_(std::move(buffer)), size_(size) {}
  [[nodiscard]] Bytes bytes() const override { return as_bytes(buffer_->bytes).first(size_); }

 private:
  std::shared_ptr<Buffer> buffer_;  // Shared with the node and other mappings of it.
  std::size_t size_;
};

}  // namespace

struct MemoryFileSystem::Node {
  std::mutex mutex;
  std::shared_ptr<Buffer> buffer = std::make_shared<Buffer>(0);  // Its bytes behind `size` are zeros.
  std::size_t size = 0;
  std::vector<std::weak_ptr<Buffer>> mapped_before;  // Outgrown, but still mapped: kept coherent.
  int shared_locks = 0;
  bool exclusive_lock = false;

  void reserve(std::size_t bytes) {
    if (bytes <= buffer->bytes.size()) return;
    auto larger = std::make_shared<Buffer>(std::max(bytes, std::min<std::size_t>(2 * size, 1 << 20)));
    std::memcpy(larger->bytes.data(), buffer->bytes.data(), size);
    if (buffer.use_count() > 1) mapped_before.push_back(buffer);
    buffer = std::move(larger);
  }
  void write(const void* bytes, std::size_t n, std::size_t at) {
    reserve(at + n);
    std::memcpy(buffer->bytes.data() + at, bytes, n);
    for (const auto& weak : mapped_before)
      if (const auto old = weak.lock(); old && at < old->bytes.size())
        std::memcpy(old->bytes.data() + at, bytes, std::min(n, old->bytes.size() - at));
    size = std::max(size, at + n);
  }
  void resize(std::size_t bytes) {
    reserve(bytes);
    if (bytes < size) {
      const auto cut = [&](Buffer& old) {
        const std::size_t page_end = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
        for (std::size_t at = bytes; at < old.bytes.size(); ++at)
          old.bytes[at] = at < page_end ? '\0' : static_cast<char>(0xdd);
      };
      // Whoever mapped it keeps the old bytes, spoiled; the node goes on with clean ones.
      if (buffer.use_count() > 1) {
        auto fresh = std::make_shared<Buffer>(bytes);
        std::memcpy(fresh->bytes.data(), buffer->bytes.data(), bytes);
        mapped_before.push_back(buffer);
        buffer = std::move(fresh);
      } else {
        std::memset(buffer->bytes.data() + bytes, 0, size - bytes);
      }
      for (const auto& weak : mapped_before)
        if (const auto old = weak.lock()) cut(*old);
    }
    size = bytes;
  }
};

namespace {

class MemoryFile final : public File {
 public:
  MemoryFile(std::shared_ptr<MemoryFileSystem::Node> node, std::filesystem::path path)
      : node_(std::move(node)), path_(std::move(path)) {}
  ~MemoryFile() override {
    std::lock_guard guard(node_->mutex);
    if (locked_exclusive_) node_->exclusive_lock = false;
    if (locked_shared_) --node_->shared_locks;
  }
  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
    std::lock_guard guard(node_->mutex);
    for (const iovec& piece : pieces) {
      if (piece.iov_len > 0) node_->write(piece.iov_base, piece.iov_len, at);
      at += piece.iov_len;
    }
    return {};
  }
  Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override {
    std::lock_guard guard(node_->mutex);
    if (at >= node_->size) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(out.size(), node_->size - at);
    if (n > 0) std::memcpy(out.data(), node_->buffer->bytes.data() + at, n);
    return n;
  }
  Status fdatasync() override { return {}; }
  Status allocate(std::uint64_t bytes) override {
    std::lock_guard guard(node_->mutex);
    if (bytes > node_->size) node_->resize(bytes);
    return {};
  }
  Status truncate(std::uint64_t bytes) override {
    std::lock_guard guard(node_->mutex);
    node_->resize(bytes);
    return {};
  }
  Expected<std::uint64_t> size() override {
    std::lock_guard guard(node_->mutex);
    return node_->size;
  }
  Expected<std::shared_ptr<const Mapping>> map() override {
    std::lock_guard guard(node_->mutex);
    return std::make_shared<const MemoryMapping>(node_->buffer, node_->size);
  }
  Expected<bool> lock(bool exclusive) override {
    std::lock_guard guard(node_->mutex);
    if (node_->exclusive_lock || (exclusive && node_->shared_locks > 0)) return false;
    if (exclusive) {
      node_->exclusive_lock = locked_exclusive_ = true;
    } else {
      ++node_->shared_locks;
      locked_shared_ = true;
    }
    return true;
  }

 private:
  std::shared_ptr<MemoryFileSystem::Node> node_;  // Shared with its names and other handles.
  std::filesystem::path path_;
  bool locked_exclusive_ = false, locked_shared_ = false;
};

}  // namespace

MemoryFileSystem::MemoryFileSystem(const Tree& tree) : directories_(tree.directories) {
  directories_.insert("/");
  for (const auto& [path, content] : tree.files) {
    auto node = std::make_shared<Node>();
    if (!content.empty()) node->write(content.data(), content.size(), 0);
    names_.emplace(path, std::move(node));
  }
}
MemoryFileSystem::~MemoryFileSystem() = default;

Expected<std::unique_ptr<File>> MemoryFileSystem::open(const std::filesystem::path& path, OpenMode mode) {
  std::lock_guard guard(mutex_);
  auto found = names_.find(path.string());
  if (found == names_.end()) {
    if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite ||
        !directories_.contains(path.parent_path().string()))
      return refused("open", path, ENOENT);
    found = names_.emplace(path.string(), std::make_shared<Node>()).first;
  } else if (mode == OpenMode::kCreateEmpty) {
    std::lock_guard node_guard(found->second->mutex);
    found->second->resize(0);
  }
  return std::make_unique<MemoryFile>(found->second, path);
}

Status MemoryFileSystem::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::lock_guard guard(mutex_);
  const auto found = names_.find(from.string());
  if (found == names_.end()) return refused("rename", from, ENOENT);
  auto node = std::move(found->second);
  names_.erase(found);
  names_[to.string()] = std::move(node);
  return {};
}

Status MemoryFileSystem::unlink(const std::filesystem::path& path) {
  std::lock_guard guard(mutex_);
  if (names_.erase(path.string()) == 0) return refused("remove", path, ENOENT);
  return {};
}

Status MemoryFileSystem::sync_directory(const std::filesystem::path& path) {
  std::lock_guard guard(mutex_);
  if (!directories_.contains(path.string())) return refused("open", path, ENOENT);
  return {};
}

Status MemoryFileSystem::create_directory(const std::filesystem::path& path) {
  std::lock_guard guard(mutex_);
  if (!directories_.contains(path.parent_path().string())) return refused("create directory", path, ENOENT);
  directories_.insert(path.string());
  return {};
}

Expected<std::vector<std::string>> MemoryFileSystem::list(const std::filesystem::path& path) {
  std::lock_guard guard(mutex_);
  if (!directories_.contains(path.string())) return refused("list", path, ENOENT);
  std::vector<std::string> found;
  for (const auto& [name, node] : names_)
    if (const std::filesystem::path full(name); full.parent_path() == path)
      found.push_back(full.filename().string());
  for (const std::string& name : directories_)
    if (const std::filesystem::path full(name); name != "/" && full.parent_path() == path)
      found.push_back(full.filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

Tree MemoryFileSystem::tree() const {
  std::lock_guard guard(mutex_);
  Tree tree;
  tree.directories = directories_;
  for (const auto& [path, node] : names_) {
    std::lock_guard node_guard(node->mutex);
    tree.files[path] = node->buffer->bytes.substr(0, node->size);
  }
  return tree;
}

}  // namespace kappa::log::sim
