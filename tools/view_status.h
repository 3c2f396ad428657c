// The views of the server's status document, as far as commands look at them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"

namespace kappa::tools {

struct ViewProgress {
  std::string name;
  std::uint32_t version = 1;
  std::string role;
  std::string state;
  std::string error;
  std::uint64_t applied = 0;
  // Of what is being built: events done of those to be read.
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::uint64_t tail = 0;        // Appended since it began, and not applied.
  std::string replay_state;      // "running", "waiting", "paused"; empty: no replay.
  double events_per_second = 0;  // 0: not known.
  double eta_seconds = -1;       // Below 0: not known.
  std::string json;              // Its entry, whole.
  [[nodiscard]] std::string at() const { return name + "@" + std::to_string(version); }
  // A replay, or on the way to a cutover.
  [[nodiscard]] bool building() const {
    return state != "failed" && (state == "building" || role == "next" || !replay_state.empty());
  }
};

struct ServerState {
  std::uint64_t log_start = 0;
  std::uint64_t log_end = 0;
  std::vector<std::string> topics;
  std::vector<ViewProgress> views;
  [[nodiscard]] const ViewProgress* find(std::string_view name, std::uint32_t version) const;
};

// kInvalid 5001 if it is not a status document.
[[nodiscard]] Expected<ServerState> parse_server_state(std::string_view json);

// "12 s", "3 min", "2 h 5 min".
[[nodiscard]] std::string duration_text(double seconds);

// "page_hits@2  [######----]  61 %  6100000/10000000 events  1.2 M/s  3 s left"; bars of `width` cells.
[[nodiscard]] std::string progress_line(const ViewProgress& view, std::size_t width = 24);

// "being built" and a line for each version that is; empty if none is.
[[nodiscard]] std::string replay_bars(const ServerState& server);

}  // namespace kappa::tools
