// The disk reserve: free space that appends leave to everything else.
//
// Views commit, manifests and control pages are written, and a server starts and stops in it. Below it
// appends are refused as full and no segment is prepared; nothing is ever deleted for it.
// Thread-safe: no state that changes.
#pragma once

#include <algorithm>
#include <optional>

#include "log/file.h"

namespace kappa::log {

class DiskReserve {
 public:
  static constexpr std::uint64_t kDefaultMax = std::uint64_t{64} << 20;
  static constexpr std::uint64_t kDefaultMin = std::uint64_t{4} << 20;

  // Without `bytes`: a twentieth of the file system, at least kDefaultMin and at most kDefaultMax. 0: none.
  DiskReserve(FileSystem& files, std::filesystem::path directory, std::optional<std::uint64_t> bytes)
      : files_(files), directory_(std::move(directory)) {
    const auto space = files_.disk_space(directory_);
    bytes_ = bytes.value_or(std::clamp(space ? space->total_bytes / 20 : kDefaultMax, kDefaultMin, kDefaultMax));
  }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  // UINT64_MAX if the system does not say.
  [[nodiscard]] std::uint64_t free_bytes() const {
    const auto space = files_.disk_space(directory_);
    return space ? space->free_bytes : UINT64_MAX;
  }
  // kFull 3004 if taking `more` bytes would leave less than the reserve.
  [[nodiscard]] Status check(std::uint64_t more) const {
    if (bytes_ == 0) return {};
    const std::uint64_t free = free_bytes();
    if (free >= bytes_ && free - bytes_ >= more) return {};
    return fail(ErrorCode::kFull, 3004,
                std::to_string(free) + " bytes are free, and " + std::to_string(bytes_) +
                    " of them are reserved" +
                    (more == 0 ? "" : " (a new segment takes " + std::to_string(more) + ")"),
                "free some space; appends go on by themselves");
  }

 private:
  FileSystem& files_;
  std::filesystem::path directory_;
  std::uint64_t bytes_ = 0;
};

}  // namespace kappa::log
