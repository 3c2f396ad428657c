// `kappa serve`: wires log, engine and server together; the one place that does.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "log/log.h"
#include "processor/replay/replay_options.h"
#include "proto/limits.h"
#include "serving/server.h"

namespace kappa::tools {

struct ServeOptions {
  std::filesystem::path data = "./kappa-data";  // Holds log/ and views/; created if missing.
  std::string listen = "127.0.0.1:7171";        // HOST:PORT; port 0 picks one.
  std::string socket;                           // Unix socket; empty: kappa.sock in `data`; "none".
  serving::ServerOptions server;                // Of it TLS, tokens and limits; the rest is set here.
  log::Durability durability = log::Durability::kSync;
  bool read_only = false;
  std::uint64_t scrub_bytes_per_second = std::uint64_t{4} << 20;  // 0: no background check of the log.
  log::RetentionLimits retention;                   // Off.
  std::optional<std::uint64_t> disk_reserve_bytes;  // As the log chooses.
  // For tests; the defaults are right otherwise.
  std::size_t segment_bytes = limits::kSegmentBytesDefault;
  std::uint32_t commit_interval_ms = 500;
  std::uint64_t memory_bytes = std::uint64_t{256} << 20;
  processor::ReplayOptions replay;  // How views that are far behind are built.
  std::chrono::milliseconds drain_timeout{10'000};  // After SIGTERM or SIGINT.
};

// Serves until SIGTERM or SIGINT, then drains. Prints one line on stdout once it answers; everything
// else goes to stderr. Returns the exit status: kExitOk after a drain, kExitRefused when it could not
// start or the log failed for good, kExitNotFound when a read-only server finds no log, kExitCorrupt when
// the log cannot even be read or views are there without it. Call it on the main
// thread before any other thread exists: it blocks the signals for all of them.
[[nodiscard]] int run_serve(const ServeOptions& options);

}  // namespace kappa::tools
