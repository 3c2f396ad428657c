// The client over one FrameSocket. Answers are matched by request id: those of appends are kept in
// order until collected, whatever call happens to read them.
#include "tools/client/client.h"

#include <algorithm>
#include <deque>

#include "proto/limits.h"
#include "proto/messages.h"
#include "proto/subscriber_messages.h"
#include "proto/watch_messages.h"
#include "tools/client/frame_socket.h"

namespace kappa {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kReadBytes = std::uint32_t{1} << 20;
// A statement may wait for freshness and then run; the server's own timeout must come first.
constexpr std::chrono::milliseconds kGrace{5'000};
// A watch is given a mark every 10 s at least.
constexpr std::chrono::milliseconds kWatchSilence{30'000};

const char* durability_name(std::uint8_t durability) {
  switch (durability) {
    case 0: return "sync";
    case 1: return "written";
    case 2: return "strict";
    default: return "unknown";
  }
}

std::uint32_t wire_milliseconds(std::chrono::milliseconds time) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time.count(), 0, 86'400'000));
}

FreshnessMessage freshness_of(const Client::QueryOptions& options) {
  return {options.at_least, options.fresh, wire_milliseconds(options.timeout)};
}

std::vector<ClientColumn> columns_of(std::vector<ColumnMessage> columns) {
  std::vector<ClientColumn> result;
  result.reserve(columns.size());
  for (ColumnMessage& column : columns) result.push_back({std::move(column.name), column.type});
  return result;
}

std::unexpected<Error> unexpected_answer() {
  return fail(ErrorCode::kInvalid, 1013, "the server's answer is of an unexpected type");
}

class ClientImpl final : public Client {
 public:
  explicit ClientImpl(ClientOptions options) : options_(std::move(options)) {}

  [[nodiscard]] Status ensure_connected();
  [[nodiscard]] const ServerInfo& server() const override { return info_; }
  [[nodiscard]] Status send_append(std::string_view topic, ClientBatch batch) override;
  [[nodiscard]] std::optional<Expected<AppendResult>> collect(bool wait) override;
  [[nodiscard]] std::size_t in_flight() const override { return appends_.size(); }
  [[nodiscard]] Expected<Producer> producer(std::string_view topic, ProducerId id) override;
  [[nodiscard]] Expected<ReadResult> read(std::string_view topic, ReadFrom from, std::uint64_t max_events,
                                          std::chrono::milliseconds wait,
                                          const std::function<bool(const ClientEvent&)>& each) override;
  [[nodiscard]] Expected<QueryEnd> sql(std::string_view text, const QueryOptions& options,
                                       const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                       const std::function<bool(std::vector<Row>)>& rows) override;
  [[nodiscard]] Expected<GetResult> get(std::string_view view, const std::vector<Value>& key,
                                        const QueryOptions& options) override;
  [[nodiscard]] Expected<QueryEnd> scan(const Scan& scan, const QueryOptions& options,
                                        const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                        const std::function<bool(std::vector<Row>)>& rows) override;
  [[nodiscard]] Expected<std::optional<Position>> position(std::string_view subscriber) override;
  [[nodiscard]] Status set_position(std::string_view subscriber, const std::optional<Position>& position) override;
  [[nodiscard]] Status watch(const Watch& watch, Watcher& watcher) override;
  [[nodiscard]] Expected<std::string> status() override;
  void interrupt() override { socket_.interrupt(); }

 private:
  using Frame = FrameSocket::Frame;
  struct PendingAppend {
    std::uint64_t request_id = 0;
    std::uint32_t count = 0;
    std::optional<Expected<AppendResult>> result;
  };

  [[nodiscard]] Deadline deadline() const { return Clock::now() + options_.timeout; }
  // Sends `out_` and gives the answer's first frame; an ERROR answer is the error.
  [[nodiscard]] Expected<Frame> call(std::uint64_t request_id, Deadline deadline);
  [[nodiscard]] Expected<Frame> answer(std::uint64_t request_id, Deadline deadline);
  [[nodiscard]] Expected<Frame> call_for(FrameType type, std::uint64_t request_id, Deadline deadline);
  [[nodiscard]] Expected<QueryEnd> stream(std::uint64_t request_id, const QueryOptions& options,
                                          const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                          const std::function<bool(std::vector<Row>)>& rows);
  // True if the frame answered an append.
  [[nodiscard]] bool take_append_answer(const Frame& frame);
  // The connection failed: so did every append without an answer.
  void fail_appends(const Error& error);
  [[nodiscard]] std::unexpected<Error> broken(Error error);
  [[nodiscard]] std::size_t unanswered() const { return appends_.size() - answered_; }

  ClientOptions options_;
  FrameSocket socket_;
  ServerInfo info_;
  std::uint64_t next_id_ = 1;
  std::deque<PendingAppend> appends_;  // Uncollected, oldest first; the answered ones come first.
  std::size_t answered_ = 0;
  std::string out_;  // Of the request being built.
};

void ClientImpl::fail_appends(const Error& error) {
  for (std::size_t i = answered_; i < appends_.size(); ++i) appends_[i].result = std::unexpected(error);
  answered_ = appends_.size();
}

std::unexpected<Error> ClientImpl::broken(Error error) {
  socket_.close();
  fail_appends(error);
  return std::unexpected(std::move(error));
}

Status ClientImpl::ensure_connected() {
  if (socket_.connected()) return {};
  const Deadline until = deadline();
  KAPPA_CHECK_OK(socket_.connect({options_.address, options_.tls, options_.tls_authorities}, until));
  if (!options_.token.empty() && !socket_.is_private()) {
    socket_.close();
    return fail(ErrorCode::kInvalid, 1019, "refusing to send a token to " + options_.address + " in the clear",
                "give --tls-ca, or --tls");
  }
  next_id_ = 1;
  out_.clear();
  const std::uint64_t id = next_id_++;
  const std::string_view name = std::string_view(options_.name).substr(0, 256);
  encode(HelloMessage{kProtocolVersionMin, kProtocolVersionMax, kFeatureZstd | kFeatureBodyHash, name, options_.token}, id,
         out_);
  auto greeted = call(id, until);
  if (!greeted) {
    Error why = std::move(greeted).error();
    if (why.code == ErrorCode::kClosed && !options_.tls) why.hint = "if the port speaks TLS, give --tls-ca or --tls";
    return broken(std::move(why));
  }
  const Frame& frame = *greeted;
  if (frame.header.type != FrameType::kHelloOk) return broken(unexpected_answer().error());
  auto hello = decode_hello_ok(frame.payload);
  if (!hello) return broken(std::move(hello).error());
  info_ = {std::string(hello->server_version), std::string(hello->log_id), durability_name(hello->durability),
           (hello->features & kFeatureZstd) != 0};
  return {};
}

bool ClientImpl::take_append_answer(const Frame& frame) {
  if (answered_ == appends_.size() || appends_[answered_].request_id != frame.header.request_id) return false;
  PendingAppend& append = appends_[answered_++];
  if (frame.header.type == FrameType::kError) {
    append.result = std::unexpected(decode_error(frame.payload));
    return true;
  }
  auto ok = frame.header.type == FrameType::kAppendOk
                ? decode_append_ok(frame.payload)
                : Expected<AppendOkMessage>(unexpected_answer());
  if (!ok) {
    append.result = std::unexpected(std::move(ok).error());
    return true;
  }
  AppendResult result;
  result.durability = durability_name(ok->durability);
  result.count = ok->duplicate ? 0 : ok->count;
  result.duplicates = ok->duplicate ? ok->count : 0;
  if (ok->offsets_known && ok->count != 0) {
    result.first = ok->base_offset;
    result.last = ok->base_offset + (ok->count - 1);
  }
  append.result = std::move(result);
  return true;
}

Expected<ClientImpl::Frame> ClientImpl::answer(std::uint64_t request_id, Deadline until) {
  for (;;) {
    auto received = socket_.receive(until, true);
    if (!received) return broken(std::move(received).error());
    const Frame& frame = **received;
    if (frame.header.request_id == request_id) {
      if (frame.header.type == FrameType::kError) return std::unexpected(decode_error(frame.payload));
      return frame;
    }
    if (take_append_answer(frame)) continue;
    // Id 0 belongs to no request: the server gives this connection up.
    if (frame.header.type == FrameType::kError && frame.header.request_id == 0) {
      return broken(decode_error(frame.payload));
    }
    // Anything else is the rest of an answer that was cancelled.
  }
}

Expected<ClientImpl::Frame> ClientImpl::call(std::uint64_t request_id, Deadline until) {
  if (auto sent = socket_.send(out_, {}, until); !sent) return broken(std::move(sent).error());
  return answer(request_id, until);
}

Expected<ClientImpl::Frame> ClientImpl::call_for(FrameType type, std::uint64_t request_id, Deadline until) {
  KAPPA_TRY(const Frame frame, call(request_id, until));
  if (frame.header.type != type) return broken(unexpected_answer().error());
  return frame;
}

Status ClientImpl::send_append(std::string_view topic, ClientBatch batch) {
  KAPPA_CHECK_OK(ensure_connected());
  const Deadline until = deadline();
  while (unanswered() >= kAppendsInFlightMax) {
    auto received = socket_.receive(until, true);
    if (!received) return broken(std::move(received).error());
    if (take_append_answer(**received)) continue;
    if ((*received)->header.type == FrameType::kError && (*received)->header.request_id == 0) {
      return broken(decode_error((*received)->payload));
    }
  }
  AppendMessage message;
  message.topic = topic;
  message.count = batch.count;
  std::string_view body = batch.borrowed_body.empty() ? std::string_view(batch.body) : batch.borrowed_body;
  message.uncompressed_length = static_cast<std::uint32_t>(body.size());
  message.producer_id = batch.producer_id;
  message.producer_epoch = batch.producer_epoch;
  message.producer_sequence = batch.producer_sequence;
  if (batch.compress && info_.zstd && !body.empty()) {
    std::string compressed = compress_body(body);
    if (compressed.size() < body.size()) {
      batch.body = std::move(compressed);
      body = batch.body;
      message.codec = Codec::kZstd;
    }
  }
  message.body = body;
  message.body_hash = hash_body(as_bytes(body));
  if (topic.size() + body.size() + kAppendFixedBytes + sizeof(std::uint32_t) > kPayloadBytesMax) {
    return fail(ErrorCode::kTooLarge, 1007, "the batch does not fit into a frame", "send smaller batches");
  }
  out_.clear();
  const std::uint64_t id = next_id_++;
  encode_append(message, id, out_);
  appends_.push_back({id, batch.count, std::nullopt});
  if (auto sent = socket_.send(out_, body, until); !sent) return broken(std::move(sent).error());
  return {};
}

std::optional<Expected<AppendResult>> ClientImpl::collect(bool wait) {
  if (appends_.empty()) return std::nullopt;
  const Deadline until = deadline();
  while (answered_ == 0) {
    auto received = socket_.receive(until, wait);
    if (!received) {
      static_cast<void>(broken(std::move(received).error()));
      break;
    }
    if (!*received) return std::nullopt;
    const Frame& frame = **received;
    if (take_append_answer(frame)) continue;
    if (frame.header.type == FrameType::kError && frame.header.request_id == 0) {
      static_cast<void>(broken(decode_error(frame.payload)));
    }
  }
  Expected<AppendResult> result = std::move(*appends_.front().result);
  appends_.pop_front();
  --answered_;
  return result;
}

Expected<Client::Producer> ClientImpl::producer(std::string_view topic, ProducerId id) {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t request = next_id_++;
  encode(ProducerMessage{topic, id}, request, out_);
  KAPPA_TRY(const Frame frame, call_for(FrameType::kProducerOk, request, deadline()));
  KAPPA_TRY(const ProducerOkMessage message, decode_producer_ok(frame.payload));
  return Producer{message.epoch, message.next_sequence};
}

Expected<ReadResult> ClientImpl::read(std::string_view topic, ReadFrom from, std::uint64_t max_events,
                                      std::chrono::milliseconds wait,
                                      const std::function<bool(const ClientEvent&)>& each) {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  encode(ReadMessage{topic, static_cast<ReadFromKind>(from.kind), from.value, max_events, kReadBytes,
                     wire_milliseconds(wait)},
         id, out_);
  KAPPA_TRY(const Frame frame, call_for(FrameType::kReadOk, id, deadline() + wait));
  KAPPA_TRY(const ReadOkMessage message, decode_read_ok(frame.payload));
  ReadResult result{0, message.first, message.next, message.durable_end};
  for (const ReadBatch& batch : message.batches) {
    RecordReader records(as_bytes(batch.body), batch.count);
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      KAPPA_TRY(const auto record, records.next());
      if (!record) return fail(ErrorCode::kCorrupt, 1006, "a batch holds fewer events than it says");
      const Offset offset = batch.base_offset + i;
      if (offset < message.first) continue;
      if (result.events == max_events) {
        result.next = offset;
        return result;
      }
      ++result.events;
      if (!each({offset, record->timestamp.value_or(batch.append_time), batch.append_time, record->key,
                 record->value, record->headers})) {
        result.next = offset + 1;
        return result;
      }
    }
  }
  return result;
}

Expected<QueryEnd> ClientImpl::stream(std::uint64_t request_id, const QueryOptions& options,
                                      const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                      const std::function<bool(std::vector<Row>)>& rows) {
  const auto patience = std::max(options_.timeout, options.timeout + kGrace);
  bool stopped = false;
  if (auto sent = socket_.send(out_, {}, Clock::now() + patience); !sent) return broken(std::move(sent).error());
  for (;;) {
    // Each piece has the whole deadline: a large result is not a late one.
    auto received = answer(request_id, Clock::now() + patience);
    if (!received) {
      // Our own CANCEL was in time; what the caller saw is what it asked for.
      if (stopped && received.error().number == 1012) return QueryEnd{};
      return std::unexpected(std::move(received).error());
    }
    const Frame& frame = *received;
    if (frame.header.type == FrameType::kEnd) {
      KAPPA_TRY(const EndMessage end, decode_end(frame.payload));
      return QueryEnd{std::string(end.tag), end.row_count, end.applied, std::string(end.notice)};
    }
    if (frame.header.type != FrameType::kColumns && frame.header.type != FrameType::kRows) {
      return broken(unexpected_answer().error());
    }
    if (stopped) continue;
    bool go_on = true;
    if (frame.header.type == FrameType::kColumns) {
      auto message = decode_columns(frame.payload);
      if (!message) return broken(std::move(message).error());
      go_on = !columns || columns(columns_of(std::move(message->columns)));
    } else {
      auto message = decode_rows(frame.payload);
      if (!message) return broken(std::move(message).error());
      go_on = !rows || rows(std::move(message->rows));
    }
    if (go_on) continue;
    stopped = true;
    out_.clear();
    encode(CancelMessage{request_id}, out_);
    if (auto sent = socket_.send(out_, {}, Clock::now() + patience); !sent) return broken(std::move(sent).error());
  }
}

Expected<QueryEnd> ClientImpl::sql(std::string_view text, const QueryOptions& options,
                                   const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                   const std::function<bool(std::vector<Row>)>& rows) {
  if (text.size() > limits::kSqlBytesMax) {
    return fail(ErrorCode::kTooLarge, 1007,
                "the statement has " + std::to_string(text.size()) + " bytes; the most is " +
                    std::to_string(limits::kSqlBytesMax));
  }
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  encode(SqlMessage{freshness_of(options), text}, id, out_);
  return stream(id, options, columns, rows);
}

Expected<QueryEnd> ClientImpl::scan(const Scan& scan, const QueryOptions& options,
                                    const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                    const std::function<bool(std::vector<Row>)>& rows) {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  encode(ScanMessage{freshness_of(options), scan.view, scan.prefix, scan.from, scan.to, scan.limit}, id, out_);
  return stream(id, options, columns, rows);
}

Expected<Client::GetResult> ClientImpl::get(std::string_view view, const std::vector<Value>& key,
                                            const QueryOptions& options) {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  encode(GetMessage{freshness_of(options), view, key}, id, out_);
  const auto patience = std::max(options_.timeout, options.timeout + kGrace);
  KAPPA_TRY(const Frame frame, call_for(FrameType::kRow, id, Clock::now() + patience));
  KAPPA_TRY(RowMessage message, decode_row_message(frame.payload));
  return GetResult{columns_of(std::move(message.columns)), std::move(message.row), message.applied};
}

Expected<std::optional<Client::Position>> ClientImpl::position(std::string_view subscriber) {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  encode(SubscriberMessage{subscriber, SubscriberMessage::Action::kAsk, {}, {}}, id, out_);
  KAPPA_TRY(const Frame frame, call_for(FrameType::kSubscriberOk, id, deadline()));
  KAPPA_TRY(const SubscriberOkMessage answer, decode_subscriber_ok(frame.payload));
  if (!answer.known) return std::nullopt;
  return Position{std::string(answer.topic), answer.offset};
}

Status ClientImpl::set_position(std::string_view subscriber, const std::optional<Position>& position) {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  SubscriberMessage message{subscriber, SubscriberMessage::Action::kForget, {}, {}};
  if (position) message = {subscriber, SubscriberMessage::Action::kSet, position->topic, position->offset};
  encode(message, id, out_);
  KAPPA_TRY([[maybe_unused]] const Frame frame, call_for(FrameType::kSubscriberOk, id, deadline()));
  return {};
}

Status ClientImpl::watch(const Watch& watch, Watcher& watcher) {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  WatchMessage message{watch.view, watch.prefix, watch.snapshot, watch.reset_at_cutover, {}, 0};
  if (watch.resume) message.resume = {watch.resume->applied, watch.resume->version};
  encode(message, id, out_);
  if (auto sent = socket_.send(out_, {}, deadline()); !sent) return broken(std::move(sent).error());
  bool stopped = false;
  for (;;) {
    auto received = answer(id, Clock::now() + std::max(options_.timeout, kWatchSilence));
    if (!received) {
      if (stopped && received.error().number == 1012) return {};
      return std::unexpected(std::move(received).error());
    }
    if (stopped) continue;
    const Frame& frame = *received;
    bool go_on = true;
    switch (frame.header.type) {
      case FrameType::kColumns: {
        auto columns = decode_columns(frame.payload);
        if (!columns) return broken(std::move(columns).error());
        go_on = watcher.columns(columns_of(std::move(columns->columns)));
        break;
      }
      case FrameType::kStep: {
        const auto step = decode_step(frame.payload);
        if (!step) return broken(step.error());
        go_on = watcher.step({step->applied, step->version, step->reset});
        break;
      }
      case FrameType::kChanges: {
        const auto changes = decode_changes(frame.payload);
        if (!changes) return broken(changes.error());
        for (const ChangesMessage::Change& change : changes->changes) {
          go_on = watcher.change(change.added, change.row);
          if (!go_on) break;
        }
        break;
      }
      case FrameType::kMark: {
        const auto mark = decode_mark(frame.payload);
        if (!mark) return broken(mark.error());
        go_on = watcher.mark({mark->applied, mark->version, std::nullopt});
        break;
      }
      default: return broken(unexpected_answer().error());
    }
    if (go_on) continue;
    stopped = true;
    out_.clear();
    encode(CancelMessage{id}, out_);
    if (auto sent = socket_.send(out_, {}, deadline()); !sent) return broken(std::move(sent).error());
  }
}

Expected<std::string> ClientImpl::status() {
  KAPPA_CHECK_OK(ensure_connected());
  out_.clear();
  const std::uint64_t id = next_id_++;
  encode_empty(FrameType::kStatus, id, out_);
  KAPPA_TRY(const Frame frame, call_for(FrameType::kStatusOk, id, deadline()));
  KAPPA_TRY(const std::string_view json, decode_status_ok(frame.payload));
  return std::string(json);
}

}  // namespace

Expected<AppendResult> Client::append(std::string_view topic, ClientBatch batch) {
  KAPPA_CHECK_OK(send_append(topic, std::move(batch)));
  // Earlier results that nobody collected come first; this call's own is the last.
  std::optional<Expected<AppendResult>> result;
  while (in_flight() > 0) result = collect(true);
  if (!result) return fail(ErrorCode::kClosed, 1014, "the append has no answer");
  return std::move(*result);
}

Expected<std::unique_ptr<Client>> Client::connect(ClientOptions options) {
  auto client = std::make_unique<ClientImpl>(std::move(options));
  KAPPA_CHECK_OK(client->ensure_connected());
  return client;
}

}  // namespace kappa
