// Goal (issue "Changing your mind is cheap", must hold 3): a client that reads one key as fast as it can and a watcher,
// during many replacements under append load, see no error, no stale version after a new one, no mix of versions, and
// offsets that never go back.
// Method: round r replaces the view by one whose rows all say `ver` = r, so every row names the version that it is of.
// One thread appends, one reads a key, one watches, each over its own connection to a real server. Both versions of a
// round count the same events, so the sum over the watcher's rows at a mark is the number of events appended below
// it. tests/serving/replacements.py does the same from other processes.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "tests/serving/support/real_server.h"

namespace kappa::testing {
namespace {

constexpr int kRounds = 20;
constexpr int kKeys = 50;
// What is appended in a round at most. A replay has the lowest priority, so on a machine that the clients of this test
// keep busy it would run after a log that grows faster, for ever.
constexpr std::uint64_t kEventsARound = 20'000;

std::string definition(int round) {
  return "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, " + std::to_string(round) +
         " AS ver FROM e GROUP BY k";
}

// Rows k -> (n, ver), and what they were at each mark.
class Follower final : public Client::Watcher {
 public:
  struct Mark {
    Offset applied;
    std::int64_t sum = 0;
    std::int64_t version = -1;
  };
  explicit Follower(const std::atomic<bool>& stop) : stop_(stop) {}
  bool columns(const std::vector<ClientColumn>&) override { return true; }
  bool step(const Client::WatchStep& step) override {
    if (step.reset) {
      ++resets;
      rows_.clear();
    }
    return true;
  }
  bool change(bool added, const Row& row) override {
    const std::string key = row[0].as_text();
    if (added) {
      EXPECT_TRUE(rows_.emplace(key, row).second) << "given twice: " << key;
      return true;
    }
    const auto found = rows_.find(key);
    EXPECT_TRUE(found != rows_.end() && found->second == row) << "taken without being there: " << key;
    if (found != rows_.end()) rows_.erase(found);
    return true;
  }
  bool mark(const Client::WatchStep& mark) override {
    Mark now{mark.applied, 0, -1};
    for (const auto& [key, row] : rows_) {
      now.sum += row[1].as_int64();
      if (now.version == -1) now.version = row[2].as_int64();
      EXPECT_EQ(row[2].as_int64(), now.version) << "a mix of versions at " << mark.applied.value();
    }
    if (!marks.empty()) {
      EXPECT_GE(now.applied, marks.back().applied) << "an offset went back";
      EXPECT_GE(now.version, marks.back().version) << "a stale version after a new one";
    }
    marks.push_back(now);
    return !stop_ || mark.applied < Offset(until.load());
  }

  std::vector<Mark> marks;
  int resets = 0;
  std::atomic<std::uint64_t> until{0};  // Ends at a mark from here on, once stopped.

 private:
  const std::atomic<bool>& stop_;
  std::map<std::string, Row> rows_;
};

TEST(Replacements, AHotReaderAndAWatcherSeeOneVersionAfterTheOther) {
  RealServer server;
  const auto client = server.client();
  query(*client, "CREATE STREAM e (k TEXT)");
  query(*client, definition(0));

  std::mutex mutex;
  std::map<std::uint64_t, std::int64_t> appended;  // Events below an offset, where batches end.
  std::int64_t total = 0;
  const auto append = [&](int first) {
    std::vector<std::string> events;
    for (int i = 0; i < 100; ++i) events.push_back("{\"k\":\"k" + std::to_string((first + i) % kKeys) + "\"}");
    const auto ack = kappa::test::append_batch(server.log(), "e", events);
    ASSERT_TRUE(ack) << to_string(ack.error());
    const std::lock_guard lock(mutex);
    appended[ack->base_offset.value()] = total;
    total += 100;
    appended[ack->base_offset.value() + 100] = total;
  };
  append(0);

  std::atomic<bool> stop{false};
  std::atomic<int> floor{0};  // Every read that begins now sees at least this version.
  std::thread appender([&] {
    std::uint64_t sent = 0;
    for (int i = 1; !stop; ++i) {
      append(i);
      sent += 100;
      while (!stop && sent > (static_cast<std::uint64_t>(floor) + 1) * kEventsARound) std::this_thread::yield();
    }
  });
  std::uint64_t reads = 0;
  std::thread reader([&] {
    const auto own = server.client();
    std::int64_t version = 0;
    std::int64_t count = 0;
    Offset applied;
    while (!stop) {
      const int least = floor;
      const auto got = own->get("v", {Value::text("k1")}, {});
      ASSERT_TRUE(got) << to_string(got.error());
      ASSERT_GE(got->applied, applied) << "an offset went back";
      applied = got->applied;
      ++reads;
      if (!got->row) continue;
      ASSERT_GE((*got->row)[2].as_int64(), std::max<std::int64_t>(version, least)) << "a stale version";
      ASSERT_GE((*got->row)[1].as_int64(), count) << "a count went back";
      version = (*got->row)[2].as_int64();
      count = (*got->row)[1].as_int64();
    }
  });
  Follower follower(stop);
  Status watched;
  std::thread watcher([&] {
    const auto own = server.client();
    Client::Watch watch;
    watch.view = "v";
    watched = own->watch(watch, follower);
  });

  for (int round = 1; round <= kRounds; ++round) {
    query(*client, definition(round));
    for (;;) {
      const auto got = client->get("v", {Value::text("k1")}, {});
      ASSERT_TRUE(got) << to_string(got.error());
      if (got->row && (*got->row)[2].as_int64() == round) break;
      std::this_thread::yield();
    }
    floor = round;
  }
  follower.until = server.log().durable_end().value();
  stop = true;
  appender.join();
  reader.join();
  append(0);  // One more mark.
  watcher.join();
  ASSERT_TRUE(watched) << to_string(watched.error());

  EXPECT_EQ(follower.resets, 1);  // The snapshot; every cutover came as its difference.
  EXPECT_EQ(follower.marks.back().version, kRounds);
  EXPECT_GT(reads, 0U);
  std::size_t compared = 0;
  for (const Follower::Mark& mark : follower.marks) {
    const auto found = appended.find(mark.applied.value());
    if (found == appended.end()) continue;
    ++compared;
    EXPECT_EQ(mark.sum, found->second) << "at " << mark.applied.value();
  }
  EXPECT_GT(compared, 0U);
  std::printf("%llu reads, %zu marks, %zu of them compared, %lld events\n", static_cast<unsigned long long>(reads),
              follower.marks.size(), compared, static_cast<long long>(total));
}

}  // namespace
}  // namespace kappa::testing
