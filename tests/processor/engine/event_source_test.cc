// Goal: what an event source gives does not depend on where its chunks are cut, and a chunk is all events of
// its topics between two offsets.
// Method: one log with batches of many sizes (small ones are copied, large ones borrowed), read with random
// limits and changing scans; the events are compared with one straight read. Topics that lie interleaved at
// random are compared with what was appended, up to every position.
#include "processor/event_source.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "processor/sql/compile.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

class EventSourceTest : public EngineFixture {
 protected:
  // Rows of a scan in the last chunk.
  static void collect(const EventSource& source, std::size_t scan, Lines& out) {
    const ChangeBatch& changes = source.chunk(scan).changes;
    for_each_row(changes, [&](std::uint32_t row) {
      Row values;
      for (const Vector* column : changes.columns) values.push_back(column->value(row));
      out.push_back(text_of(values));
    });
  }
  static std::shared_ptr<const StreamDefinition> stream_of(std::string_view sql) {
    class Empty final : public CatalogReader {
      std::shared_ptr<const StreamDefinition> stream(std::string_view) const override { return nullptr; }
      std::optional<View> view(std::string_view) const override { return std::nullopt; }
      std::vector<std::string> names() const override { return {}; }
    };
    auto statement = compile(sql, Empty());
    return std::get<CreateStream>(*statement).definition;
  }
  static Plan scan_of_columns(std::shared_ptr<const StreamDefinition> stream, std::vector<std::size_t> columns) {
    Plan plan;
    plan.kind = PlanKind::kStreamScan;
    plan.stream = std::move(stream);
    plan.stream_columns = std::move(columns);
    return plan;
  }
};

TEST_F(EventSourceTest, ChunksMayBeCutAnywhere) {
  std::mt19937_64 random(20240601);
  const auto below = [&](std::size_t n) { return random() % n; };
  int number = 0;
  for (const std::size_t batch : {1U, 3U, 1U, 300U, 5000U, 2U, 256U, 257U, 2048U, 1U, 1U, 4097U, 7U}) {
    std::vector<std::string> events;
    for (std::size_t i = 0; i < batch; ++i) {
      events.push_back(below(40) == 0 ? "poison" : R"({"n":)" + std::to_string(number) + R"(,"t":"text \u00e9 )" +
                                                       std::to_string(number % 13) + R"("})");
      ++number;
    }
    append("e", events, batch);
    append("other", {R"({"n":1})"});
  }
  const auto stream = stream_of("CREATE STREAM e (n BIGINT, t TEXT) WHERE n % 3 <> 0");
  const std::size_t pseudo = stream->columns.size() + stream->hidden.size();
  const Plan all = scan_of_columns(stream, {0, 1, pseudo, pseudo + 1});
  const Plan text = scan_of_columns(stream, {1});

  Lines expected;
  Lines expected_text;
  std::uint64_t events = 0;
  std::uint64_t poison = 0;
  {
    EventSource source(*log_, log_->start(), {&all, &text});
    for (;;) {
      const auto moved = source.next(log_->durable_end());
      ASSERT_TRUE(moved) << to_string(moved.error());
      if (!*moved) break;
      EXPECT_LE(source.events(), kVectorRows);
      collect(source, 0, expected);
      collect(source, 1, expected_text);
      events += source.events();
      poison += source.poison();
    }
    EXPECT_EQ(source.position(), log_->durable_end());
  }
  EXPECT_EQ(events, static_cast<std::uint64_t>(number));
  ASSERT_GT(poison, 0U);
  ASSERT_GT(expected.size(), 1000U);
  ASSERT_EQ(expected.size(), expected_text.size());

  for (int round = 0; round < 20; ++round) {
    EventSource source(*log_, log_->start(), {&all});
    Lines got;
    std::uint64_t got_poison = 0;
    bool both = false;
    while (source.position() < log_->durable_end()) {
      const Offset limit = source.position() + 1 + below(round % 2 == 0 ? 50 : 5000);
      const auto moved = source.next(limit);
      ASSERT_TRUE(moved) << to_string(moved.error());
      EXPECT_LE(source.position(), limit);
      collect(source, both ? 1 : 0, got);
      got_poison += source.poison();
      if (below(5) == 0) {
        both = !both;
        source.set_scans(both ? std::vector<const Plan*>{&text, &all} : std::vector<const Plan*>{&all});
      }
    }
    ASSERT_EQ(got, expected) << round;
    EXPECT_EQ(got_poison, poison);
  }
}

TEST_F(EventSourceTest, TopicsAreMergedIntoChunksThatEndAtOneOffset) {
  std::mt19937_64 random(20240602);
  const auto below = [&](std::size_t n) { return random() % n; };
  const Lines names{"a", "b", "c", "silent"};
  // What was appended: the topic and value of every offset.
  std::map<std::uint64_t, std::pair<std::size_t, std::string>> appended;
  for (int i = 0; i < 150; ++i) {
    const std::size_t topic = below(4);
    if (topic == 3) {
      append("other", {R"({"n":1})"});
      continue;
    }
    const std::size_t count = below(25) == 0 ? 1 + below(6000) : 1 + below(below(2) == 0 ? 3 : 400);
    std::vector<std::string> events;
    for (std::size_t k = 0; k < count; ++k) {
      const std::string n = std::to_string(appended.size() + events.size());
      events.push_back(below(50) == 0 ? "poison" : "{\"n\":" + n + "}");
    }
    append(names[topic], events, count);
    const std::uint64_t base = log_->durable_end().value() - count;
    for (std::size_t k = 0; k < count; ++k) appended[base + k] = {topic, events[k]};
  }
  std::vector<Plan> plans;
  for (const std::string& name : names) {
    const auto stream = stream_of("CREATE STREAM s_" + name + " (n BIGINT) WITH (topic = '" + name + "')");
    plans.push_back(scan_of_columns(stream, {0, stream->columns.size() + stream->hidden.size()}));
  }
  // The first topic is read twice, and one topic does not exist.
  const std::vector<const Plan*> scans{&plans[0], &plans[1], &plans[0], &plans[2], &plans[3]};
  const std::vector<std::size_t> topic_of{0, 1, 0, 2, 3};
  for (int round = 0; round < 6; ++round) {
    EventSource source(*log_, log_->start(), scans);
    auto expected = appended.begin();
    std::size_t chunks = 0;
    while (source.position() < log_->durable_end()) {
      const std::size_t reach = round == 0 ? SIZE_MAX / 2 : round % 2 == 0 ? 3000 : 40;
      const Offset limit = source.position() + 1 + below(reach);
      const auto moved = source.next(limit);
      ASSERT_TRUE(moved) << to_string(moved.error());
      ASSERT_TRUE(*moved);
      ASSERT_LE(source.position(), limit);
      ++chunks;
      std::vector<Lines> wanted(scans.size());
      std::uint64_t events = 0;
      std::uint64_t poison = 0;
      for (; expected != appended.end() && expected->first < source.position().value(); ++expected) {
        const auto& [topic, value] = expected->second;
        ++events;
        if (value == "poison") {
          ++poison;
          continue;
        }
        const std::string line = value.substr(5, value.size() - 6) + "|" + std::to_string(expected->first);
        for (std::size_t i = 0; i < scans.size(); ++i) {
          if (topic_of[i] == topic) wanted[i].push_back(line);
        }
      }
      ASSERT_EQ(source.events(), events);
      ASSERT_EQ(source.poison(), poison);
      for (std::size_t i = 0; i < scans.size(); ++i) {
        Lines got;
        collect(source, i, got);
        ASSERT_EQ(got, wanted[i]) << "scan " << i << " below " << source.position().value();
        ASSERT_LE(source.chunk(i).changes.count, kVectorRows);
      }
    }
    EXPECT_EQ(expected, appended.end());
    if (round == 0) {
      EXPECT_LT(chunks, appended.size() / 100) << "chunks are not small without need";
    }
  }
}

}  // namespace
}  // namespace kappa::processor::test
