// See read_messages.h.
#include "proto/read_messages.h"

#include "proto/message_parts.h"

namespace kappa {
namespace {

constexpr std::uint8_t kHasAtLeast = 1;
constexpr std::uint8_t kFresh = 2;
constexpr std::uint8_t kRowFound = 1;

}  // namespace

std::unexpected<Error> malformed_message(const char* name) {
  return fail(ErrorCode::kInvalid, 1006, std::string("malformed ") + name + " message",
              "a length inside it passes its end, a field has an unknown value, or bytes follow it");
}

void encode_columns(const std::vector<ColumnMessage>& columns, std::string& out) {
  ByteWriter to(out);
  put(to, columns);
}

void encode(const OpenViewMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kOpenView, request_id);
  frame.payload().sized_text(message.view);
  frame.finish();
}

Expected<OpenViewMessage> decode_open_view(Bytes payload) {
  ByteReader in(payload);
  OpenViewMessage message{in.sized_text()};
  if (!in.done()) return malformed_message("OPEN_VIEW");
  return message;
}

void encode(const ViewOpenedMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kViewOpened, request_id);
  frame.payload().u32(message.handle);
  put(frame.payload(), message.columns);
  put(frame.payload(), message.key);
  frame.finish();
}

Expected<ViewOpenedMessage> decode_view_opened(Bytes payload) {
  ByteReader in(payload);
  ViewOpenedMessage message;
  message.handle = in.u32();
  message.columns = take_columns(in);
  message.key = take_columns(in);
  if (!in.done()) return malformed_message("VIEW_OPENED");
  return message;
}

void encode(const LookupMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kLookup, request_id);
  ByteWriter& to = frame.payload();
  const FreshnessMessage& wanted = message.freshness;
  to.u32(message.handle);
  to.u8(static_cast<std::uint8_t>((wanted.at_least ? kHasAtLeast : 0) | (wanted.fresh ? kFresh : 0)));
  if (wanted.at_least || wanted.fresh) {
    to.u64(wanted.at_least ? wanted.at_least->value() : 0);
    to.u32(wanted.timeout_ms);
  }
  to.text(as_text(message.key));
  frame.finish();
}

Expected<LookupMessage> decode_lookup(Bytes payload) {
  ByteReader in(payload);
  LookupMessage message;
  message.handle = in.u32();
  const std::uint8_t flags = in.u8();
  if ((flags & ~(kHasAtLeast | kFresh)) != 0) in.give_up();
  if (flags != 0) {
    const std::uint64_t at_least = in.u64();
    message.freshness.timeout_ms = in.u32();
    if ((flags & kHasAtLeast) != 0) message.freshness.at_least = Offset(at_least);
    message.freshness.fresh = (flags & kFresh) != 0;
  }
  message.key = in.bytes(in.remaining());
  if (!in.done()) return malformed_message("LOOKUP");
  return message;
}

void encode_found(Offset applied, std::optional<std::string_view> row, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kFound, request_id);
  ByteWriter& to = frame.payload();
  to.u8(row ? kRowFound : 0);
  to.u64(applied.value());
  if (row) to.text(*row);
  frame.finish();
}

Expected<FoundMessage> decode_found(Bytes payload) {
  ByteReader in(payload);
  FoundMessage message;
  const std::uint8_t flags = in.u8();
  message.applied = Offset(in.u64());
  if ((flags & ~kRowFound) != 0) in.give_up();
  if ((flags & kRowFound) != 0) message.row = take_row(in);
  if (!in.done()) return malformed_message("FOUND");
  return message;
}

void encode(const GetManyMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kGetMany, request_id);
  put(frame.payload(), message.freshness);
  frame.payload().sized_text(message.view);
  frame.payload().u32(message.count);
  frame.payload().text(as_text(message.keys));
  frame.finish();
}

Expected<GetManyMessage> decode_get_many(Bytes payload) {
  ByteReader in(payload);
  GetManyMessage message;
  message.freshness = take_freshness(in);
  message.view = in.sized_text();
  message.count = in.u32();
  message.keys = in.bytes(in.remaining());
  if (!in.done()) return malformed_message("GET_MANY");
  return message;
}

void encode_rows_found(Offset applied, std::string_view columns, std::uint32_t count, std::string_view rows,
                       std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kRowsFound, request_id);
  ByteWriter& to = frame.payload();
  to.u64(applied.value());
  to.text(columns);
  to.u32(count);
  to.text(rows);
  frame.finish();
}

Expected<RowsFoundMessage> decode_rows_found(Bytes payload) {
  ByteReader in(payload);
  RowsFoundMessage message;
  message.applied = Offset(in.u64());
  message.columns = take_columns(in);
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const std::uint8_t found = in.u8();
    if (found > 1) in.give_up();
    message.rows.push_back(found == 1 ? take_row(in) : std::nullopt);
  }
  if (!in.done()) return malformed_message("ROWS_FOUND");
  return message;
}

void encode_row_answer(Offset applied, std::string_view columns, std::optional<std::string_view> row,
                       std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kRow, request_id);
  ByteWriter& to = frame.payload();
  to.u8(row ? kRowFound : 0);
  to.u64(applied.value());
  to.text(columns);
  if (row) to.text(*row);
  frame.finish();
}

Expected<GetParts> split_get(Bytes payload) {
  ByteReader in(payload);
  GetParts parts;
  parts.freshness = take_freshness(in);
  parts.view = in.sized_text();
  parts.key = in.bytes(in.remaining());
  if (!in.done()) return malformed_message("GET");
  return parts;
}

}  // namespace kappa
