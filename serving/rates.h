// Rates over the last seconds from counters that only grow, sampled when something happens: an idle
// server has nothing to do.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace kappa::serving {

class Rates {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct PerSecond {
    double events = 0;
    double bytes = 0;
  };

  // True when a sample is due: at most one a second.
  [[nodiscard]] bool due(Time now) const { return now - samples_[newest_].time >= std::chrono::seconds(1); }
  void sample(Time now, std::uint64_t events, std::uint64_t bytes) {
    newest_ = (newest_ + 1) % samples_.size();
    samples_[newest_] = {now, events, bytes};
  }
  // Since the oldest sample of the last five seconds; zero when there is none.
  [[nodiscard]] PerSecond rates(Time now, std::uint64_t events, std::uint64_t bytes) const {
    for (std::size_t i = 1; i <= samples_.size(); ++i) {
      const Sample& sample = samples_[(newest_ + i) % samples_.size()];
      if (sample.time == Time{} || now - sample.time > std::chrono::seconds(5)) continue;
      const double seconds = std::chrono::duration<double>(now - sample.time).count();
      if (seconds <= 0) return {};
      return {static_cast<double>(events - sample.events) / seconds,
              static_cast<double>(bytes - sample.bytes) / seconds};
    }
    return {};
  }

 private:
  struct Sample {
    Time time{};
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;
  };
  std::array<Sample, 8> samples_{};
  std::size_t newest_ = 0;
};

}  // namespace kappa::serving
