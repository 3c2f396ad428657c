// A file system in memory: as fast as a memcpy, and a crash image of one is a handful of strings.
//
// Behaves as log/file.h promises: names and content apart (an unlinked file lives while it is open),
// mappings as large as the file was and coherent with later writes, whole-file locks. What a later
// truncate took from a mapping reads as zeros to the end of the page and as 0xDD behind it, where the
// real one would raise SIGBUS. Nothing here knows of durability: that is the recording's part.
// Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <set>

#include "log/file.h"

namespace kappa::log::sim {

// The content of a file system: what a crash image is, and what a check opens.
struct Tree {
  std::set<std::string> directories;         // Full paths; "/" is always there.
  std::map<std::string, std::string> files;  // By full path.
  bool operator==(const Tree&) const = default;
};

class MemoryFileSystem final : public FileSystem {
 public:
  explicit MemoryFileSystem(const Tree& tree = {});
  ~MemoryFileSystem() override;

  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override;
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Status unlink(const std::filesystem::path& path) override;
  Status sync_directory(const std::filesystem::path& path) override;
  Status create_directory(const std::filesystem::path& path) override;
  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override;

  // A copy of everything as it is now: what a killed process leaves in the page cache.
  [[nodiscard]] Tree tree() const;

  struct Node;

 private:
  mutable std::mutex mutex_;
  std::set<std::string> directories_;
  std::map<std::string, std::shared_ptr<Node>> names_;
};

}  // namespace kappa::log::sim
