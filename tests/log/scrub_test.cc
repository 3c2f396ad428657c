// Goal: the scrub finds rot in sealed segments without anybody reading them, says exactly which offsets,
// costs nothing when no pass is due, and forgets what was put right. Method: steps driven by the test with a
// clock of its own, over real segments damaged one way at a time.
#include "log/scrub.h"

#include <gtest/gtest.h>

#include "log/format.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

class ScrubTest : public LogFixture {
 protected:
  void write_segments() {
    options_.segment_bytes = 32 << 10;
    options_.prepared_segments = 0;
    options_.clock = &clock_;
    clock_.time = Timestamp(1'700'000'000'000'000);
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    for (int i = 0; i < 150; ++i) ASSERT_TRUE(log->append(batch(topic, {std::string(700, 'x')})));
    log.reset();
    segments_ = files_ending(".segment");
    ASSERT_GE(segments_.size(), 5u);
  }
  static void whole_pass(Log& log) {
    const auto before = log.status().scrub.passes;
    for (int i = 0; i < 10000 && log.status().scrub.passes == before; ++i) static_cast<void>(log.scrub_step(1));
    ASSERT_EQ(log.status().scrub.passes, before + 1);
  }
  void next_day() { clock_.time = clock_.time + Scrub::kPassInterval; }

  ManualClock clock_;
  std::vector<std::filesystem::path> segments_;
};

TEST_F(ScrubTest, SoundSegmentsAreReadOncePerDay) {
  write_segments();
  auto log = open();
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i + 1 < segments_.size(); ++i) bytes += std::filesystem::file_size(segments_[i]);
  EXPECT_EQ(log->status().scrub.bytes_per_second, 0u);
  EXPECT_FALSE(log->status().scrub.last_pass);
  EXPECT_GT(log->scrub_step(1), 0u);
  EXPECT_EQ(log->status().scrub.segment, 1u);
  EXPECT_EQ(log->status().scrub.segments_total, segments_.size() - 1);
  whole_pass(*log);
  const ScrubStatus done = log->status().scrub;
  EXPECT_EQ(done.segments_done, segments_.size() - 1);
  EXPECT_EQ(done.bytes_read, bytes) << "every byte of the sealed segments, once";
  EXPECT_EQ(done.last_pass, clock_.time);
  EXPECT_EQ(done.damaged_found, 0u);
  EXPECT_EQ(log->scrub_step(1 << 30), 0u) << "not due";
  clock_.time = clock_.time + (Scrub::kPassInterval - 1);
  EXPECT_EQ(log->scrub_step(1 << 30), 0u) << "not due";
  clock_.time = clock_.time + 1;
  EXPECT_EQ(log->scrub_step(std::uint64_t{1} << 30), bytes);
  EXPECT_EQ(log->status().scrub.passes, 2u);
  clock_.time = Timestamp(5);
  EXPECT_GT(log->scrub_step(1), 0u) << "a clock that went back by years does not stop it";
  EXPECT_TRUE(log->status().damaged.empty());
}

TEST_F(ScrubTest, RotIsFoundWithItsExactPlaceAndForgottenWhenPutRight) {
  write_segments();
  const auto batches = places(segments_[2]);
  const std::string whole = load(segments_[2]);
  auto log = open();
  const auto expect_found = [&](std::uint64_t from, std::uint64_t to, Offset first, Offset last) {
    next_day();
    whole_pass(*log);
    const auto damaged = log->status().damaged;
    ASSERT_EQ(damaged.size(), 1u);
    EXPECT_EQ(damaged[0].file, segments_[2].filename().string());
    EXPECT_EQ(damaged[0].from, from);
    EXPECT_EQ(damaged[0].to, to);
    EXPECT_EQ(damaged[0].first, first);
    EXPECT_EQ(damaged[0].last, last);
    store(segments_[2], whole);
    next_day();
    whole_pass(*log);
    EXPECT_TRUE(log->status().damaged.empty()) << "read again and found sound";
  };
  const auto& victim = batches[5];
  flip_byte(segments_[2], victim.at + 200);
  expect_found(victim.at, victim.end, victim.header.base_offset, victim.header.end_offset());
  flip_byte(segments_[2], victim.at + 50);
  expect_found(victim.at, victim.end, victim.header.base_offset, victim.header.end_offset());
  const std::uint64_t end = batches.back().end;
  const Offset end_offset = batches.back().header.end_offset();
  flip_byte(segments_[2], end + 40);
  expect_found(end, whole.size(), end_offset, end_offset);
  flip_byte(segments_[2], 200);
  expect_found(0, 4096, batches[0].header.base_offset, batches[0].header.base_offset);
  std::filesystem::resize_file(segments_[2], victim.at + 8);
  expect_found(victim.at, end, victim.header.base_offset, end_offset);
  std::filesystem::remove(segments_[2]);
  expect_found(0, end, batches[0].header.base_offset, end_offset);
  EXPECT_EQ(log->status().scrub.damaged_found, 6u);
  EXPECT_FALSE(log->status().read_only);
}

TEST_F(ScrubTest, GoesOnBesideAppendsAndRolls) {
  write_segments();
  auto log = open();
  const TopicId topic = log->find_topic("a")->id;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(log->append(batch(topic, {std::string(700, 'y')})));
    static_cast<void>(log->scrub_step(2000));
    if (i % 50 == 0) next_day();
  }
  next_day();
  whole_pass(*log);
  EXPECT_TRUE(log->status().damaged.empty()) << log->status().damaged[0].what;
}

TEST_F(ScrubTest, ThreadRunsAndEndsWithTheLog) {
  write_segments();
  options_.scrub_bytes_per_second = std::uint64_t{1} << 30;
  auto log = open();
  // Whoever steps last, the pass comes to its end; the thread and this one share the work.
  while (log->status().scrub.passes == 0) static_cast<void>(log->scrub_step(1 << 20));
  EXPECT_TRUE(log->status().damaged.empty());
  log.reset();
}

}  // namespace
}  // namespace kappa::log
