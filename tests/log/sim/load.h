// The load that the crash tests record: mixed sizes, topics and producers, over several segments.
#pragma once

#include <random>

#include "tests/log/sim/session.h"

namespace kappa::log::sim {

inline constexpr std::size_t kSegmentBytes = limits::kSegmentBytesMin;

struct Shape {
  Durability durability = Durability::kSync;
  unsigned prepared_segments = 1;
  std::uint64_t seed = 1;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] LogOptions options() const;
};

struct Recorded {
  Model model;
  std::vector<Operation> operations;
};

[[nodiscard]] std::string text_of(std::mt19937_64& random, std::size_t bytes);

// `rounds` times a few appends by three producers to two topics, system records, batches of several
// events, groups in flight, now and then the stored watermark or a new opening. Enough bytes to roll a
// segment about every other round.
void run_load(Session& session, const Shape& shape, unsigned rounds);
// A new log under run_load(), closed in good order. Failures are those of the running gtest case.
[[nodiscard]] Recorded record(const Shape& shape, unsigned rounds);

}  // namespace kappa::log::sim
