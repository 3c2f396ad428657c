// The messages: what a frame's payload holds, one struct each. docs/protocol.md is normative.
//
// encode() appends a whole frame to `out`. decode_...() reads a payload, whose checksum was verified,
// and fails with kInvalid 1006 for a length past the end, an unknown enum value or trailing bytes;
// the views of a decoded message point into the payload. Strings are u32 length and bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/frame.h"
#include "proto/ids.h"
#include "proto/value.h"

namespace kappa {

inline constexpr std::uint16_t kProtocolVersionMin = 1;
inline constexpr std::uint16_t kProtocolVersionMax = 1;
inline constexpr std::string_view kHelloMagic{"KAPPA\0\0\0", 8};

// Feature bits: each side offers, the server answers with what both have.
inline constexpr std::uint32_t kFeatureZstd = 1;      // Batch bodies may be zstd-compressed.
inline constexpr std::uint32_t kFeatureBodyHash = 2;  // The client computes XXH3 of batch bodies.

struct HelloMessage {
  std::uint16_t version_min = kProtocolVersionMin;
  std::uint16_t version_max = kProtocolVersionMax;
  std::uint32_t features = 0;
  std::string_view client_name;
  std::string_view token{};  // Left out of the frame when empty.
};

struct HelloOkMessage {
  std::uint16_t version = kProtocolVersionMax;
  std::uint32_t features = 0;
  std::string_view server_version;
  std::string_view log_id;       // 32 hex digits.
  std::uint8_t durability = 0;   // log::Durability.
  std::uint32_t frame_bytes_max = 0;
  std::uint32_t batch_bytes_max = 0;
  std::uint32_t batch_events_max = 0;
  std::uint32_t event_bytes_max = 0;
  std::uint32_t requests_in_flight_max = 0;
};

// Append of one batch. `body` stays where it is: encode_append() leaves it out of `out`, to be sent
// right after; a decoded message's body points into the payload.
struct AppendMessage {
  std::string_view topic;
  Codec codec = Codec::kNone;
  std::uint32_t count = 0;
  std::uint32_t uncompressed_length = 0;
  std::optional<std::uint64_t> body_hash;
  ProducerId producer_id;
  std::uint32_t producer_epoch = 0;
  std::uint64_t producer_sequence = 0;
  std::string_view body;
};
// Fixed part of an APPEND payload after the topic's bytes.
inline constexpr std::size_t kAppendFixedBytes = 1 + 1 + 2 + 4 + 4 + 8 + 8 + 4 + 8 + 4;

struct AppendOkMessage {
  Offset base_offset;
  std::uint32_t count = 0;
  bool duplicate = false;
  bool offsets_known = true;
  std::uint8_t durability = 0;
};

struct ProducerMessage {
  std::string_view topic;
  ProducerId producer_id;
};
struct ProducerOkMessage {
  std::uint32_t epoch = 0;
  std::uint64_t next_sequence = 0;
  Offset end_offset;
};

enum class ReadFromKind : std::uint8_t { kOffset = 0, kEnd = 1, kLast = 2, kTime = 3, kStart = 4 };
struct ReadMessage {
  std::string_view topic;
  ReadFromKind from = ReadFromKind::kOffset;
  std::int64_t value = 0;        // Offset, count of last events, or microseconds; 0 for kEnd.
  std::uint64_t events_max = 0;  // 0: no bound but bytes.
  std::uint32_t bytes_max = 0;   // Of bodies; at least one batch comes whatever it says.
  std::uint32_t wait_ms = 0;     // At the end: wait this long for more.
};

struct ReadBatch {
  Offset base_offset;
  TopicSequence base_sequence;
  Timestamp append_time;
  std::uint32_t count = 0;
  std::string_view body;  // Uncompressed records.
};
struct ReadOkMessage {
  Offset first;        // Events below it are not asked for, though a batch may begin before it.
  Offset next;         // Continue from here.
  Offset durable_end;
  std::vector<ReadBatch> batches;
};

// What a read of views waits for. Part of SQL, GET and SCAN.
struct FreshnessMessage {
  std::optional<Offset> at_least;
  bool fresh = false;
  std::uint32_t timeout_ms = 10'000;
};

struct SqlMessage {
  FreshnessMessage freshness;
  std::string_view text;
};
struct GetMessage {
  FreshnessMessage freshness;
  std::string_view view;
  Row key;
};
struct ScanMessage {
  FreshnessMessage freshness;
  std::string_view view;
  Row prefix, from, to;
  std::uint64_t limit = UINT64_MAX;
};

struct ColumnMessage {
  std::string name;
  Type type;
};
struct ColumnsMessage {
  std::vector<ColumnMessage> columns;
};
struct RowsMessage {
  std::vector<Row> rows;
};
struct EndMessage {
  std::string_view tag;
  std::uint64_t row_count = 0;
  std::optional<Offset> applied;
  std::string_view notice;
};
struct RowMessage {
  Offset applied;
  std::vector<ColumnMessage> columns;
  std::optional<Row> row;
};

struct CancelMessage {
  std::uint64_t request_id = 0;  // Of the request to cancel.
};

void encode(const HelloMessage& message, std::uint64_t request_id, std::string& out);
void encode(const HelloOkMessage& message, std::uint64_t request_id, std::string& out);
void encode(const Error& error, std::uint64_t request_id, std::string& out);
// PING, PONG, STATUS: nothing but the header.
void encode_empty(FrameType type, std::uint64_t request_id, std::string& out);
void encode(const CancelMessage& message, std::string& out);
void encode_append(const AppendMessage& message, std::uint64_t request_id, std::string& out);
void encode(const AppendOkMessage& message, std::uint64_t request_id, std::string& out);
void encode(const ProducerMessage& message, std::uint64_t request_id, std::string& out);
void encode(const ProducerOkMessage& message, std::uint64_t request_id, std::string& out);
void encode(const ReadMessage& message, std::uint64_t request_id, std::string& out);
void encode(const ReadOkMessage& message, std::uint64_t request_id, std::string& out);
void encode(const SqlMessage& message, std::uint64_t request_id, std::string& out);
void encode(const GetMessage& message, std::uint64_t request_id, std::string& out);
void encode(const ScanMessage& message, std::uint64_t request_id, std::string& out);
void encode(const ColumnsMessage& message, std::uint64_t request_id, std::string& out);
// A ROWS frame from already encoded rows.
void encode_rows(std::uint32_t count, std::string_view encoded, std::uint64_t request_id, std::string& out);
void encode(const EndMessage& message, std::uint64_t request_id, std::string& out);
void encode(const RowMessage& message, std::uint64_t request_id, std::string& out);
void encode_status_ok(std::string_view json, std::uint64_t request_id, std::string& out);

// 1000 when the magic is missing (not a Kappa client).
[[nodiscard]] Expected<HelloMessage> decode_hello(Bytes payload);
[[nodiscard]] Expected<HelloOkMessage> decode_hello_ok(Bytes payload);
// The error that the peer reports; or why its report cannot be read.
[[nodiscard]] Error decode_error(Bytes payload);
[[nodiscard]] Expected<CancelMessage> decode_cancel(Bytes payload);
[[nodiscard]] Status decode_empty(Bytes payload);
[[nodiscard]] Expected<AppendMessage> decode_append(Bytes payload);
// Reads everything but the body from the start of an APPEND payload, which may not be complete yet:
// nullopt when more bytes are needed. `body_length` is what the payload says; the caller compares.
struct AppendPrefix {
  AppendMessage message;
  std::size_t prefix_bytes = 0;
  std::uint32_t body_length = 0;
};
[[nodiscard]] Expected<std::optional<AppendPrefix>> decode_append_prefix(Bytes payload_start);
[[nodiscard]] Expected<AppendOkMessage> decode_append_ok(Bytes payload);
[[nodiscard]] Expected<ProducerMessage> decode_producer(Bytes payload);
[[nodiscard]] Expected<ProducerOkMessage> decode_producer_ok(Bytes payload);
[[nodiscard]] Expected<ReadMessage> decode_read(Bytes payload);
[[nodiscard]] Expected<ReadOkMessage> decode_read_ok(Bytes payload);
[[nodiscard]] Expected<SqlMessage> decode_sql(Bytes payload);
[[nodiscard]] Expected<GetMessage> decode_get(Bytes payload);
[[nodiscard]] Expected<ScanMessage> decode_scan(Bytes payload);
[[nodiscard]] Expected<ColumnsMessage> decode_columns(Bytes payload);
[[nodiscard]] Expected<RowsMessage> decode_rows(Bytes payload);
[[nodiscard]] Expected<EndMessage> decode_end(Bytes payload);
[[nodiscard]] Expected<RowMessage> decode_row_message(Bytes payload);
[[nodiscard]] Expected<std::string_view> decode_status_ok(Bytes payload);

}  // namespace kappa
