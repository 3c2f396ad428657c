// Goal: the wall clock decides append times and nothing else, and append times never go back, whatever
// the clock does: years forth and back, zero, negative, the ends of its range.
// Method: a clock that a test sets; append times and offsets by time are compared with a model; the same
// inputs under a calm and a mad clock must give the same log but for the times. A scan of the sources
// keeps new uses of the wall clock out.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <regex>

#include "log/format.h"
#include "tests/log/golden_log.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

constexpr std::int64_t kYear = std::int64_t{365} * 24 * 3600 * 1'000'000;
constexpr std::int64_t kNow = 1'700'000'000'000'000;
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

class ClockTest : public LogFixture {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = limits::kSegmentBytesMin;
    options_.prepared_segments = 0;
    options_.clock = &clock_;
  }
  struct Stamped {
    Offset base, end;
    std::int64_t time;
  };
  // Every batch with offsets and its append time.
  static std::vector<Stamped> stamps(Log& log) {
    std::vector<Stamped> found;
    const auto reader = log.reader(log.start(), {});
    for (;;) {
      const auto view = reader->next();
      EXPECT_TRUE(view) << to_string(view.error());
      if (!view || !*view) return found;
      const BatchHeader& header = (*view)->header;
      found.push_back({header.base_offset, header.end_offset(), header.append_time.value()});
    }
  }
  void append(Log& log, const std::string& value, std::uint64_t producer = 0, std::uint64_t sequence = 0) {
    const auto topic = log.ensure_topic("t");
    ASSERT_TRUE(topic);
    AppendBatch next = batch(*topic, {value, value});
    next.producer_id = ProducerId(producer);
    next.producer_sequence = sequence;
    const auto ack = log.append(std::move(next));
    ASSERT_TRUE(ack) << to_string(ack.error());
  }
  ManualClock clock_;
};

const std::int64_t kReadings[] = {kNow,
                                  kNow + 50 * kYear,
                                  kNow - 50 * kYear,
                                  0,
                                  -1,
                                  -kYear,
                                  kNow + kYear,
                                  kMin,
                                  kNow + 60 * kYear,
                                  kMax,
                                  kMin,
                                  kNow};

TEST_F(ClockTest, AppendTimeNeverGoesBack) {
  std::vector<std::int64_t> expected;
  std::int64_t highest = 0;
  for (const bool reopen : {false, true}) {
    for (const std::int64_t reading : kReadings) {
      clock_.time = Timestamp(reading);
      const auto log = open();
      ASSERT_NE(log, nullptr);
      // Over rolls, so that a snapshot carries the time as well.
      const int batches = reopen ? 2 : 9;
      for (int i = 0; i < batches; ++i) {
        append(*log, std::string(700, 'x'));
        highest = std::max(highest, reading);
        expected.push_back(highest);
      }
    }
  }
  const auto log = open();
  ASSERT_GT(log->status().segments, 5U);
  std::vector<std::int64_t> actual;
  for (const Stamped& stamped : stamps(*log)) actual.push_back(stamped.time);
  EXPECT_EQ(actual, expected);
  log->status();
  EXPECT_TRUE(std::is_sorted(actual.begin(), actual.end()));
}

TEST_F(ClockTest, OffsetsByTimeAreThoseOfTheFirstBatchAtOrAfter) {
  {
    const auto log = open();
    for (const std::int64_t reading : kReadings) {
      clock_.time = Timestamp(reading);
      for (int i = 0; i < 9; ++i) append(*log, std::string(700, 'y'));
    }
  }
  for (const bool with_indexes : {true, false}) {
    if (!with_indexes)
      for (const auto& index : files_ending(".index")) std::filesystem::remove(index);
    const auto log = open();
    const auto all = stamps(*log);
    std::vector<std::int64_t> questions = {kMin,     kMin + 1, -1,       0,        1,
                                           kNow - 1, kNow,     kNow + 1, kMax - 1, kMax};
    for (const Stamped& stamped : all) questions.push_back(stamped.time);
    for (const std::int64_t question : questions) {
      Offset expected = log->durable_end();
      for (std::size_t i = all.size(); i-- > 0;)
        if (all[i].time >= question) expected = all[i].base;
      const auto answer = log->offset_at_time(Timestamp(question));
      ASSERT_TRUE(answer) << to_string(answer.error());
      EXPECT_EQ(*answer, expected) << "time " << question << (with_indexes ? "" : ", without index files");
    }
  }
}

// A day of a mad clock between any two appends.
TEST_F(ClockTest, NothingElseDependsOnTheClock) {
  const auto run = [&](bool mad) {
    options_.directory = fresh_directory();
    std::string report;
    for (int opening = 0; opening < 3; ++opening) {
      const auto log = open();
      report += log->status().recovery + "\n";
      for (int i = 0; i < 40; ++i) {
        clock_.time =
            Timestamp(mad ? kReadings[static_cast<std::size_t>(i * 7 + opening) % std::size(kReadings)]
                          : kNow + opening * kYear + i);
        const auto producer = static_cast<std::uint64_t>(i % 3);
        const auto sequence = static_cast<std::uint64_t>(opening * 40 + i) / 3 * 2;
        if (producer == 0) {
          append(*log, "value " + std::to_string(i) + std::string(600, 'z'));
          continue;
        }
        const ProducerState state = log->producer(*log->ensure_topic("t"), ProducerId(producer));
        append(*log, "value " + std::to_string(i) + std::string(600, 'z'), producer, state.next_sequence);
        report += std::to_string(sequence) + " " + std::to_string(state.next_sequence) + "\n";
        // The batch before is known, whenever it is said to have come.
        AppendBatch again =
            batch(*log->ensure_topic("t"), {"value " + std::to_string(i) + std::string(600, 'z'), "b"});
        again.producer_id = ProducerId(producer);
        again.producer_sequence = state.next_sequence;
        const auto ack = log->append(std::move(again));
        EXPECT_TRUE(ack && ack->duplicate);
        if (ack) report += std::to_string(ack->base_offset.value()) + "\n";
      }
    }
    const auto log = open();
    const auto text = golden::listing(*log);
    EXPECT_TRUE(text);
    report += std::regex_replace(*text, std::regex(" time -?[0-9]+"), "");
    report += std::to_string(log->status().segments) + " segments\n";
    for (const auto& segment : files_ending(".segment")) report += segment.filename().string() + "\n";
    return report;
  };
  const std::string calm = run(false);
  ASSERT_GT(calm.size(), 50'000U);
  EXPECT_EQ(run(true), calm);
}

// W goes to CONTROL some milliseconds after the last commit, by a clock that only goes on.
TEST_F(ClockTest, TheWatermarkIsStoredUnderAnyClock) {
  for (const std::int64_t reading : {kMax, kMin, std::int64_t{0}}) {
    clock_.time = Timestamp(reading);
    options_.directory = fresh_directory();
    const auto log = open();
    append(*log, "x");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (;;) {
      const auto page = decode_control(as_bytes(load(options_.directory / kControlName)));
      if (page && page->watermark == log->status().durable_position) break;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "not stored with the clock at " << reading;
    }
  }
}

// Who asks for the wall clock, and why that is right. Everything that waits or measures uses the steady one.
TEST_F(ClockTest, OnlyThesePlacesReadTheWallClock) {
  const std::vector<std::string> allowed = {
      "log/log_open.cc",           // Append times, through Clock.
      "log/backup.cc",             // When a backup was made, for people.
      "processor/live_view_status.cc",  // lag_seconds of a status, for people.
      "processor/engine_versions.cc",   // keep_old counts while the server is down, too.
      "serving/access.cc",  // Tokens expire at a date.
      "processor/sql/planner.cc",  // CURRENT_TIMESTAMP of a query; refused in views.
  };
  const std::regex wall(
      R"(system_clock::now|gettimeofday|CLOCK_REALTIME|[^_a-z]time\((nullptr|NULL|0)\)|wait_until\([^;]*system_clock)");
  std::vector<std::string> found;
  const std::filesystem::path root = KAPPA_SOURCE_DIRECTORY;
  int files = 0;
  for (const char* folder : {"proto", "log", "processor", "serving"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".cc" && extension != ".h") continue;
      ++files;
      if (std::regex_search(load(entry.path()), wall))
        found.push_back(std::filesystem::relative(entry.path(), root).string());
    }
  }
  EXPECT_GT(files, 100);
  for (const std::string& file : found)
    EXPECT_TRUE(std::find(allowed.begin(), allowed.end(), file) != allowed.end())
        << file << " reads the wall clock: use std::chrono::steady_clock, or say here why not";
}

}  // namespace
}  // namespace kappa::log
