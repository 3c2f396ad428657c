// Layout of every file of the log directory, shared by writer, reader, recovery and verify.
// docs/log-format.md is normative; all integers little-endian, all hashes XXH3_64.
//
// Segment file "<number, 10 digits>-<base offset, 20 digits>.segment":
//   4096-byte header page | batches, each at a multiple of 8 | zeros (active) or footer (sealed)
// A batch at file byte f has the log position base_position + (f - 4096): positions count batches only.
//
// CONTROL: two 4096-byte pages, written alternately; the valid one with the higher generation counts.
// MANIFEST: replaced atomically; lists the sealed segments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/batch.h"

namespace kappa::log {

inline constexpr std::uint64_t kSegmentHeaderBytes = 4096;
inline constexpr std::uint64_t kControlPageBytes = 4096;
inline constexpr std::uint32_t kFormatVersion = 1;
// Readers may touch this many bytes after a body; a footer is at least as large.
inline constexpr std::size_t kReadablePadding = 64;
// A manifest larger than this is not one (16 million segments).
inline constexpr std::size_t kManifestBytesMax = std::size_t{1} << 30;

inline constexpr const char* kLockName = "LOCK";
inline constexpr const char* kManifestName = "MANIFEST";
inline constexpr const char* kControlName = "CONTROL";
inline constexpr const char* kRetentionName = "RETENTION";

// 128 random bits made when the log is created. The low half seeds every header hash, so a batch of
// another log is never taken for one of this.
struct LogId {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const LogId&) const = default;
  [[nodiscard]] std::string text() const;  // 32 hex digits, high half first.
};

struct SegmentHeader {
  LogId log_id;
  std::uint64_t number = 0;  // 1, 2, 3, ... without gaps.
  Offset base_offset;
  LogPosition base_position;
  // Of the last batch of the segment before; 0 in the first.
  std::uint64_t previous_header_hash = 0;
  bool operator==(const SegmentHeader&) const = default;
};
// Exactly kSegmentHeaderBytes.
[[nodiscard]] std::string encode_segment_header(const SegmentHeader& header);
// kCorrupt 3110, kUnsupported 3103.
[[nodiscard]] Expected<SegmentHeader> decode_segment_header(Bytes page);

// What the batch behind this one has as previous_header_hash.
[[nodiscard]] inline std::uint64_t chain_hash_of(const BatchHeader& header, std::uint64_t header_hash) {
  return header.kind == BatchKind::kGap && header.resume_hash != 0 ? header.resume_hash : header_hash;
}

struct TopicCount {
  TopicId topic;
  std::uint64_t first_sequence = 0;
  std::uint64_t events = 0;
  bool operator==(const TopicCount&) const = default;
};

// What a segment holds; grows batch by batch and is written behind the last one when it is sealed.
struct SegmentFooter {
  std::uint64_t number = 0;
  Offset base_offset, end_offset;
  LogPosition base_position, end_position;
  Timestamp first_append_time, last_append_time;
  Timestamp min_timestamp, max_timestamp;  // Over batches with events; equal and zero if none.
  std::uint64_t batches = 0;               // Control batches included.
  std::uint64_t last_header_hash = 0;
  // Running hash: h' = XXH3(h, header hash of the batch), from 0. A header hash covers its body hash.
  std::uint64_t segment_hash = 0;
  std::uint64_t gaps = 0;          // Gap batches: without any, nobody needs to look for them.
  std::vector<TopicCount> topics;  // By topic id.
  bool operator==(const SegmentFooter&) const = default;
};
// Fixed part, one entry a topic, hash; its length is a multiple of 8 and at least kReadablePadding.
[[nodiscard]] std::string encode_footer(const SegmentFooter& footer, std::uint64_t seed);
// From the first byte of the footer; bytes after it are ignored. kCorrupt 3111.
[[nodiscard]] Expected<SegmentFooter> decode_footer(Bytes bytes, std::uint64_t seed);
// The next running segment hash.
[[nodiscard]] std::uint64_t extend_segment_hash(std::uint64_t hash, std::uint64_t header_hash);

struct ControlPage {
  LogId log_id;
  std::uint64_t generation = 0;
  WriterEpoch writer_epoch;
  LogPosition watermark;    // W: every byte below was durable when this was written.
  Offset watermark_offset;  // Next offset at W.
  bool operator==(const ControlPage&) const = default;
};
[[nodiscard]] std::string encode_control_page(const ControlPage& page);
// The valid page with the highest generation of a CONTROL file's bytes; nullopt if none is valid.
[[nodiscard]] std::optional<ControlPage> decode_control(Bytes file);

struct ManifestEntry {
  std::uint64_t number = 0;
  Offset base_offset, end_offset;
  LogPosition base_position, end_position;
  std::uint64_t file_bytes = 0;
  std::uint64_t footer_hash = 0;  // Of the encoded footer.
  bool operator==(const ManifestEntry&) const = default;
};
struct Manifest {
  LogId log_id;
  Offset log_start;
  std::vector<ManifestEntry> sealed;  // By number, without gaps.
  bool operator==(const Manifest&) const = default;
};
[[nodiscard]] std::string encode_manifest(const Manifest& manifest);
// kCorrupt 3112, kUnsupported 3103.
[[nodiscard]] Expected<Manifest> decode_manifest(std::string_view bytes);

[[nodiscard]] std::string segment_name(std::uint64_t number, Offset base_offset);
[[nodiscard]] std::string index_name(std::uint64_t number, Offset base_offset);
struct SegmentName {
  std::uint64_t number = 0;
  Offset base_offset;
};
// nullopt if `name` is not a segment's.
[[nodiscard]] std::optional<SegmentName> parse_segment_name(std::string_view name);

}  // namespace kappa::log
