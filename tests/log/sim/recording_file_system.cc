// The recording's handles: every change is made and noted under one lock.
#include "tests/log/sim/recording_file_system.h"

#include <cerrno>

namespace kappa::log::sim {

std::string describe(const Operation& operation) {
  using enum Operation::Kind;
  const auto file = [&] { return "file " + std::to_string(operation.file); };
  switch (operation.kind) {
    case kMakeDirectory: return "make directory " + operation.name;
    case kCreate: return "create " + operation.name + " as " + file();
    case kRename: return "rename " + operation.name + " to " + operation.to;
    case kUnlink: return "unlink " + operation.name;
    case kWrite:
      return "write " + file() + " [" + std::to_string(operation.at) + ", " +
             std::to_string(operation.at + operation.data.size()) + ")";
    case kResize: return "resize " + file() + " to " + std::to_string(operation.size);
    case kSyncBegin: return "sync " + std::to_string(operation.sync) + " begins: " + file();
    case kSyncDirectoryBegin: return "sync " + std::to_string(operation.sync) + " begins: " + operation.name;
    case kSyncFailed: return "a sync fails: " + file();
    case kSyncEnd:
    case kSyncDirectoryEnd: return "sync " + std::to_string(operation.sync) + " ends";
    case kMark:
      return std::string("promise below ") + std::to_string(operation.end) +
             (operation.promise == Operation::Promise::kKept ? ": kept" : ": written");
  }
  return "unknown";
}

class RecordingFile final : public File {
 public:
  RecordingFile(RecordingFileSystem& files, std::unique_ptr<File> inner, FileNumber number)
      : files_(files), inner_(std::move(inner)), number_(number) {}

  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
    Operation operation{.kind = Operation::Kind::kWrite, .file = number_, .at = at};
    for (const iovec& piece : pieces)
      operation.data.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    std::lock_guard guard(files_.mutex_);
    KAPPA_CHECK_OK(inner_->pwritev(pieces, at));
    files_.add(std::move(operation));
    return {};
  }
  Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override {
    return inner_->pread(out, at);
  }
  Status fdatasync() override {
    std::unique_lock lock(files_.mutex_);
    if (auto& left = files_.syncs_until_failure_; left && *left > 0 && --*left == 0) {
      files_.add({.kind = Operation::Kind::kSyncFailed, .file = number_});
      return fail_errno(3201, "fdatasync of file " + std::to_string(number_), EIO);
    }
    const std::uint32_t sync = files_.next_sync_++;
    files_.add({.kind = Operation::Kind::kSyncBegin, .file = number_, .sync = sync});
    ++files_.held_;
    files_.changed_.notify_all();
    files_.changed_.wait(lock, [this] { return !files_.hold_; });
    --files_.held_;
    files_.add({.kind = Operation::Kind::kSyncEnd, .sync = sync});
    return {};
  }
  Status allocate(std::uint64_t bytes) override {
    std::lock_guard guard(files_.mutex_);
    KAPPA_TRY(const std::uint64_t size, inner_->size());
    KAPPA_CHECK_OK(inner_->allocate(bytes));
    if (bytes > size) files_.add({.kind = Operation::Kind::kResize, .file = number_, .size = bytes});
    return {};
  }
  Status truncate(std::uint64_t bytes) override {
    std::lock_guard guard(files_.mutex_);
    KAPPA_CHECK_OK(inner_->truncate(bytes));
    files_.add({.kind = Operation::Kind::kResize, .file = number_, .size = bytes});
    return {};
  }
  Expected<std::uint64_t> size() override { return inner_->size(); }
  Expected<std::shared_ptr<const Mapping>> map() override { return inner_->map(); }
  Expected<bool> lock(bool exclusive) override { return inner_->lock(exclusive); }

 private:
  RecordingFileSystem& files_;
  std::unique_ptr<File> inner_;
  FileNumber number_;
};

Numbers number_files(const Tree& tree) {
  Numbers numbers;
  FileNumber next = 1;
  for (const auto& [path, content] : tree.files) numbers[path] = next++;
  return numbers;
}

RecordingFileSystem::RecordingFileSystem(const Tree& start, Numbers numbers, FileNumber next_file)
    : inner_(start), numbers_(std::move(numbers)), next_file_(next_file) {}

void RecordingFileSystem::add(Operation operation) {
  operations_.push_back(std::move(operation));
  changed_.notify_all();
}

Expected<std::unique_ptr<File>> RecordingFileSystem::open(const std::filesystem::path& path, OpenMode mode) {
  std::lock_guard guard(mutex_);
  KAPPA_TRY(auto inner, inner_.open(path, mode));
  const auto found = numbers_.find(path.string());
  FileNumber number = 0;
  if (found == numbers_.end()) {
    number = numbers_[path.string()] = next_file_++;
    add({.kind = Operation::Kind::kCreate, .file = number, .name = path.string()});
  } else {
    number = found->second;
    if (mode == OpenMode::kCreateEmpty) add({.kind = Operation::Kind::kResize, .file = number, .size = 0});
  }
  return std::make_unique<RecordingFile>(*this, std::move(inner), number);
}

Status RecordingFileSystem::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::lock_guard guard(mutex_);
  KAPPA_CHECK_OK(inner_.rename(from, to));
  const FileNumber number = numbers_.at(from.string());
  numbers_[to.string()] = number;
  numbers_.erase(from.string());
  add({.kind = Operation::Kind::kRename, .name = from.string(), .to = to.string()});
  return {};
}

Status RecordingFileSystem::unlink(const std::filesystem::path& path) {
  std::lock_guard guard(mutex_);
  KAPPA_CHECK_OK(inner_.unlink(path));
  numbers_.erase(path.string());
  add({.kind = Operation::Kind::kUnlink, .name = path.string()});
  return {};
}

Status RecordingFileSystem::sync_directory(const std::filesystem::path& path) {
  std::lock_guard guard(mutex_);
  KAPPA_CHECK_OK(inner_.sync_directory(path));
  const std::uint32_t sync = next_sync_++;
  add({.kind = Operation::Kind::kSyncDirectoryBegin, .name = path.string(), .sync = sync});
  add({.kind = Operation::Kind::kSyncDirectoryEnd, .sync = sync});
  return {};
}

Status RecordingFileSystem::create_directory(const std::filesystem::path& path) {
  std::lock_guard guard(mutex_);
  const bool there = inner_.list(path).has_value();
  KAPPA_CHECK_OK(inner_.create_directory(path));
  if (!there) add({.kind = Operation::Kind::kMakeDirectory, .name = path.string()});
  return {};
}

Expected<std::vector<std::string>> RecordingFileSystem::list(const std::filesystem::path& path) {
  return inner_.list(path);
}

void RecordingFileSystem::fail_sync(std::uint64_t n) {
  std::lock_guard guard(mutex_);
  syncs_until_failure_ = n;
}

bool RecordingFileSystem::stop_failing() {
  std::lock_guard guard(mutex_);
  const bool failed = syncs_until_failure_ == 0;
  syncs_until_failure_.reset();
  return failed;
}

void RecordingFileSystem::mark(Operation::Promise promise, std::uint64_t end) {
  std::lock_guard guard(mutex_);
  add({.kind = Operation::Kind::kMark, .promise = promise, .end = end});
}

void RecordingFileSystem::hold_syncs(bool on) {
  std::lock_guard guard(mutex_);
  hold_ = on;
  changed_.notify_all();
}

void RecordingFileSystem::wait_until_a_sync_is_held() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return hold_ && held_ > 0; });
}

void RecordingFileSystem::wait_for(const std::function<bool(const std::vector<Operation>&)>& wanted) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return wanted(operations_); });
}

FileNumber RecordingFileSystem::number_of(const std::string& path) const {
  std::lock_guard guard(mutex_);
  const auto found = numbers_.find(path);
  return found == numbers_.end() ? 0 : found->second;
}

std::vector<Operation> RecordingFileSystem::operations() const {
  std::lock_guard guard(mutex_);
  return operations_;
}

}  // namespace kappa::log::sim
