// Goal: to have no descriptor left is a state of the log, as a full disk is: appends are refused with a
// retryable error where a segment must roll, nothing is final, nothing is taken for damage, and appends
// resume by themselves. Method: the real file system's code over system calls of which everything that
// opens fails with EMFILE from some moment on, until the test lets them be.
#include <gtest/gtest.h>

#include <cerrno>
#include <thread>

#include "log/file.h"
#include "tests/log/log_fixture.h"
#include "tests/log/sim/faulty_system_calls.h"

namespace kappa::log {
namespace {

class Descriptors : public LogFixture, public ::testing::WithParamInterface<unsigned> {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = 16 << 10;
    options_.prepared_segments = GetParam();
    options_.files = files_.get();
  }
  Expected<AppendAck> append_one(Log& log) {
    const std::string value = std::to_string(acknowledged_.size()) + std::string(3000, 'x');
    auto ack = log.append(batch(*log.ensure_topic("a"), {value}));
    if (ack) acknowledged_.push_back(value);
    return ack;
  }
  void none_left() { calls_.arm(sim::Fault::kDescriptors, 1, true); }
  // Until an append is refused; how many were taken.
  std::size_t append_until_refused(Log& log) {
    const std::size_t before = acknowledged_.size();
    for (int i = 0; i < 200; ++i) {
      const auto ack = append_one(log);
      if (ack) continue;
      EXPECT_EQ(ack.error().code, ErrorCode::kFull) << to_string(ack.error());
      EXPECT_EQ(ack.error().number, 3004);
      EXPECT_EQ(ack.error().system_errno, EMFILE);
      EXPECT_NE(ack.error().hint.find("limit of open files"), std::string::npos) << ack.error().hint;
      return acknowledged_.size() - before;
    }
    ADD_FAILURE() << "never refused";
    return 0;
  }
  void expect_works_again(Log& log) {
    calls_.disarm();
    while (log.status().full) std::this_thread::yield();
    for (int i = 0; i < 20; ++i) {
      const auto ack = append_one(log);
      ASSERT_TRUE(ack) << to_string(ack.error());
    }
    EXPECT_FALSE(log.fatal_error());
    EXPECT_TRUE(log.status().damaged.empty());
    EXPECT_EQ(read_values(log), acknowledged_);
  }

  sim::FaultySystemCalls calls_;
  std::unique_ptr<FileSystem> files_ = make_real_file_system(calls_);
  std::vector<std::string> acknowledged_;
};

TEST_P(Descriptors, ALogWithoutThemRefusesAppendsAndGoesOnWithThem) {
  auto log = open();
  ASSERT_TRUE(append_one(*log));
  for (int round = 0; round < 3; ++round) {
    none_left();
    append_until_refused(*log);
    ASSERT_FALSE(log->fatal_error()) << to_string(*log->fatal_error());
    EXPECT_TRUE(log->status().full);
    EXPECT_NE(log->status().full_reason.find("Too many open files"), std::string::npos) << log->status().full_reason;
    expect_works_again(*log);
  }
  log.reset();
  log = open();
  EXPECT_EQ(read_values(*log), acknowledged_);
  log.reset();
  EXPECT_TRUE(verify_all().damage.empty());
}

TEST_P(Descriptors, ASegmentThatIsReadyIsRolledToWithoutAnother) {
  if (GetParam() == 0) return;  // Nothing is ready.
  auto log = open();
  ASSERT_TRUE(append_one(*log));
  while (files_ending(".ready").size() < GetParam()) std::this_thread::yield();
  none_left();
  // Two events fill a segment: the name of the next one became durable through the directory that is open.
  EXPECT_GT(append_until_refused(*log), 2u);
  EXPECT_FALSE(log->fatal_error());
  expect_works_again(*log);
}

TEST_P(Descriptors, TheirLackIsNotTakenForDamage) {
  auto log = open();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(append_one(*log));
  log.reset();
  log = open();
  none_left();
  auto reader = log->reader(Offset(0), {});
  const auto view = reader->next();
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kFull) << to_string(view.error());
  const auto mark = log->mark(Offset(3));
  ASSERT_FALSE(mark);
  EXPECT_EQ(mark.error().code, ErrorCode::kFull) << to_string(mark.error());
  for (int i = 0; i < 1000 && log->status().scrub.passes == 0; ++i) static_cast<void>(log->scrub_step(1 << 20));
  EXPECT_TRUE(log->status().damaged.empty()) << log->status().damaged.front().what;
  expect_works_again(*log);
}

TEST_P(Descriptors, RetentionWaitsForThem) {
  options_.retention.bytes = 3 * options_.segment_bytes;
  auto log = open();
  log->begin_retention();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(append_one(*log));
  none_left();
  append_until_refused(*log);
  EXPECT_FALSE(log->fatal_error());
  calls_.disarm();
  while (log->status().full) std::this_thread::yield();
  const Offset before = log->start();
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(append_one(*log));
  while (log->start() == before && !log->fatal_error()) std::this_thread::yield();
  EXPECT_FALSE(log->fatal_error());
}

INSTANTIATE_TEST_SUITE_P(Prepared, Descriptors, ::testing::Values(0u, 1u, 2u));

}  // namespace
}  // namespace kappa::log
