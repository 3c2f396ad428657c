// How replays use the machine, and what they say of themselves.
#pragma once

#include <cstdint>
#include <string>

namespace kappa::processor {

struct ReplayOptions {
  // Threads that build views; 0: as many as there are processors. At most kReplayThreadsMax.
  unsigned threads = 0;
  // Of each thread's time that it may work, 1..100; the rest it sleeps.
  unsigned share_percent = 100;
  // Added to the threads' nice value, 0..19: live views and appends come first.
  int nice = 19;
  // A view is built here if it is so many events of the log behind; nearer ones the processor thread feeds.
  std::uint64_t events_min = 100'000;
  // From one checkpoint to the next, while memory allows: what a crash repeats. A commit costs what the groups that
  // it holds cost, and most of them come again.
  unsigned checkpoint_ms = 5'000;
  // Offsets of a unit of decoding; 0: from the log. For tests.
  std::uint64_t unit = 0;
};
inline constexpr unsigned kReplayThreadsMax = 256;

// How far the building of a view is. Counted in events of the topics that it reads.
struct ReplayProgress {
  bool active = false;            // It is being built, or waits or pauses while it is.
  std::string state;              // "running", "waiting" (another one of its topics goes first, or commits), "paused".
  std::uint64_t events_done = 0;  // Since the view's start, also before a restart.
  std::uint64_t events_total = 0; // Fixed when the build began.
  std::uint64_t tail_events = 0;  // Appended since then and not applied: beside the total.
  double events_per_second = 0;   // Of late, taking them for evenly spread; 0: not known yet.
  double eta_seconds = -1;        // For the rest of the total and the tail; below 0: not known.
};

}  // namespace kappa::processor
