#include "log/sync_placement.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

namespace kappa::log {
namespace {

// Weight of a new measure in the average.
constexpr double kShare = 1.0 / 16;
// How much faster another processor must be: noise alone must not move anybody.
constexpr double kBetter = 0.85;

}  // namespace

std::optional<unsigned> SyncPlacement::after_sync(unsigned processor, unsigned processors, double micros) {
  if (processors < 2 || processors > kProcessorsMax || processor >= processors) return std::nullopt;
  Known& here = known_[processor];
  // One slow sync says nothing about the place.
  if (here.micros > 0) micros = std::min(micros, 2 * here.micros);
  here.micros = here.micros > 0 ? here.micros + kShare * (micros - here.micros) : micros;
  here.measured_at = decisions_;
  if (++syncs_ < kPeriod) return std::nullopt;
  syncs_ = 0;
  ++decisions_;
  unsigned best = processor;
  for (unsigned other = 0; other < processors; ++other) {
    Known& there = known_[other];
    if (other == processor) continue;
    if (there.micros == 0 || decisions_ - there.measured_at >= kTryAgain) {
      there = {0, decisions_};
      return other;
    }
    if (there.micros < kBetter * here.micros && (best == processor || there.micros < known_[best].micros)) best = other;
  }
  return best == processor ? std::nullopt : std::optional(best);
}

Processors processors() {
  const int current = ::sched_getcpu();
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (current < 0 || online < 2 || online > static_cast<long>(SyncPlacement::kProcessorsMax)) return {};
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) != static_cast<int>(online)) return {};
  return {static_cast<unsigned>(current), static_cast<unsigned>(online)};
}

void move_to_processor(unsigned processor, unsigned count) {
  cpu_set_t there;
  cpu_set_t all;
  CPU_ZERO(&there);
  CPU_ZERO(&all);
  CPU_SET(processor, &there);
  for (unsigned i = 0; i < count; ++i) CPU_SET(i, &all);
  if (::sched_setaffinity(0, sizeof there, &there) == 0) static_cast<void>(::sched_setaffinity(0, sizeof all, &all));
}

}  // namespace kappa::log
