// Goal: a segment file that is removed or replaced under a running log costs nothing that the log still has
// open, and is reported until it is whole again. Method: the file is taken away between appends; the log goes
// on, is closed or dropped, and is opened again.
#include <gtest/gtest.h>

#include <thread>

#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

class LostName : public LogFixture {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = 32 << 10;
  }
  void append(Log& log, int count) {
    for (int i = 0; i < count; ++i) {
      values_.push_back(std::to_string(values_.size()) + std::string(700, 'x'));
      ASSERT_TRUE(log.append(batch(*log.ensure_topic("a"), {values_.back()})));
    }
  }
  std::filesystem::path last() { return files_ending(".segment").back(); }
  void expect_whole() {
    const auto log = open();
    ASSERT_TRUE(log);
    EXPECT_FALSE(log->status().damage);
    EXPECT_EQ(read_values(*log), values_);
  }

  std::vector<std::string> values_;
};

TEST_F(LostName, ARemovedActiveSegmentIsReportedAndWrittenBackWhenItIsSealed) {
  auto log = open();
  append(*log, 50);
  const std::filesystem::path victim = last();
  static_cast<void>(log->scrub_step(1));
  ASSERT_TRUE(log->status().damaged.empty());
  std::filesystem::remove(victim);
  append(*log, 1);
  static_cast<void>(log->scrub_step(1));
  const auto damaged = log->status().damaged;
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_EQ(damaged[0].file, victim.filename().string());
  EXPECT_EQ(damaged[0].last, log->durable_end());
  EXPECT_LT(damaged[0].first, damaged[0].last);
  append(*log, 100);
  while (!std::filesystem::exists(victim)) std::this_thread::yield();
  while (!log->status().damaged.empty()) std::this_thread::yield();
  EXPECT_EQ(read_values(*log), values_);
  log.reset();
  expect_whole();
  EXPECT_TRUE(verify_all().damage.empty());
}

TEST_F(LostName, ARemovedActiveSegmentIsWrittenBackWhenTheLogIsClosed) {
  auto log = open();
  append(*log, 50);
  std::filesystem::remove(last());
  append(*log, 1);
  log.reset();
  expect_whole();
}

TEST_F(LostName, AnotherFileUnderTheNameIsKeptAside) {
  auto log = open();
  append(*log, 50);
  const std::filesystem::path victim = last();
  store(victim.string() + ".new", "something else");
  std::filesystem::rename(victim.string() + ".new", victim);
  append(*log, 1);
  log.reset();
  EXPECT_EQ(load(victim.parent_path() / ("damaged-" + victim.filename().string())), "something else");
  expect_whole();
}

}  // namespace
}  // namespace kappa::log
