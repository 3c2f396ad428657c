// The record batch: the unit that clients send, the log stores and subscribers receive. Its body
// has the same bytes in all three places. docs/log-format.md is normative.
//
// Header, 160 bytes, little-endian:
//
//   0 magic u32 "KBAT"    4 header_length u16    6 version u16     8 attributes u32 (bits 0..3 kind,
//                                                                  4..7 codec, 8 all timestamps
//                                                                  explicit, the rest zero)
//  12 body_length u32    16 uncompressed_length u32               20 count u32
//  24 base_offset u64    32 base_sequence u64 (of the topic)      40 log_position u64
//  48 durable_upto u64   56 writer_epoch u32                      60 topic_id u32
//  64 previous_header_hash u64                                    72 append_time i64
//  80 min_timestamp i64  88 max_timestamp i64                     96 producer_id u64
// 104 producer_epoch u32 108 reserved u32 (zero)                 112 producer_sequence u64
// 120 body_hash u64      128 resume_hash u64 (kGap, else zero)   136 reserved 16 bytes (zero)
// 152 header_hash u64
//
// header_hash = XXH3_64(bytes 0..151, seed = log id's low 64 bits) and is verified before any length
// is believed. body_hash = XXH3_64(body as stored). On disk a batch starts at a multiple of 8 bytes.
//
// Body: `count` records (zstd-compressed as a whole when the codec says so), each
//   varint length of the rest | u8 flags | [zigzag varint timestamp delta, if kRecordHasTimestamp:
//   microseconds after the previous explicit timestamp of this batch, the first after 0]
//   | [varint key length, key, if kRecordHasKey] | [varint header count, then per header varint
//   name length, name, varint value length, value, if kRecordHasHeaders] | value (what is left).
// A record without a timestamp has the batch's append time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa {

inline constexpr std::uint32_t kBatchMagic = 0x5441424b;  // "KBAT"
inline constexpr std::uint16_t kBatchVersion = 1;
inline constexpr std::size_t kBatchHeaderBytes = 160;
inline constexpr std::size_t kBatchAlignment = 8;

enum class Codec : std::uint8_t { kNone = 0, kZstd = 1 };

// What a batch holds. kEvents, kCatalog and kGap consume offsets; a gap has no records.
enum class BatchKind : std::uint8_t {
  kEvents = 0,    // Events of a user topic.
  kCatalog = 1,   // Keyed records of the system topic (see Log::append_system).
  kTopic = 2,     // Control: a topic's id and name, before its first batch.
  kSnapshot = 3,  // Control: first in a segment; topic ids, live catalog records, producer table.
  kGap = 4,       // `count` offsets given up by a repair (perhaps none); the body is filler.
};

struct BatchHeader {
  BatchKind kind = BatchKind::kEvents;
  Codec codec = Codec::kNone;
  bool all_timestamps_explicit = false;
  std::uint32_t body_length = 0;          // Bytes as stored.
  std::uint32_t uncompressed_length = 0;  // Equal to body_length without a codec.
  std::uint32_t count = 0;
  Offset base_offset;
  TopicSequence base_sequence;
  LogPosition log_position;
  LogPosition durable_upto;
  WriterEpoch writer_epoch;
  TopicId topic_id;
  std::uint64_t previous_header_hash = 0;
  Timestamp append_time;
  Timestamp min_timestamp;
  Timestamp max_timestamp;
  ProducerId producer_id;
  std::uint32_t producer_epoch = 0;
  std::uint64_t producer_sequence = 0;  // Of the first event of the batch.
  std::uint64_t body_hash = 0;
  // kGap only: what the batch behind it has as previous_header_hash, because the batch that it followed
  // is lost. 0: it follows the gap itself.
  std::uint64_t resume_hash = 0;

  // True if the batch's records have offsets.
  [[nodiscard]] bool has_offsets() const { return kind == BatchKind::kEvents || kind == BatchKind::kCatalog; }
  // True if the batch covers offsets, with records or as a gap.
  [[nodiscard]] bool covers_offsets() const { return has_offsets() || kind == BatchKind::kGap; }
  // Offset after the batch.
  [[nodiscard]] Offset end_offset() const { return covers_offsets() ? base_offset + count : base_offset; }
  // Header and body, padded to kBatchAlignment.
  [[nodiscard]] std::size_t stored_bytes() const {
    return (kBatchHeaderBytes + body_length + kBatchAlignment - 1) & ~(kBatchAlignment - 1);
  }
  bool operator==(const BatchHeader&) const = default;
};

// Writes exactly kBatchHeaderBytes to `out`; returns the header hash (the next batch's
// previous_header_hash).
std::uint64_t encode_batch_header(const BatchHeader& header, std::uint64_t seed, std::byte* out);

// Verifies magic, header length, hash, version, reserved bytes and the bounds of every length, in
// that order. Errors: kCorrupt (3101 magic, 3102 hash, 3104 bounds), kUnsupported (3103 version).
[[nodiscard]] Expected<BatchHeader> decode_batch_header(Bytes bytes, std::uint64_t seed);
// The stored hash field of an already verified header.
[[nodiscard]] std::uint64_t stored_header_hash(Bytes header_bytes);

[[nodiscard]] std::uint64_t hash_body(Bytes body);
[[nodiscard]] std::uint64_t hash_bytes(Bytes bytes, std::uint64_t seed);

// Flags of a record; every other bit is zero.
inline constexpr std::uint8_t kRecordHasTimestamp = 1;
inline constexpr std::uint8_t kRecordHasKey = 2;
inline constexpr std::uint8_t kRecordHasHeaders = 4;

// One event of a batch. Views point into the body.
struct RecordView {
  std::optional<std::string_view> key;
  std::string_view value;
  std::optional<Timestamp> timestamp;  // nullopt: the batch's append time.
  std::string_view headers;            // Encoded; see decode_headers.
};

struct RecordHeader {
  std::string_view name;
  std::string_view value;
};
[[nodiscard]] Expected<std::vector<RecordHeader>> decode_headers(std::string_view encoded);

// Walks the records of an uncompressed body. next() gives nullopt at the clean end and kCorrupt
// (3105) for a length past the end or over the limits. Not thread-safe; views live as long as the body.
class RecordReader {
 public:
  RecordReader(Bytes body, std::uint32_t count) : in_(body), left_(count) {}
  [[nodiscard]] Expected<std::optional<RecordView>> next();

 private:
  ByteReader in_;
  std::uint32_t left_;
  std::int64_t previous_timestamp_ = 0;
};

// Checks every record of a body against the format and the limits, exactly `count` of them and
// nothing after; what a server does once with each batch it accepts.
struct BodySummary {
  bool all_timestamps_explicit = true;
  Timestamp min_timestamp;  // Over explicit timestamps; both zero if none.
  Timestamp max_timestamp;
};
[[nodiscard]] Expected<BodySummary> validate_body(Bytes body, std::uint32_t count);

// Collects events into a body. add() fails with kTooLarge (1007) for an event over the limits and
// leaves the batch unchanged.
class BatchBuilder {
 public:
  struct Event {
    std::string_view value;
    std::optional<std::string_view> key;
    std::optional<Timestamp> timestamp;
    std::span<const RecordHeader> headers;
  };
  [[nodiscard]] Status add(const Event& event);
  // Room for `bytes` of body, so that a batch of known size is built without growing.
  void reserve(std::size_t bytes) { body_.reserve(bytes); }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return body_.size(); }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] const std::string& body() const { return body_; }
  // Gives the body away and starts anew.
  [[nodiscard]] std::string take() {
    count_ = 0;
    previous_timestamp_ = 0;
    return std::exchange(body_, {});
  }

 private:
  std::string body_;
  std::uint32_t count_ = 0;
  std::int64_t previous_timestamp_ = 0;
};

// zstd level 1 / bounded decompression (kCorrupt 3106 when the result is not exactly `uncompressed`).
[[nodiscard]] std::string compress_body(std::string_view body);
[[nodiscard]] Expected<std::string> decompress_body(Bytes stored, std::size_t uncompressed);

}  // namespace kappa
