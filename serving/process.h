// What this process uses, as the kernel counts it.
#pragma once

#include <cstdint>

namespace kappa::serving {

struct ProcessUsage {
  std::uint64_t rss_anon_bytes = 0;
  std::uint64_t rss_bytes = 0;
  std::uint64_t threads = 0;
  double cpu_seconds = 0;
};

// Zeros for what /proc does not tell.
[[nodiscard]] ProcessUsage process_usage();

}  // namespace kappa::serving
