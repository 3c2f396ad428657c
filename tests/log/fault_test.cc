// Goal: the log says what it knows when the operating system refuses. Method: a file system between
// the log and the real one that fails syncs, has no space, or holds a sync until it is let go.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "log/file.h"
#include "tests/log/forwarding_files.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

struct Faults {
  std::atomic<bool> sync_fails{false};
  std::atomic<bool> full{false};
  std::atomic<int> segment_syncs{0};
  std::atomic<int> control_syncs{0};
  std::mutex mutex;
  std::condition_variable changed;
  bool hold_syncs = false;
  int held = 0;

  void hold(bool on) {
    std::lock_guard lock(mutex);
    hold_syncs = on;
    changed.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex);
    ++held;
    changed.notify_all();
    changed.wait(lock, [this] { return !hold_syncs; });
    --held;
  }
  void wait_until_held() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return held > 0; });
  }
};

class FaultyFile final : public ForwardingFile {
 public:
  FaultyFile(std::unique_ptr<File> file, Faults& faults, std::string name)
      : ForwardingFile(std::move(file)), faults_(faults), name_(std::move(name)) {}
  Status fdatasync() override {
    if (name_.ends_with(".segment")) {
      ++faults_.segment_syncs;
      faults_.pass();
      if (faults_.sync_fails) return fail_errno(3201, "fdatasync " + name_, EIO);
    }
    if (name_ == "CONTROL") ++faults_.control_syncs;
    return file_->fdatasync();
  }
  Status allocate(std::uint64_t bytes) override {
    if (faults_.full) return fail_errno(3201, "allocate " + name_, ENOSPC);
    return file_->allocate(bytes);
  }

 private:
  Faults& faults_;
  std::string name_;
};

class FaultyFiles final : public ForwardingFiles {
 public:
  explicit FaultyFiles(Faults& faults) : faults_(faults) {}
  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    KAPPA_TRY(auto file, real_file_system().open(path, mode));
    return std::make_unique<FaultyFile>(std::move(file), faults_, path.filename().string());
  }

 private:
  Faults& faults_;
};

class Fault : public LogFixture {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    // The active file is opened under its segment name only after a reopening.
    open().reset();
    options_.files = &files_;
  }
  Faults faults_;
  FaultyFiles files_{faults_};
};

TEST_F(Fault, FailedSyncIsFinalAndItsAppendsAreUnknown) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  ASSERT_TRUE(log->append(batch(topic, {"good"})));
  faults_.sync_fails = true;
  const auto lost = log->append(batch(topic, {"lost"}));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kClosed);
  EXPECT_EQ(lost.error().number, 3002);
  ASSERT_TRUE(log->fatal_error());
  EXPECT_EQ(log->durable_end(), Offset(1));
  const int syncs = faults_.segment_syncs;
  faults_.sync_fails = false;
  EXPECT_EQ(log->append(batch(topic, {"more"})).error().code, ErrorCode::kClosed);
  log.reset();
  EXPECT_EQ(faults_.segment_syncs, syncs) << "a failed sync is never tried again";
  log = open();
  const auto values = read_values(*log);
  ASSERT_FALSE(values.empty());
  EXPECT_EQ(values[0], "good");
}

TEST_F(Fault, NothingIsVisibleBeforeItsSync) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  ASSERT_TRUE(log->append(batch(topic, {"one"})));
  AppendBatch second = batch(topic, {"two"});
  second.producer_id = ProducerId(1);
  faults_.hold(true);
  auto pending = std::async(std::launch::async, [&] { return log->append(second); });
  faults_.wait_until_held();
  EXPECT_EQ(log->durable_end(), Offset(1));
  EXPECT_EQ(read_values(*log), std::vector<std::string>{"one"});
  EXPECT_EQ(log->topic(topic)->next_sequence, TopicSequence(1));
  EXPECT_EQ(log->producer(topic, ProducerId(1)).next_sequence, 0u);
  EXPECT_EQ(log->status().written_end, Offset(2));
  // A duplicate of a batch that is not durable yet waits for it.
  std::atomic<bool> answered{false};
  auto repeated = std::async(std::launch::async, [&] {
    const auto ack = log->append(second);
    answered = true;
    return ack;
  });
  EXPECT_FALSE(answered);
  faults_.hold(false);
  ASSERT_TRUE(pending.get());
  const auto ack = repeated.get();
  ASSERT_TRUE(ack);
  EXPECT_TRUE(ack->duplicate);
  EXPECT_EQ(read_values(*log), (std::vector<std::string>{"one", "two"}));
}

TEST_F(Fault, WrittenIsAnsweredBeforeTheSyncAndSeenAfterIt) {
  options_.durability = Durability::kWritten;
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  faults_.hold(true);
  const auto ack = log->append(batch(topic, {"one"}));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->durability, Durability::kWritten);
  EXPECT_EQ(log->durable_end(), Offset(0));
  EXPECT_TRUE(read_values(*log).empty()) << "acknowledged is not yet durable";
  faults_.hold(false);
  while (log->durable_end() != Offset(1)) std::this_thread::yield();
  EXPECT_EQ(read_values(*log), std::vector<std::string>{"one"});
}

TEST_F(Fault, SystemRecordsAndDuplicatesWaitForTheSyncInEveryMode) {
  options_.durability = Durability::kWritten;
  {
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    AppendBatch numbered = batch(topic, {"one"});
    numbered.producer_id = ProducerId(1);
    faults_.hold(true);
    ASSERT_TRUE(log->append(numbered));
    faults_.wait_until_held();
    // This thread writes the group, and would answer it here if being written were enough.
    std::atomic<bool> answered{false};
    log->submit(numbered, [&](Expected<AppendAck> ack) {
      EXPECT_TRUE(ack && ack->duplicate);
      answered = true;
    });
    log->pump();
    EXPECT_FALSE(answered) << "the original of the duplicate is not durable";
    faults_.hold(false);
    log.reset();
    EXPECT_TRUE(answered);
  }
  auto log = open();
  faults_.sync_fails = true;
  const auto record = log->append_system("key", "value");
  ASSERT_FALSE(record) << "a record of the catalog is not durable by being written";
  EXPECT_EQ(record.error().number, 3002);
}

TEST_F(Fault, FullDiskRefusesAppendsAndResumesByItself) {
  options_.segment_bytes = 16 << 10;
  options_.prepared_segments = 1;
  options_.directory = fresh_directory();
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  faults_.full = true;
  std::size_t accepted = 0;
  std::optional<Error> refused;
  while (!refused) {
    const auto ack = log->append(batch(topic, {std::string(3000, 'x')}));
    if (ack)
      ++accepted;
    else
      refused = ack.error();
    ASSERT_LT(accepted, 100u);
  }
  EXPECT_EQ(refused->code, ErrorCode::kFull);
  EXPECT_TRUE(refused->retryable());
  EXPECT_TRUE(log->status().full);
  EXPECT_FALSE(log->fatal_error());
  EXPECT_EQ(read_values(*log).size(), accepted);
  faults_.full = false;
  // No restart, no call: appends are taken again once the disk has room.
  while (log->status().full) std::this_thread::yield();
  ASSERT_TRUE(log->append(batch(topic, {"after"})));
  log.reset();
  log = open();
  EXPECT_EQ(read_values(*log).size(), accepted + 1);
}

TEST_F(Fault, WatermarkIsStoredSoonAfterTheLastCommitAndThenNothingRuns) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  const int before = faults_.control_syncs;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(log->append(batch(topic, {"x"})));
  while (faults_.control_syncs == before) std::this_thread::yield();
  // As after a power cut: the directory as it is now knows that all of it was durable.
  const std::filesystem::path cut = root_ / "cut";
  std::filesystem::copy(options_.directory, cut, std::filesystem::copy_options::recursive);
  log.reset();
  options_.directory = cut;
  log = open();
  EXPECT_EQ(read_values(*log).size(), 5u);
}

TEST_F(Fault, StrictStoresTheWatermarkBeforeTheAck) {
  options_.durability = Durability::kStrict;
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  for (int i = 0; i < 3; ++i) {
    const int before = faults_.control_syncs;
    ASSERT_TRUE(log->append(batch(topic, {"x"})));
    EXPECT_EQ(faults_.control_syncs, before + 1);
  }
}

TEST_F(Fault, TheQueueIsBounded) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  faults_.hold(true);
  const std::string large(limits::kEventBytesMax, 'x');
  std::atomic<int> acknowledged{0}, busy{0};
  int submitted = 0;
  while (busy == 0 && submitted < 200) {
    ++submitted;
    log->submit(batch(topic, {large}), [&](const Expected<AppendAck>& ack) {
      if (ack)
        ++acknowledged;
      else if (ack.error().code == ErrorCode::kBusy)
        ++busy;
    });
    log->pump();
  }
  EXPECT_EQ(busy, 1);
  faults_.hold(false);
  log.reset();
  EXPECT_EQ(acknowledged, submitted - 1);
}

}  // namespace
}  // namespace kappa::log
