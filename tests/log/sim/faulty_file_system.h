// A file system of which the n-th call that changes or opens something fails, at the level of log/file.h:
// over any other one, so that a fault and a crash can meet. The call that fails changes nothing.
// Thread-safe if the inner one is.
#pragma once

#include <atomic>

#include "tests/log/forwarding_files.h"

namespace kappa::log::sim {

class FaultyFileSystem final : public ForwardingFiles {
 public:
  // `inner` outlives this. The n-th call (from 1) fails with the error that errno `code` makes.
  FaultyFileSystem(FileSystem& inner, std::int64_t n, int code) : ForwardingFiles(inner), left_(n), code_(code) {}
  [[nodiscard]] bool injected() const { return left_ <= 0; }

  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override;
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Status unlink(const std::filesystem::path& path) override;
  Status sync_directory(const std::filesystem::path& path) override;
  Status create_directory(const std::filesystem::path& path) override;
  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override;

  // For its files. A call that only reads never wants space.
  Status next(const char* call, const std::filesystem::path& path, bool reads = false);

 private:
  std::atomic<std::int64_t> left_;
  int code_;
};

}  // namespace kappa::log::sim
