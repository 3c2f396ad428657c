// Goal: trouble with a view's state costs that view time, never an answer and never another view.
// Method: bytes of a committed state are changed behind the engine's back; states are opened with too
// little room. What must become true is polled for, without a clock.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <thread>

#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

class Trouble : public EngineFixture {
 protected:
  void SetUp() override {
    options_.commit_interval_ms = 10;
    EngineFixture::SetUp();
    run("CREATE STREAM hits (page TEXT, n BIGINT)");
  }
  static std::vector<std::string> hits(int from, int to) {
    std::vector<std::string> events;
    for (int i = from; i < to; ++i) {
      events.push_back(R"({"page":"/page)" + std::to_string(i % 9) + R"(","n":)" + std::to_string(i) + "}");
    }
    return events;
  }
  // Changes a byte behind every place at which `text` stands in the committed state.
  void damage(const std::string& text) {
    int changed = 0;
    for (const auto& found : std::filesystem::recursive_directory_iterator(directory_ / "views")) {
      if (found.path().filename() != "data.mdb") continue;
      std::fstream file(found.path(), std::ios::in | std::ios::out | std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      for (std::size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
        const std::size_t place = at + text.size() + 6;  // Behind the key's end: in the value.
        file.clear();
        file.seekp(static_cast<std::streamoff>(place));
        file.put(static_cast<char>(bytes[place] ^ 0x55));
        ++changed;
      }
    }
    ASSERT_GT(changed, 0);
  }
  // Nothing of the view is in memory: whoever wants an entry of it reads the file.
  void until_committed_and_forgotten() {
    until([&] { return status("v").committed == log_->durable_end() && status("v").bytes_in_memory == 0; });
  }
  void use_no_memory() {
    close();
    options_.memory_bytes = 1;
    open();
  }
  Lines batch_answer() { return lines("SELECT page, count(*) AS n FROM hits GROUP BY page ORDER BY page"); }
  Lines view_answer() { return lines("SELECT * FROM v ORDER BY page"); }
};

TEST_F(Trouble, DamageThatTheProcessorMeetsRebuildsTheView) {
  use_no_memory();
  run("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page");
  append("hits", hits(0, 90));
  run("SELECT * FROM v");
  until_committed_and_forgotten();
  damage("/page3");
  append("hits", hits(90, 180));
  until([&] { return status("v").events_applied == 90 + 180 && status("v").state == "live"; });
  EXPECT_EQ(view_answer(), batch_answer());
  EXPECT_EQ(status("v").error, "");
}

TEST_F(Trouble, DamageThatAReaderMeetsRebuildsTheViewOnce) {
  use_no_memory();
  run("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page");
  append("hits", hits(0, 90));
  run("SELECT * FROM v");
  for (const bool first : {true, false}) {
    until_committed_and_forgotten();
    damage("/page3");
    EXPECT_EQ(engine_->get("v", {{Value::text("/page3")}}).error().code, ErrorCode::kCorrupt);
    if (first) {
      until([&] { return status("v").events_applied == 180 && status("v").state == "live"; });
      EXPECT_EQ(view_answer(), batch_answer());
    }
  }
  EXPECT_EQ(status("v").state, "failed");
  EXPECT_EQ(execute("SELECT * FROM v").error().code, ErrorCode::kCorrupt);
  restart();
  append("hits", hits(90, 180));
  EXPECT_EQ(execute("SELECT count(*) AS n FROM hits")->rows.size(), 1U);
}

TEST_F(Trouble, AFullStateStopsItsViewUntilThereIsRoom) {
  close();
  options_.state_bytes_max = std::uint64_t{256} << 10;
  options_.memory_bytes = 256 << 10;
  open();
  run("CREATE MATERIALIZED VIEW big AS SELECT n, count(*) AS c FROM hits GROUP BY n");
  run("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page");
  append("hits", hits(0, 20'000));
  // The small view goes on, though it shares stream and decode with the one that is full.
  EXPECT_EQ(view_answer(), batch_answer());
  until([&] { return !status("big").error.empty(); });
  const ViewStatus full = status("big");
  EXPECT_GT(full.lag_events, 0U);
  append("hits", hits(20'000, 21'000));
  EXPECT_EQ(view_answer(), batch_answer());
  close();
  options_.state_bytes_max = std::uint64_t{1} << 30;
  open();
  EXPECT_EQ(lines("SELECT count(*) AS n FROM big"), Lines{"21000"});
  EXPECT_EQ(status("big").error, "");
}

TEST_F(Trouble, AViewThatFitsNowhereCanBeDropped) {
  close();
  options_.state_bytes_max = std::uint64_t{256} << 10;
  options_.memory_bytes = 256 << 10;
  open();
  run("CREATE MATERIALIZED VIEW big AS SELECT n, count(*) AS c FROM hits GROUP BY n");
  append("hits", hits(0, 20'000));
  until([&] { return !status("big").error.empty(); });
  run("DROP MATERIALIZED VIEW big");
  EXPECT_TRUE(engine_->views().empty());
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "views"));
}

}  // namespace
}  // namespace kappa::processor::test
