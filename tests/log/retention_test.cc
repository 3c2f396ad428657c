// Goal: retention removes whole old segments and nothing else: what is kept reads the same, names, system
// records and producers stay, who needs a segment keeps it, a crash anywhere leaves a log that opens, and
// no clock removes too much or nothing for ever. Method: small segments, a clock of the test's own, a file
// system that stops at a chosen call; the policy and the ages alone as well.
#include "log/retention.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/log/forwarding_files.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

using std::chrono::microseconds;
using Hours = std::chrono::hours;
constexpr microseconds kDay = Hours(24);
constexpr microseconds kYear = Hours(24 * 365);

std::vector<RetainedSegment> segments(const std::vector<std::pair<std::uint64_t, microseconds>>& bytes_and_age) {
  std::vector<RetainedSegment> all;
  for (std::size_t i = 0; i < bytes_and_age.size(); ++i)
    all.push_back({Offset((i + 1) * 10), bytes_and_age[i].first, bytes_and_age[i].second});
  return all;
}

RetentionLimits limits(std::uint64_t bytes, microseconds age = {}, std::uint64_t bytes_max = 0) {
  return {bytes, age, bytes_max};
}

TEST(RetentionPlan, RemovesTheOldestUntilTheLimitHoldsAndKeepsTheNewestSealed) {
  const auto four = segments({{100, {}}, {100, {}}, {100, {}}, {100, {}}});
  EXPECT_EQ(plan_retention({}, four, 0, {}).remove, 0u) << "off by default";
  EXPECT_EQ(plan_retention(limits(450), four, 50, {}).remove, 0u);
  EXPECT_EQ(plan_retention(limits(449), four, 50, {}).remove, 1u);
  EXPECT_EQ(plan_retention(limits(250), four, 50, {}).remove, 2u);
  EXPECT_EQ(plan_retention(limits(1), four, 50, {}).remove, 3u);
  EXPECT_EQ(plan_retention(limits(1), {}, 50, {}).remove, 0u);
}

TEST(RetentionPlan, RemovesByAgeFromTheOldestOn) {
  const auto aged = segments({{1, 5 * kDay}, {1, 3 * kDay}, {1, 2 * kDay}, {1, kDay}});
  EXPECT_EQ(plan_retention(limits(0, 6 * kDay), aged, 0, {}).remove, 0u);
  EXPECT_EQ(plan_retention(limits(0, 3 * kDay), aged, 0, {}).remove, 2u);
  EXPECT_EQ(plan_retention(limits(0, kDay), aged, 0, {}).remove, 3u);
  // A segment that is younger than the one after it keeps both.
  EXPECT_EQ(plan_retention(limits(0, 3 * kDay), segments({{1, kDay}, {1, 9 * kDay}, {1, kDay}}), 0, {}).remove, 0u);
}

TEST(RetentionPlan, WaitsForAHoldAndOnlyTheHardCapGoesOverIt) {
  const auto four = segments({{100, {}}, {100, {}}, {100, {}}, {100, {}}});
  RetentionPlan plan = plan_retention(limits(100), four, 0, Offset(10));
  EXPECT_EQ(plan.remove, 1u) << "offsets below 10 are not needed";
  EXPECT_EQ(plan.held, 2u);
  EXPECT_EQ(plan.over_hold, 0u);
  plan = plan_retention(limits(100), four, 0, Offset(9));
  EXPECT_EQ(plan.remove, 0u);
  EXPECT_EQ(plan.held, 3u);
  plan = plan_retention(limits(100, {}, 300), four, 0, Offset(0));
  EXPECT_EQ(plan.remove, 1u);
  EXPECT_EQ(plan.over_hold, 1u);
  EXPECT_EQ(plan.held, 2u);
  plan = plan_retention(limits(0, {}, 100), four, 0, Offset(20));
  EXPECT_EQ(plan.remove, 3u);
  EXPECT_EQ(plan.over_hold, 1u);
}

class Ages : public ::testing::Test {
 protected:
  static constexpr microseconds kLimit = 30 * kDay;
  static Timestamp at(microseconds time) { return Timestamp(1'700'000'000'000'000 + time.count()); }
  LogId id_{1, 2};
};

TEST_F(Ages, CountTimeThatPassesNotWhatTheWallClockSays) {
  SegmentAges ages(kLimit);
  ages.begin(at({}), kDay, {});
  ages.sealed(1);
  ages.tick(2 * kDay);
  ages.sealed(2);
  ages.tick(4 * kDay);
  EXPECT_EQ(ages.age(1), 3 * kDay);
  EXPECT_EQ(ages.age(2), 2 * kDay);
  EXPECT_EQ(ages.age(3), microseconds(0));
  ages.sealed(1);
  EXPECT_EQ(ages.age(1), 3 * kDay) << "sealed once";
  ages.removed_before(2);
  EXPECT_EQ(ages.age(1), microseconds(0));
  EXPECT_EQ(ages.age(2), 2 * kDay);
}

TEST_F(Ages, GoOnOverAnOpeningAndBelieveTheClockForATenthOfTheLimit) {
  SegmentAges before(kLimit);
  before.begin(at({}), {}, {});
  before.sealed(7);
  before.tick(5 * kDay);
  const std::string stored = before.encode(id_, at(5 * kDay));
  const auto age_after = [&](microseconds wall, std::string_view file) {
    SegmentAges after(kLimit);
    after.restore(file, id_);
    after.begin(at(wall), 77 * kDay, {});
    return after.age(7);
  };
  EXPECT_EQ(age_after(6 * kDay, stored), 6 * kDay);
  EXPECT_EQ(age_after(kYear, stored), 8 * kDay) << "a year forward counts as three days";
  EXPECT_EQ(age_after(-kYear, stored), 5 * kDay) << "a year back makes nothing younger";
  std::string damaged = stored;
  damaged[10] = static_cast<char>(damaged[10] ^ 1);
  EXPECT_EQ(age_after(6 * kDay, damaged), microseconds(0));
  EXPECT_EQ(age_after(6 * kDay, stored.substr(0, 20)), microseconds(0));
  EXPECT_EQ(age_after(6 * kDay, ""), microseconds(0));
}

TEST_F(Ages, WithoutAFileStampsSayAndAFalseStepBetweenThemCountsForATenth) {
  const std::vector<SegmentAges::Stamp> stamps = {
      {1, at({})}, {2, at(kDay)}, {3, at(2 * kDay)}, {4, at(5 * kYear)}, {5, at(5 * kYear)}};
  SegmentAges ages(kLimit);
  ages.begin(at(3 * kDay), {}, stamps);  // The clock had jumped, and is right again: 4 and 5 are of the future.
  EXPECT_EQ(ages.age(5), microseconds(0));
  EXPECT_EQ(ages.age(4), microseconds(0));
  EXPECT_EQ(ages.age(3), 3 * kDay);
  EXPECT_EQ(ages.age(2), 4 * kDay);
  EXPECT_EQ(ages.age(1), 5 * kDay);
  ages.tick(kLimit);
  EXPECT_GE(ages.age(5), kLimit) << "stamps of the future block nothing";
  SegmentAges odd(kLimit);
  odd.begin(Timestamp(INT64_MIN), {}, std::vector<SegmentAges::Stamp>{{1, Timestamp(INT64_MAX)}, {2, Timestamp(INT64_MIN)}});
  EXPECT_EQ(odd.age(1), microseconds(0));
}

struct TestClock final : Clock {
  std::atomic<std::int64_t> wall{1'700'000'000'000'000};
  std::atomic<std::int64_t> passed{0};
  Timestamp now() override { return Timestamp(wall.load()); }
  microseconds steady() override { return microseconds(passed.load()); }
  void pass(microseconds time) {
    wall += time.count();
    passed += time.count();
  }
};

// Fails every change of names and content from the n-th on: what is on disk then is what a killed process
// leaves.
struct Stop {
  std::atomic<std::int64_t> calls_left{INT64_MAX};
  Status allow() {
    if (--calls_left >= 0) return {};
    return fail_errno(3201, "stopped", EIO);
  }
};
class StoppedFile final : public ForwardingFile {
 public:
  StoppedFile(std::unique_ptr<File> file, Stop& stop) : ForwardingFile(std::move(file)), stop_(stop) {}
  Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
    KAPPA_CHECK_OK(stop_.allow());
    return file_->pwritev(pieces, at);
  }
  Status fdatasync() override {
    KAPPA_CHECK_OK(stop_.allow());
    return {};
  }
  Status allocate(std::uint64_t bytes) override {
    KAPPA_CHECK_OK(stop_.allow());
    return file_->allocate(bytes);
  }
  Status truncate(std::uint64_t bytes) override {
    KAPPA_CHECK_OK(stop_.allow());
    return file_->truncate(bytes);
  }

 private:
  Stop& stop_;
};
class StoppedFiles final : public ForwardingFiles {
 public:
  explicit StoppedFiles(Stop& stop) : stop_(stop) {}
  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    if (mode == OpenMode::kCreateEmpty) KAPPA_CHECK_OK(stop_.allow());
    KAPPA_TRY(auto file, real_file_system().open(path, mode));
    return std::make_unique<StoppedFile>(std::move(file), stop_);
  }
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    KAPPA_CHECK_OK(stop_.allow());
    return real_file_system().rename(from, to);
  }
  Status unlink(const std::filesystem::path& path) override {
    KAPPA_CHECK_OK(stop_.allow());
    return real_file_system().unlink(path);
  }
  Status sync_directory(const std::filesystem::path&) override { return stop_.allow(); }

 private:
  Stop& stop_;
};

class RetentionOfLog : public LogFixture {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = 16 << 10;
    options_.clock = &clock_;
  }
  // Opens and lets retention run.
  std::unique_ptr<Log> open_retaining() {
    auto log = open();
    if (log) log->begin_retention();
    return log;
  }
  // Appends events "n" with a filler until `count` more segments are sealed.
  void fill(Log& log, std::size_t count) {
    const TopicId topic = *log.ensure_topic("a");
    const std::uint64_t until = sealed(log) + count;
    while (sealed(log) < until) {
      const auto ack = log.append(batch(topic, {std::to_string(next_++) + std::string(2000, 'x')}));
      ASSERT_TRUE(ack) << to_string(ack.error());
    }
  }
  // Segments that were ever sealed, by the number of the newest index file... of the segments on disk.
  static std::uint64_t sealed(Log& log) {
    const LogStatus status = log.status();
    return status.segments + status.segments_removed;
  }
  template <class Condition>
  static void until(Condition condition) {
    while (!condition()) std::this_thread::yield();
  }
  static std::vector<std::string> values_from_start(Log& log) { return read_values(log, log.start()); }
  std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const auto& path : files_ending(".segment")) all.push_back(path.filename().string());
    return all;
  }

  TestClock clock_;
  std::uint64_t next_ = 0;
};

TEST_F(RetentionOfLog, OffByDefaultNothingIsEverRemoved) {
  auto log = open_retaining();
  fill(*log, 6);
  clock_.pass(100 * kYear);
  fill(*log, 2);
  log.reset();
  log = open_retaining();
  EXPECT_EQ(log->start(), Offset(0));
  EXPECT_EQ(read_values(*log).size(), next_);
}

TEST_F(RetentionOfLog, BytesRemovesOldSegmentsAndWhatIsKeptReadsTheSame) {
  auto log = open();
  fill(*log, 10);
  const std::vector<std::string> all = read_values(*log);
  const std::uint64_t before = log->status().bytes_on_disk;
  log.reset();
  options_.retention.bytes = 5 * options_.segment_bytes;
  log = open_retaining();
  until([&] { return log->status().segments_removed > 0; });
  const Offset start = log->start();
  ASSERT_GT(start, Offset(0));
  EXPECT_LE(log->status().bytes_on_disk, options_.retention.bytes);
  EXPECT_LT(log->status().bytes_on_disk, before);
  EXPECT_GE(log->status().bytes_removed, before - options_.retention.bytes - options_.segment_bytes);
  EXPECT_EQ(values_from_start(*log),
            std::vector<std::string>(all.begin() + static_cast<std::ptrdiff_t>(start.value()), all.end()));
  until([&] { return names().size() == log->status().segments; });
  EXPECT_EQ(files_ending(".index").size() + 1, names().size());
  log.reset();
  EXPECT_TRUE(verify_all().damage.empty());
  log = open();
  EXPECT_EQ(log->start(), start) << "it does not come back";
  EXPECT_EQ(values_from_start(*log),
            std::vector<std::string>(all.begin() + static_cast<std::ptrdiff_t>(start.value()), all.end()));
}

TEST_F(RetentionOfLog, GoesOnWhileTheLogIsWritten) {
  options_.retention.bytes = 4 * options_.segment_bytes;
  auto log = open_retaining();
  fill(*log, 40);
  until([&] { return log->status().segments <= 6; });
  {
    // Removal may still go on: what the hold names stays.
    const Hold hold = log->hold("the test", Offset(0));
    EXPECT_EQ(read_values(*log, hold.offset()).size(), log->durable_end() - hold.offset());
  }
  EXPECT_EQ(log->topic(*log->ensure_topic("a"))->next_sequence, TopicSequence(next_)) << "sequences go on";
  log.reset();
  log = open();
  EXPECT_EQ(values_from_start(*log).size(), next_ - log->start().value());
}

TEST_F(RetentionOfLog, BelowTheStartIsAnErrorOfItsOwn) {
  auto log = open();
  fill(*log, 20);
  std::vector<PrefixMark> marks;
  for (std::uint64_t i = 0; i <= next_; ++i) marks.push_back(*log->mark(Offset(i)));
  log.reset();
  options_.retention.bytes = 4 * options_.segment_bytes;
  log = open_retaining();
  until([&] { return log->status().segments_removed > 0; });
  const Offset start = log->start();
  ASSERT_GT(start, Offset(1));
  const auto refused = log->reader(start - 1, {})->next();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().number, 3010);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_NE(refused.error().message.find(std::to_string(start.value())), std::string::npos)
      << "it names the first offset that is kept: " << refused.error().message;
  EXPECT_EQ(log->mark(start - 1).error().number, 3010);
  const auto at_start = log->mark(start);
  ASSERT_TRUE(at_start) << to_string(at_start.error());
  EXPECT_EQ(at_start->header_hash, marks[start.value()].header_hash) << "a mark outlives its batch";
  for (std::uint64_t i = start.value() + 1; i <= next_; ++i) EXPECT_EQ(*log->mark(Offset(i)), marks[i]);
}

TEST_F(RetentionOfLog, NamesSystemRecordsAndProducersSurviveTheSegmentsThatBroughtThem) {
  auto log = open();
  std::vector<TopicId> topics;
  for (const char* name : {"a", "b", "ü"}) topics.push_back(*log->ensure_topic(name));
  ASSERT_TRUE(log->append_system("view/v", "CREATE ..."));
  ASSERT_TRUE(log->append_system("view/w", "CREATE ..."));
  ASSERT_TRUE(log->append_system("view/w", ""));
  AppendBatch once = batch(topics[1], {"1", "2", "3"});
  once.producer_id = ProducerId(9);
  once.producer_epoch = 4;
  ASSERT_TRUE(log->append(once));
  fill(*log, 12);
  const auto describe = [&](Log& in) {
    std::string text;
    for (const TopicInfo& topic : in.topics())
      text += topic.name + "=" + std::to_string(topic.id.value()) + "/" + std::to_string(topic.next_sequence.value()) + " ";
    for (const SystemRecord& record : in.system_records())
      text += record.key + ":" + record.value + "@" + std::to_string(record.offset.value()) + " ";
    const ProducerState state = in.producer(topics[1], ProducerId(9));
    return text + std::to_string(state.epoch) + "," + std::to_string(state.next_sequence) + "," +
           std::to_string(state.end_offset.value());
  };
  const std::string before = describe(*log);
  log.reset();
  options_.retention.bytes = 3 * options_.segment_bytes;
  log = open_retaining();
  until([&] { return log->status().segments_removed >= 8; });
  ASSERT_GT(log->start(), Offset(6)) << "what is described stands only in snapshots";
  EXPECT_EQ(describe(*log), before);
  log.reset();
  log = open();
  EXPECT_EQ(describe(*log), before);
  const auto repeated = log->append(once);
  ASSERT_TRUE(repeated) << to_string(repeated.error());
  EXPECT_TRUE(repeated->duplicate);
}

TEST_F(RetentionOfLog, AHoldKeepsWhatItNeedsUntilItMovesOrEnds) {
  auto log = open();
  fill(*log, 10);
  log.reset();
  options_.retention.bytes = 2 * options_.segment_bytes;
  log = open();
  Hold low = log->hold("view \"v\"", Offset(0));
  Hold high = log->hold("view \"w\"", Offset(next_ / 2));
  log->begin_retention();
  until([&] { return !log->status().retention_note.empty(); });
  EXPECT_NE(log->status().retention_note.find("view \"v\""), std::string::npos) << log->status().retention_note;
  EXPECT_EQ(log->start(), Offset(0));
  EXPECT_EQ(log->status().lowest_hold->name, "view \"v\"");
  low.advance(Offset(next_));
  low.advance(Offset(0));  // Changes nothing: it never goes back.
  until([&] { return log->status().segments_removed > 0; });
  EXPECT_LE(log->start(), Offset(next_ / 2));
  EXPECT_TRUE(*log->reader(Offset(next_ / 2), {})->next());
  high.release();
  low.release();
  until([&] { return log->status().segments <= 3; });
  until([&] { return log->status().retention_note.empty(); });
  // A hold that comes too late begins where the log does.
  EXPECT_EQ(log->hold("late", Offset(0)).offset(), log->start());
}

TEST_F(RetentionOfLog, AReaderKeepsWhatIsInFrontOfIt) {
  auto log = open();
  fill(*log, 10);
  log.reset();
  options_.retention.bytes = options_.segment_bytes;
  log = open();
  auto reader = log->reader(Offset(0), {});
  ASSERT_TRUE(*reader->next());
  log->begin_retention();
  until([&] { return !log->status().retention_note.empty(); });
  std::uint64_t read = 1;
  for (;;) {
    const auto view = reader->next();
    ASSERT_TRUE(view) << "after " << read << " of " << next_ << ": " << to_string(view.error());
    if (!*view) break;
    read += (*view)->header.count;
  }
  EXPECT_EQ(read, next_);
  reader.reset();
  until([&] { return log->status().segments <= 3; });
}

TEST_F(RetentionOfLog, TheHardCapGoesOverHoldsAndSaysSo) {
  auto log = open();
  fill(*log, 10);
  log.reset();
  options_.retention.bytes_max = 5 * options_.segment_bytes;
  log = open();
  const Hold hold = log->hold("view \"v\"", Offset(0));
  auto reader = log->reader(Offset(0), {});
  ASSERT_TRUE(*reader->next());
  log->begin_retention();
  until([&] { return log->start() > Offset(0); });
  until([&] { return log->status().retention_note.find("hard limit") != std::string::npos; });
  EXPECT_LE(log->status().bytes_on_disk, options_.retention.bytes_max);
  // The reader may finish the segment it has mapped; then it is told.
  for (;;) {
    const auto view = reader->next();
    if (view && *view) continue;
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().number, 3010) << to_string(view.error());
    break;
  }
}

TEST_F(RetentionOfLog, AgeRemovesWhatIsOldAndJumpsOfTheClockRemoveNothing) {
  options_.retention.age = 10 * kDay;
  auto log = open_retaining();
  fill(*log, 5);
  until([&] { return files_ending("RETENTION").size() == 1; });
  clock_.wall += kYear.count();  // Forward for a while: stamps of the future.
  fill(*log, 5);
  clock_.wall -= kYear.count();
  fill(*log, 2);
  EXPECT_EQ(log->start(), Offset(0));
  log.reset();
  clock_.wall += 20 * kYear.count();  // And over an opening.
  log = open_retaining();
  fill(*log, 2);
  EXPECT_EQ(log->start(), Offset(0)) << "twenty years count as one day";
  clock_.wall -= 20 * kYear.count();
  const std::uint64_t segments = log->status().segments;
  clock_.pass(10 * kDay);
  until([&] { return log->status().segments_removed >= segments - 2; });
  EXPECT_EQ(values_from_start(*log).size(), log->durable_end() - log->start());
}

TEST_F(RetentionOfLog, AgeIsKnownAfterAnOpening) {
  options_.retention.age = 10 * kDay;
  auto log = open_retaining();
  fill(*log, 5);
  for (int day = 0; day < 9; ++day) {
    log.reset();
    clock_.wall += kDay.count();  // Down for a day each time; the monotonic clock begins anew.
    clock_.passed = 0;
    log = open_retaining();
    EXPECT_EQ(log->start(), Offset(0)) << "day " << day;
  }
  log.reset();
  clock_.wall += 2 * kDay.count();
  log = open_retaining();
  clock_.passed += kDay.count();
  until([&] { return log->status().segments_removed >= 4; });
}

TEST_F(RetentionOfLog, ACrashAtAnyCallLeavesALogThatOpensAndFinishesTheRemoval) {
  // A log with segments to remove, copied for every crash.
  {
    auto log = open();
    fill(*log, 8);
  }
  const std::filesystem::path origin = options_.directory;
  std::vector<std::string> all;
  {
    auto log = open();
    all = read_values(*log);
  }
  std::size_t removed_some = 0;
  bool finished = false;
  std::int64_t n = 0;
  for (; !finished; ++n) {
    ASSERT_LT(n, 400) << "it never came through";
    options_.directory = fresh_directory();
    std::filesystem::copy(origin, options_.directory, std::filesystem::copy_options::recursive);
    Stop stop;
    StoppedFiles files(stop);
    LogOptions options = options_;
    options.files = &files;
    options.prepared_segments = 0;
    options.retention.bytes = 3 * options_.segment_bytes;
    {
      auto log = Log::open(options);
      ASSERT_TRUE(log) << to_string(log.error());
      stop.calls_left = n;
      (*log)->begin_retention();
      // Until it has done its work or said why not.
      until([&] { return (*log)->status().segments_removed > 0 || !(*log)->status().retention_note.empty(); });
      finished = stop.calls_left >= 0;
      stop.calls_left = 0;  // Closing changes nothing either.
    }
    auto log = Log::open(options_);
    ASSERT_TRUE(log) << "stopped at call " << n << ": " << to_string(log.error());
    ASSERT_FALSE((*log)->status().damage) << "stopped at call " << n << ": " << *(*log)->status().damage;
    const Offset start = (*log)->start();
    removed_some += start > Offset(0) ? 1 : 0;
    ASSERT_EQ(values_from_start(**log),
              std::vector<std::string>(all.begin() + static_cast<std::ptrdiff_t>(start.value()), all.end()));
    // Exactly the kept segments have files: nothing below is left, nothing above is gone.
    ASSERT_EQ(names().size(), (*log)->status().segments) << "stopped at call " << n;
    log->reset();
    ASSERT_TRUE(verify_all().damage.empty());
  }
  EXPECT_GT(removed_some, 5u);
  EXPECT_GT(n - static_cast<std::int64_t>(removed_some), 2) << "some stopped before the manifest was durable";
}

TEST_F(RetentionOfLog, FilesAtOrAboveTheStartAreNeverTakenForLeftovers) {
  auto log = open();
  fill(*log, 6);
  log.reset();
  options_.retention.bytes = 3 * options_.segment_bytes;
  log = open_retaining();
  until([&] { return log->status().segments_removed >= 3; });
  const Offset start = log->start();
  log.reset();
  // Files with a low number or a low offset only are not what retention removes.
  const auto put = [&](std::uint64_t number, Offset base) {
    store(options_.directory / segment_name(number, base), "not a segment");
    return options_.directory / segment_name(number, base);
  };
  const auto low_number = put(1, start);
  const auto both_low = put(2, Offset(1));
  log = open();
  EXPECT_TRUE(std::filesystem::exists(low_number));
  EXPECT_FALSE(std::filesystem::exists(both_low));
  EXPECT_EQ(log->start(), start);
}

}  // namespace
}  // namespace kappa::log
