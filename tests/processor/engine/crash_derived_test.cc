// Goal: after a power cut at any moment a derived stream's topic holds, once it has caught up, exactly what its SELECT
// makes of the events that were recovered: none twice, none missing, in order, with the same identities.
// Method: an engine with three derived streams runs on a log that is recorded (tests/log/sim); its states are copied
// between rounds. For crash images spread over the recording the log is recovered, an engine is opened on it with no
// state, with the newest state that was committed before the cut, or with the last state of all (which then is
// ahead of the log), and the topics are compared with the model; then again after more events.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "log/format.h"
#include "tests/log/sim/crash_state.h"
#include "tests/log/sim/model.h"
#include "tests/processor/engine/derived_model.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

using namespace log::sim;

constexpr const char* kStatements[] = {
    "CREATE STREAM auth (card TEXT, ts TIMESTAMP) WITH (event_time = 'ts')",
    "CREATE STREAM alerts AS SELECT card, window_start, count(*) AS tries FROM auth "
    "GROUP BY card, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(*) > 3 EMIT ON WINDOW CLOSE",
    "CREATE STREAM changes AS SELECT card, count(*) AS n FROM auth GROUP BY card EMIT CHANGES",
    "CREATE STREAM passed WITH (event_time = 'ts') AS SELECT card, ts FROM auth WHERE card <> 'c1' EMIT CHANGES",
    "CREATE MATERIALIZED VIEW per_card AS SELECT card, sum(tries) AS tries FROM alerts GROUP BY card"};
constexpr const char* kStreams[] = {"alerts", "changes", "passed"};

class CrashDerived : public EngineFixture {
 protected:
  void SetUp() override { options_.commit_interval_ms = 10; }

  void open_on(log::FileSystem& files, const std::filesystem::path& views) {
    log_options_.directory = kLogDirectory;
    log_options_.segment_bytes = limits::kSegmentBytesMin;
    log_options_.files = &files;
    options_.directory = views;
    open();
  }
  void settle() {
    for (const char* name : kStreams) run(std::string("SELECT count(*) FROM ") + name);
  }
  void compare() {
    AuthModel model;
    model.take(*log_, "auth");
    EXPECT_EQ(derived_events(*log_, "alerts"), model.alerts());
    EXPECT_EQ(derived_events(*log_, "changes"), model.changes());
    EXPECT_EQ(derived_events(*log_, "passed"), model.passed());
  }
  // True if the streams were there.
  bool check(const Tree& image, const std::filesystem::path& views, bool state_fits) {
    MemoryFileSystem files(image);
    open_on(files, views);
    if (HasFatalFailure()) return false;
    const auto known = engine_->views();
    for (const char* name : {"alerts", "changes", "passed", "per_card"}) {
      const auto found = std::ranges::find(known, name, &ViewStatus::name);
      if (found == known.end()) {
        close();
        return false;
      }
      if (state_fits) {
        EXPECT_EQ(found->rebuilt, "") << name << " was committed ahead of what it wrote";
      }
    }
    settle();
    compare();
    std::mt19937_64 random(5);
    append("auth", random_auth(random, 12), 5);
    settle();
    compare();
    close();
    return true;
  }
};

TEST_F(CrashDerived, TheTopicIsTheSelectOverWhatWasRecovered) {
  RecordingFileSystem recording(empty_tree(), {}, 1);
  const std::filesystem::path live = directory_ / "live";
  open_on(recording, live);
  ASSERT_FALSE(HasFatalFailure());
  for (const char* statement : kStatements) run(statement);
  struct Copy {
    std::size_t operations = 0;
    std::filesystem::path views;
  };
  std::vector<Copy> copies;
  std::mt19937_64 random(20240607);
  for (int round = 0; round < 8; ++round) {
    append("auth", random_auth(random, 15), 4);
    if (round % 2 == 0) settle();
    engine_.reset();
    copies.push_back({recording.operations().size(), directory_ / ("copy" + std::to_string(round))});
    std::filesystem::copy(live, copies.back().views, std::filesystem::copy_options::recursive);
    open_engine();
  }
  append("auth", random_auth(random, 15), 4);
  settle();
  compare();
  close();

  const std::vector<Operation> operations = recording.operations();
  constexpr std::size_t kMoments = 60;
  CrashState state(empty_tree(), {});
  std::size_t checked = 0, with_streams = 0;
  for (std::size_t moment = 0; moment < operations.size(); ++moment) {
    state.apply(operations[moment]);
    if (moment % std::max<std::size_t>(operations.size() / kMoments, 1) != 0) continue;
    std::vector<Tree> images = {state.cached()};
    for (const bool some : {false, true}) {
      Choice choice;
      for (std::size_t unit = 0; unit < state.pending().size(); ++unit) choice.keep.push_back(some && (unit + moment) % 2 == 0);
      images.push_back(state.image(choice));
    }
    const Copy* before = nullptr;
    for (const Copy& copy : copies) {
      if (copy.operations <= moment + 1) before = &copy;
    }
    for (std::size_t i = 0; i < images.size(); ++i) {
      SCOPED_TRACE("power cut after operation " + std::to_string(moment) + ", image " + std::to_string(i));
      MemoryFileSystem probe(images[i]);
      if (!probe.open(std::filesystem::path(kLogDirectory) / log::kManifestName, log::OpenMode::kRead)) continue;
      const std::filesystem::path views = directory_ / ("views" + std::to_string(checked));
      const std::size_t which = (moment / 7 + i) % 3;
      const bool fits = which == 1 && before != nullptr;
      if (fits) std::filesystem::copy(before->views, views, std::filesystem::copy_options::recursive);
      if (which == 2) std::filesystem::copy(live, views, std::filesystem::copy_options::recursive);
      with_streams += check(images[i], views, fits) ? 1 : 0;
      std::filesystem::remove_all(views);
      if (HasFailure()) return;
      ++checked;
    }
  }
  std::printf("[ images   ] %zu, of them %zu with the streams\n", checked, with_streams);
  EXPECT_GT(with_streams, checked / 2);
}

}  // namespace
}  // namespace kappa::processor::test
