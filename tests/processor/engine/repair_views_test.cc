// Goal: trouble with the log never costs a view that was right its state. Method: a log of small segments, with
// and without retention; its end is damaged and repaired, or a file cannot be read; views are then compared with
// a count of everything that was ever acknowledged, over several starts with new events in between.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <thread>

#include "log/format.h"
#include "log/repair.h"
#include "processor/lost_definitions.h"
#include "processor/verify_views.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kView = "CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page";
constexpr const char* kOther =
    "CREATE MATERIALIZED VIEW w AS SELECT page, count(*) AS n FROM hits WHERE n >= 0 GROUP BY page";

class RepairedLog : public EngineFixture {
 protected:
  void SetUp() override {
    options_.commit_interval_ms = 10;
    log_options_.segment_bytes = 64 << 10;
  }
  void open() {
    open_log();
    options_.read_only = log_->status().read_only;
    open_engine();
    if (!options_.read_only) log_->begin_retention();
  }
  // A stream, two views that have applied and committed everything, and a log that was closed.
  void make(bool retention) {
    close();
    for (const char* name : {"log", "views"}) fs::remove_all(directory_ / name);
    counts_.clear();
    log_options_.retention.bytes = retention ? 3 * log_options_.segment_bytes : 0;
    open();
    run("CREATE STREAM hits (page TEXT, n BIGINT)");
    run(kView);
    run(kOther);
    append(9000);
    settle();
    if (retention) until([&] { return log_->status().segments <= 4; });
    EXPECT_EQ(log_->start() > Offset(0), retention);
    close();
  }
  void append(int count) {
    std::vector<std::string> events;
    for (int i = 0; i < count; ++i) {
      const std::string page = "/page" + std::to_string(i % 9);
      events.push_back(R"({"page":")" + page + R"(","n":)" + std::to_string(i) + "}");
      ++counts_[page];
    }
    EngineFixture::append("hits", events, 100);
  }
  void settle() {
    for (const char* name : {"v", "w"}) until([&] { return status(name).committed == log_->durable_end(); });
  }
  // Everything that was ever acknowledged, also what the log lost since.
  void expect_everything() {
    Lines expected;
    for (const auto& [page, count] : counts_) expected.push_back(page + "|" + std::to_string(count));
    for (const char* name : {"v", "w"}) {
      const ViewStatus view = status(name);
      EXPECT_EQ(view.state, "live") << view.error;
      EXPECT_EQ(view.rebuilt, "");
      EXPECT_EQ(texts_of(run("SELECT * FROM " + std::string(name) + " ORDER BY page").rows), expected);
    }
  }
  std::vector<fs::path> segments() {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(directory_ / "log"))
      if (entry.path().extension() == ".segment") found.push_back(entry.path());
    std::ranges::sort(found);
    return found;
  }
  static void flip(const fs::path& path, std::uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }
  // File byte of the last batch of the log.
  static std::uint64_t last_batch(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string file{std::istreambuf_iterator<char>(in), {}};
    const auto page = log::decode_segment_header(as_bytes(file));
    std::uint64_t last = 0;
    for (std::uint64_t at = log::kSegmentHeaderBytes; page && at < file.size();) {
      const auto header = decode_batch_header(as_bytes(file).subspan(at), page->log_id.low);
      if (!header) break;
      last = at;
      at += header->stored_bytes();
    }
    EXPECT_NE(last, 0U);
    return last;
  }
  void repair() {
    const auto report = log::repair({directory_ / "log", true, nullptr}, {});
    ASSERT_TRUE(report) << to_string(report.error());
    ASSERT_TRUE(report->done);
    ASSERT_TRUE(report->remaining.empty()) << report->remaining[0];
    ASSERT_FALSE(report->lost.empty());
  }

  std::map<std::string, int> counts_;
};

// Symptom that this is against: one flipped bit in the last batch, a repair, and every view was rebuilt without
// what it had, or failed where retention had been.
TEST_F(RepairedLog, ViewsThatHadAppliedTheLostEndKeepItAndGoOn) {
  struct Way {
    const char* name;
    std::function<void()> damage;
    bool known;  // Which batch stood in front of the views' place.
  };
  const Way ways[] = {
      {"a bit in the last body", [&] { flip(segments().back(), last_batch(segments().back()) + 200); }, true},
      {"a bit in the last header", [&] { flip(segments().back(), last_batch(segments().back()) + 60); }, false},
      {"no last segment file", [&] { fs::remove(segments().back()); }, false},
  };
  for (const bool retention : {false, true}) {
    for (const Way& way : ways) {
      SCOPED_TRACE(std::string(way.name) + (retention ? ", with retention" : ""));
      make(retention);
      way.damage();
      open();
      EXPECT_TRUE(log_->status().damage);
      expect_everything();  // From read-only states.
      close();
      repair();
      const ViewsReport report = verify();
      EXPECT_TRUE(report.damage.empty()) << report.damage[0];
      EXPECT_EQ(report.warnings.size(), way.known ? 0U : 2U);
      // The first start adds nothing: the places are as they were, and are committed by their new names.
      for (const int more : {0, 90, 900, 0}) {
        open();
        expect_everything();
        append(more);
        expect_everything();
        settle();
        close();
        const ViewsReport after = verify();
        EXPECT_TRUE(after.damage.empty()) << after.damage[0];
        EXPECT_TRUE(after.warnings.empty()) << after.warnings[0];
      }
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
  }
}

// Symptom that this is against: files that are missing, or cannot be opened for want of handles, made views that
// were whole "must be rebuilt", with the hint that the log has everything.
TEST_F(RepairedLog, APlaceThatCannotBeReadProvesNothingAgainstAView) {
  for (const bool retention : {false, true}) {
    make(retention);
    const auto all = segments();
    ASSERT_GE(all.size(), 3U);
    fs::remove(all[all.size() - 1]);
    fs::remove(all[all.size() - 2]);
    open();
    EXPECT_TRUE(log_->status().damage);
    expect_everything();
    close();
    EXPECT_TRUE(verify().damage.empty());
  }
}

TEST_F(RepairedLog, VerifySaysWhichViewsTheLogCannotMakeAgain) {
  for (const bool retention : {false, true}) {
    make(retention);
    fs::path state;
    for (const auto& entry : fs::directory_iterator(directory_ / "views"))
      if (state.empty() || entry.path() < state) state = entry.path();
    const fs::path whole = directory_ / "whole";
    fs::remove_all(whole);
    fs::copy(state, whole, fs::copy_options::recursive);
    // Of the time when nothing had been applied, of no time at all, of other bytes.
    fs::remove(state / "data.mdb");
    EXPECT_EQ(verify().damage.size(), retention ? 1U : 0U) << "without its file";
    fs::remove_all(state);
    EXPECT_EQ(verify().damage.size(), retention ? 1U : 0U) << "without its directory";
    fs::copy(whole, state, fs::copy_options::recursive);
    EXPECT_TRUE(verify().damage.empty());
    fs::resize_file(state / "data.mdb", 4096);
    const ViewsReport report = verify();
    ASSERT_EQ(report.damage.size(), 1U);
    EXPECT_EQ(report.damage[0].contains("cannot be rebuilt"), retention) << report.damage[0];
    EXPECT_EQ(report.damage[0].contains("will be rebuilt"), !retention) << report.damage[0];
    open();
    until([&] { return status("v").state != "building"; });
    EXPECT_EQ(status("v").state, retention ? "failed" : "live");
  }
}

TEST_F(RepairedLog, VerifyNamesAStateThatIsOlderThanTheLogsStart) {
  make(false);
  fs::copy(directory_ / "views", directory_ / "older", fs::copy_options::recursive);
  open();
  append(9000);
  settle();
  close();
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  open();
  until([&] { return log_->status().segments <= 4; });
  close();
  EXPECT_TRUE(verify().damage.empty());
  fs::remove_all(directory_ / "views");
  fs::rename(directory_ / "older", directory_ / "views");
  const ViewsReport report = verify();
  ASSERT_EQ(report.damage.size(), 2U);
  EXPECT_NE(report.damage[0].find("it goes on at offset 900"), std::string::npos) << report.damage[0];
  EXPECT_NE(report.damage[0].find("cannot be rebuilt"), std::string::npos) << report.damage[0];
  open();
  EXPECT_EQ(status("v").state, "failed");
}

TEST_F(RepairedLog, DefinitionsThatARepairLosesAreNamed) {
  make(false);
  const auto report = [&] {
    const auto look = log::repair({directory_ / "log", false, nullptr}, {});
    EXPECT_TRUE(look);
    std::string text;
    for (const std::string& line : lost_definitions(*look, directory_ / "views")) text += line + "\n";
    return text;
  };
  EXPECT_EQ(report(), "");
  const fs::path whole = directory_ / "whole";
  fs::copy(directory_ / "log", whole, fs::copy_options::recursive);
  const auto restore = [&] {
    fs::remove_all(directory_ / "log");
    fs::copy(whole, directory_ / "log", fs::copy_options::recursive);
  };
  // A later snapshot repeats them.
  fs::remove(segments().front());
  EXPECT_EQ(report(), "");
  restore();
  // Nothing but events.
  flip(segments().back(), last_batch(segments().back()) + 200);
  EXPECT_EQ(report(), "");
  restore();
  for (const fs::path& segment : segments()) fs::remove(segment);
  const std::string all = report();
  EXPECT_NE(all.find("created at offset 1,"), std::string::npos) << all;
  EXPECT_NE(all.find("created at offset 2,"), std::string::npos) << all;
  EXPECT_NE(all.find("kept: topics none; streams none; views none"), std::string::npos) << all;
  restore();
  // The newest definition, whose record is the last batch: a value's byte changed, the name can be read.
  open();
  run("CREATE MATERIALIZED VIEW later AS SELECT count(*) AS n FROM hits");
  close();
  flip(segments().back(), last_batch(segments().back()) + 200);
  const std::string one = report();
  EXPECT_NE(one.find("topics none; streams none; views later"), std::string::npos) << one;
  EXPECT_NE(one.find("views v, w"), std::string::npos) << one;
}

}  // namespace
}  // namespace kappa::processor::test
