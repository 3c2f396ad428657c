// Goal: after a power cut a view is its batch query over the events that were recovered, of one topic or of
// several. Method: an engine with views runs on a log that is recorded (tests/log/sim); for crash images spread over the
// recording the log is recovered, and an engine on it must answer from the view, from the stream and by
// counting: with no view state at all, with the state as it was at the end (which then knows of more
// events than the log has), and with that state after new events took the place of the lost ones.
#include <gtest/gtest.h>

#include <algorithm>

#include "log/format.h"
#include "processor/orphans.h"
#include "tests/log/sim/crash_state.h"
#include "tests/log/sim/model.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

using namespace log::sim;

constexpr std::uint64_t kPages = 5;
constexpr const char* kQuery = "SELECT page, count(*) AS n FROM hits GROUP BY page";
constexpr const char* kJoin =
    "SELECT h.page, count(*) AS n FROM hits h JOIN marks m ON m.page = h.page GROUP BY h.page";

// Every event is the only one of its number; the page follows from it.
std::string hit(std::uint64_t i) {
  return R"({"page":"p)" + std::to_string(i % kPages) + R"(","n":)" + std::to_string(i) + R"(,"fill":")" +
         std::string(150 + i % 90, 'f') + "\"}";
}
// How many of the first `count`, more than `page`, are of the page.
std::uint64_t of_page(std::uint64_t count, std::uint64_t page) { return (count - page + kPages - 1) / kPages; }
// What the view must hold over the first `count` events.
Lines counted(std::uint64_t count) {
  Lines lines;
  for (std::uint64_t page = 0; page < kPages; ++page)
    if (page < count)
      lines.push_back("p" + std::to_string(page) + "|" + std::to_string(of_page(count, page)));
  return lines;
}

// What the join must hold over so many hits and marks.
Lines joined(std::uint64_t hits, std::uint64_t marks) {
  Lines lines;
  for (std::uint64_t page = 0; page < std::min({kPages, hits, marks}); ++page)
    lines.push_back("p" + std::to_string(page) + "|" + std::to_string(of_page(hits, page) * of_page(marks, page)));
  return lines;
}

class CrashViews : public EngineFixture {
 protected:
  void SetUp() override {}

  void take(log::FileSystem& files, const std::filesystem::path& views) {
    log_options_.directory = kLogDirectory;
    log_options_.segment_bytes = limits::kSegmentBytesMin;
    log_options_.files = &files;
    options_.directory = views;
  }
  void open_on(log::FileSystem& files, const std::filesystem::path& views) {
    take(files, views);
    open();
  }
  void refused_on(log::FileSystem& files, const std::filesystem::path& views) {
    take(files, views);
    const auto log = log::Log::open(log_options_);
    ASSERT_TRUE(log) << to_string(log.error());
    const auto engine = Engine::open(options_, **log);
    ASSERT_FALSE(engine);
    EXPECT_EQ(engine.error().number, 3116) << to_string(engine.error());
  }

  void append_hits(std::uint64_t from, std::uint64_t to) {
    std::vector<std::string> values;
    for (std::uint64_t i = from; i < to; ++i) values.push_back(hit(i));
    append("hits", values, 3);
  }
  void append_marks(std::uint64_t from, std::uint64_t to) {
    std::vector<std::string> values;
    for (std::uint64_t i = from; i < to; ++i) values.push_back(R"({"page":"p)" + std::to_string(i % kPages) + "\"}");
    append("marks", values, 1);
  }
  std::uint64_t events_of(std::string_view topic) {
    const auto info = log_->find_topic(topic);
    return info ? info->next_sequence.value() : 0;
  }

  // Recovers the image, compares; adds what was lost, with other events in its place, and compares again.
  bool check(const Tree& image, const std::filesystem::path& views) {
    MemoryFileSystem files(image);
    const bool log_was_there = files.open(std::filesystem::path(kLogDirectory) / log::kManifestName, log::OpenMode::kRead).has_value();
    if (!log_was_there && std::filesystem::exists(views)) {
      // No crash leaves a view without the log it is made from: this is another log's, and stays.
      refused_on(files, views);
      EXPECT_TRUE(holds_states(views));
      std::filesystem::remove_all(views);
    }
    open_on(files, views);
    if (HasFatalFailure()) return false;
    const auto known = engine_->views();
    const bool has_view =
        std::any_of(known.begin(), known.end(), [](const auto& v) { return v.name == "by_page"; });
    const std::uint64_t count = events_of("hits");
    const std::uint64_t marks = events_of("marks");
    if (has_view) {
      EXPECT_EQ(lines("SELECT * FROM by_page ORDER BY page"), counted(count));
      EXPECT_EQ(lines(std::string(kQuery) + " ORDER BY page"), counted(count));
      const bool has_join =
          std::any_of(known.begin(), known.end(), [](const auto& v) { return v.name == "marked"; });
      if (has_join) {
        EXPECT_EQ(lines("SELECT * FROM marked ORDER BY page"), joined(count, marks));
      }
      append_hits(count, count + 8);
      append_marks(marks, marks + 3);
      EXPECT_EQ(lines("SELECT * FROM by_page ORDER BY page"), counted(count + 8));
      if (has_join) {
        EXPECT_EQ(lines("SELECT * FROM marked ORDER BY page"), joined(count + 8, marks + 3));
      }
    } else {
      EXPECT_EQ(count, 0u) << "the view was there before the first event";
    }
    close();
    return has_view;
  }
};

TEST_F(CrashViews, AreTheBatchQueryOverWhatWasRecovered) {
  RecordingFileSystem recording(empty_tree(), {}, 1);
  const std::filesystem::path final_views = directory_ / "final";
  open_on(recording, final_views);
  ASSERT_FALSE(HasFatalFailure());
  run("CREATE STREAM hits (page TEXT, n BIGINT)");
  run(std::string("CREATE MATERIALIZED VIEW by_page AS ") + kQuery);
  run("CREATE STREAM marks (page TEXT)");
  run(std::string("CREATE MATERIALIZED VIEW marked AS ") + kJoin);
  for (std::uint64_t i = 0; i < 90; i += 6) {
    append_hits(i, i + 6);
    append_marks(i / 3, i / 3 + 2);
  }
  EXPECT_EQ(lines("SELECT * FROM by_page ORDER BY page"), counted(90));
  EXPECT_EQ(lines("SELECT * FROM marked ORDER BY page"), joined(90, 30));
  close();

  const std::vector<Operation> operations = recording.operations();
  constexpr std::size_t kMoments = 24;
  CrashState state(empty_tree(), {});
  std::size_t checked = 0, with_view = 0;
  for (std::size_t moment = 0; moment < operations.size(); ++moment) {
    state.apply(operations[moment]);
    if (moment % (operations.size() / kMoments) != 0) continue;
    std::vector<Tree> images = {state.cached()};
    // Everything that is pending lost, and every other unit of it.
    for (const bool some : {false, true}) {
      Choice choice;
      for (std::size_t unit = 0; unit < state.pending().size(); ++unit)
        choice.keep.push_back(some && (unit + moment) % 2 == 0);
      images.push_back(state.image(choice));
    }
    for (const Tree& image : images) {
      SCOPED_TRACE("power cut after operation " + std::to_string(moment) + ", image " +
                   std::to_string(checked));
      const std::filesystem::path views = directory_ / ("views" + std::to_string(checked));
      if (checked % 2 == 1)
        std::filesystem::copy(final_views, views, std::filesystem::copy_options::recursive);
      with_view += check(image, views) ? 1 : 0;
      std::filesystem::remove_all(views);
      if (HasFailure()) return;
      ++checked;
    }
  }
  std::printf("[ images   ] %zu, of them %zu with the view\n", checked, with_view);
  EXPECT_GT(with_view, checked / 2);
}

}  // namespace
}  // namespace kappa::processor::test
