// Goal: what is appended comes back, once, in order, with the offsets that were acknowledged, also
// after a restart and across segments. Method: small segments, every event checked by value.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

class LogTest : public LogFixture {};

TEST_F(LogTest, EventsComeBackInOrderWithTheirOffsets) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  EXPECT_EQ(*log->ensure_topic("a"), topic);
  const auto first = log->append(batch(topic, {"one", "two"}));
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(first->base_offset, Offset(0));
  EXPECT_EQ(first->count, 2u);
  const auto second = log->append(batch(topic, {"three"}));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->base_offset, Offset(2));
  EXPECT_EQ(log->durable_end(), Offset(3));
  EXPECT_EQ(read_values(*log), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(read_values(*log, Offset(1)), (std::vector<std::string>{"two", "three"}));
  EXPECT_EQ(log->topic(topic)->next_sequence, TopicSequence(3));
  EXPECT_EQ(log->find_topic("$system")->id, kSystemTopic);
}

TEST_F(LogTest, EverythingIsThereAfterARestart) {
  PrefixMark mark;
  {
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    ASSERT_TRUE(log->append(batch(topic, {"one", "two"})));
    ASSERT_TRUE(log->append_system("key", "value"));
    ASSERT_TRUE(log->append_system("gone", "value"));
    ASSERT_TRUE(log->append_system("gone", ""));
    mark = *log->mark(Offset(2));
    EXPECT_EQ(mark.writer_epoch, WriterEpoch(1));
  }
  auto log = open();
  EXPECT_EQ(log->status().writer_epoch, WriterEpoch(2));
  EXPECT_EQ(log->durable_end(), Offset(5));
  EXPECT_EQ(*log->mark(Offset(2)), mark);
  ASSERT_TRUE(log->find_topic("a"));
  EXPECT_EQ(log->find_topic("a")->next_sequence, TopicSequence(2));
  const auto records = log->system_records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].key, "key");
  EXPECT_EQ(records[0].value, "value");
  EXPECT_EQ(records[0].offset, Offset(2));
  ASSERT_TRUE(log->append(batch(log->find_topic("a")->id, {"three"})));
  EXPECT_EQ(read_values(*log, Offset(0), {log->find_topic("a")->id}),
            (std::vector<std::string>{"one", "two", "three"}));
}

TEST_F(LogTest, RegisteredTopicsKeepTheirIdsWithoutAnyEvent) {
  TopicId a, b;
  {
    auto log = open();
    a = *log->ensure_topic("a");
    b = *log->ensure_topic("b");
    ASSERT_TRUE(log->append_system("key", "value"));
  }
  auto log = open();
  EXPECT_EQ(*log->ensure_topic("b"), b);
  EXPECT_EQ(*log->ensure_topic("a"), a);
}

TEST_F(LogTest, ADroppedTopicsNameBeginsAnewAlsoAfterARestart) {
  TopicId before;
  TopicId after;
  {
    const auto log = open();
    before = *log->ensure_topic("hits");
    ASSERT_TRUE(log->append(batch(before, {"old 1", "old 2"})));
    EXPECT_EQ(log->drop_topic("other").error().number, 3024);
    EXPECT_EQ(log->drop_topic("$system").error().number, 3024);
    ASSERT_TRUE(log->drop_topic("hits"));
    EXPECT_FALSE(log->find_topic("hits"));
    EXPECT_EQ(log->drop_topic("hits").error().number, 3024);
    after = *log->ensure_topic("hits");
    EXPECT_NE(after, before);
    ASSERT_TRUE(log->append(batch(after, {"new 1"})));
  }
  for (int restart = 0; restart < 2; ++restart) {
    const auto log = open();
    ASSERT_TRUE(log->find_topic("hits"));
    EXPECT_EQ(log->find_topic("hits")->id, after);
    EXPECT_EQ(log->find_topic("hits")->next_sequence, TopicSequence(1));
    EXPECT_EQ(log->topic(before)->name, "$dropped-" + std::to_string(before.value()));
    EXPECT_EQ(log->topic(before)->next_sequence, TopicSequence(2));
    EXPECT_EQ(read_values(*log, Offset(0), {after}), std::vector<std::string>{"new 1"});
    EXPECT_EQ(read_values(*log, Offset(0), {before}), (std::vector<std::string>{"old 1", "old 2"}));
  }
}

TEST_F(LogTest, SegmentsRollAndTheLastOneAloneRestoresTheTables) {
  std::vector<std::string> expected;
  options_.segment_bytes = 64 << 10;
  {
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    ASSERT_TRUE(log->append_system("view", "definition"));
    for (int i = 0; i < 300; ++i) {
      const std::string value = std::to_string(i) + std::string(1000, 'x');
      AppendBatch one = batch(topic, {value});
      one.producer_id = ProducerId(7);
      one.producer_sequence = static_cast<std::uint64_t>(i);
      ASSERT_TRUE(log->append(std::move(one)));
      expected.push_back(value);
    }
    EXPECT_GT(log->status().segments, 4u);
    EXPECT_EQ(read_values(*log, Offset(1)), expected);
  }
  const auto report = verify_all();
  EXPECT_TRUE(report.damage.empty()) << report.damage[0];
  auto log = open();
  EXPECT_EQ(log->durable_end(), Offset(301));
  EXPECT_EQ(log->system_records().size(), 1u);
  EXPECT_EQ(log->producer(log->find_topic("a")->id, ProducerId(7)).next_sequence, 300u);
  EXPECT_EQ(read_values(*log, Offset(1)), expected);
  for (std::uint64_t i = 1; i <= 301; ++i) EXPECT_EQ(log->mark(Offset(i))->offset, Offset(i));
}

TEST_F(LogTest, IndexFilesCanBeDeletedAndComeBack) {
  options_.segment_bytes = 64 << 10;
  std::vector<std::string> small;
  {
    auto log = open();
    const TopicId big = *log->ensure_topic("big");
    const TopicId little = *log->ensure_topic("little");
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(log->append(batch(big, {std::string(1500, 'x')})));
      if (i % 17 != 0) continue;
      small.push_back("s" + std::to_string(i));
      ASSERT_TRUE(log->append(batch(little, {small.back()})));
    }
    EXPECT_EQ(read_values(*log, Offset(0), {little}), small);
  }
  std::size_t removed = 0;
  for (const auto& file : files_ending(".index")) removed += std::filesystem::remove(file) ? 1 : 0;
  EXPECT_GT(removed, 3u);
  auto log = open();
  const TopicId little = log->find_topic("little")->id;
  EXPECT_EQ(read_values(*log, Offset(0), {little}), small);
  EXPECT_EQ(files_ending(".index").size(), removed);
  log.reset();
  // Damaged ones too.
  for (const auto& file : files_ending(".index")) flip_byte(file, 40);
  log = open();
  EXPECT_EQ(read_values(*log, Offset(0), {little}), small);
  log.reset();
  EXPECT_TRUE(verify_all().warnings.empty());
}

TEST_F(LogTest, TopicFilterReportsProgressAtItsEnd) {
  auto log = open();
  const TopicId a = *log->ensure_topic("a");
  const TopicId b = *log->ensure_topic("b");
  ASSERT_TRUE(log->append(batch(a, {"1"})));
  auto reader = log->reader(Offset(0), {b});
  auto none = reader->next();
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  EXPECT_EQ(reader->position(), Offset(1));
  ASSERT_TRUE(log->append(batch(b, {"2"})));
  auto one = reader->next();
  ASSERT_TRUE(one && *one);
  EXPECT_EQ((*one)->header.base_offset, Offset(1));
  EXPECT_EQ((*one)->header.base_sequence, TopicSequence(0));
}

TEST_F(LogTest, TimesAreFoundAcrossSegments) {
  ManualClock clock;
  options_.clock = &clock;
  options_.segment_bytes = 16 << 10;
  options_.prepared_segments = 0;
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  for (std::int64_t i = 0; i < 100; ++i) {
    clock.time = Timestamp(1000 * i);
    ASSERT_TRUE(log->append(batch(topic, {std::string(700, 'x')})));
  }
  EXPECT_GT(log->status().segments, 3u);
  for (std::int64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(*log->offset_at_time(Timestamp(1000 * i)), Offset(static_cast<std::uint64_t>(i)));
    EXPECT_EQ(*log->offset_at_time(Timestamp(1000 * i + 1)), Offset(static_cast<std::uint64_t>(i + 1)));
  }
  EXPECT_EQ(*log->offset_at_time(Timestamp(-5)), Offset(0));
  // A clock that jumps back does not take the append time with it.
  clock.time = Timestamp(0);
  ASSERT_TRUE(log->append(batch(topic, {"y"})));
  auto reader = log->reader(Offset(100), {});
  EXPECT_EQ((*reader->next())->header.append_time, Timestamp(99'000));
}

TEST_F(LogTest, TheLastEventsOfATopicAreFound) {
  options_.segment_bytes = 16 << 10;
  auto log = open();
  const TopicId a = *log->ensure_topic("a");
  const TopicId b = *log->ensure_topic("b");
  std::vector<Offset> of_b;
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(log->append(batch(a, {std::string(900, 'x'), "y"})));
    if (i % 5 != 0) continue;
    const auto ack = log->append(batch(b, {"1", "2", "3"}));
    ASSERT_TRUE(ack);
    for (std::uint64_t k = 0; k < 3; ++k) of_b.push_back(ack->base_offset + k);
  }
  for (std::uint64_t n = 1; n <= of_b.size(); ++n)
    EXPECT_EQ(*log->offset_before_end(b, n), of_b[of_b.size() - n]) << n;
  EXPECT_EQ(*log->offset_before_end(b, 1000), of_b[0]);
  EXPECT_EQ(*log->offset_before_end(b, 0), log->durable_end());
}

TEST_F(LogTest, EventsOfATopicBelowAnOffsetAreCounted) {
  options_.segment_bytes = 16 << 10;
  auto log = open();
  const TopicId a = *log->ensure_topic("a");
  const TopicId b = *log->ensure_topic("b");
  const TopicId none = *log->ensure_topic("none");
  std::vector<Offset> of_a, of_b;
  for (int i = 0; i < 60; ++i) {
    const auto more = log->append(batch(a, {std::string(900, 'x'), "y"}));
    ASSERT_TRUE(more);
    for (std::uint64_t k = 0; k < 2; ++k) of_a.push_back(more->base_offset + k);
    if (i % 17 != 3) continue;
    const auto ack = log->append(batch(b, {"1", "2", "3"}));
    ASSERT_TRUE(ack);
    for (std::uint64_t k = 0; k < 3; ++k) of_b.push_back(ack->base_offset + k);
  }
  EXPECT_GT(log->status().segments, 3u);
  const auto below = [](const std::vector<Offset>& offsets, Offset end) {
    return TopicSequence(static_cast<std::uint64_t>(std::ranges::lower_bound(offsets, end) - offsets.begin()));
  };
  for (int opened = 0; opened < 2; ++opened) {
    for (Offset at; at <= log->durable_end() + 2; at = at + 1) {
      EXPECT_EQ(*log->sequence_at(a, at), below(of_a, at)) << at.value();
      EXPECT_EQ(*log->sequence_at(b, at), below(of_b, at)) << at.value();
      EXPECT_EQ(*log->sequence_at(none, at), TopicSequence(0)) << at.value();
    }
    log.reset();
    log = open();
  }
  EXPECT_EQ(log->sequence_at(TopicId(99), Offset(0)).error().number, 3024);
}

TEST_F(LogTest, CompressedBatchesAreReadPlain) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  const std::string value(5000, 'z');
  AppendBatch plain = batch(topic, {value, "end"});
  AppendBatch compressed = plain;
  compressed.codec = Codec::kZstd;
  compressed.uncompressed_length = static_cast<std::uint32_t>(plain.body.size());
  compressed.body = compress_body(plain.body);
  ASSERT_TRUE(log->append(compressed));
  ASSERT_TRUE(log->append(plain));
  EXPECT_EQ(read_values(*log), (std::vector<std::string>{value, "end", value, "end"}));
  compressed.uncompressed_length -= 1;
  EXPECT_EQ(log->append(compressed).error().code, ErrorCode::kInvalid);
}

TEST_F(LogTest, BodiesAreFollowedByReadableBytes) {
  options_.segment_bytes = 16 << 10;
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(log->append(batch(topic, {std::string(static_cast<std::size_t>(i * 7), 'x')})));
  auto reader = log->reader(Offset(0), {});
  unsigned sum = 0;
  for (;;) {
    const auto view = reader->next();
    ASSERT_TRUE(view);
    if (!*view) break;
    for (std::size_t i = 0; i < 64; ++i)
      sum += static_cast<unsigned>((*view)->body.data()[(*view)->body.size() + i]);
  }
  EXPECT_GT(sum, 0u);
}

TEST_F(LogTest, TheLockExcludesASecondOpening) {
  auto log = open();
  const auto second = Log::open(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_EQ(second.error().number, 3001);
  EXPECT_EQ(verify(options_.directory, {}).error().number, 3001);
}

TEST_F(LogTest, ReadOnlyChangesNothingAndRefusesAppends) {
  {
    auto log = open();
    ASSERT_TRUE(log->append(batch(*log->ensure_topic("a"), {"one"})));
  }
  options_.read_only = true;
  auto log = open();
  EXPECT_EQ(read_values(*log), std::vector<std::string>{"one"});
  EXPECT_EQ(log->append(batch(TopicId(1), {"two"})).error().code, ErrorCode::kReadOnly);
  EXPECT_EQ(log->ensure_topic("new").error().code, ErrorCode::kReadOnly);
  EXPECT_TRUE(log->ensure_topic("a"));
  EXPECT_EQ(log->append_system("k", "v").error().code, ErrorCode::kReadOnly);
  EXPECT_TRUE(log->status().read_only);
}

TEST_F(LogTest, RefusesWhatIsNotABatch) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  AppendBatch bad = batch(topic, {"one"});
  bad.body_hash = 1;
  EXPECT_EQ(log->append(bad).error().code, ErrorCode::kInvalid);
  bad = batch(topic, {"one"});
  bad.count = 2;
  EXPECT_EQ(log->append(bad).error().code, ErrorCode::kInvalid);
  bad = batch(TopicId(99), {"one"});
  EXPECT_EQ(log->append(bad).error().code, ErrorCode::kNotFound);
  bad = batch(kSystemTopic, {"one"});
  EXPECT_EQ(log->append(bad).error().code, ErrorCode::kInvalid);
  bad = batch(topic, {"one"});
  bad.body.resize(limits::kBatchBytesMax + 1);
  EXPECT_EQ(log->append(bad).error().code, ErrorCode::kTooLarge);
  for (const char* name : {"", "$x", "a\nb", "\xff", "\xed\xa0\x80"})
    EXPECT_EQ(log->ensure_topic(name).error().number, 3020) << name;
  EXPECT_FALSE(log->ensure_topic(std::string(256, 'x')));
  EXPECT_TRUE(log->ensure_topic("\xc3\xa9t\xc3\xa9"));
  const auto empty = log->append(batch(topic, {}));
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->count, 0u);
  EXPECT_EQ(log->durable_end(), Offset(0));
}

TEST_F(LogTest, BatchesLargerThanASegmentGetTheirOwn) {
  options_.segment_bytes = 16 << 10;
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  const std::string large(1 << 20, 'L');
  ASSERT_TRUE(log->append(batch(topic, {large, large, large})));
  ASSERT_TRUE(log->append(batch(topic, {"small"})));
  ASSERT_TRUE(log->append(batch(topic, {large})));
  log.reset();
  EXPECT_TRUE(verify_all().damage.empty());
  log = open();
  EXPECT_EQ(read_values(*log), (std::vector<std::string>{large, large, large, "small", large}));
}

TEST_F(LogTest, EveryDurabilityIsNamedInItsAck) {
  for (const Durability durability : {Durability::kSync, Durability::kWritten, Durability::kStrict}) {
    options_.durability = durability;
    options_.directory = fresh_directory();
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    for (int i = 0; i < 20; ++i) {
      const auto ack = log->append(batch(topic, {"x"}));
      ASSERT_TRUE(ack);
      EXPECT_EQ(ack->durability, durability);
      EXPECT_EQ(ack->base_offset, Offset(static_cast<std::uint64_t>(i)));
    }
    log.reset();
    log = open();
    EXPECT_EQ(log->durable_end(), Offset(20));
  }
}

TEST_F(LogTest, ManySubmittersGetDenseDistinctOffsetsAndTheirOrder) {
  options_.segment_bytes = 256 << 10;
  auto log = open();
  constexpr int kThreads = 4, kBatches = 300;
  const TopicId topic = *log->ensure_topic("a");
  std::atomic<int> acknowledged{0};
  std::atomic<int> notified{0};
  const auto token = log->subscribe_durable([&] { ++notified; });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kBatches; ++i) {
        AppendBatch one =
            batch(topic, {std::to_string(t) + ":" + std::to_string(i) + ":" + std::string(300, 'x')});
        one.producer_id = ProducerId(static_cast<std::uint64_t>(t + 1));
        one.producer_sequence = static_cast<std::uint64_t>(i);
        log->submit(std::move(one), [&](Expected<AppendAck> ack) {
          EXPECT_TRUE(ack);
          ++acknowledged;
        });
        if (i % 7 == t) log->pump();
      }
      log->pump();
    });
  }
  std::thread watcher([&] {
    // A reader beside the writers never sees a gap or an event at or above the durable end.
    auto reader = log->reader(Offset(0), {});
    Offset expected(0);
    while (expected < Offset(kThreads * kBatches)) {
      const auto view = reader->next();
      ASSERT_TRUE(view) << to_string(view.error());
      if (!*view) {
        std::this_thread::yield();
        continue;
      }
      ASSERT_EQ((*view)->header.base_offset, expected);
      expected = (*view)->header.end_offset();
      ASSERT_LE(expected, log->durable_end());
    }
  });
  for (auto& thread : threads) thread.join();
  watcher.join();
  log->unsubscribe_durable(token);
  std::vector<int> next(kThreads, 0);
  for (const std::string& value : read_values(*log)) {
    const std::size_t t = static_cast<std::size_t>(value[0] - '0');
    EXPECT_EQ(std::stoi(value.substr(2)), next[t]);
    ++next[t];
  }
  for (const int n : next) EXPECT_EQ(n, kBatches);
  EXPECT_GT(notified, 0);
  log.reset();
  EXPECT_EQ(acknowledged, kThreads * kBatches);
  EXPECT_TRUE(verify_all().damage.empty());
}

TEST_F(LogTest, UnacknowledgedBatchesAreAnsweredWhenTheLogCloses) {
  auto log = open();
  const TopicId topic = *log->ensure_topic("a");
  int answers = 0;
  for (int i = 0; i < 10; ++i)
    log->submit(batch(topic, {"x"}), [&](const Expected<AppendAck>& ack) { answers += ack ? 1 : 0; });
  log.reset();
  EXPECT_EQ(answers, 10);
}

}  // namespace
}  // namespace kappa::log
