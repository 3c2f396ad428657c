// Goal: a batch sent twice is in the log once, and a lost one is noticed; the table is a function of
// the log alone. Method: the table by itself, then the log across restarts and rolls.
#include "log/producer_table.h"

#include <gtest/gtest.h>

#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

const ProducerTable::Key kKey{TopicId(1), ProducerId(9)};
using Verdict = ProducerTable::Verdict;

TEST(ProducerTable, KnowsNextRepeatedMissingAndOverlapping) {
  ProducerTable table;
  EXPECT_EQ(table.check(kKey, 0, 0, 5).verdict, Verdict::kAppend);
  EXPECT_EQ(table.check(kKey, 0, 3, 5).verdict, Verdict::kGap);
  table.apply(kKey, 2, 0, 5, Offset(100));
  EXPECT_EQ(table.check(kKey, 2, 5, 1).verdict, Verdict::kAppend);
  EXPECT_EQ(table.check(kKey, 3, 5, 1).verdict, Verdict::kAppend);
  EXPECT_EQ(table.check(kKey, 1, 5, 1).verdict, Verdict::kOldEpoch);
  EXPECT_EQ(table.check(kKey, 2, 6, 1).verdict, Verdict::kGap);
  EXPECT_EQ(table.check(kKey, 2, 4, 2).verdict, Verdict::kOverlap);
  EXPECT_EQ(table.check(kKey, 2, 4, 2).expected, 5u);
  const auto repeated = table.check(kKey, 2, 1, 4);
  EXPECT_EQ(repeated.verdict, Verdict::kDuplicate);
  EXPECT_EQ(repeated.original, Offset(101));
  // Another topic or producer is another sequence.
  EXPECT_EQ(table.check({TopicId(2), ProducerId(9)}, 0, 0, 1).verdict, Verdict::kAppend);
}

TEST(ProducerTable, ForgetsOffsetsOfOldBatchesButNotThatTheyWere) {
  ProducerTable table;
  for (std::uint64_t i = 0; i < 8; ++i) table.apply(kKey, 0, i * 10, 10, Offset(i * 100));
  EXPECT_EQ(table.check(kKey, 0, 0, 10).verdict, Verdict::kDuplicate);
  EXPECT_FALSE(table.check(kKey, 0, 0, 10).original);
  EXPECT_EQ(table.check(kKey, 0, 30, 10).original, Offset(300));
  EXPECT_FALSE(table.check(kKey, 0, 35, 10).original) << "over two batches: not contiguous";
}

TEST(ProducerTable, TheOneThatWroteLongestAgoLeaves) {
  ProducerTable table(2);
  const ProducerTable::Key a{TopicId(1), ProducerId(1)}, b{TopicId(1), ProducerId(2)},
      c{TopicId(1), ProducerId(3)};
  table.apply(a, 0, 0, 1, Offset(0));
  table.apply(b, 0, 0, 1, Offset(1));
  table.apply(a, 0, 1, 1, Offset(2));
  table.apply(c, 0, 0, 1, Offset(3));
  EXPECT_EQ(table.check(a, 0, 2, 1).verdict, Verdict::kAppend);
  EXPECT_EQ(table.check(b, 0, 1, 1).verdict, Verdict::kGap);
  EXPECT_EQ(table.entries().size(), 2u);
}

class Producers : public LogFixture {
 protected:
  AppendBatch numbered(TopicId topic, std::uint64_t sequence, std::uint32_t count, std::uint32_t epoch = 0) {
    AppendBatch out = batch(topic, std::vector<std::string>(count, "v" + std::to_string(sequence)));
    out.producer_id = ProducerId(77);
    out.producer_epoch = epoch;
    out.producer_sequence = sequence;
    return out;
  }
};

TEST_F(Producers, DuplicatesAreAcknowledgedWithTheirOriginalOffsets) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  ASSERT_TRUE(log->append(batch(topic, {"other"})));
  const auto first = log->append(numbered(topic, 0, 3));
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->duplicate);
  const auto again = log->append(numbered(topic, 0, 3));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->duplicate);
  EXPECT_TRUE(again->offsets_known);
  EXPECT_EQ(again->base_offset, first->base_offset);
  EXPECT_EQ(log->durable_end(), Offset(4));
  EXPECT_EQ(log->producer(topic, ProducerId(77)).next_sequence, 3u);
  EXPECT_EQ(log->producer(topic, ProducerId(77)).end_offset, Offset(4));
}

TEST_F(Producers, GapsOverlapsAndOldEpochsNameTheExpectedSequence) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  ASSERT_TRUE(log->append(numbered(topic, 0, 3, 2)));
  const auto gap = log->append(numbered(topic, 5, 1, 2));
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().code, ErrorCode::kSequence);
  EXPECT_EQ(gap.error().number, 3030);
  EXPECT_NE(gap.error().message.find("expects 3"), std::string::npos);
  const auto old = log->append(numbered(topic, 3, 1, 1));
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().number, 3030);
  const auto overlap = log->append(numbered(topic, 2, 2, 2));
  ASSERT_FALSE(overlap);
  EXPECT_EQ(overlap.error().number, 3031);
  EXPECT_NE(overlap.error().message.find("expects 3"), std::string::npos);
  EXPECT_EQ(log->durable_end(), Offset(3));
  EXPECT_TRUE(log->append(numbered(topic, 3, 1, 3)));
}

TEST_F(Producers, DuplicatesInOneRoundAreFound) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  std::vector<AppendAck> acks;
  for (const std::uint64_t sequence : {0u, 0u, 2u, 2u, 0u})
    log->submit(numbered(topic, sequence, 2), [&](Expected<AppendAck> ack) {
      ASSERT_TRUE(ack);
      acks.push_back(*ack);
    });
  log->pump();
  log.reset();
  ASSERT_EQ(acks.size(), 5u);
  const bool duplicates[] = {false, true, false, true, true};
  const std::uint64_t offsets[] = {0, 0, 2, 2, 0};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(acks[i].duplicate, duplicates[i]);
    EXPECT_EQ(acks[i].base_offset, Offset(offsets[i]));
  }
}

TEST_F(Producers, TheTableSurvivesRestartsAndRolls) {
  options_.segment_bytes = 16 << 10;
  std::vector<Offset> bases;
  TopicId topic;
  for (std::uint64_t i = 0; i < 30; ++i) {
    auto log = open();
    topic = *log->ensure_topic("a");
    const auto ack = log->append(numbered(topic, i * 40, 40));
    ASSERT_TRUE(ack) << to_string(ack.error());
    EXPECT_FALSE(ack->duplicate);
    bases.push_back(ack->base_offset);
    ASSERT_TRUE(log->append(batch(topic, {std::string(3000, 'f')})));
    log.reset();
    log = open();
    for (std::uint64_t back = 0; back <= i && back < 5; ++back) {
      const auto again = log->append(numbered(topic, (i - back) * 40, 40));
      ASSERT_TRUE(again);
      EXPECT_TRUE(again->duplicate);
      EXPECT_TRUE(again->offsets_known);
      EXPECT_EQ(again->base_offset, bases[i - back]);
    }
    if (i >= 5) {
      EXPECT_FALSE(log->append(numbered(topic, 0, 40))->offsets_known);
    }
    EXPECT_FALSE(log->append(numbered(topic, i * 40 + 41, 1)));
  }
  EXPECT_GT(files_ending(".segment").size(), 5u);
}

}  // namespace
}  // namespace kappa::log
