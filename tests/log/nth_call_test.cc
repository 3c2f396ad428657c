// Goal: whichever system call fails, and however, no acknowledged event is lost, nothing is made up, the
// process goes on or stops with a clear message, and a failed sync is never called again. Method: one
// scenario (create, append, roll segments, system records, read, close, open again, remove old segments,
// append, read) on the real file system's code over system calls of which the n-th goes wrong; for every n
// until none is left, and every kind of fault. Then the directory is opened without faults and compared.
#include <gtest/gtest.h>

#include <thread>

#include "log/file.h"
#include "tests/log/log_fixture.h"
#include "tests/log/sim/faulty_system_calls.h"

namespace kappa::log {
namespace {

using sim::Fault;

class NthCall : public LogFixture, public ::testing::WithParamInterface<Fault> {
 protected:
  struct Outcome {
    std::vector<std::string> acknowledged;  // In order.
    std::vector<std::string> submitted;
    std::vector<Error> errors;  // Everything that was refused, in order.
    bool stopped = false;       // fatal_error() was set.
    bool false_rot = false;     // An opening said that the log is damaged.
    bool retained = false;      // Segments were removed.
  };

  // A log's life between an opening and its end. False: it ended early.
  bool live(Outcome& outcome, unsigned appends) {
    auto opened = Log::open(options_);
    if (!opened) {
      outcome.errors.push_back(opened.error());
      return false;
    }
    auto log = std::move(*opened);
    if (log->status().damage) {
      outcome.false_rot = true;
      outcome.errors.push_back(Error{ErrorCode::kCorrupt, 0, *log->status().damage, {}, 0, {}});
      return false;
    }
    bool whole = true;
    if (options_.retention.on()) {
      log->begin_retention();
      // Until it has removed something, or said why not.
      const auto settled = [&] {
        const LogStatus status = log->status();
        return status.segments_removed > 0 || !status.retention_note.empty() || log->fatal_error();
      };
      while (!settled()) std::this_thread::yield();
      outcome.retained = outcome.retained || log->status().segments_removed > 0;
    }
    for (unsigned i = 0; i < appends && whole; ++i) whole = append_one(*log, outcome);
    if (whole) {
      if (const auto offset = log->append_system("key", "record " + std::to_string(appends)); !offset) {
        outcome.errors.push_back(offset.error());
        whole = offset.error().retryable();
      }
    }
    read_some(*log, outcome);
    if (const auto fatal = log->fatal_error()) {
      outcome.stopped = true;
      outcome.errors.push_back(*fatal);
      EXPECT_FALSE(fatal->message.empty());
      // The documented stop: nothing is taken any more.
      EXPECT_EQ(log->append_system("key", "late").error().code, ErrorCode::kClosed);
      whole = false;
    }
    return whole;
  }

  // The next value of the producer, sent again as long as the answer says that this helps.
  bool append_one(Log& log, Outcome& outcome) {
    auto topic = log.ensure_topic("a");
    while (!topic && topic.error().retryable()) {
      outcome.errors.push_back(topic.error());
      while (log.status().full && !log.fatal_error()) std::this_thread::yield();
      topic = log.ensure_topic("a");
    }
    if (!topic) {
      outcome.errors.push_back(topic.error());
      return false;
    }
    const std::uint64_t sequence = outcome.acknowledged.size();
    const std::size_t bytes = 700 + 311 * (sequence % 5);
    const std::string value = std::to_string(sequence) + std::string(bytes, 'v');
    if (outcome.submitted.size() == sequence) outcome.submitted.push_back(value);
    for (;;) {
      AppendBatch one = batch(*topic, {value});
      one.producer_id = ProducerId(5);
      one.producer_sequence = sequence;
      const auto ack = log.append(one);
      if (ack) {
        outcome.acknowledged.push_back(value);
        return true;
      }
      outcome.errors.push_back(ack.error());
      if (!ack.error().retryable()) return false;
      while (log.status().full && !log.fatal_error()) std::this_thread::yield();
    }
  }

  // Everything, from the start: what comes is right, an error is one of the operating system.
  static void read_some(Log& log, Outcome& outcome) {
    // A removal may be under way: what is held stays.
    const Hold held = log.hold("the test", log.start());
    auto reader = log.reader(held.offset(), {TopicId(1)});
    std::optional<std::size_t> at;
    for (;;) {
      const auto view = reader->next();
      if (!view) {
        outcome.errors.push_back(view.error());
        return;
      }
      if (!*view) return;
      RecordReader records((*view)->body, (*view)->header.count);
      const auto record = records.next();
      ASSERT_TRUE(record && *record);
      if (!at) at = held.offset() == Offset(0) ? 0 : std::strtoull(std::string((*record)->value).c_str(), nullptr, 10);
      ASSERT_LT(*at, outcome.submitted.size());
      ASSERT_EQ((*record)->value, outcome.submitted[*at]);
      ++*at;
    }
  }

  Outcome scenario(sim::FaultySystemCalls& calls) {
    Outcome outcome;
    options_.retention = {};
    if (!live(outcome, 40)) return outcome;
    calls.begin_process();
    options_.retention.bytes = 1;
    live(outcome, 5);
    return outcome;
  }

  // After the faults: everything acknowledged, in order, each once; at most one more.
  void expect_whole(const Outcome& outcome) {
    options_.files = nullptr;
    options_.retention = {};
    auto opened = Log::open(options_);
    ASSERT_TRUE(opened) << to_string(opened.error());
    auto log = std::move(*opened);
    ASSERT_FALSE(log->status().damage) << *log->status().damage;
    std::vector<std::string> values;
    if (log->find_topic("a")) values = read_values(*log, log->start(), {log->find_topic("a")->id});
    // What retention removed is a prefix.
    const std::size_t first =
        log->start() == Offset(0) || values.empty() ? 0 : std::strtoull(values[0].c_str(), nullptr, 10);
    ASSERT_GE(first + values.size(), outcome.acknowledged.size()) << "an acknowledged event is lost";
    ASSERT_LE(first + values.size(), outcome.submitted.size());
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], outcome.submitted[first + i]);
    ASSERT_EQ(files_ending(".segment").size(), log->status().segments) << "removed segments leave no files";
    ASSERT_TRUE(log->append(batch(*log->ensure_topic("b"), {"after"})));
    log.reset();
    const VerifyReport report = verify_all();
    EXPECT_TRUE(report.damage.empty()) << report.damage.front();
  }

  void run_all(unsigned prepared_segments, bool forever) {
    const Fault fault = GetParam();
    std::size_t stops = 0, reached = 0;
    for (std::uint64_t n = 1;; ++n) {
      SCOPED_TRACE(std::string(sim::name_of(fault)) + " at call " + std::to_string(n));
      options_.directory = fresh_directory();
      options_.segment_bytes = limits::kSegmentBytesMin;
      options_.prepared_segments = prepared_segments;
      Outcome outcome;
      sim::FaultySystemCalls calls;
      const auto files = make_real_file_system(calls);
      options_.files = files.get();
      calls.arm(fault, n, forever);
      outcome = scenario(calls);
      const auto injected = calls.injected();
      calls.disarm();
      SCOPED_TRACE(injected.value_or("not reached"));
      if (outcome.stopped) ++stops;
      std::string errors;
      for (const Error& error : outcome.errors) errors += to_string(error) + "\n";
      SCOPED_TRACE(errors);
      EXPECT_TRUE(calls.retried_syncs().empty()) << calls.retried_syncs().front();
      for (const Error& error : outcome.errors)
        EXPECT_NE(error.message.find(' '), std::string::npos) << "a message says what and where";
      if (fault == Fault::kInterrupted || fault == Fault::kShort) {
        EXPECT_TRUE(outcome.errors.empty()) << "nobody notices these";
        EXPECT_EQ(outcome.acknowledged.size(), 45u);
        EXPECT_TRUE(outcome.retained);
      }
      if (fault == Fault::kFull || fault == Fault::kDescriptors) {
        EXPECT_FALSE(outcome.false_rot) << "this is no damage";
      }
      expect_whole(outcome);
      if (HasFailure()) return;
      std::filesystem::remove_all(options_.directory);
      if (!injected) break;
      ++reached;
    }
    std::printf("[ calls    ] %s%s: %zu calls, %zu stops\n", sim::name_of(fault),
                forever ? " from there on" : "", reached, stops);
    EXPECT_GT(reached, 10u);
    if (fault == Fault::kSync || fault == Fault::kSyncInterrupted) {
      EXPECT_GT(stops, 10u) << "a failed sync of the log is final";
    }
  }
};

TEST_P(NthCall, LosesNothing) {
  run_all(0, false);
}

class NthCallWithPreparedSegments : public NthCall {};
TEST_P(NthCallWithPreparedSegments, LosesNothing) {
  run_all(1, false);
}

INSTANTIATE_TEST_SUITE_P(Faults, NthCall,
                         ::testing::Values(Fault::kIo, Fault::kFull, Fault::kInterrupted, Fault::kShort,
                                           Fault::kDescriptors, Fault::kSync, Fault::kSyncInterrupted),
                         [](const auto& fault) { return std::string(sim::name_of(fault.param)); });

// What is next to no news with prepared segments is left out.
INSTANTIATE_TEST_SUITE_P(Faults, NthCallWithPreparedSegments,
                         ::testing::Values(Fault::kIo, Fault::kFull, Fault::kShort, Fault::kDescriptors, Fault::kSync),
                         [](const auto& fault) { return std::string(sim::name_of(fault.param)); });

}  // namespace
}  // namespace kappa::log
