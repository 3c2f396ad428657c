// Goal: the syncing thread goes where syncs are fast, stays there, and follows when that changes.
// Method: a model of a machine in which a sync's time depends on the processor alone.
#include "log/sync_placement.h"

#include <gtest/gtest.h>

#include <vector>

namespace kappa::log {
namespace {

// Runs `syncs` syncs; gives how many of the last tenth ran on each processor, and counts the moves.
struct Machine {
  std::vector<double> micros;
  unsigned at = 0;
  unsigned moves = 0;
  SyncPlacement placement{};

  std::vector<unsigned> run(unsigned syncs) {
    std::vector<unsigned> counts(micros.size());
    for (unsigned i = 0; i < syncs; ++i) {
      if (i >= syncs - syncs / 10) ++counts[at];
      if (const auto to = placement.after_sync(at, static_cast<unsigned>(micros.size()), micros[at])) {
        EXPECT_NE(*to, at);
        at = *to;
        ++moves;
      }
    }
    return counts;
  }
};

TEST(SyncPlacement, GoesWhereSyncsAreFast) {
  Machine machine{{230, 130}};
  EXPECT_EQ(machine.run(2000)[1], 200U);
  Machine four{{150, 220, 90, 230}};
  EXPECT_EQ(four.run(4000)[2], 400U);
}

TEST(SyncPlacement, StaysWhereNothingIsBetter) {
  Machine machine{{120, 125}};
  machine.run(2000);
  EXPECT_LE(machine.moves, 2U) << "tries the other once and may stay there";
}

TEST(SyncPlacement, FollowsTheInterrupt) {
  Machine machine{{230, 130}};
  machine.run(2000);
  machine.micros = {130, 230};
  EXPECT_EQ(machine.run(SyncPlacement::kPeriod * (SyncPlacement::kTryAgain + 8))[1], 0U);
}

TEST(SyncPlacement, OneProcessorHasNowhereToGo) {
  SyncPlacement placement;
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(placement.after_sync(0, 1, 100));
}

TEST(SyncPlacement, OneSlowSyncMovesNobody) {
  Machine machine{{120, 120}};
  machine.run(1000);
  const unsigned before = machine.moves;
  static_cast<void>(machine.placement.after_sync(machine.at, 2, 1e6));
  machine.run(1000);
  EXPECT_EQ(machine.moves, before);
}

}  // namespace
}  // namespace kappa::log
