// Goal: what an event source gives does not depend on where its chunks are cut.
// Method: one log with batches of many sizes (small ones are copied, large ones borrowed), compressed
// or not, read with random limits and changing scans; the events are compared with one straight read.
#include "processor/event_source.h"

#include <gtest/gtest.h>

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
  run("CREATE STREAM e (n BIGINT, t TEXT) WHERE n % 3 <> 0");
  const std::shared_ptr<const StreamDefinition> stream = [&] {
    class Empty final : public CatalogReader {
      std::shared_ptr<const StreamDefinition> stream(std::string_view) const override { return nullptr; }
      std::optional<View> view(std::string_view) const override { return std::nullopt; }
      std::vector<std::string> names() const override { return {}; }
    };
    auto statement = compile("CREATE STREAM e (n BIGINT, t TEXT) WHERE n % 3 <> 0", Empty());
    return std::get<CreateStream>(*statement).definition;
  }();
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

}  // namespace
}  // namespace kappa::processor::test
