// Goal: a view is never made from what damage has left of the log as if that were all. Method: a log of
// several segments, of which one batch in a sealed segment is changed while nothing is open; a view that is
// behind the damage, one that must pass it, and one whose own place it is.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "log/file.h"
#include "log/format.h"
#include "log/segment_scan.h"
#include "tests/log/sim/faulty_system_calls.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

constexpr std::uint64_t kBatchEvents = 500;
constexpr const char* kQuery = "SELECT count(*) AS n FROM hits";

class DamagedLog : public EngineFixture {
 protected:
  void SetUp() override {
    EngineFixture::SetUp();
    run("CREATE STREAM hits (a BIGINT) WITH (topic = 'hits')");
  }
  // More than a segment.
  void append_segment() {
    const std::vector<std::string> values(8000, R"({"a":1,"fill":")" + std::string(150, 'x') + "\"}");
    append("hits", values, kBatchEvents);
    events_ += values.size();
  }
  void create_view(const std::string& name) {
    run("CREATE MATERIALIZED VIEW " + name + " AS " + kQuery);
  }
  Lines counted(const std::string& view) { return lines("SELECT n FROM " + view); }

  // While nothing is open: changes byte `at` of the batch that has `offset`, and gives the offset of its
  // first event.
  std::uint64_t damage(std::uint64_t offset, std::size_t at) {
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "log")) {
      if (entry.path().extension() != ".segment") continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::string file{std::istreambuf_iterator<char>(in), {}};
      const auto page = log::decode_segment_header(as_bytes(file));
      EXPECT_TRUE(page);
      for (auto found = log::find_batch(as_bytes(file), *page, log::kSegmentHeaderBytes); found;
           found = log::find_batch(as_bytes(file), *page, found->end())) {
        const BatchHeader& header = found->header;
        if (header.kind != BatchKind::kEvents || offset < header.base_offset.value() ||
            offset >= header.end_offset().value())
          continue;
        file[found->at + at] ^= 1;
        std::ofstream(entry.path(), std::ios::binary | std::ios::trunc) << file;
        return header.base_offset.value();
      }
    }
    ADD_FAILURE() << "no batch has offset " << offset;
    return 0;
  }
  // The error of a read of the view names the damage, and the status says the same.
  void expect_failed(const std::string& view, std::uint64_t first) {
    const Error error = refusal("SELECT n FROM " + view);
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << to_string(error);
    EXPECT_NE(error.message.find("offsets [" + std::to_string(first) + ", " + std::to_string(first + kBatchEvents) + ")"),
              std::string::npos)
        << to_string(error);
    EXPECT_EQ(status(view).state, "failed");
  }
  std::uint64_t events_ = 0;
};

TEST_F(DamagedLog, AViewThatMeetsDamageIsFailedAndOneBehindItGoesOn) {
  create_view("old");
  append_segment();
  append_segment();
  EXPECT_EQ(counted("old"), Lines{std::to_string(events_)});
  close();
  const std::uint64_t first = damage(2000, kBatchHeaderBytes + 100);
  open();
  EXPECT_EQ(counted("old"), Lines{std::to_string(events_)}) << "what it has is right";
  create_view("new");
  expect_failed("new", first);
  append_segment();
  EXPECT_EQ(counted("old"), Lines{std::to_string(events_)});
  // A query of the stream meets the same.
  EXPECT_EQ(refusal(kQuery).number, 3130);
  // Without its state the old view is not made from what is left either.
  close();
  std::filesystem::remove_all(directory_ / "views");
  open();
  expect_failed("old", first);
}

TEST_F(DamagedLog, AViewWhosePlaceIsDamagedKeepsItsStateAndGoesOn) {
  create_view("v");
  append_segment();
  EXPECT_EQ(counted("v"), Lines{std::to_string(events_)});
  const std::uint64_t place = status("v").applied.value();
  close();
  // The log goes on without the view, so that its place is in a sealed segment.
  open_log();
  append_segment();
  append_segment();
  close();
  damage(place - 1, 60);  // Its header: the mark is that one's hash.
  open();
  ASSERT_FALSE(log_->status().damage);
  EXPECT_FALSE(log_->mark(Offset(place))) << "the log cannot say which prefix this is";
  EXPECT_EQ(counted("v"), Lines{std::to_string(events_)}) << "every event once";
  EXPECT_EQ(status("v").rebuilt, "");
}

TEST_F(DamagedLog, AViewThatFindsNoDescriptorToReadTheLogGoesOnWhenThereIsOne) {
  append_segment();
  append_segment();
  close();
  log::sim::FaultySystemCalls calls;
  const auto files = log::make_real_file_system(calls);
  log_options_.files = files.get();
  open();
  calls.arm(log::sim::Fault::kDescriptors, 1, true);
  create_view("v");
  while (!calls.injected()) std::this_thread::yield();
  EXPECT_EQ(status("v").error, "");
  calls.disarm();
  EXPECT_EQ(counted("v"), Lines{std::to_string(events_)});
  close();
}

}  // namespace
}  // namespace kappa::processor::test
