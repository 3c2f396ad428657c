// File and FileSystem that pass every call on, to be derived from by what interferes with one of them.
// Calls that an interface composes of others (writing zeros, reading without the cache) stay composed, so
// that a derived class sees the parts.
#pragma once

#include <memory>
#include <utility>

#include "log/file.h"

namespace kappa::log {

class ForwardingFile : public File {
 public:
  explicit ForwardingFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override { return file_->pwritev(pieces, at); }
  Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override { return file_->pread(out, at); }
  Status fdatasync() override { return file_->fdatasync(); }
  Status allocate(std::uint64_t bytes) override { return file_->allocate(bytes); }
  Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  Expected<std::uint64_t> size() override { return file_->size(); }
  Expected<std::shared_ptr<const Mapping>> map() override { return file_->map(); }
  Expected<bool> lock(bool exclusive) override { return file_->lock(exclusive); }

 protected:
  std::unique_ptr<File> file_;
};

class ForwardingFiles : public FileSystem {
 public:
  // `inner` outlives this.
  explicit ForwardingFiles(FileSystem& inner = real_file_system()) : inner_(inner) {}
  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    return inner_.open(path, mode);
  }
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    return inner_.rename(from, to);
  }
  Status unlink(const std::filesystem::path& path) override { return inner_.unlink(path); }
  Status sync_directory(const std::filesystem::path& path) override { return inner_.sync_directory(path); }
  Status create_directory(const std::filesystem::path& path) override { return inner_.create_directory(path); }
  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override { return inner_.list(path); }

 protected:
  FileSystem& inner_;
};

}  // namespace kappa::log
