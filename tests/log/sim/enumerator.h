// Walks a recording, builds the crash images of every moment, opens each different one once and holds
// what it recovers against what had been promised by then.
//
// Single-threaded. The same image (by a hash of all names and bytes) is opened once a recording; a
// later moment that can leave it too only compares what was recovered with what was promised by then.
#pragma once

#include <chrono>
#include <unordered_map>

#include "tests/log/sim/crash_state.h"
#include "tests/log/sim/model.h"

namespace kappa::log::sim {

struct Totals {
  std::uint64_t moments = 0;  // Operations after which the power was cut.
  std::uint64_t built = 0;    // Images built.
  std::uint64_t opened = 0;   // Different ones, each opened, checked, appended to and opened again.
  std::uint64_t failures = 0;
  std::chrono::duration<double> time{};
  Totals& operator+=(const Totals& other);
};
// Of all enumerations of this process.
[[nodiscard]] Totals& grand_totals();

// KAPPA_CRASH_PERCENT: below 100 only about this share of the images is opened (for sanitizers); above
// it, tests add that many more seeded scenarios. 100 if not set.
[[nodiscard]] unsigned percent();

struct Start {
  CrashState state;
  std::uint64_t kept = 0;     // Promised before the recording began.
  std::uint64_t written = 0;  // Promised to survive the death of a process.
};

struct EnumerateOptions {
  std::string name;  // For messages.
  std::size_t segment_bytes = 0;
  Variety variety;
  // About this many images, and moments of death, spread over the recording, are given to on_image and
  // on_kill: for crashes inside their recovery. 0: none.
  std::size_t samples = 0;
  std::function<void(const Tree& image, std::uint64_t kept)> on_image;
  std::function<void(CrashState state, std::uint64_t kept, std::uint64_t written)> on_kill;
};

// Failures are those of the running gtest case; after the third the rest is left out.
Totals enumerate_crashes(Start start, const std::vector<Operation>& operations, const Model& model,
                         const EnumerateOptions& options);

}  // namespace kappa::log::sim
