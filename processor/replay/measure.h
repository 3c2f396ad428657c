// One replay, measured: for `kappa bench replay`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "log/log.h"
#include "processor/engine.h"
#include "proto/error.h"

namespace kappa::processor {

struct MeasuredReplay {
  std::uint64_t events = 0;      // Of the log, all topics: what progress counts.
  double seconds = 0;            // Until everything durable at the beginning is applied (or selected).
  double committed_seconds = 0;  // Until it is committed too; 0 for a SELECT.
  std::uint64_t rows = 0;
  std::uint64_t state_bytes = 0;
};

// Runs `statements` over the log beside its catalog, and changes neither: CREATE STREAM and the like define what the
// last one reads. The last one is a CREATE MATERIALIZED VIEW, which is built in options.directory (made and removed),
// or a SELECT, whose rows are counted. The log may be open read-only. Blocks.
// Errors: those of the statements; kExists for a directory that is there; kClosed if the view fails.
[[nodiscard]] Expected<MeasuredReplay> measure_replay(log::Log& log, const std::vector<std::string>& statements,
                                                      EngineOptions options);

}  // namespace kappa::processor
