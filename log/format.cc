// Encoding and checking of the log's own files; the layouts are in log/format.h.
#include "log/format.h"

#include <charconv>
#include <cstdio>

namespace kappa::log {
namespace {

constexpr std::uint64_t kSegmentNumberMax = 9'999'999'999;
constexpr std::uint32_t kSegmentMagic = 0x4745534b;   // "KSEG"
constexpr std::uint32_t kFooterMagic = 0x5254464b;    // "KFTR"
constexpr std::uint32_t kControlMagic = 0x4c54434b;   // "KCTL"
constexpr std::uint32_t kManifestMagic = 0x4e414d4b;  // "KMAN"
// Salts keep a structure of one kind from passing for another.
constexpr std::uint64_t kSegmentSeed = kSegmentMagic, kControlSeed = kControlMagic,
                        kManifestSeed = kManifestMagic;
constexpr std::size_t kFooterFixedBytes = 128;
constexpr std::size_t kFooterTopicBytes = 24;
static_assert(kFooterFixedBytes >= kReadablePadding);

void append_hash(std::string& out, std::uint64_t seed) {
  const std::uint64_t hash = hash_bytes(as_bytes(out), seed);
  ByteWriter(out).u64(hash);
}
// True if the last 8 bytes are the hash of the ones before.
bool hash_matches(Bytes bytes, std::uint64_t seed) {
  if (bytes.size() < 8) return false;
  ByteReader tail(bytes.last(8));
  return tail.u64() == hash_bytes(bytes.first(bytes.size() - 8), seed);
}

std::unexpected<Error> newer(const char* what) {
  return fail(ErrorCode::kUnsupported, 3103, std::string(what) + " has a newer format", "upgrade kappa");
}

std::string file_name(std::uint64_t number, Offset base_offset, const char* extension) {
  char text[64];
  std::snprintf(text, sizeof text, "%010llu-%020llu.%s", static_cast<unsigned long long>(number),
                static_cast<unsigned long long>(base_offset.value()), extension);
  return text;
}

}  // namespace

std::string LogId::text() const {
  char out[33];
  std::snprintf(out, sizeof out, "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(low));
  return out;
}

std::string encode_segment_header(const SegmentHeader& header) {
  std::string out;
  ByteWriter w(out);
  w.u32(kSegmentMagic);
  w.u32(kFormatVersion);
  w.u64(header.log_id.low);
  w.u64(header.log_id.high);
  w.u64(header.number);
  w.u64(header.base_offset.value());
  w.u64(header.base_position.value());
  w.u64(header.previous_header_hash);
  out.resize(kSegmentHeaderBytes - 8);
  append_hash(out, kSegmentSeed);
  return out;
}

Expected<SegmentHeader> decode_segment_header(Bytes page) {
  if (page.size() < kSegmentHeaderBytes || !hash_matches(page.first(kSegmentHeaderBytes), kSegmentSeed))
    return fail(ErrorCode::kCorrupt, 3110, "segment header page is damaged");
  ByteReader r(page);
  if (r.u32() != kSegmentMagic) return fail(ErrorCode::kCorrupt, 3110, "not a segment file");
  if (r.u32() != kFormatVersion) return newer("segment file");
  SegmentHeader header;
  header.log_id.low = r.u64();
  header.log_id.high = r.u64();
  header.number = r.u64();
  header.base_offset = Offset(r.u64());
  header.base_position = LogPosition(r.u64());
  header.previous_header_hash = r.u64();
  return header;
}

std::string encode_footer(const SegmentFooter& footer, std::uint64_t seed) {
  std::string out;
  ByteWriter w(out);
  w.u32(kFooterMagic);
  w.u32(kFormatVersion);
  w.u64(footer.topics.size());
  w.u64(footer.number);
  w.u64(footer.base_offset.value());
  w.u64(footer.end_offset.value());
  w.u64(footer.base_position.value());
  w.u64(footer.end_position.value());
  w.i64(footer.first_append_time.value());
  w.i64(footer.last_append_time.value());
  w.i64(footer.min_timestamp.value());
  w.i64(footer.max_timestamp.value());
  w.u64(footer.batches);
  w.u64(footer.last_header_hash);
  w.u64(footer.segment_hash);
  w.u64(footer.gaps);
  out.resize(kFooterFixedBytes);
  for (const TopicCount& topic : footer.topics) {
    w.u64(topic.topic.value());
    w.u64(topic.first_sequence);
    w.u64(topic.events);
  }
  append_hash(out, seed);
  return out;
}

Expected<SegmentFooter> decode_footer(Bytes bytes, std::uint64_t seed) {
  const auto damaged = [] { return fail(ErrorCode::kCorrupt, 3111, "segment footer is damaged"); };
  ByteReader r(bytes);
  if (r.u32() != kFooterMagic) return damaged();
  const std::uint32_t version = r.u32();
  const std::uint64_t topics = r.u64();
  if (bytes.size() < kFooterFixedBytes + 8 ||
      topics > (bytes.size() - kFooterFixedBytes - 8) / kFooterTopicBytes ||
      !hash_matches(bytes.first(kFooterFixedBytes + topics * kFooterTopicBytes + 8), seed))
    return damaged();
  if (version != kFormatVersion) return newer("segment footer");
  SegmentFooter footer;
  footer.number = r.u64();
  footer.base_offset = Offset(r.u64());
  footer.end_offset = Offset(r.u64());
  footer.base_position = LogPosition(r.u64());
  footer.end_position = LogPosition(r.u64());
  footer.first_append_time = Timestamp(r.i64());
  footer.last_append_time = Timestamp(r.i64());
  footer.min_timestamp = Timestamp(r.i64());
  footer.max_timestamp = Timestamp(r.i64());
  footer.batches = r.u64();
  footer.last_header_hash = r.u64();
  footer.segment_hash = r.u64();
  footer.gaps = r.u64();
  ByteReader entries(bytes.subspan(kFooterFixedBytes));
  footer.topics.reserve(topics);
  for (std::uint64_t i = 0; i < topics; ++i) {
    TopicCount topic;
    topic.topic = TopicId(static_cast<std::uint32_t>(entries.u64()));
    topic.first_sequence = entries.u64();
    topic.events = entries.u64();
    footer.topics.push_back(topic);
  }
  return footer;
}

std::uint64_t extend_segment_hash(std::uint64_t hash, std::uint64_t header_hash) {
  const std::uint64_t pair[2] = {hash, header_hash};
  return hash_bytes(std::as_bytes(std::span(pair)), 0);
}

std::string encode_control_page(const ControlPage& page) {
  std::string out;
  ByteWriter w(out);
  w.u32(kControlMagic);
  w.u32(kFormatVersion);
  w.u64(page.log_id.low);
  w.u64(page.log_id.high);
  w.u64(page.generation);
  w.u64(page.writer_epoch.value());
  w.u64(page.watermark.value());
  w.u64(page.watermark_offset.value());
  out.resize(kControlPageBytes - 8);
  append_hash(out, kControlSeed);
  return out;
}

std::optional<ControlPage> decode_control(Bytes file) {
  std::optional<ControlPage> best;
  for (std::size_t at = 0; at + kControlPageBytes <= file.size() && at < 2 * kControlPageBytes;
       at += kControlPageBytes) {
    const Bytes bytes = file.subspan(at, kControlPageBytes);
    ByteReader r(bytes);
    if (r.u32() != kControlMagic || r.u32() != kFormatVersion || !hash_matches(bytes, kControlSeed)) continue;
    ControlPage page;
    page.log_id.low = r.u64();
    page.log_id.high = r.u64();
    page.generation = r.u64();
    page.writer_epoch = WriterEpoch(static_cast<std::uint32_t>(r.u64()));
    page.watermark = LogPosition(r.u64());
    page.watermark_offset = Offset(r.u64());
    if (!best || page.generation > best->generation) best = page;
  }
  return best;
}

std::string encode_manifest(const Manifest& manifest) {
  std::string out;
  ByteWriter w(out);
  w.u32(kManifestMagic);
  w.u32(kFormatVersion);
  w.u64(manifest.log_id.low);
  w.u64(manifest.log_id.high);
  w.u64(manifest.log_start.value());
  w.u64(manifest.sealed.size());
  for (const ManifestEntry& entry : manifest.sealed) {
    w.u64(entry.number);
    w.u64(entry.base_offset.value());
    w.u64(entry.end_offset.value());
    w.u64(entry.base_position.value());
    w.u64(entry.end_position.value());
    w.u64(entry.file_bytes);
    w.u64(entry.footer_hash);
  }
  append_hash(out, kManifestSeed);
  return out;
}

Expected<Manifest> decode_manifest(std::string_view bytes) {
  const auto damaged = [] { return fail(ErrorCode::kCorrupt, 3112, "the manifest is damaged"); };
  if (!hash_matches(as_bytes(bytes), kManifestSeed)) return damaged();
  ByteReader r(as_bytes(bytes.substr(0, bytes.size() - 8)));
  if (r.u32() != kManifestMagic) return damaged();
  if (r.u32() != kFormatVersion) return newer("manifest");
  Manifest manifest;
  manifest.log_id.low = r.u64();
  manifest.log_id.high = r.u64();
  manifest.log_start = Offset(r.u64());
  const std::uint64_t count = r.u64();
  if (count != r.remaining() / 56) return damaged();
  manifest.sealed.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    ManifestEntry entry;
    entry.number = r.u64();
    entry.base_offset = Offset(r.u64());
    entry.end_offset = Offset(r.u64());
    entry.base_position = LogPosition(r.u64());
    entry.end_position = LogPosition(r.u64());
    entry.file_bytes = r.u64();
    entry.footer_hash = r.u64();
    // As many as a file's name can tell.
    if (entry.number == 0 || entry.number > kSegmentNumberMax) return damaged();
    if (i > 0 && entry.number != manifest.sealed.back().number + 1) return damaged();
    // What follows computes with these: a segment holds what lies between its positions.
    if (entry.end_offset < entry.base_offset || entry.end_position < entry.base_position ||
        entry.file_bytes < kSegmentHeaderBytes ||
        entry.end_position - entry.base_position > entry.file_bytes - kSegmentHeaderBytes)
      return damaged();
    manifest.sealed.push_back(entry);
  }
  if (!r.done()) return damaged();
  return manifest;
}

std::string segment_name(std::uint64_t number, Offset base_offset) {
  return file_name(number, base_offset, "segment");
}
std::string index_name(std::uint64_t number, Offset base_offset) {
  return file_name(number, base_offset, "index");
}

std::optional<SegmentName> parse_segment_name(std::string_view name) {
  SegmentName parsed;
  std::uint64_t offset = 0;
  if (name.size() < 31) return std::nullopt;
  const auto number = std::from_chars(name.data(), name.data() + 10, parsed.number);
  const auto base = std::from_chars(name.data() + 11, name.data() + 31, offset);
  if (number.ec != std::errc{} || base.ec != std::errc{}) return std::nullopt;
  parsed.base_offset = Offset(offset);
  if (segment_name(parsed.number, parsed.base_offset) != name) return std::nullopt;
  return parsed;
}

}  // namespace kappa::log
