#include "proto/messages.h"

#include "proto/limits.h"
#include "proto/message_parts.h"

namespace kappa {

namespace {

constexpr std::uint8_t kAppendHasHash = 1;
constexpr std::uint8_t kAckDuplicate = 1;
constexpr std::uint8_t kAckOffsetsKnown = 2;
constexpr std::uint8_t kErrorRetryable = 1;
constexpr std::uint8_t kErrorHasPlace = 2;
constexpr std::uint8_t kEndHasApplied = 1;
constexpr std::uint8_t kRowFound = 1;

std::unexpected<Error> malformed(const char* message) {
  return fail(ErrorCode::kInvalid, 1006, std::string("malformed ") + message + " message",
              "a length inside it passes its end, a field has an unknown value, or bytes follow it");
}

void put_append_prefix(ByteWriter& out, const AppendMessage& message) {
  out.sized_text(message.topic);
  out.u8(static_cast<std::uint8_t>(message.codec));
  out.u8(message.body_hash ? kAppendHasHash : 0);
  out.u16(0);
  out.u32(message.count);
  out.u32(message.uncompressed_length);
  out.u64(message.body_hash.value_or(0));
  out.u64(message.producer_id.value());
  out.u32(message.producer_epoch);
  out.u64(message.producer_sequence);
  out.u32(static_cast<std::uint32_t>(message.body.size()));
}

}  // namespace

void encode(const HelloMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kHello, request_id);
  ByteWriter& to = frame.payload();
  to.text(kHelloMagic);
  to.u16(message.version_min);
  to.u16(message.version_max);
  to.u32(message.features);
  to.sized_text(message.client_name);
  if (!message.token.empty()) to.sized_text(message.token);
  frame.finish();
}

Expected<HelloMessage> decode_hello(Bytes payload) {
  ByteReader in(payload);
  if (in.text(kHelloMagic.size()) != kHelloMagic) {
    return fail(ErrorCode::kInvalid, 1000, "not a Kappa client: the magic of HELLO is missing");
  }
  HelloMessage message;
  message.version_min = in.u16();
  message.version_max = in.u16();
  message.features = in.u32();
  message.client_name = in.sized_text();
  if (in.remaining() != 0) message.token = in.sized_text();
  if (!in.done() || message.version_min > message.version_max) return malformed("HELLO");
  return message;
}

void encode(const HelloOkMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kHelloOk, request_id);
  ByteWriter& to = frame.payload();
  to.u16(message.version);
  to.u32(message.features);
  to.sized_text(message.server_version);
  to.sized_text(message.log_id);
  to.u8(message.durability);
  to.u32(message.frame_bytes_max);
  to.u32(message.batch_bytes_max);
  to.u32(message.batch_events_max);
  to.u32(message.event_bytes_max);
  to.u32(message.requests_in_flight_max);
  frame.finish();
}

Expected<HelloOkMessage> decode_hello_ok(Bytes payload) {
  ByteReader in(payload);
  HelloOkMessage message;
  message.version = in.u16();
  message.features = in.u32();
  message.server_version = in.sized_text();
  message.log_id = in.sized_text();
  message.durability = in.u8();
  message.frame_bytes_max = in.u32();
  message.batch_bytes_max = in.u32();
  message.batch_events_max = in.u32();
  message.event_bytes_max = in.u32();
  message.requests_in_flight_max = in.u32();
  if (!in.done()) return malformed("HELLO_OK");
  return message;
}

void encode(const Error& error, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kError, request_id);
  ByteWriter& to = frame.payload();
  to.u16(static_cast<std::uint16_t>(error.code));
  to.u16(error.number);
  to.u8(static_cast<std::uint8_t>((error.retryable() ? kErrorRetryable : 0) |
                                  (error.place ? kErrorHasPlace : 0)));
  const SourcePlace place = error.place.value_or(SourcePlace{});
  to.u32(place.line);
  to.u32(place.column);
  to.u32(place.length);
  // Messages may quote a statement; they must never grow past a frame.
  to.sized_text(std::string_view(error.message).substr(0, std::size_t{64} << 10));
  to.sized_text(std::string_view(error.hint).substr(0, std::size_t{64} << 10));
  frame.finish();
}

Error decode_error(Bytes payload) {
  ByteReader in(payload);
  Error error;
  const std::uint16_t code = in.u16();
  error.number = in.u16();
  const std::uint8_t flags = in.u8();
  SourcePlace place;
  place.line = in.u32();
  place.column = in.u32();
  place.length = in.u32();
  error.message = in.sized_text();
  error.hint = in.sized_text();
  if (!in.done()) return malformed("ERROR").error();
  if ((flags & kErrorHasPlace) != 0) error.place = place;
  const bool known = code >= static_cast<std::uint16_t>(ErrorCode::kInvalid) &&
                     code <= static_cast<std::uint16_t>(ErrorCode::kReadOnly);
  // A code of a newer server: what to do about it is all that an old client can know.
  error.code = known ? static_cast<ErrorCode>(code)
                     : ((flags & kErrorRetryable) != 0 ? ErrorCode::kBusy : ErrorCode::kInvalid);
  return error;
}

void encode_empty(FrameType type, std::uint64_t request_id, std::string& out) {
  FrameBuilder(out, type, request_id).finish();
}

Status decode_empty(Bytes payload) {
  if (!payload.empty()) return malformed("empty");
  return {};
}

void encode(const CancelMessage& message, std::string& out) {
  FrameBuilder frame(out, FrameType::kCancel, 0);
  frame.payload().u64(message.request_id);
  frame.finish();
}

Expected<CancelMessage> decode_cancel(Bytes payload) {
  ByteReader in(payload);
  const CancelMessage message{in.u64()};
  if (!in.done()) return malformed("CANCEL");
  return message;
}

void encode_append(const AppendMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kAppend, request_id);
  put_append_prefix(frame.payload(), message);
  frame.finish(as_bytes(message.body));
}

Expected<std::optional<AppendPrefix>> decode_append_prefix(Bytes payload_start) {
  ByteReader in(payload_start);
  if (payload_start.size() < sizeof(std::uint32_t)) return std::nullopt;
  const std::uint32_t topic_bytes = in.u32();
  // Checked before waiting for it, so that a lie about the length cannot make anybody buffer it.
  if (topic_bytes > limits::kFrameBytesMax) return malformed("APPEND");
  if (in.remaining() < std::size_t{topic_bytes} + kAppendFixedBytes) return std::nullopt;
  AppendPrefix prefix;
  AppendMessage& message = prefix.message;
  message.topic = in.text(topic_bytes);
  const std::uint8_t codec = in.u8();
  const std::uint8_t flags = in.u8();
  const std::uint16_t reserved = in.u16();
  message.count = in.u32();
  message.uncompressed_length = in.u32();
  const std::uint64_t hash = in.u64();
  message.producer_id = ProducerId(in.u64());
  message.producer_epoch = in.u32();
  message.producer_sequence = in.u64();
  prefix.body_length = in.u32();
  prefix.prefix_bytes = payload_start.size() - in.remaining();
  if (codec > static_cast<std::uint8_t>(Codec::kZstd) || (flags & ~kAppendHasHash) != 0 || reserved != 0) {
    return malformed("APPEND");
  }
  message.codec = static_cast<Codec>(codec);
  if ((flags & kAppendHasHash) != 0) message.body_hash = hash;
  return prefix;
}

Expected<AppendMessage> decode_append(Bytes payload) {
  KAPPA_TRY(auto prefix, decode_append_prefix(payload));
  if (!prefix || payload.size() - prefix->prefix_bytes != prefix->body_length) return malformed("APPEND");
  prefix->message.body = as_text(payload.subspan(prefix->prefix_bytes));
  return prefix->message;
}

void encode(const AppendOkMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kAppendOk, request_id);
  ByteWriter& to = frame.payload();
  to.u64(message.base_offset.value());
  to.u32(message.count);
  to.u8(static_cast<std::uint8_t>((message.duplicate ? kAckDuplicate : 0) |
                                  (message.offsets_known ? kAckOffsetsKnown : 0)));
  to.u8(message.durability);
  frame.finish();
}

Expected<AppendOkMessage> decode_append_ok(Bytes payload) {
  ByteReader in(payload);
  AppendOkMessage message;
  message.base_offset = Offset(in.u64());
  message.count = in.u32();
  const std::uint8_t flags = in.u8();
  message.duplicate = (flags & kAckDuplicate) != 0;
  message.offsets_known = (flags & kAckOffsetsKnown) != 0;
  message.durability = in.u8();
  if (!in.done()) return malformed("APPEND_OK");
  return message;
}

void encode(const ProducerMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kProducer, request_id);
  frame.payload().sized_text(message.topic);
  frame.payload().u64(message.producer_id.value());
  frame.finish();
}

Expected<ProducerMessage> decode_producer(Bytes payload) {
  ByteReader in(payload);
  ProducerMessage message;
  message.topic = in.sized_text();
  message.producer_id = ProducerId(in.u64());
  if (!in.done()) return malformed("PRODUCER");
  return message;
}

void encode(const ProducerOkMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kProducerOk, request_id);
  frame.payload().u32(message.epoch);
  frame.payload().u64(message.next_sequence);
  frame.payload().u64(message.end_offset.value());
  frame.finish();
}

Expected<ProducerOkMessage> decode_producer_ok(Bytes payload) {
  ByteReader in(payload);
  ProducerOkMessage message;
  message.epoch = in.u32();
  message.next_sequence = in.u64();
  message.end_offset = Offset(in.u64());
  if (!in.done()) return malformed("PRODUCER_OK");
  return message;
}

void encode(const ReadMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kRead, request_id);
  ByteWriter& to = frame.payload();
  to.sized_text(message.topic);
  to.u8(static_cast<std::uint8_t>(message.from));
  to.i64(message.value);
  to.u64(message.events_max);
  to.u32(message.bytes_max);
  to.u32(message.wait_ms);
  frame.finish();
}

Expected<ReadMessage> decode_read(Bytes payload) {
  ByteReader in(payload);
  ReadMessage message;
  message.topic = in.sized_text();
  const std::uint8_t from = in.u8();
  message.value = in.i64();
  message.events_max = in.u64();
  message.bytes_max = in.u32();
  message.wait_ms = in.u32();
  if (!in.done() || from > static_cast<std::uint8_t>(ReadFromKind::kStart)) return malformed("READ");
  message.from = static_cast<ReadFromKind>(from);
  return message;
}

void encode(const ReadOkMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kReadOk, request_id);
  ByteWriter& to = frame.payload();
  to.u64(message.first.value());
  to.u64(message.next.value());
  to.u64(message.durable_end.value());
  to.u32(static_cast<std::uint32_t>(message.batches.size()));
  for (const ReadBatch& batch : message.batches) {
    to.u64(batch.base_offset.value());
    to.u64(batch.base_sequence.value());
    to.i64(batch.append_time.value());
    to.u32(batch.count);
    to.sized_text(batch.body);
  }
  frame.finish();
}

Expected<ReadOkMessage> decode_read_ok(Bytes payload) {
  ByteReader in(payload);
  ReadOkMessage message;
  message.first = Offset(in.u64());
  message.next = Offset(in.u64());
  message.durable_end = Offset(in.u64());
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    ReadBatch batch;
    batch.base_offset = Offset(in.u64());
    batch.base_sequence = TopicSequence(in.u64());
    batch.append_time = Timestamp(in.i64());
    batch.count = in.u32();
    batch.body = in.sized_text();
    message.batches.push_back(batch);
  }
  if (!in.done()) return malformed("READ_OK");
  return message;
}

void encode(const SqlMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kSql, request_id);
  put(frame.payload(), message.freshness);
  frame.payload().sized_text(message.text);
  frame.finish();
}

Expected<SqlMessage> decode_sql(Bytes payload) {
  ByteReader in(payload);
  SqlMessage message;
  message.freshness = take_freshness(in);
  message.text = in.sized_text();
  if (!in.done()) return malformed("SQL");
  return message;
}

void encode(const GetMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kGet, request_id);
  put(frame.payload(), message.freshness);
  frame.payload().sized_text(message.view);
  encode_row(message.key, out);
  frame.finish();
}

Expected<GetMessage> decode_get(Bytes payload) {
  ByteReader in(payload);
  GetMessage message;
  message.freshness = take_freshness(in);
  message.view = in.sized_text();
  auto key = take_row(in);
  if (!key || !in.done()) return malformed("GET");
  message.key = std::move(*key);
  return message;
}

void encode(const ScanMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kScan, request_id);
  put(frame.payload(), message.freshness);
  frame.payload().sized_text(message.view);
  frame.payload().u64(message.limit);
  encode_row(message.prefix, out);
  encode_row(message.from, out);
  encode_row(message.to, out);
  frame.finish();
}

Expected<ScanMessage> decode_scan(Bytes payload) {
  ByteReader in(payload);
  ScanMessage message;
  message.freshness = take_freshness(in);
  message.view = in.sized_text();
  message.limit = in.u64();
  auto prefix = take_row(in);
  auto from = take_row(in);
  auto to = take_row(in);
  if (!prefix || !from || !to || !in.done()) return malformed("SCAN");
  message.prefix = std::move(*prefix);
  message.from = std::move(*from);
  message.to = std::move(*to);
  return message;
}

void encode(const ColumnsMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kColumns, request_id, kFrameMore);
  put(frame.payload(), message.columns);
  frame.finish();
}

Expected<ColumnsMessage> decode_columns(Bytes payload) {
  ByteReader in(payload);
  ColumnsMessage message{take_columns(in)};
  if (!in.done()) return malformed("COLUMNS");
  return message;
}

void encode_rows(std::uint32_t count, std::string_view encoded, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kRows, request_id, kFrameMore);
  frame.payload().u32(count);
  frame.payload().text(encoded);
  frame.finish();
}

Expected<RowsMessage> decode_rows(Bytes payload) {
  ByteReader in(payload);
  RowsMessage message;
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    if (auto row = take_row(in)) message.rows.push_back(std::move(*row));
  }
  if (!in.done()) return malformed("ROWS");
  return message;
}

void encode(const EndMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kEnd, request_id);
  ByteWriter& to = frame.payload();
  to.u8(message.applied ? kEndHasApplied : 0);
  to.u64(message.applied ? message.applied->value() : 0);
  to.u64(message.row_count);
  to.sized_text(message.tag);
  to.sized_text(message.notice);
  frame.finish();
}

Expected<EndMessage> decode_end(Bytes payload) {
  ByteReader in(payload);
  EndMessage message;
  const std::uint8_t flags = in.u8();
  const Offset applied(in.u64());
  if ((flags & kEndHasApplied) != 0) message.applied = applied;
  message.row_count = in.u64();
  message.tag = in.sized_text();
  message.notice = in.sized_text();
  if (!in.done()) return malformed("END");
  return message;
}

void encode(const RowMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kRow, request_id);
  frame.payload().u8(message.row ? kRowFound : 0);
  frame.payload().u64(message.applied.value());
  put(frame.payload(), message.columns);
  if (message.row) encode_row(*message.row, out);
  frame.finish();
}

Expected<RowMessage> decode_row_message(Bytes payload) {
  ByteReader in(payload);
  RowMessage message;
  const std::uint8_t flags = in.u8();
  message.applied = Offset(in.u64());
  message.columns = take_columns(in);
  if ((flags & kRowFound) != 0) message.row = take_row(in);
  if (!in.done()) return malformed("ROW");
  return message;
}

void encode_status_ok(std::string_view json, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kStatusOk, request_id);
  frame.payload().sized_text(json);
  frame.finish();
}

Expected<std::string_view> decode_status_ok(Bytes payload) {
  ByteReader in(payload);
  const std::string_view json = in.sized_text();
  if (!in.done()) return malformed("STATUS_OK");
  return json;
}

}  // namespace kappa
