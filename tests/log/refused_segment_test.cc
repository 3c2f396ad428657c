// Goal: a log that is opened with damaged segments says exactly what is lost, no more, and keeps the names of
// its topics as long as any segment's snapshot tells them. Method: a log of several small segments is damaged
// one way at a time; what the status lists is compared with what reading meets.
#include <gtest/gtest.h>

#include "log/format.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

class RefusedSegment : public LogFixture {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = 32 << 10;
    options_.prepared_segments = 0;
    options_.scrub_bytes_per_second = 0;
    auto log = open();
    const TopicId a = *log->ensure_topic("a");
    const TopicId b = *log->ensure_topic("b");
    for (int i = 0; i < 150; ++i)
      ASSERT_TRUE(log->append(batch(i % 10 == 0 ? b : a, {std::to_string(i) + std::string(700, 'x'), "second"})));
    end_ = log->durable_end();
    log.reset();
    segments_ = files_ending(".segment");
    ASSERT_GE(segments_.size(), 5U);
  }

  struct Range {
    Offset first, last;
    bool operator==(const Range&) const = default;
  };
  // What cannot be read, by reading on behind each error.
  static std::vector<Range> unreadable(Log& log, ReadFilter filter = {}) {
    std::vector<Range> found;
    const auto reader = log.reader(log.start(), filter);
    for (;;) {
      const auto view = reader->next();
      if (view) {
        if (!*view) return found;
        continue;
      }
      const std::string& text = view.error().message;
      const std::size_t open = text.find("offsets [");
      EXPECT_NE(open, std::string::npos) << text;
      char* rest = nullptr;
      const Offset first(std::strtoull(text.c_str() + open + 9, &rest, 10));
      const Offset last(std::strtoull(rest + 2, nullptr, 10));
      found.push_back({first, last});
      if (last <= first || last >= log.durable_end()) return found;
      EXPECT_TRUE(reader->seek(last));
    }
  }
  static std::vector<Range> listed(const Log& log) {
    std::vector<Range> found;
    for (const DamagedRange& range : log.status().damaged) found.push_back({range.first, range.last});
    return found;
  }
  Offset base_of(std::size_t i) const {
    return decode_segment_header(as_bytes(load(segments_[i])))->base_offset;
  }

  Offset end_;
  std::vector<std::filesystem::path> segments_;
};

TEST_F(RefusedSegment, ADamagedFooterLosesNoEvent) {
  flip_byte(segments_[1], load(segments_[1]).size() - 40);
  const auto log = open();
  ASSERT_TRUE(log->status().damage);
  EXPECT_TRUE(log->status().read_only);
  EXPECT_NE(log->status().damage->find("no event is lost"), std::string::npos) << *log->status().damage;
  EXPECT_EQ(listed(*log), (std::vector<Range>{{base_of(2), base_of(2)}}));
  EXPECT_TRUE(unreadable(*log).empty());
  EXPECT_EQ(read_values(*log, Offset(0), {log->find_topic("b")->id}).size(), 30U);
}

TEST_F(RefusedSegment, ACutFileLosesWhatWasCutOff) {
  std::filesystem::resize_file(segments_[1], std::filesystem::file_size(segments_[1]) / 2);
  const auto log = open();
  const auto ranges = unreadable(*log);
  ASSERT_EQ(ranges.size(), 1U);
  EXPECT_GT(ranges[0].first, base_of(1));
  EXPECT_EQ(ranges[0].last, base_of(2));
  EXPECT_EQ(listed(*log), ranges);
  const std::string named =
      "[" + std::to_string(ranges[0].first.value()) + ", " + std::to_string(ranges[0].last.value()) + ")";
  EXPECT_NE(log->status().damage->find(named), std::string::npos) << *log->status().damage;
}

TEST_F(RefusedSegment, TheScrubSaysNothingOfASoundNeighbour) {
  options_.scrub_bytes_per_second = 0;
  for (const bool first : {true, false}) {
    const std::string bytes = load(segments_[first ? 0 : 1]);
    std::filesystem::remove(segments_[first ? 0 : 1]);
    const auto log = open();
    const auto before = listed(*log);
    ASSERT_EQ(before.size(), 1U);
    while (log->status().scrub.passes == 0) ASSERT_GT(log->scrub_step(1 << 20), 0U);
    EXPECT_EQ(listed(*log), before);
    store(segments_[first ? 0 : 1], bytes);
  }
}

TEST_F(RefusedSegment, NamesOfTopicsComeFromTheNewestWholeSnapshot) {
  // The first batch of a segment is its snapshot.
  for (std::size_t i = segments_.size(); i-- > segments_.size() - 3;) flip_byte(segments_[i], kSegmentHeaderBytes + 100);
  const auto log = open();
  ASSERT_TRUE(log->status().damage);
  ASSERT_TRUE(log->find_topic("a"));
  ASSERT_TRUE(log->find_topic("b"));
  EXPECT_EQ(read_values(*log).size(), 300U);
  EXPECT_EQ(log->durable_end(), end_);
}

TEST_F(RefusedSegment, AReaderOfATopicSaysWhichOffsetsALostLastFileHeld) {
  const Offset base = base_of(segments_.size() - 1);
  ASSERT_LT(base, end_);
  std::filesystem::remove(segments_.back());
  const auto log = open();
  ASSERT_TRUE(log->status().damage);
  EXPECT_EQ(unreadable(*log, {log->find_topic("b")->id}), (std::vector<Range>{{base, end_}}));
  EXPECT_EQ(unreadable(*log), (std::vector<Range>{{base, end_}}));
}

TEST_F(RefusedSegment, AReaderOfATopicDoesNotStepOverALostMiddleFile) {
  const Offset from = base_of(2);
  const Offset to = base_of(3);
  std::filesystem::remove(segments_[2]);
  const auto log = open();
  EXPECT_EQ(unreadable(*log, {log->find_topic("b")->id}), (std::vector<Range>{{from, to}}));
  EXPECT_EQ(unreadable(*log), (std::vector<Range>{{from, to}}));
}

}  // namespace
}  // namespace kappa::log
