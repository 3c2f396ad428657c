// Goal: the view of every Nexmark query equals SQLite's answer over the same prefix of events, in order of
// time and out of order, at every prefix looked at. Method: all the views live together; events are appended
// in batches cut at random, with a restart in the middle; at random places every view is compared whole. The
// rates of event time make windows and sessions end, a day pass, and many events share a millisecond.
// KAPPA_SEED repeats a run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "tests/processor/engine/engine_fixture.h"
#include "tests/tools/nexmark_oracle.h"
#include "tools/nexmark/queries.h"
#include "tools/sql_split.h"

namespace kappa::tools::nexmark::test {
namespace {

class NexmarkOracle : public processor::test::EngineFixture {
 protected:
  using Random = std::mt19937_64;
  static std::size_t between(Random& random, std::size_t least, std::size_t most) {
    return least + random() % (most - least + 1);
  }

  void create_view(const Query& query) {
    ASSERT_TRUE(oracle_queries().contains(query.name)) << query.name;
    for (const std::string_view statement : split_sql(query.sql).statements) run(statement);
    live_.push_back(query.name);
  }

  void compare_views(const std::string& where) {
    for (const std::string_view name : live_) {
      processor::test::Lines got;
      for (const Row& row : run("SELECT * FROM " + std::string(name)).rows) got.push_back(text_of(row));
      auto wanted = oracle_.query(oracle_queries().find(name)->second);
      std::ranges::sort(got);
      std::ranges::sort(wanted);
      rows_compared_ += wanted.size();
      if (got == wanted) continue;
      const auto [in_got, in_wanted] = std::ranges::mismatch(got, wanted);
      ADD_FAILURE() << name << where << ": " << got.size() << " rows, not " << wanted.size()
                    << "; first other:\n  " << (in_got == got.end() ? "(end)" : *in_got) << "\n  "
                    << (in_wanted == wanted.end() ? "(end)" : *in_wanted);
    }
  }

  void go(GeneratorOptions options, std::size_t count) {
    const char* given = std::getenv("KAPPA_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("KAPPA_SEED=%llu\n", static_cast<unsigned long long>(seed));
    SCOPED_TRACE("KAPPA_SEED=" + std::to_string(seed));
    Random random(seed);
    options.seed = random();
    const Generator generator(options);
    for (const std::string_view statement : split_sql(streams_sql()).statements) run(statement);
    // Some views are there before the events, the others are built in the middle of them.
    std::vector<Query> later;
    for (const Query& query : queries()) {
      if (random() % 2 == 0) {
        later.push_back(query);
      } else {
        create_view(query);
      }
    }
    constexpr std::size_t kLooks = 5;
    std::set<std::size_t> looks{count};
    while (looks.size() < kLooks) looks.insert(between(random, 1, count));
    const std::size_t create_at = *std::next(looks.begin(), 1);
    const std::size_t restart_at = *std::next(looks.begin(), 2);
    std::size_t n = 0;
    for (const std::size_t look : looks) {
      oracle_.run("BEGIN");
      while (n < look) {
        std::vector<std::string> batch;
        for (std::size_t left = std::min(between(random, 1, 2048), look - n); left > 0; --left, ++n) {
          const Event event = generator.event(n);
          oracle_.insert(static_cast<std::int64_t>(n), event);
          batch.push_back(to_json(event));
        }
        append(kTopic, batch, batch.size());
      }
      oracle_.run("COMMIT");
      if (look == restart_at) restart();
      if (look == create_at) std::ranges::for_each(later, [&](const Query& query) { create_view(query); });
      if (HasFatalFailure()) return;
      compare_views(" after " + std::to_string(look) + " events");
      if (HasFailure()) return;
    }
    EXPECT_GT(rows_compared_, count);
  }

  Oracle oracle_;
  std::vector<std::string_view> live_;
  std::size_t rows_compared_ = 0;
};

constexpr std::int64_t kMidnight = 1'436'918'400'000;

TEST_F(NexmarkOracle, InOrderOverADaysEnd) {
  GeneratorOptions options;
  options.events_per_second = 200;
  options.base_time_ms = kMidnight - 61'234;
  go(options, 20'000);
}

TEST_F(NexmarkOracle, OutOfOrderOverTheMorning) {
  GeneratorOptions options;
  options.events_per_second = 200;
  options.base_time_ms = kMidnight + 8 * 3'600'000 - 50'001;
  options.out_of_order_group = 900;
  go(options, 20'000);
}

TEST_F(NexmarkOracle, ManyEventsAMillisecond) {
  GeneratorOptions options;
  options.events_per_second = 8'000;
  options.out_of_order_group = 50;
  options.in_flight_auctions = 20;
  go(options, 8'000);
}

}  // namespace
}  // namespace kappa::tools::nexmark::test
