// Goal: for random logs and random plans, the LMDB content of a view that was built live, replayed with 1, 2 and 4
// threads, with segments of 64 KiB, 1 MiB and 64 MiB, and resumed after SIGKILL at random moments, is identical
// (the Kappa checklist, 16).
// Method: schemas, events and SELECTs are drawn from the grammar of the differential oracle, which covers the dialect.
// A child process builds and kills itself after a random number of looks at the views, several times; then the states
// are finished and compared by digest. KAPPA_TEST_SEED repeats a run, KAPPA_REPLAY_ROUNDS makes it longer.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tests/oracle/events.h"
#include "tests/oracle/grammar.h"
#include "tests/oracle/schema.h"
#include "tests/processor/engine/engine_fixture.h"
#include "tests/processor/engine/state_digests.h"
#include "tests/support/seed.h"

namespace kappa::processor::test {
namespace {

namespace fs = std::filesystem;
using oracle::Random;

constexpr std::size_t kSegments[] = {std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{64} << 20};

class KappaChecklistReplay : public EngineFixture {
 protected:
  struct Batch {
    std::string topic;
    std::optional<std::string> key;
    std::vector<std::string> values;
  };

  void SetUp() override {
    options_.commit_interval_ms = 10;
    options_.replay.checkpoint_ms = 10;
    options_.replay.nice = 0;  // Who polls here would starve them.
    options_.state_bytes_max = std::uint64_t{1} << 32;
    log_options_.directory = directory_ / "log";
  }

  // What a world is made of: definitions and batches, the same for every size of segments.
  void draw(Random& random) {
    definitions_.clear();
    batches_.clear();
    const oracle::Schema schema = oracle::random_schema(random);
    for (const oracle::Stream& stream : schema.streams)
      definitions_.push_back(stream.definition(schema.topics[stream.topic]));
    for (const oracle::Table& table : schema.tables) definitions_.push_back(table.definition);
    const std::vector<oracle::Relation> none;
    oracle::Grammar grammar(random, schema, none);
    std::size_t views = 0;
    while (views < 8) {
      const oracle::Query query = random.one_in(8) ? grammar.retained() : grammar.query();
      const std::string text = oracle::without_marks(query.text.kappa);
      // What multiplies its inputs more than once takes long and shows no more.
      const std::size_t join = text.find("JOIN");
      if (text.size() > 3000 || (join != std::string::npos && text.find("JOIN", join + 1) != std::string::npos)) continue;
      definitions_.push_back("CREATE MATERIALIZED VIEW v" + std::to_string(views++) + " " + query.options + "AS " + text);
    }
    oracle::EventSource source(random, schema);
    for (std::size_t left = 500; left > 0;) {
      oracle::Event event = source.next();
      Batch& batch = batches_.emplace_back();
      batch.topic = schema.topics[event.topic].name;
      if (random.one_in(3)) batch.key = "key" + std::to_string(random.below(3));
      const std::size_t size = std::min(left, std::size_t{1} + random.below(random.one_in(3) ? 120 : 6));
      const std::size_t topic = event.topic;
      while (batch.values.size() < size && event.topic == topic) {
        batch.values.push_back(std::move(event.json));
        event = source.next();
      }
      left -= batch.values.size();
    }
  }

  // A view at a time, each live from its first event on; some views after some of the events.
  void build_live() {
    options_.replay.events_min = UINT64_MAX;
    open();
    std::size_t done = 0;
    for (const std::string& definition : definitions_) {
      const bool view = definition.starts_with("CREATE MATERIALIZED");
      // The dialect is wider than what is taken; what is refused is refused alike each time.
      const auto made = execute(definition);
      if (!view) {
        ASSERT_TRUE(made) << definition << "\n" << to_string(made.error());
      }
      if (view) append_some(done, done + 1);
    }
    append_some(done, batches_.size());
    wait_for_views(*engine_, *log_);
    close();
  }
  void append_some(std::size_t& done, std::size_t end) {
    for (; done < std::min(end, batches_.size()); ++done) {
      const Batch& batch = batches_[done];
      const std::optional<std::string_view> key = batch.key ? std::optional<std::string_view>(*batch.key) : std::nullopt;
      const auto ack = kappa::test::append_batch(*log_, batch.topic, batch.values, key);
      ASSERT_TRUE(ack) << to_string(ack.error());
    }
  }

  void replay_with(Random& random, unsigned threads) {
    options_.replay.events_min = 1;
    options_.replay.threads = threads;
    options_.replay.unit = 5 + random.below(200);
  }

  // A child begins or goes on, and dies.
  void kill_at_random(Random& random) {
    const std::size_t looks = random.below(60);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      open();
      for (std::size_t i = 0; i < looks; ++i) static_cast<void>(engine_->views());
      ::kill(::getpid(), SIGKILL);
    }
    int how = 0;
    ASSERT_EQ(::waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
  }

  std::vector<std::string> definitions_;
  std::vector<Batch> batches_;
};

TEST_F(KappaChecklistReplay, P16_ReplayEqualsLiveForRandomPlansThreadsSegmentsAndKills) {
  const char* const wanted = std::getenv("KAPPA_REPLAY_ROUNDS");
  const int rounds = wanted != nullptr ? std::max(std::atoi(wanted), 1) : 2;
  Random random(kappa::test::new_seed());
  std::size_t compared = 0;
  for (int round = 0; round < rounds; ++round) {
    draw(random);
    for (const std::size_t segment : kSegments) {
      SCOPED_TRACE("round " + std::to_string(round) + ", segments of " + std::to_string(segment));
      log_options_.segment_bytes = segment;
      fs::remove_all(log_options_.directory);
      fs::remove_all(options_.directory);
      build_live();
      if (HasFailure()) return;
      const Digests live = digests_of(options_.directory);
      EXPECT_GT(live.size(), 1U);
      compared += live.size();
      for (const unsigned threads : {1U, 2U, 4U}) {
        fs::remove_all(options_.directory);
        replay_with(random, threads);
        open();
        wait_for_views(*engine_, *log_);
        close();
        expect_same_states(digests_of(options_.directory), live,
                           std::to_string(threads) + " threads, units of " + std::to_string(options_.replay.unit));
      }
      fs::remove_all(options_.directory);
      for (int kill = 0; kill < 4; ++kill) {
        replay_with(random, 1 + static_cast<unsigned>(random.below(4)));
        kill_at_random(random);
      }
      open();
      wait_for_views(*engine_, *log_);
      close();
      expect_same_states(digests_of(options_.directory), live, "killed four times");
      if (HasFailure()) {
        for (const std::string& definition : definitions_) std::printf("%s\n", definition.c_str());
        return;
      }
    }
  }
  std::printf("[ states   ] %zu, each built in five ways\n", compared);
}

}  // namespace
}  // namespace kappa::processor::test
