// An engine that answers a few fixed statements: "rows N" gives N rows of (number, text), "hang" runs
// until it is cancelled, anything else is an error with a place. One view, "v", with the key columns
// (name) and one row, "a".
#pragma once

#include <atomic>
#include <charconv>
#include <mutex>
#include <thread>

#include "processor/engine.h"

namespace kappa::testing {

class FakeEngine final : public processor::Engine {
 public:
  [[nodiscard]] Expected<processor::StatementResult> execute(std::string_view sql, const processor::Freshness&,
                                                             processor::RowSink& sink,
                                                             const std::atomic<bool>& cancelled) override {
    if (sql == "hang") {
      ++hanging;
      while (!cancelled) std::this_thread::yield();
      --hanging;
      return fail(ErrorCode::kClosed, 2999, "cancelled");
    }
    if (sql == "wait") {
      const processor::SinkWaiting waiting(sink);
      while (!cancelled && rows_made == 0) std::this_thread::yield();
      return processor::StatementResult{"WAIT", 0, {}, {}};
    }
    if (sql.starts_with("rows ")) {
      std::uint64_t count = 0;
      std::from_chars(sql.data() + 5, sql.data() + sql.size(), count);
      return rows(count, sink, cancelled);
    }
    Error error{ErrorCode::kInvalid, 2001, "syntax error", "try another", 0, SourcePlace{1, 2, 3}};
    return std::unexpected(error);
  }
  [[nodiscard]] Expected<std::vector<processor::Column>> view_columns(std::string_view view) override {
    if (view != "v") return fail(ErrorCode::kNotFound, 2003, "no view");
    return std::vector<processor::Column>{{"name", kTextType}, {"n", kBigintType}};
  }
  bool must_wait(std::string_view) const override { return false; }
  [[nodiscard]] Expected<GetResult> get(std::string_view view, const processor::KeyRequest& key) override {
    if (view != "v") return fail(ErrorCode::kNotFound, 2003, "no view");
    if (key.values.size() != 1) return fail(ErrorCode::kInvalid, 2011, "one key column");
    GetResult result;
    result.applied = Offset(applied.load());
    if (key.values[0].as_text() == "a") result.row = Row{Value::text("a"), Value::bigint(1)};
    return result;
  }
  [[nodiscard]] Expected<std::shared_ptr<processor::KeyedView>> open_view(std::string_view view) override {
    if (view != "v") return fail(ErrorCode::kNotFound, 2003, "no view");
    return std::make_shared<Keyed>(*this);
  }
  [[nodiscard]] Expected<processor::StatementResult> scan(const processor::ScanRequest& request,
                                                          processor::RowSink& sink,
                                                          const std::atomic<bool>& cancelled) override {
    if (request.view != "v") return fail(ErrorCode::kNotFound, 2003, "no view");
    return rows(std::min<std::uint64_t>(request.limit, 10), sink, cancelled);
  }
  void wait(std::string_view, const processor::Freshness& freshness, std::function<void(Status)> ready) override {
    if (freshness.at_least && freshness.at_least->value() >= applied) {
      return ready(fail(ErrorCode::kTimeout, 4005, "not applied in time"));
    }
    std::thread([ready = std::move(ready)] { ready({}); }).detach();
  }
  [[nodiscard]] Expected<std::unique_ptr<processor::Watch>> watch(
      processor::WatchRequest, std::function<void(processor::WatchNews)>) override {
    return fail(ErrorCode::kNotFound, 2003, "no view");
  }
  [[nodiscard]] Status pause_replay(std::string_view) override { return {}; }
  [[nodiscard]] Status resume_replay(std::string_view) override { return {}; }
  [[nodiscard]] std::vector<processor::ViewStatus> views() const override {
    processor::ViewStatus view;
    view.name = "v";
    view.state = "live";
    return {view};
  }
  [[nodiscard]] std::vector<processor::StreamStatus> streams() const override {
    processor::StreamStatus stream;
    stream.name = stream.topic = "s";
    stream.dead_letters = 3;
    return {stream};
  }

  std::atomic<int> hanging{0};
  std::atomic<std::uint64_t> applied{5};
  std::atomic<std::uint64_t> rows_made{0};

  std::atomic<std::uint64_t> reads{0};      // Of open views.
  std::atomic<bool> columns_changed{false};  // What is open is of the version before.

 private:
  class Keyed final : public processor::KeyedView {
   public:
    explicit Keyed(FakeEngine& engine) : engine_(engine), changed_(engine.columns_changed) {}
    const std::vector<processor::Column>& columns() const override { return columns_; }
    const std::vector<processor::Column>& key() const override { return key_; }
    Status check() override {
      if (changed_ == engine_.columns_changed) return {};
      return fail(ErrorCode::kInvalid, processor::kViewChanged, "other columns");
    }
    Status encode_key(ByteReader& row, std::string& out) const override {
      KAPPA_TRY(const Row key, decode_row(row));
      if (key.size() != 1) return fail(ErrorCode::kInvalid, 2011, "one key column");
      out += key[0].as_text();
      return {};
    }
    Status read(std::span<const std::string_view> keys, processor::KeyedRows& out) override {
      KAPPA_CHECK_OK(check());
      ++engine_.reads;
      out.begin(Offset(engine_.applied.load()));
      for (const std::string_view key : keys) {
        if (key == "a") encode_row({Value::text("a"), Value::bigint(1)}, out.bytes());
        if (key == "damaged" ) return fail(ErrorCode::kCorrupt, 3301, "damaged");
        out.end_row();
      }
      return {};
    }

   private:
    FakeEngine& engine_;
    const bool changed_;
    const std::vector<processor::Column> columns_{{"name", kTextType}, {"n", kBigintType}};
    const std::vector<processor::Column> key_{{"name", kTextType}};
  };

  Expected<processor::StatementResult> rows(std::uint64_t count, processor::RowSink& sink,
                                            const std::atomic<bool>& cancelled) {
    processor::StatementResult result{"SELECT", 0, Offset(applied.load()), ""};
    if (!sink.columns({{"n", kBigintType}, {"t", kTextType}})) return fail(ErrorCode::kClosed, 2999, "cancelled");
    for (std::uint64_t n = 0; n < count; n += 100) {
      if (cancelled) return fail(ErrorCode::kClosed, 2999, "cancelled");
      std::vector<Row> piece;
      for (std::uint64_t i = n; i < std::min(count, n + 100); ++i) {
        piece.push_back({Value::bigint(static_cast<std::int64_t>(i)), Value::text(std::string(100, 'x'))});
      }
      result.row_count += piece.size();
      rows_made += piece.size();
      if (!sink.rows(std::move(piece))) return fail(ErrorCode::kClosed, 2999, "cancelled");
    }
    return result;
  }
};

}  // namespace kappa::testing
