// SQL and SCAN: run on the query threads, stream their rows back in frames of about 64 KiB.
#include <algorithm>
#include <optional>

#include "serving/names_read.h"
#include "serving/core.h"

namespace kappa::serving {

namespace {

constexpr std::size_t kRowsFrameBytes = std::size_t{64} << 10;
constexpr std::chrono::milliseconds kRowsAge{10};
constexpr std::chrono::milliseconds kTimeoutMax{86'400'000};

// Encodes rows and hands them over, waiting for room; runs on a query thread.
class FrameSink final : public processor::RowSink {
 public:
  using Send = std::function<void(std::string frame)>;
  FrameSink(std::uint64_t request_id, QueryControl& control, WorkerPool& pool, Send send)
      : request_id_(request_id), control_(control), pool_(pool), send_(std::move(send)) {}

  [[nodiscard]] bool columns(const std::vector<processor::Column>& columns) override {
    ColumnsMessage message;
    message.columns.reserve(columns.size());
    for (const processor::Column& column : columns) message.columns.push_back({column.name, column.type});
    std::string frame;
    encode(message, request_id_, frame);
    return hand_over(std::move(frame));
  }

  [[nodiscard]] bool rows(std::vector<Row> rows) override {
    for (const Row& row : rows) {
      const std::size_t before = encoded_.size();
      encode_row(row, encoded_);
      if (encoded_.size() - before > kPayloadBytesMax - sizeof(std::uint32_t)) {
        too_large_ = true;
        return false;
      }
      // A row that would take a started frame over the limit begins the next one.
      if (encoded_.size() > kPayloadBytesMax - sizeof(std::uint32_t)) {
        std::string last = encoded_.substr(before);
        encoded_.resize(before);
        if (!flush()) return false;
        encoded_ = std::move(last);
      }
      ++count_;
      if (encoded_.size() >= kRowsFrameBytes && !flush()) return false;
    }
    // Rows of a query that finds few must not wait for a frame of them.
    return std::chrono::steady_clock::now() - handed_over_ < kRowsAge || flush();
  }

  void waiting(bool begins) override {
    if (begins) {
      waiting_.emplace(pool_);
    } else {
      waiting_.reset();
    }
  }

  [[nodiscard]] bool flush() {
    if (count_ == 0) return true;
    std::string frame;
    frame.reserve(encoded_.size() + kFrameHeaderBytes + sizeof(std::uint32_t));
    encode_rows(count_, encoded_, request_id_, frame);
    encoded_.clear();
    count_ = 0;
    handed_over_ = std::chrono::steady_clock::now();
    return hand_over(std::move(frame));
  }
  [[nodiscard]] bool too_large() const { return too_large_; }

 private:
  [[nodiscard]] bool hand_over(std::string frame) {
    if (!control_.has_room()) {
      // Other queries run while this one waits for its reader.
      const WorkerPool::Waiting waiting(pool_);
      if (!control_.reserve(frame.size())) return false;
    } else if (!control_.reserve(frame.size())) {
      return false;
    }
    send_(std::move(frame));
    return true;
  }

  std::uint64_t request_id_;
  QueryControl& control_;
  WorkerPool& pool_;
  std::optional<WorkerPool::Waiting> waiting_;
  Send send_;
  std::string encoded_;
  std::uint32_t count_ = 0;
  bool too_large_ = false;
  std::chrono::steady_clock::time_point handed_over_{};
};

processor::Freshness freshness_of(const FreshnessMessage& message) {
  return {message.at_least, message.fresh,
          std::min<std::chrono::milliseconds>(std::chrono::milliseconds(message.timeout_ms), kTimeoutMax)};
}

}  // namespace

void Core::run_query(Connection& connection, std::uint64_t request_id, std::chrono::milliseconds waits, QueryBody body) {
  auto control = std::make_shared<QueryControl>();
  if (options_.query_timeout.count() != 0) {
    // Those that ended are thrown away when there are more than can be under way.
    if (queries_.size() >= 4 * kQueriesQueuedMax) expire_queries(std::chrono::steady_clock::now());
    queries_.emplace_back(std::chrono::steady_clock::now() + waits + options_.query_timeout, control);
    arm(queries_.back().first);
  }
  static_cast<void>(connection.begin(request_id, control));
  const std::uint64_t id = connection.id();
  const bool queued = query_pool_.submit([this, id, request_id, control, body = std::move(body)] {
    FrameSink sink(request_id, *control, query_pool_, [this, id, control](std::string frame) {
      mailbox_->task([this, id, control, frame = std::move(frame)]() mutable {
        if (const auto client = find(id)) {
          client->reply_part(control, std::move(frame));
        } else {
          control->sent(frame.size());
        }
      });
    });
    std::string last;
    const auto stopped = [&] {
      return control->expired() ? Error{ErrorCode::kTimeout, 4016, "the statement ran longer than the server allows",
                                        "make it a materialized view, or raise --query-timeout", 0, {}}
                                : Error{ErrorCode::kClosed, 1012, "cancelled", {}, 0, {}};
    };
    if (control->cancelled()) {
      encode(stopped(), request_id, last);
    } else {
      auto result = body(sink, control->cancelled());
      const bool complete = result && sink.flush();
      if (control->cancelled()) {
        encode(stopped(), request_id, last);
      } else if (sink.too_large()) {
        encode(fail(ErrorCode::kTooLarge, 1007, "a row does not fit into a frame").error(), request_id, last);
      } else if (!complete) {
        encode(result.error(), request_id, last);
      } else {
        encode(EndMessage{result->tag, result->row_count, result->applied, result->notice}, request_id, last);
      }
    }
    mailbox_->task([this, id, request_id, last = std::move(last)]() mutable {
      if (const auto client = find(id)) {
        client->end(request_id);
        client->reply_part(nullptr, std::move(last));
      }
    });
  });
  if (queued) return;
  connection.end(request_id);
  connection.reply(request_id, fail(ErrorCode::kBusy, 4008, "too many statements are waiting", "try again").error());
}

void Core::sql(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto message = decode_sql(payload);
  if (!message) return connection.reply(request_id, message.error());
  if (message->text.size() > limits::kSqlBytesMax) {
    return connection.reply(request_id,
                            fail(ErrorCode::kTooLarge, 1007, "the statement is over the limit of " +
                                                                 std::to_string(limits::kSqlBytesMax) + " bytes")
                                .error());
  }
  const processor::Freshness freshness = freshness_of(message->freshness);
  run_query(connection, request_id, freshness.at_least || freshness.fresh ? freshness.timeout : std::chrono::milliseconds(0),
            [this, text = std::string(message->text), freshness,
             token = connection.token()](processor::RowSink& sink, const std::atomic<bool>& cancelled)
                -> Expected<processor::StatementResult> {
              if (token) KAPPA_CHECK_OK(may_run(*token, text));
              return engine_.execute(text, freshness, sink, cancelled);
            });
}

void Core::scan(Connection& connection, std::uint64_t request_id, Bytes payload) {
  auto message = decode_scan(payload);
  if (!message) return connection.reply(request_id, message.error());
  if (!connection.may_read(without_version(message->view)))
    return connection.reply(request_id, denied_read(message->view));
  processor::ScanRequest request;
  request.view = message->view;
  request.prefix = std::move(message->prefix);
  request.from = std::move(message->from);
  request.to = std::move(message->to);
  request.limit = message->limit;
  request.freshness = freshness_of(message->freshness);
  const auto& freshness = request.freshness;
  run_query(connection, request_id, freshness.at_least || freshness.fresh ? freshness.timeout : std::chrono::milliseconds(0),
            [this, request = std::move(request)](processor::RowSink& sink, const std::atomic<bool>& cancelled) {
              return engine_.scan(request, sink, cancelled);
            });
}

}  // namespace kappa::serving
