// What each request type does: HELLO, APPEND, PRODUCER, CANCEL, PING. READ is in reads.cc, GET and its like in
// lookups.cc, SQL and SCAN in queries.cc, WATCH in watches.cc, STATUS in status.cc.
#include <algorithm>

#include "proto/limits.h"
#include "serving/names_read.h"
#include "serving/core.h"

namespace kappa::serving {

namespace {

using std::chrono::milliseconds;

// The types that begin a request, which is answered under its id.
bool is_request(FrameType type) {
  switch (type) {
    case FrameType::kAppend:
    case FrameType::kProducer:
    case FrameType::kRead:
    case FrameType::kSubscriber:
    case FrameType::kSql:
    case FrameType::kGet:
    case FrameType::kScan:
    case FrameType::kWatch:
    case FrameType::kOpenView:
    case FrameType::kLookup:
    case FrameType::kGetMany:
    case FrameType::kStatus:
    case FrameType::kPing: return true;
    default: return false;
  }
}

}  // namespace

void Core::hello(Connection& connection, const FrameHeader& header, Bytes payload) {
  if (header.type != FrameType::kHello) {
    return connection.give_up(
        fail(ErrorCode::kInvalid, 1000, "not a Kappa client: the first frame is not HELLO").error());
  }
  const auto message = decode_hello(payload);
  if (!message) return connection.give_up(message.error());
  if (message->version_max < kProtocolVersionMin || message->version_min > kProtocolVersionMax) {
    return connection.give_up(
        fail(ErrorCode::kUnsupported, 1002,
             "protocol versions " + std::to_string(message->version_min) + " to " +
                 std::to_string(message->version_max) + " are not served; this server speaks " +
                 std::to_string(kProtocolVersionMin) + " to " + std::to_string(kProtocolVersionMax),
             "use a client of the server's release")
            .error());
  }
  if (auto known = log_in(connection, message->token); !known) return connection.give_up(known.error());
  const log::LogStatus status = log_.status();
  const std::uint32_t features = message->features & (kFeatureZstd | kFeatureBodyHash);
  connection.greeted(features);
  HelloOkMessage answer;
  answer.version = std::min(message->version_max, kProtocolVersionMax);
  answer.features = features;
  answer.server_version = options_.version;
  answer.log_id = status.log_id;
  answer.durability = static_cast<std::uint8_t>(status.durability);
  answer.frame_bytes_max = static_cast<std::uint32_t>(options_.frame_bytes_max);
  answer.batch_bytes_max = limits::kBatchBytesMax;
  answer.batch_events_max = limits::kBatchEventsMax;
  answer.event_bytes_max = limits::kEventBytesMax;
  answer.requests_in_flight_max = static_cast<std::uint32_t>(options_.requests_in_flight_max);
  encode(answer, header.request_id, connection.out());
  connection.replied();
}

void Core::dispatch(Connection& connection, const FrameHeader& header, Bytes payload) {
  ++requests_total_;
  const std::uint64_t id = header.request_id;
  // Answers that are there at once are in the order of the requests.
  if (connection.expected_bytes != 0 && header.type != FrameType::kGet && header.type != FrameType::kLookup) {
    lookups_.run();
  }
  if (header.type == FrameType::kCancel) return cancel(connection, payload);
  if (header.type == FrameType::kCredit) return watches_.credit(connection, payload);
  if (is_request(header.type) && connection.in_flight(id)) {
    return connection.reply(
        id, fail(ErrorCode::kInvalid, 1008, "request id " + std::to_string(id) + " is in flight already").error());
  }
  if (header.type != FrameType::kAppend && is_request(header.type) &&
      connection.requests() >= options_.requests_in_flight_max) {
    return connection.reply(
        id, fail(ErrorCode::kBusy, 4007, "too many requests in flight on this connection", "read answers first")
                .error());
  }
  if (memory_short() && (header.type == FrameType::kRead || header.type == FrameType::kSql || header.type == FrameType::kScan))
    return connection.reply(id, busy());
  switch (header.type) {
    case FrameType::kAppend: {
      const auto message = decode_append(payload);
      if (!message) return connection.reply(id, message.error());
      --requests_total_;  // Counted there.
      return dispatch_append(connection, id, *message, std::string(message->body));
    }
    case FrameType::kProducer: return producer(connection, id, payload);
    case FrameType::kRead: return reads_.handle(connection, id, payload);
    case FrameType::kSubscriber: return subscribers_.handle(connection, id, payload);
    case FrameType::kSql: return sql(connection, id, payload);
    case FrameType::kGet: return lookups_.get(connection, id, payload);
    case FrameType::kOpenView: return lookups_.open(connection, id, payload);
    case FrameType::kLookup: return lookups_.lookup(connection, id, payload);
    case FrameType::kGetMany: return lookups_.get_many(connection, id, payload);
    case FrameType::kScan: return scan(connection, id, payload);
    case FrameType::kWatch: return watches_.handle(connection, id, payload);
    case FrameType::kStatus:
      if (!connection.is_admin()) return connection.reply(id, denied(forbidden("the status", "admin")));
      return status(connection, id, payload);
    case FrameType::kPing: {
      if (const auto empty = decode_empty(payload); !empty) return connection.reply(id, empty.error());
      encode_empty(FrameType::kPong, id, connection.out());
      return connection.replied();
    }
    default: break;
  }
  connection.reply(id, fail(ErrorCode::kInvalid, 1005,
                            "message type " + std::to_string(static_cast<unsigned>(header.type)) +
                                " is unknown, or not for a server at this point",
                            "see docs/protocol.md")
                           .error());
}

void Core::cancel(Connection& connection, Bytes payload) {
  // Without an answer of its own: the request answers, whether it was cancelled in time or not.
  const auto message = decode_cancel(payload);
  if (!message) return connection.reply(0, message.error());
  if (!connection.cancel(message->request_id)) return;
  if (reads_.any_waiting()) arm(std::chrono::steady_clock::now());
  watches_.cancelled(connection.id(), message->request_id);
}

// --- APPEND ---

void Core::dispatch_append(Connection& connection, std::uint64_t request_id, const AppendMessage& message,
                           std::string body) {
  ++requests_total_;
  if (!connection.begin(request_id, nullptr)) {
    return connection.reply(
        request_id,
        fail(ErrorCode::kInvalid, 1008, "request id " + std::to_string(request_id) + " is in flight already").error());
  }
  const std::uint64_t slot = connection.begin_append(request_id);
  if (!connection.may_append(message.topic))
    return connection.end_append(slot, std::unexpected(denied_append(message.topic)));
  auto batch = make_batch(connection, message, std::move(body));
  if (!batch) return connection.end_append(slot, std::unexpected(std::move(batch).error()));
  if (batch->count == 0) {
    // Acknowledged, and nothing changes: not even a topic comes to be.
    log::AppendAck ack;
    ack.base_offset = log_.durable_end();
    return connection.end_append(slot, ack);
  }
  if (append_bytes_ != 0 && append_bytes_ + batch->body.size() + kBatchHeaderBytes > kAppendBytesInFlightMax) {
    if (memory_short()) return connection.end_append(slot, std::unexpected(busy()));
    connection.park(std::move(*batch), slot);
    parked_.push_back(connection.id());
    return;
  }
  submit_append(connection, std::move(*batch), slot);
}

void Core::refuse_append(Connection& connection, std::uint64_t request_id) {
  ++requests_total_;
  if (!connection.begin(request_id, nullptr)) {
    return connection.reply(
        request_id,
        fail(ErrorCode::kInvalid, 1008, "request id " + std::to_string(request_id) + " is in flight already").error());
  }
  connection.end_append(connection.begin_append(request_id), std::unexpected(busy()));
}

Expected<log::AppendBatch> Core::make_batch(Connection& connection, const AppendMessage& message, std::string body) {
  log::AppendBatch batch;
  batch.codec = message.codec;
  batch.count = message.count;
  batch.uncompressed_length = message.uncompressed_length;
  batch.body_hash = message.body_hash;
  batch.producer_id = message.producer_id;
  batch.producer_epoch = message.producer_epoch;
  batch.producer_sequence = message.producer_sequence;
  if (message.count > limits::kBatchEventsMax || message.uncompressed_length > limits::kBatchBytesMax) {
    return fail(ErrorCode::kTooLarge, 1007,
                "a batch of " + std::to_string(message.count) + " events and " +
                    std::to_string(message.uncompressed_length) + " bytes is over the limits",
                "send smaller batches");
  }
  if (message.codec == Codec::kZstd) {
    if ((connection.features() & kFeatureZstd) == 0) {
      return fail(ErrorCode::kUnsupported, 1017, "zstd was not negotiated in HELLO");
    }
    KAPPA_TRY(const std::string events, decompress_body(as_bytes(body), message.uncompressed_length));
    KAPPA_TRY(batch.summary, validate_body(as_bytes(events), message.count));
  } else {
    if (message.uncompressed_length != body.size()) {
      return fail(ErrorCode::kInvalid, 1006, "the uncompressed length of a batch is not that of its body");
    }
    KAPPA_TRY(batch.summary, validate_body(as_bytes(body), message.count));
  }
  if (message.count != 0) {
    if (connection.topic_name.empty() || connection.topic_name != message.topic) {
      KAPPA_TRY(connection.topic_id, log_.ensure_topic(message.topic));
      connection.topic_name = message.topic;
    }
    batch.topic = connection.topic_id;
  }
  batch.body = std::move(body);
  return batch;
}

void Core::submit_append(Connection& connection, log::AppendBatch batch, std::uint64_t slot) {
  const auto now = std::chrono::steady_clock::now();
  if (rates_.due(now)) {
    const log::LogStatus status = log_.status();
    rates_.sample(now, status.events_appended, status.bytes_appended);
  }
  const std::size_t bytes = batch.body.size() + kBatchHeaderBytes;
  append_bytes_ += bytes;
  // Immediate refusals come through the mailbox too; the pass empties it.
  mailbox_->begin_inline();
  log_.submit(std::move(batch), [mailbox = mailbox_, id = connection.id(), slot,
                                 bytes](Expected<log::AppendAck> result) {
    mailbox->append_done({id, slot, bytes, std::move(result)});
  });
  mailbox_->end_inline();
  ++appends_submitted_;
  schedule_pass();
}

void Core::producer(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto message = decode_producer(payload);
  if (!message) return connection.reply(request_id, message.error());
  if (!connection.may_append(message->topic)) return connection.reply(request_id, denied_append(message->topic));
  ProducerOkMessage answer;
  // A topic that does not exist yet knows no producers: zero, as for a new one.
  if (const auto topic = log_.find_topic(message->topic)) {
    const log::ProducerState state = log_.producer(topic->id, message->producer_id);
    answer = {state.epoch, state.next_sequence, state.end_offset};
  }
  encode(answer, request_id, connection.out());
  connection.replied();
}

}  // namespace kappa::serving
