// Frames and messages from the network. Promises: any bytes are decoded or refused; what decodes is
// the same after encoding and decoding again; an APPEND that comes in pieces is never refused early.
//
// Input: a byte that chooses, then either a stream of frames as a socket gives it, or a message type and
// its payload, which is put in a frame of its own so that the checksum is no obstacle.
#include "proto/frame.h"
#include "proto/messages.h"
#include "proto/read_messages.h"
#include "proto/subscriber_messages.h"
#include "proto/watch_messages.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 4096;
constexpr std::uint64_t kRequest = 7;

struct Frame {
  FrameHeader header;
  Bytes payload;
};

// The frame that begins at the front of `bytes`; nullopt if there is none.
std::optional<Frame> frame_of(Bytes bytes) {
  if (bytes.size() < kFrameHeaderBytes) return std::nullopt;
  if (!check_frame_length(bytes.first(4), limits::kFrameBytesMax)) return std::nullopt;
  Frame frame{parse_frame_header(bytes), {}};
  if (frame.header.frame_bytes() > bytes.size()) return std::nullopt;
  frame.payload = bytes.subspan(kFrameHeaderBytes, frame.header.payload_bytes());
  if (!check_frame(frame.header, bytes.first(kFrameHeaderBytes), frame.payload)) return std::nullopt;
  return frame;
}

// What we encode is one whole frame of its type.
Bytes payload_of(const std::string& encoded, FrameType type) {
  const std::optional<Frame> frame = frame_of(as_bytes(encoded));
  KAPPA_CHECK(frame.has_value(), "an encoded frame is not a frame");
  KAPPA_CHECK(frame->header.type == type, "an encoded frame has another type");
  KAPPA_CHECK(frame->header.frame_bytes() == encoded.size(), "an encoded frame has another length");
  return frame->payload;
}

// decode -> encode -> decode -> encode: the two encodings are the same bytes.
template <class Decode, class Encode>
void round_trip(Bytes payload, FrameType type, Decode decode, Encode encode_message) {
  const auto first = decode(payload);
  if (!first) return;
  std::string once;
  encode_message(*first, once);
  const auto second = decode(payload_of(once, type));
  KAPPA_CHECK(second.has_value(), "what was encoded does not decode");
  std::string twice;
  encode_message(*second, twice);
  KAPPA_CHECK(once == twice, "a message changes between encoding and decoding");
}

template <class Decode>
void round_trip(Bytes payload, FrameType type, Decode decode) {
  round_trip(payload, type, decode,
             [](const auto& message, std::string& out) { encode(message, kRequest, out); });
}

void append_in_pieces(Bytes payload) {
  const bool whole = decode_append(payload).has_value();
  for (std::size_t size = 0; size < std::min<std::size_t>(payload.size(), 96); ++size) {
    const auto prefix = decode_append_prefix(payload.first(size));
    KAPPA_CHECK(prefix || !whole, "the start of a good APPEND is refused");
    KAPPA_CHECK(!prefix || !*prefix || (*prefix)->prefix_bytes <= size, "a prefix ends after its bytes");
  }
}

void show(const RowsMessage& message) {
  std::string json;
  for (const Row& row : message.rows)
    for (const Value& value : row) {
      static_cast<void>(display(value));
      append_json(value, json);
    }
}

void message(FrameType type, Bytes payload) {
  switch (type) {
    case FrameType::kHello: return round_trip(payload, type, decode_hello);
    case FrameType::kHelloOk: return round_trip(payload, type, decode_hello_ok);
    case FrameType::kError:
      return round_trip(payload, type, [](Bytes bytes) { return std::optional<Error>(decode_error(bytes)); });
    case FrameType::kPing:
    case FrameType::kPong:
    case FrameType::kStatus:
      KAPPA_CHECK(decode_empty(payload).has_value() == payload.empty(), "empty means without bytes");
      return;
    case FrameType::kCancel:
      return round_trip(payload, type, decode_cancel,
                        [](const CancelMessage& m, std::string& out) { encode(m, out); });
    case FrameType::kAppend:
      append_in_pieces(payload);
      return round_trip(payload, type, decode_append, [](const AppendMessage& m, std::string& out) {
        encode_append(m, kRequest, out);
        out.append(m.body);
      });
    case FrameType::kAppendOk: return round_trip(payload, type, decode_append_ok);
    case FrameType::kProducer: return round_trip(payload, type, decode_producer);
    case FrameType::kProducerOk: return round_trip(payload, type, decode_producer_ok);
    case FrameType::kRead: return round_trip(payload, type, decode_read);
    case FrameType::kReadOk: return round_trip(payload, type, decode_read_ok);
    case FrameType::kSql: return round_trip(payload, type, decode_sql);
    case FrameType::kColumns: return round_trip(payload, type, decode_columns);
    case FrameType::kRows:
      if (const auto rows = decode_rows(payload)) show(*rows);
      return round_trip(payload, type, decode_rows, [](const RowsMessage& m, std::string& out) {
        std::string rows;
        for (const Row& row : m.rows) encode_row(row, rows);
        encode_rows(static_cast<std::uint32_t>(m.rows.size()), rows, kRequest, out);
      });
    case FrameType::kEnd: return round_trip(payload, type, decode_end);
    case FrameType::kGet: return round_trip(payload, type, decode_get);
    case FrameType::kRow: return round_trip(payload, type, decode_row_message);
    case FrameType::kScan: return round_trip(payload, type, decode_scan);
    case FrameType::kWatch: return round_trip(payload, type, decode_watch);
    case FrameType::kCredit:
      return round_trip(payload, type, decode_credit,
                        [](const CreditMessage& m, std::string& out) { encode(m, out); });
    case FrameType::kStep: return round_trip(payload, type, decode_step);
    case FrameType::kChanges: static_cast<void>(decode_changes(payload)); return;
    case FrameType::kMark: return round_trip(payload, type, decode_mark);
    case FrameType::kSubscriber: return round_trip(payload, type, decode_subscriber);
    case FrameType::kSubscriberOk: return round_trip(payload, type, decode_subscriber_ok);
    case FrameType::kOpenView: return round_trip(payload, type, decode_open_view);
    case FrameType::kViewOpened: return round_trip(payload, type, decode_view_opened);
    case FrameType::kLookup: return round_trip(payload, type, decode_lookup);
    case FrameType::kGetMany: return round_trip(payload, type, decode_get_many);
    case FrameType::kFound:
      return round_trip(payload, type, decode_found, [](const FoundMessage& m, std::string& out) {
        std::string row;
        if (m.row) encode_row(*m.row, row);
        encode_found(m.applied, m.row ? std::optional<std::string_view>(row) : std::nullopt, kRequest, out);
      });
    case FrameType::kRowsFound:
      return round_trip(payload, type, decode_rows_found, [](const RowsFoundMessage& m, std::string& out) {
        std::string columns, rows;
        encode_columns(m.columns, columns);
        for (const std::optional<Row>& row : m.rows) {
          rows += row ? '\1' : '\0';
          if (row) encode_row(*row, rows);
        }
        encode_rows_found(m.applied, columns, static_cast<std::uint32_t>(m.rows.size()), rows, kRequest, out);
      });
    case FrameType::kStatusOk:
      return round_trip(payload, type, decode_status_ok, [](std::string_view json, std::string& out) {
        encode_status_ok(json, kRequest, out);
      });
  }
}

}  // namespace

int fuzz_frame(const std::uint8_t* data, std::size_t size) {
  Input in(data, std::min(size, kInputBytesMax));
  if ((in.u8() & 1) == 0) {
    Bytes stream = as_bytes(in.rest());
    while (const std::optional<Frame> frame = frame_of(stream)) {
      message(frame->header.type, frame->payload);
      stream = stream.subspan(frame->header.frame_bytes());
    }
    return 0;
  }
  const auto type = static_cast<FrameType>(in.choice(64));
  const std::string_view payload = in.rest();
  std::string framed;
  FrameBuilder builder(framed, type, kRequest);
  builder.payload().text(payload);
  builder.finish();
  message(type, payload_of(framed, type));
  return 0;
}

}  // namespace kappa::fuzz
