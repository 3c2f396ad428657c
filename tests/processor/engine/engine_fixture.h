// A log and an engine over it in a temporary directory, with statements as one-liners.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "log/log.h"
#include "processor/engine.h"
#include "processor/verify_views.h"
#include "tests/support/events.h"
#include "tests/support/temp_dir.h"

namespace kappa::processor::test {

// Everything a statement gave.
struct Answer {
  std::vector<Column> columns;
  std::vector<Row> rows;
  StatementResult result;
};

class Collect final : public RowSink {
 public:
  explicit Collect(Answer& answer) : answer_(answer) {}
  bool columns(const std::vector<Column>& columns) override {
    answer_.columns = columns;
    return true;
  }
  bool rows(std::vector<Row> rows) override {
    for (Row& row : rows) answer_.rows.push_back(std::move(row));
    return true;
  }

 private:
  Answer& answer_;
};

// "a|1|NULL": a row as text, for comparing and for failures that can be read.
inline std::string text_of(const Row& row) {
  std::string text;
  for (const Value& value : row) text += (text.empty() ? "" : "|") + display(value);
  return text;
}
inline std::vector<std::string> texts_of(const std::vector<Row>& rows) {
  std::vector<std::string> texts;
  for (const Row& row : rows) texts.push_back(text_of(row));
  return texts;
}
using Lines = std::vector<std::string>;

class EngineFixture : public testing::Test {
 protected:
  EngineFixture() {
    log_options_.directory = directory_ / "log";
    log_options_.segment_bytes = std::size_t{1} << 20;
    log_options_.prepared_segments = 0;
    options_.directory = directory_ / "views";
  }
  void SetUp() override { open(); }
  void TearDown() override { close(); }

  void open() {
    open_log();
    open_engine();
  }
  void open_log() {
    auto log = log::Log::open(log_options_);
    ASSERT_TRUE(log) << to_string(log.error());
    log_ = std::move(*log);
  }
  void open_engine() {
    auto engine = Engine::open(options_, *log_);
    ASSERT_TRUE(engine) << to_string(engine.error());
    engine_ = std::move(*engine);
  }
  void close() {
    engine_.reset();
    log_.reset();
  }
  void restart() {
    close();
    open();
  }

  static Freshness fresh() { return {std::nullopt, true, std::chrono::minutes(2)}; }

  Expected<Answer> execute(std::string_view sql, const Freshness& freshness = fresh()) {
    Answer answer;
    Collect sink(answer);
    const std::atomic<bool> cancelled{false};
    KAPPA_TRY(answer.result, engine_->execute(sql, freshness, sink, cancelled));
    return answer;
  }
  // Must succeed.
  Answer run(std::string_view sql) {
    auto answer = execute(sql);
    EXPECT_TRUE(answer) << sql << "\n" << to_string(answer.error());
    return answer ? std::move(*answer) : Answer{};
  }
  Lines lines(std::string_view sql) { return texts_of(run(sql).rows); }
  // Must fail.
  Error refusal(std::string_view sql) {
    auto answer = execute(sql);
    EXPECT_FALSE(answer) << sql;
    return answer ? Error{} : answer.error();
  }
  void append(std::string_view topic, const std::vector<std::string>& values, std::size_t batch_size = 1000) {
    const Status status = kappa::test::append_events(*log_, topic, values, batch_size);
    ASSERT_TRUE(status) << to_string(status.error());
  }
  // Polled for, without a clock: the test's own time limit is the only one.
  template <class Condition>
  static void until(Condition&& condition) {
    while (!condition()) std::this_thread::yield();
  }
  ViewStatus status(std::string_view name) {
    for (ViewStatus& view : engine_->views()) {
      if (view.name == name) return view;
    }
    ADD_FAILURE() << "no view " << name;
    return {};
  }
  // What `kappa verify` says of the views, while nothing is open.
  ViewsReport verify() {
    log::LogOptions read_only = log_options_;
    read_only.read_only = true;
    const auto log = log::Log::open(read_only);
    EXPECT_TRUE(log) << to_string(log.error());
    return log ? verify_views(options_.directory, log->get(), {}) : ViewsReport{};
  }

  kappa::test::TempDir directory_;
  EngineOptions options_;
  log::LogOptions log_options_;
  std::unique_ptr<log::Log> log_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace kappa::processor::test
