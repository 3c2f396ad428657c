// Record batches: header encoding, record framing, body hash and compression. The layout is drawn
// in proto/batch.h; every decoder here takes hostile bytes and answers with an error, never reads
// past its span and never allocates by a length that it has not checked.
#include "proto/batch.h"

// In line: with the instructions that this build may use, and not those that every machine has.
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "proto/limits.h"

namespace kappa {
namespace {

// Attribute bits 0..3 kind, 4..7 codec, 8 all timestamps explicit; the rest is zero.
constexpr std::uint32_t kKindMask = 0xf;
constexpr unsigned kCodecShift = 4;
constexpr std::uint32_t kCodecMask = 0xf;
constexpr std::uint32_t kAllExplicitBit = 1u << 8;
constexpr std::uint32_t kKnownAttributes = 0x1ff;
constexpr std::size_t kHeaderHashAt = 152;
constexpr std::uint8_t kKnownRecordFlags = kRecordHasTimestamp | kRecordHasKey | kRecordHasHeaders;

template <class T>
void put(std::byte* out, std::size_t at, T value) {
  std::memcpy(out + at, &value, sizeof(T));
}
template <class T>
T get(Bytes in, std::size_t at) {
  T value{};
  std::memcpy(&value, in.data() + at, sizeof(T));
  return value;
}

std::unexpected<Error> bad_record(const char* what) {
  return fail(ErrorCode::kCorrupt, 3105, std::string("record in a batch body: ") + what);
}

std::size_t varint_bytes(std::uint64_t v) {
  std::size_t n = 1;
  for (; v >= 0x80; v >>= 7) ++n;
  return n;
}

}  // namespace

std::uint64_t encode_batch_header(const BatchHeader& header, std::uint64_t seed, std::byte* out) {
  std::memset(out, 0, kBatchHeaderBytes);
  put(out, 0, kBatchMagic);
  put(out, 4, static_cast<std::uint16_t>(kBatchHeaderBytes));
  put(out, 6, kBatchVersion);
  put(out, 8,
      static_cast<std::uint32_t>(static_cast<std::uint32_t>(header.kind) |
                                 (static_cast<std::uint32_t>(header.codec) << kCodecShift) |
                                 (header.all_timestamps_explicit ? kAllExplicitBit : 0u)));
  put(out, 12, header.body_length);
  put(out, 16, header.uncompressed_length);
  put(out, 20, header.count);
  put(out, 24, header.base_offset.value());
  put(out, 32, header.base_sequence.value());
  put(out, 40, header.log_position.value());
  put(out, 48, header.durable_upto.value());
  put(out, 56, header.writer_epoch.value());
  put(out, 60, header.topic_id.value());
  put(out, 64, header.previous_header_hash);
  put(out, 72, header.append_time.value());
  put(out, 80, header.min_timestamp.value());
  put(out, 88, header.max_timestamp.value());
  put(out, 96, header.producer_id.value());
  put(out, 104, header.producer_epoch);
  put(out, 112, header.producer_sequence);
  put(out, 120, header.body_hash);
  put(out, 128, header.resume_hash);
  const std::uint64_t hash = XXH3_64bits_withSeed(out, kHeaderHashAt, seed);
  put(out, kHeaderHashAt, hash);
  return hash;
}

Expected<BatchHeader> decode_batch_header(Bytes bytes, std::uint64_t seed) {
  if (bytes.size() < kBatchHeaderBytes || get<std::uint32_t>(bytes, 0) != kBatchMagic)
    return fail(ErrorCode::kCorrupt, 3101, "not a batch header: wrong magic");
  if (get<std::uint16_t>(bytes, 4) != kBatchHeaderBytes)
    return fail(ErrorCode::kCorrupt, 3104, "batch header: impossible header length");
  if (XXH3_64bits_withSeed(bytes.data(), kHeaderHashAt, seed) != get<std::uint64_t>(bytes, kHeaderHashAt))
    return fail(ErrorCode::kCorrupt, 3102, "batch header: hash does not match");
  if (get<std::uint16_t>(bytes, 6) != kBatchVersion)
    return fail(ErrorCode::kUnsupported, 3103,
                "batch header: version " + std::to_string(get<std::uint16_t>(bytes, 6)) +
                    " is newer than this program",
                "upgrade kappa");
  const auto attributes = get<std::uint32_t>(bytes, 8);
  const std::uint32_t kind = attributes & kKindMask;
  const std::uint32_t codec = (attributes >> kCodecShift) & kCodecMask;
  const bool is_gap = kind == static_cast<std::uint32_t>(BatchKind::kGap);
  const bool reserved_zero = get<std::uint32_t>(bytes, 108) == 0 &&
                             (is_gap || get<std::uint64_t>(bytes, 128) == 0) &&
                             get<std::uint64_t>(bytes, 136) == 0 && get<std::uint64_t>(bytes, 144) == 0;
  if ((attributes & ~kKnownAttributes) != 0 || !reserved_zero ||
      kind > static_cast<std::uint32_t>(BatchKind::kGap) || codec > static_cast<std::uint32_t>(Codec::kZstd))
    return fail(ErrorCode::kUnsupported, 3103, "batch header: uses features this program does not know",
                "upgrade kappa");

  BatchHeader header;
  header.kind = static_cast<BatchKind>(kind);
  header.codec = static_cast<Codec>(codec);
  header.all_timestamps_explicit = (attributes & kAllExplicitBit) != 0;
  header.body_length = get<std::uint32_t>(bytes, 12);
  header.uncompressed_length = get<std::uint32_t>(bytes, 16);
  header.count = get<std::uint32_t>(bytes, 20);
  header.base_offset = Offset(get<std::uint64_t>(bytes, 24));
  header.base_sequence = TopicSequence(get<std::uint64_t>(bytes, 32));
  header.log_position = LogPosition(get<std::uint64_t>(bytes, 40));
  header.durable_upto = LogPosition(get<std::uint64_t>(bytes, 48));
  header.writer_epoch = WriterEpoch(get<std::uint32_t>(bytes, 56));
  header.topic_id = TopicId(get<std::uint32_t>(bytes, 60));
  header.previous_header_hash = get<std::uint64_t>(bytes, 64);
  header.append_time = Timestamp(get<std::int64_t>(bytes, 72));
  header.min_timestamp = Timestamp(get<std::int64_t>(bytes, 80));
  header.max_timestamp = Timestamp(get<std::int64_t>(bytes, 88));
  header.producer_id = ProducerId(get<std::uint64_t>(bytes, 96));
  header.producer_epoch = get<std::uint32_t>(bytes, 104);
  header.producer_sequence = get<std::uint64_t>(bytes, 112);
  header.body_hash = get<std::uint64_t>(bytes, 120);
  header.resume_hash = get<std::uint64_t>(bytes, 128);
  if (header.body_length > limits::kBatchBytesMax || header.uncompressed_length > limits::kBatchBytesMax ||
      header.count > limits::kBatchEventsMax || (header.has_offsets() && header.count == 0) ||
      (header.codec == Codec::kNone && header.body_length != header.uncompressed_length) ||
      header.base_offset.value() > std::numeric_limits<std::uint64_t>::max() - header.count)
    return fail(ErrorCode::kCorrupt, 3104, "batch header: a length or count is out of bounds");
  return header;
}

std::uint64_t stored_header_hash(Bytes header_bytes) { return get<std::uint64_t>(header_bytes, kHeaderHashAt); }

std::uint64_t hash_body(Bytes body) { return XXH3_64bits(body.data(), body.size()); }
std::uint64_t hash_bytes(Bytes bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Expected<std::vector<RecordHeader>> decode_headers(std::string_view encoded) {
  std::vector<RecordHeader> headers;
  if (encoded.empty()) return headers;
  ByteReader in(as_bytes(encoded));
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > limits::kHeadersMax) return bad_record("too many headers");
  headers.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    RecordHeader header;
    header.name = in.text(in.varint());
    header.value = in.text(in.varint());
    headers.push_back(header);
  }
  if (!in.done()) return bad_record("headers do not end where they should");
  return headers;
}

Expected<std::optional<RecordView>> RecordReader::next() {
  // One return, and the record made in what it returns: a copy of fields that were just written piece by piece waits
  // for each of them, which took longer than all the rest.
  Expected<std::optional<RecordView>> result;
  const auto read = [&]() -> const char* {
    if (left_ == 0) return in_.remaining() != 0 || !in_.ok() ? "bytes after the last record" : nullptr;
    const std::uint64_t length = in_.varint();
    // 64 bytes cover the flags and every varint of the framing.
    if (!in_.ok() || length == 0 || length > limits::kEventBytesMax + 64 || length > in_.remaining())
      return "length past the end of the body or over the limit";
    --left_;
    const Bytes whole = in_.bytes(length);
    ByteReader record(whole);
    RecordView& view = result->emplace();
    const std::uint8_t flags = record.u8();
    std::size_t payload = 0;
    if ((flags & ~kKnownRecordFlags) != 0) return "unknown flags";
    if ((flags & kRecordHasTimestamp) != 0) {
      std::int64_t timestamp = 0;
      if (__builtin_add_overflow(previous_timestamp_, unzigzag(record.varint()), &timestamp))
        return "timestamp out of range";
      previous_timestamp_ = timestamp;
      view.timestamp = Timestamp(timestamp);
    }
    if ((flags & kRecordHasKey) != 0) {
      const std::uint64_t key_length = record.varint();
      if (key_length > limits::kKeyBytesMax) return "key over the limit";
      view.key = record.text(key_length);
      payload += key_length;
    }
    if ((flags & kRecordHasHeaders) != 0) {
      const std::size_t before = record.remaining();
      const std::byte* start = whole.data() + (whole.size() - before);
      const std::uint64_t count = record.varint();
      if (count > limits::kHeadersMax) return "too many headers";
      for (std::uint64_t i = 0; i < 2 * count && record.ok(); ++i) record.bytes(record.varint());
      view.headers = {reinterpret_cast<const char*>(start), before - record.remaining()};
      payload += view.headers.size();
    }
    if (!record.ok()) return "a piece runs past the record's end";
    view.value = record.text(record.remaining());
    payload += view.value.size();
    return payload > limits::kEventBytesMax ? "event over the limit" : nullptr;
  };
  if (const char* const bad = read()) result = bad_record(bad);
  return result;
}

Expected<BodySummary> validate_body(Bytes body, std::uint32_t count) {
  if (count > limits::kBatchEventsMax || body.size() > limits::kBatchBytesMax)
    return fail(ErrorCode::kTooLarge, 1007, "batch over the limits");
  BodySummary summary;
  RecordReader reader(body, count);
  bool any = false;
  for (;;) {
    auto record = reader.next();
    if (!record) return std::unexpected(std::move(record).error());
    if (!*record) break;
    const std::optional<Timestamp>& timestamp = (*record)->timestamp;
    if (!timestamp) {
      summary.all_timestamps_explicit = false;
    } else if (!any) {
      any = true;
      summary.min_timestamp = summary.max_timestamp = *timestamp;
    } else {
      summary.min_timestamp = std::min(summary.min_timestamp, *timestamp);
      summary.max_timestamp = std::max(summary.max_timestamp, *timestamp);
    }
  }
  return summary;
}

Status BatchBuilder::add(const Event& event) {
  std::size_t headers_length = 0;
  if (!event.headers.empty()) {
    headers_length = varint_bytes(event.headers.size());
    for (const RecordHeader& header : event.headers)
      headers_length += varint_bytes(header.name.size()) + header.name.size() +
                        varint_bytes(header.value.size()) + header.value.size();
  }
  const std::size_t key_length = event.key ? event.key->size() : 0;
  if (key_length > limits::kKeyBytesMax || event.headers.size() > limits::kHeadersMax ||
      event.value.size() + key_length + headers_length > limits::kEventBytesMax)
    return fail(ErrorCode::kTooLarge, 1007,
                "event over the limit of " + std::to_string(limits::kEventBytesMax) + " bytes");
  std::uint64_t delta = 0;
  if (event.timestamp) {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(event.timestamp->value(), previous_timestamp_, &difference))
      return fail(ErrorCode::kTooLarge, 1007, "timestamp too far from the one before it in the batch");
    delta = zigzag(difference);
  }
  std::size_t length = 1 + headers_length + event.value.size();
  if (event.timestamp) length += varint_bytes(delta);
  if (event.key) length += varint_bytes(key_length) + key_length;
  if (count_ >= limits::kBatchEventsMax ||
      body_.size() + varint_bytes(length) + length > limits::kBatchBytesMax)
    return fail(ErrorCode::kTooLarge, 1007, "batch is full");

  ByteWriter out(body_);
  out.varint(length);
  out.u8(static_cast<std::uint8_t>((event.timestamp ? kRecordHasTimestamp : 0) |
                                   (event.key ? kRecordHasKey : 0) |
                                   (event.headers.empty() ? 0 : kRecordHasHeaders)));
  if (event.timestamp) {
    out.varint(delta);
    previous_timestamp_ = event.timestamp->value();
  }
  if (event.key) {
    out.varint(key_length);
    out.text(*event.key);
  }
  if (!event.headers.empty()) {
    out.varint(event.headers.size());
    for (const RecordHeader& header : event.headers) {
      out.varint(header.name.size());
      out.text(header.name);
      out.varint(header.value.size());
      out.text(header.value);
    }
  }
  out.text(event.value);
  ++count_;
  return {};
}

std::string compress_body(std::string_view body) {
  std::string out(ZSTD_compressBound(body.size()), '\0');
  const std::size_t n = ZSTD_compress(out.data(), out.size(), body.data(), body.size(), 1);
  // Cannot fail: the destination has the bound's size.
  out.resize(ZSTD_isError(n) ? 0 : n);
  return out;
}

Expected<std::string> decompress_body(Bytes stored, std::size_t uncompressed) {
  if (uncompressed > limits::kBatchBytesMax)
    return fail(ErrorCode::kCorrupt, 3106, "compressed body claims a size over the limit");
  std::string out;
  out.reserve(uncompressed + 64);  // Readers pad a body; let them do it without a copy.
  out.resize(uncompressed);
  const std::size_t n = ZSTD_decompress(out.data(), out.size(), stored.data(), stored.size());
  if (ZSTD_isError(n) || n != uncompressed)
    return fail(ErrorCode::kCorrupt, 3106, "compressed body does not decompress to its stated size");
  return out;
}

}  // namespace kappa
