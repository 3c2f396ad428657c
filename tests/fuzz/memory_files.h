// A directory in memory behind the log's file seam: one level, nothing ever fails, everything written is
// there at once. For fuzzing what recovery makes of a directory; crashes and errors are tested elsewhere.
//
// A file keeps its bytes in one block with room to grow, so that a mapping stays coherent with later
// writes as long as the file does not outgrow kRoom. Thread-safe as the seam asks.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "log/file.h"

namespace kappa::fuzz {

// Name to content.
using Directory = std::map<std::string, std::string>;

class MemoryFiles final : public log::FileSystem {
 public:
  static constexpr std::size_t kRoom = std::size_t{96} << 10;

  explicit MemoryFiles(const Directory& content);
  // What is there now.
  [[nodiscard]] Directory content() const;

  Expected<std::unique_ptr<log::File>> open(const std::filesystem::path& path, log::OpenMode mode) override;
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Status unlink(const std::filesystem::path& path) override;
  Status sync_directory(const std::filesystem::path&) override { return {}; }
  Status create_directory(const std::filesystem::path&) override { return {}; }
  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override;

  // The bytes of one file; shared by its handles and mappings.
  struct Inode {
    std::mutex mutex;
    std::shared_ptr<char[]> bytes;
    std::size_t size = 0;
    std::size_t room = 0;
    std::size_t shared = 0;  // Lock holders.
    bool exclusive = false;
    // Makes the file `to` bytes long, zeros behind the old end. Needs `mutex`.
    void resize(std::size_t to);
  };

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Inode>> files_;
};

}  // namespace kappa::fuzz
