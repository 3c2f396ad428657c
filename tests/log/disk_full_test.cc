// Goal: a full disk is a state of the log, wherever it is met: appends get a retryable error, nothing
// acknowledged is lost, nothing unwritten is acknowledged, reading goes on, and appends resume by
// themselves. Only a failed sync is final. Method: a file system between the log and the real one whose
// free space is a number, and which can refuse single kinds of calls with ENOSPC.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <future>
#include <thread>

#include "log/control_file.h"
#include "log/disk_reserve.h"
#include "log/file.h"
#include "tests/log/forwarding_files.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

constexpr std::uint64_t kPlenty = std::uint64_t{1} << 40;

struct Disk {
  std::atomic<std::uint64_t> free{kPlenty};
  std::uint64_t total = std::uint64_t{1} << 30;
  // ENOSPC of single calls, by the file's name.
  std::atomic<bool> write_segments{false}, write_control{false}, write_manifest{false}, name{false},
      truncate{false}, sync_segments{false};
  std::atomic<std::uint64_t> refused{0};
  // Recovery finds no room for what it keeps aside while files for coming segments take it.
  std::atomic<bool> write_aside{false};
  std::atomic<std::size_t> prepared{0};
  // Of a write to a segment that is refused, so many bytes are written nevertheless.
  std::atomic<std::size_t> written_part{0};

  Status refuse(const std::string& what) {
    ++refused;
    return fail_errno(3201, what, ENOSPC);
  }
};

class DiskFile final : public ForwardingFile {
 public:
  DiskFile(std::unique_ptr<File> file, Disk& disk, std::string name)
      : ForwardingFile(std::move(file)), disk_(disk), name_(std::move(name)) {}
  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
    if (name_.ends_with(".segment") && disk_.write_segments) {
      const std::size_t part = std::min<std::size_t>(disk_.written_part, pieces[0].iov_len);
      const iovec piece{pieces[0].iov_base, part};
      if (part > 0) KAPPA_CHECK_OK(file_->pwritev({&piece, 1}, at));
      return disk_.refuse("write " + name_);
    }
    if (name_.starts_with("torn-") && disk_.write_aside && disk_.prepared > 0) return disk_.refuse("write " + name_);
    if (name_ == "CONTROL" && disk_.write_control) return disk_.refuse("write CONTROL");
    if (name_ == "MANIFEST.tmp" && disk_.write_manifest) return disk_.refuse("write MANIFEST");
    return file_->pwritev(pieces, at);
  }
  Status fdatasync() override {
    if (name_.ends_with(".segment") && disk_.sync_segments) return disk_.refuse("fdatasync " + name_);
    return file_->fdatasync();
  }
  Status allocate(std::uint64_t bytes) override {
    if (bytes > disk_.free) return disk_.refuse("allocate " + name_);
    return file_->allocate(bytes);
  }
  Status truncate(std::uint64_t bytes) override {
    if (disk_.truncate) return disk_.refuse("truncate " + name_);
    return file_->truncate(bytes);
  }

 private:
  Disk& disk_;
  std::string name_;
};

class DiskFiles final : public ForwardingFiles {
 public:
  explicit DiskFiles(Disk& disk) : disk_(disk) {}
  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    KAPPA_TRY(auto file, real_file_system().open(path, mode));
    std::string name = path.filename().string();
    // The log keeps the handle that it prepared a segment with: after the rename it is the segment's.
    if (name.ends_with(".unfinished") || name.ends_with(".ready")) name = "prepared";
    return std::make_unique<DiskFile>(std::move(file), disk_, std::move(name));
  }
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    if (to.string().ends_with(".segment") && disk_.name) return disk_.refuse("rename");
    return real_file_system().rename(from, to);
  }
  Status unlink(const std::filesystem::path& path) override {
    if (path.filename().string().starts_with("prepared-") && disk_.prepared > 0) --disk_.prepared;
    return real_file_system().unlink(path);
  }
  Expected<DiskSpace> disk_space(const std::filesystem::path&) override { return DiskSpace{disk_.free, disk_.total}; }

 private:
  Disk& disk_;
};

class DiskFull : public LogFixture {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = 16 << 10;
    // The active file is opened under its segment name only after a reopening.
    open().reset();
    options_.files = &files_;
  }
  template <class Condition>
  static void until(Condition condition) {
    while (!condition()) std::this_thread::yield();
  }
  Expected<AppendAck> append_one(Log& log, std::size_t bytes = 10) {
    const std::string value = std::to_string(next_) + std::string(bytes, 'x');
    auto ack = log.append(batch(*log.ensure_topic("a"), {value}));
    if (ack) acknowledged_.push_back(value);
    ++next_;
    return ack;
  }
  // Until an append is refused; the refusal.
  Error append_until_refused(Log& log) {
    for (int i = 0; i < 200; ++i)
      if (const auto ack = append_one(log, 3000); !ack) return ack.error();
    ADD_FAILURE() << "never refused";
    return {};
  }
  void expect_refused_as_full(const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kFull) << to_string(error);
    EXPECT_EQ(error.number, 3004);
    EXPECT_TRUE(error.retryable());
    EXPECT_FALSE(error.hint.empty());
  }
  void expect_works_again(Log& log) {
    until([&] { return !log.status().full; });
    const auto ack = append_one(log);
    EXPECT_TRUE(ack) << to_string(ack.error());
    EXPECT_FALSE(log.fatal_error());
    EXPECT_EQ(read_values(log), acknowledged_);
  }
  // Closes it, opens it again on a disk with room, and compares.
  void expect_kept(std::unique_ptr<Log> log) {
    log.reset();
    options_.files = nullptr;
    log = open();
    ASSERT_TRUE(log);
    EXPECT_FALSE(log->status().damage);
    EXPECT_EQ(read_values(*log), acknowledged_);
    log.reset();
    EXPECT_TRUE(verify_all().damage.empty());
  }

  Disk disk_;
  DiskFiles files_{disk_};
  std::uint64_t next_ = 0;
  std::vector<std::string> acknowledged_;
};

TEST_F(DiskFull, TheReserveRefusesAppendsBeforeTheDiskIsFullAndTheyResumeByThemselves) {
  options_.disk_reserve_bytes = 1'000'000;
  auto log = open();
  ASSERT_TRUE(append_one(*log));
  EXPECT_EQ(log->status().disk_reserve_bytes, 1'000'000u);
  disk_.free = 999'999;
  expect_refused_as_full(append_until_refused(*log));
  EXPECT_TRUE(log->status().full);
  EXPECT_NE(log->status().full_reason.find("reserved"), std::string::npos) << log->status().full_reason;
  EXPECT_EQ(log->status().disk_free_bytes, 999'999u);
  disk_.free = 17;
  EXPECT_EQ(log->status().full_reason.substr(0, 18), "17 bytes are free,") << "the reason is the present one";
  EXPECT_EQ(read_values(*log), acknowledged_);
  EXPECT_FALSE(log->fatal_error());
  disk_.free = 2'000'000;
  expect_works_again(*log);
  expect_kept(std::move(log));
}

TEST_F(DiskFull, TheReasonFollowsWhatASegmentWouldTake) {
  options_.disk_reserve_bytes = 1'000'000;
  options_.prepared_segments = 0;
  auto log = open();
  disk_.free = 1'000'001;  // Enough for the reserve, not for a segment.
  expect_refused_as_full(append_until_refused(*log));
  disk_.free = 1'000'002;
  until([&] { return log->status().full_reason.starts_with("1000002 bytes are free"); });
  EXPECT_NE(append_one(*log).error().message.find("1000002 bytes"), std::string::npos);
  disk_.free = kPlenty;
  expect_works_again(*log);
}

TEST_F(DiskFull, TheDefaultReserveGrowsWithTheFileSystemWithinBounds) {
  const auto reserve = [&](std::uint64_t total) {
    disk_.total = total;
    return DiskReserve(files_, options_.directory, std::nullopt).bytes();
  };
  EXPECT_EQ(reserve(1 << 20), DiskReserve::kDefaultMin);
  EXPECT_EQ(reserve(200 << 20), std::uint64_t{10} << 20);
  EXPECT_EQ(reserve(kPlenty), DiskReserve::kDefaultMax);
  EXPECT_EQ(DiskReserve(files_, options_.directory, 0).bytes(), 0u);
  disk_.free = 0;
  EXPECT_TRUE(DiskReserve(files_, options_.directory, 0).check(1 << 20)) << "0 switches it off";
  EXPECT_FALSE(DiskReserve(files_, options_.directory, std::nullopt).check(0));
  disk_.free = UINT64_MAX;
  EXPECT_TRUE(DiskReserve(files_, options_.directory, std::nullopt).check(UINT64_MAX / 2));
}

TEST_F(DiskFull, NoSegmentIsPreparedFromTheReserve) {
  options_.disk_reserve_bytes = 1'000'000;
  disk_.free = 1'000'000 + options_.segment_bytes - 1;
  options_.prepared_segments = 0;
  auto log = open();
  expect_refused_as_full(append_until_refused(*log));
  EXPECT_EQ(disk_.refused, 0u) << "the file system was not even asked";
  disk_.free = kPlenty;
  expect_works_again(*log);
  expect_kept(std::move(log));
}

TEST_F(DiskFull, ACatalogRecordCanBeErasedFromTheReserve) {
  options_.disk_reserve_bytes = 1'000'000;
  auto log = open();
  ASSERT_TRUE(log->append_system("view/v", "CREATE ..."));
  ASSERT_TRUE(log->append_system("view/w", "CREATE ..."));
  disk_.free = 0;
  expect_refused_as_full(append_until_refused(*log));
  const auto created = log->append_system("view/x", "CREATE ...");
  ASSERT_FALSE(created);
  expect_refused_as_full(created.error());
  const auto dropped = log->append_system("view/v", "");
  ASSERT_TRUE(dropped) << to_string(dropped.error());
  ASSERT_EQ(log->system_records().size(), 1u);
  EXPECT_EQ(log->system_records()[0].key, "view/w");
}

TEST_F(DiskFull, ALogThatIsOpenedOnAFullDiskReadsAndResumes) {
  {
    auto log = open();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(append_one(*log));
  }
  disk_.free = 0;
  disk_.write_control = true;  // Overwriting takes room on some file systems.
  auto log = open();
  ASSERT_TRUE(log);
  EXPECT_TRUE(log->status().full);
  EXPECT_FALSE(log->status().read_only);
  EXPECT_EQ(read_values(*log), acknowledged_);
  expect_refused_as_full(append_until_refused(*log));
  log.reset();  // Closes; and opens again in the same state.
  log = open();
  ASSERT_TRUE(log);
  expect_refused_as_full(append_until_refused(*log));
  disk_.free = kPlenty;
  disk_.write_control = false;
  expect_works_again(*log);
  expect_kept(std::move(log));
}

TEST_F(DiskFull, AGroupThatFindsNoRoomWaitsWithoutBlockingTheCaller) {
  auto log = open();
  ASSERT_TRUE(append_one(*log));
  disk_.write_segments = true;
  disk_.written_part = 40;
  const TopicId topic = *log->ensure_topic("a");
  std::promise<Expected<AppendAck>> answer;
  auto answered = answer.get_future();
  log->submit(batch(topic, {"waits"}), [&](Expected<AppendAck> ack) { answer.set_value(std::move(ack)); });
  log->pump();  // Returns: this thread may be a server's only one.
  until([&] { return log->status().full; });
  expect_refused_as_full(append_until_refused(*log));
  EXPECT_EQ(answered.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_EQ(read_values(*log), acknowledged_);
  EXPECT_EQ(log->durable_end(), Offset(1));
  disk_.write_segments = false;
  const auto ack = answered.get();
  ASSERT_TRUE(ack) << to_string(ack.error());
  EXPECT_EQ(ack->base_offset, Offset(1));
  acknowledged_.push_back("waits");
  expect_works_again(*log);
  expect_kept(std::move(log));
}

TEST_F(DiskFull, AGroupThatWaitsForRoomAtClosingIsUnknownNotAcknowledged) {
  auto log = open();
  ASSERT_TRUE(append_one(*log));
  for (const std::size_t part : {std::size_t{0}, std::size_t{100}}) {
    disk_.write_segments = true;
    disk_.written_part = part;
    std::promise<Expected<AppendAck>> answer;
    auto answered = answer.get_future();
    log->submit(batch(*log->ensure_topic("a"), {"lost"}),
                [&](Expected<AppendAck> ack) { answer.set_value(std::move(ack)); });
    log->pump();
    until([&] { return log->status().full; });
    log.reset();
    const auto ack = answered.get();
    ASSERT_FALSE(ack) << "what was never written must not be acknowledged";
    EXPECT_EQ(ack.error().code, ErrorCode::kClosed);
    disk_.write_segments = false;
    log = open();
    ASSERT_TRUE(log);
    EXPECT_FALSE(log->status().damage);
    EXPECT_EQ(read_values(*log), acknowledged_);
    ASSERT_TRUE(append_one(*log));
  }
  expect_kept(std::move(log));
}

TEST_F(DiskFull, ARollThatFindsNoRoomForItsNameIsTriedAgainWithTheSameFile) {
  auto log = open();
  disk_.name = true;
  expect_refused_as_full(append_until_refused(*log));
  for (int i = 0; i < 20; ++i) {
    until([&] { return !log->status().full; });
    expect_refused_as_full(append_until_refused(*log));
  }
  EXPECT_LE(files_ending(".ready").size(), 2u) << "prepared files do not pile up";
  disk_.name = false;
  expect_works_again(*log);
  expect_kept(std::move(log));
}

TEST_F(DiskFull, ASealThatFindsNoRoomIsTriedAgain) {
  for (std::atomic<bool>* what : {&disk_.write_manifest, &disk_.truncate}) {
    auto log = open();
    *what = true;
    expect_refused_as_full(append_until_refused(*log));
    EXPECT_FALSE(log->fatal_error());
    EXPECT_EQ(read_values(*log), acknowledged_);
    *what = false;
    expect_works_again(*log);
    log.reset();
  }
  expect_kept(open());
}

TEST_F(DiskFull, ARestartWhileSegmentsCannotBeSealedWorks) {
  auto log = open();
  disk_.write_manifest = true;
  disk_.free = 0;
  expect_refused_as_full(append_until_refused(*log));
  log.reset();
  log = open();
  ASSERT_TRUE(log);
  EXPECT_EQ(read_values(*log), acknowledged_);
  disk_.write_manifest = false;
  disk_.free = kPlenty;
  expect_works_again(*log);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(append_one(*log, 3000));  // Over several segments.
  expect_kept(std::move(log));
}

TEST_F(DiskFull, ATornTailThatFindsNoRoomTakesThatOfPreparedSegments) {
  options_.prepared_segments = 2;
  auto log = open();
  ASSERT_TRUE(append_one(*log));
  const std::uint64_t end = log->status().durable_position.value();
  until([&] { return files_ending(".ready").size() == 2; });
  log.reset();
  const auto active = files_ending(".segment").back();
  std::string torn = load(active);
  torn.replace(kSegmentHeaderBytes + end, 200, 200, 't');
  store(active, torn);
  disk_.write_aside = true;
  disk_.prepared = files_ending(".ready").size();
  log = open();
  ASSERT_TRUE(log);
  EXPECT_FALSE(log->status().damage);
  EXPECT_EQ(disk_.refused, 1u);
  EXPECT_EQ(disk_.prepared, 0u);
  const auto aside = files_ending(".bin");
  ASSERT_EQ(aside.size(), 1u);
  EXPECT_EQ(load(aside[0]), std::string(200, 't'));
  EXPECT_EQ(read_values(*log), acknowledged_);
  expect_kept(std::move(log));
}

TEST_F(DiskFull, AWatermarkThatFindsNoRoomIsNotFatalAndIsStoredLater) {
  auto log = open();
  disk_.write_control = true;
  ASSERT_TRUE(append_one(*log));
  until([&] { return disk_.refused > 0; });
  ASSERT_TRUE(append_one(*log));
  EXPECT_FALSE(log->fatal_error());
  disk_.write_control = false;
  const auto watermark = [&] {
    const auto page = decode_control(as_bytes(load(options_.directory / kControlName)));
    return page ? page->watermark_offset : Offset(0);
  };
  until([&] { return watermark() == Offset(2); });
  expect_kept(std::move(log));
}

TEST_F(DiskFull, StrictWithoutRoomForTheWatermarkAnswersSync) {
  options_.durability = Durability::kStrict;
  auto log = open();
  EXPECT_EQ(append_one(*log)->durability, Durability::kStrict);
  disk_.write_control = true;
  const auto ack = append_one(*log);
  ASSERT_TRUE(ack) << to_string(ack.error());
  EXPECT_EQ(ack->durability, Durability::kSync);
  disk_.write_control = false;
  EXPECT_EQ(append_one(*log)->durability, Durability::kStrict);
  expect_kept(std::move(log));
}

// Symptom of the bug: a duplicate of an append that had been answered as sync, for want of room for W, was
// answered as strict, and W did not cover it.
TEST_F(DiskFull, ADuplicateIsStrictOnlyOnceTheWatermarkCoversIt) {
  options_.durability = Durability::kStrict;
  auto log = open();
  AppendBatch numbered = batch(*log->ensure_topic("a"), {"one"});
  numbered.producer_id = ProducerId(1);
  disk_.write_control = true;
  for (const bool duplicate : {false, true}) {
    const auto ack = log->append(numbered);
    ASSERT_TRUE(ack) << to_string(ack.error());
    EXPECT_EQ(ack->duplicate, duplicate);
    EXPECT_EQ(ack->durability, Durability::kSync);
  }
  disk_.write_control = false;
  EXPECT_EQ(log->append(numbered)->durability, Durability::kStrict);
  const auto stored = decode_control(as_bytes(load(options_.directory / kControlName)));
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->watermark, log->status().durable_position);
}

TEST_F(DiskFull, ASyncThatFindsNoRoomIsFinal) {
  auto log = open();
  ASSERT_TRUE(append_one(*log));
  disk_.sync_segments = true;
  const auto ack = log->append(batch(*log->ensure_topic("a"), {"unknown"}));
  ASSERT_FALSE(ack);
  EXPECT_EQ(ack.error().code, ErrorCode::kClosed);
  EXPECT_TRUE(log->fatal_error());
  disk_.sync_segments = false;
  EXPECT_EQ(append_one(*log).error().code, ErrorCode::kClosed) << "it is never tried again";
}

TEST_F(DiskFull, RetentionMakesRoomForItselfAgain) {
  options_.disk_reserve_bytes = 0;
  options_.retention.bytes = 3 * options_.segment_bytes;
  auto log = open();
  disk_.free = 0;
  expect_refused_as_full(append_until_refused(*log));
  disk_.free = kPlenty;
  expect_works_again(*log);
  disk_.write_manifest = true;
  log->begin_retention();
  expect_refused_as_full(append_until_refused(*log));
  EXPECT_EQ(log->start(), Offset(0)) << "nothing is removed before the manifest says so";
  disk_.write_manifest = false;
  until([&] { return !log->status().full; });
  for (int i = 0; i < 60 && log->start() == Offset(0); ++i) {
    until([&] { return !log->status().full; });
    static_cast<void>(append_one(*log, 3000));
  }
  until([&] { return log->start() > Offset(0); });
  // Removal may still go on: what the hold names stays.
  const Hold hold = log->hold("the test", Offset(0));
  const auto kept = read_values(*log, hold.offset());
  EXPECT_EQ(kept, std::vector<std::string>(acknowledged_.end() - static_cast<std::ptrdiff_t>(kept.size()),
                                           acknowledged_.end()));
}

}  // namespace
}  // namespace kappa::log
