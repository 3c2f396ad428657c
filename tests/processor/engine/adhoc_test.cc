// Goal: a SELECT over a stream gives its first rows while it reads, ends when it is cancelled and leaves nothing; many
// of them together take no more threads than one may. Method: sinks that look at the helper threads while they are
// given rows; nothing is timed.
#include <atomic>
#include <thread>

#include "processor/replay/parallel_read.h"
#include "tests/processor/engine/kappa_checklist.h"

namespace kappa::processor::test {
namespace {

class AdHoc : public KappaChecklist {
 protected:
  void SetUp() override {
    options_.replay.events_min = kNever;
    options_.replay.unit = 200;
    options_.replay.threads = 4;
    KappaChecklist::SetUp();
    append("hits", hits(0, 20'000));
  }
};

// What it is given and what helps meanwhile; `cancel_after` rows it cancels.
struct Looking final : RowSink {
  explicit Looking(std::uint64_t after = UINT64_MAX) : cancel_after(after) {}
  bool columns(const std::vector<Column>&) override { return true; }
  bool rows(std::vector<Row> more) override {
    if (more.empty()) return true;
    if (given == 0) helpers_at_first = read_helpers_in_use();
    most = std::max(most, read_helpers_in_use());
    given += more.size();
    if (given >= cancel_after) cancelled = true;
    return true;
  }
  const std::uint64_t cancel_after;
  std::atomic<bool> cancelled{false};
  std::uint64_t given = 0;
  unsigned helpers_at_first = 0;
  unsigned most = 0;
};

TEST_F(AdHoc, FirstRowsAreGivenWhileTheLogIsRead) {
  Looking sink;
  // One row in 5000: none may wait until a block of them is full.
  const auto answer = engine_->execute("SELECT n FROM hits WHERE n % 5000 = 7", {}, sink, sink.cancelled);
  ASSERT_TRUE(answer) << to_string(answer.error());
  EXPECT_EQ(sink.given, 4U);
  EXPECT_GT(sink.helpers_at_first, 0U);  // They end before the rest of a query is given.
}

TEST_F(AdHoc, ACancelledSelectLeavesNeitherThreadsNorReaders) {
  for (const char* sql : {"SELECT n FROM hits", "SELECT n FROM hits WHERE n % 100 = 0", "SELECT a.n FROM hits a JOIN hits b ON a.n = b.n"}) {
    Looking sink(1);
    const auto answer = engine_->execute(sql, {}, sink, sink.cancelled);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().number, 4008);
    EXPECT_LT(sink.given, 20'000U);
    EXPECT_EQ(read_helpers_in_use(), 0U);
    EXPECT_EQ(threads_named("kappa-scan"), 0U);
    EXPECT_FALSE(log_->status().lowest_hold) << log_->status().lowest_hold->name;
  }
}

TEST_F(AdHoc, ManySelectsShareTheHelpersOfOne) {
  const std::string sql = "SELECT page, count(*) AS c, sum(n) AS s FROM hits GROUP BY page ORDER BY page";
  const Lines wanted = lines(sql);
  std::atomic<bool> stop{false};
  std::atomic<unsigned> most{0};
  std::thread looker([&] {
    while (!stop) most = std::max(most.load(), read_helpers_in_use());
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 4; ++k) {
        const auto answer = execute(sql);
        ASSERT_TRUE(answer) << to_string(answer.error());
        EXPECT_EQ(texts_of(answer->rows), wanted);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  looker.join();
  EXPECT_LE(most, 3U);
  EXPECT_EQ(read_helpers_in_use(), 0U);
}

}  // namespace
}  // namespace kappa::processor::test
