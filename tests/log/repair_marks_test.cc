// Goal: after a repair, a mark that was taken before it is never called another log's. Method: marks of every
// batch end are kept, batches are damaged with and without their headers, repaired, and the marks compared.
#include <gtest/gtest.h>

#include <functional>

#include "tests/log/repair_fixture.h"

namespace kappa::log {
namespace {

TEST_F(Repair, ViewPlacesAtTheEndOfAGapAreStillFound) {
  write_log();
  const auto batches = places(segments_[1]);
  PrefixMark before, behind;
  {
    auto log = open();
    before = *log->mark(batches[4].header.base_offset);
    behind = *log->mark(batches[6].header.base_offset);
  }
  flip_byte(segments_[1], batches[3].at + 170);
  ASSERT_TRUE(run(true));
  auto log = open();
  EXPECT_EQ(compare_prefix(*log->mark(batches[4].header.base_offset), before), PrefixMatch::kSame);
  EXPECT_EQ(*log->mark(batches[6].header.base_offset), behind);
}

// Symptom that this is against: a repair that gave up the last batches, and every view that had applied them
// was "made from another log".
TEST_F(Repair, PlacesAtTheEndOfALogThatLostItsEndAreKnownOrUnknownNeverOthers) {
  write_log();
  std::vector<PrefixMark> marks;
  {
    auto log = open();
    for (std::uint64_t i = 0; i <= kEvents; ++i) marks.push_back(*log->mark(Offset(i)));
  }
  const auto last = places(segments_.back());
  const std::uint64_t base_last = last.front().header.base_offset.value();
  struct Way {
    const char* name;
    std::function<void()> damage;
    std::uint64_t unknown_from, unknown_to;  // Ends of prefixes.
  };
  const Way ways[] = {
      {"only the body of the last batch", [&] { flip_byte(segments_.back(), last.back().at + 170); }, 0, 0},
      {"the header of the last batch", [&] { flip_byte(segments_.back(), last.back().at + 60); }, kEvents, kEvents + 1},
      {"bodies of the last two batches",
       [&] {
         flip_byte(segments_.back(), last.back().at + 170);
         flip_byte(segments_.back(), last[last.size() - 2].at + 170);
       },
       kEvents - 1, kEvents},
      {"the last segment file", [&] { std::filesystem::remove(segments_.back()); }, base_last + 1, kEvents + 1},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    restore_whole();
    way.damage();
    const auto report = run(true);
    ASSERT_TRUE(report) << to_string(report.error());
    ASSERT_TRUE(report->remaining.empty()) << report->remaining[0];
    std::vector<PrefixMark> later;
    for (int opening = 0; opening < 3; ++opening) {
      auto log = open();
      ASSERT_FALSE(log->status().damage);
      for (std::uint64_t i = 0; i <= kEvents; ++i) {
        const auto mark = log->mark(Offset(i));
        ASSERT_TRUE(mark);
        const bool unknown = i >= way.unknown_from && i < way.unknown_to;
        EXPECT_EQ(compare_prefix(*mark, marks[i]), unknown ? PrefixMatch::kUnknown : PrefixMatch::kSame) << i;
        // What is committed from now on is exact again.
        if (opening == 0)
          later.push_back(*mark);
        else
          EXPECT_EQ(*mark, later[i]) << i;
      }
      ASSERT_TRUE(log->append(batch(topic_a_, {"after"})));
    }
    EXPECT_TRUE(verify_all().damage.empty());
  }
}

TEST(PrefixMarks, OnlyTwoKnownHashesProveAnotherLog) {
  const PrefixMark log{Offset(9), WriterEpoch(2), 77};
  EXPECT_EQ(compare_prefix(log, log), PrefixMatch::kSame);
  EXPECT_EQ(compare_prefix(log, {Offset(9), WriterEpoch(1), 77}), PrefixMatch::kSame);
  EXPECT_EQ(compare_prefix(log, {Offset(9), WriterEpoch(2), 78}), PrefixMatch::kOther);
  EXPECT_EQ(compare_prefix(log, {Offset(8), WriterEpoch(2), 77}), PrefixMatch::kOther);
  EXPECT_EQ(compare_prefix({Offset(9), WriterEpoch(2), 77, true}, {Offset(9), WriterEpoch(2), 78}), PrefixMatch::kUnknown);
  EXPECT_EQ(compare_prefix({Offset(9), WriterEpoch(2), 77, true}, log), PrefixMatch::kSame);
  EXPECT_EQ(compare_prefix({Offset(9), WriterEpoch(0), 0}, log), PrefixMatch::kUnknown);
  EXPECT_EQ(compare_prefix({Offset(0), WriterEpoch(0), 0}, {Offset(0), WriterEpoch(2), 5}), PrefixMatch::kOther);
}

}  // namespace
}  // namespace kappa::log
