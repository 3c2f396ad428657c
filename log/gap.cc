// Dividing a lost range among gap batches.
#include "log/gap.h"

#include <algorithm>

#include "proto/limits.h"

namespace kappa::log {
namespace {

constexpr std::uint64_t kGapBytesMax = kBatchHeaderBytes + limits::kBatchBytesMax;
static_assert(kGapBytesMax % kBatchAlignment == 0);

// More than any segment holds: such a range comes from positions that are wrong.
constexpr std::uint64_t kRangeBytesMax = 4 * std::uint64_t{limits::kSegmentBytesMax};

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

// Of zeros, without having them all.
std::uint64_t hash_of_zeros(std::uint64_t bytes) {
  static const std::string zeros(limits::kBatchBytesMax, '\0');
  return hash_body(as_bytes(zeros).first(static_cast<std::size_t>(bytes)));
}

}  // namespace

Expected<Gap> make_gap(const SegmentHeader& segment, const LostRange& range) {
  const std::uint64_t bytes = range.to - range.from;
  const std::uint64_t offsets = range.last - range.first;
  const std::uint64_t count = std::max<std::uint64_t>(
      {1, divide_up(bytes, kGapBytesMax), divide_up(offsets, limits::kBatchEventsMax)});
  if (range.to < range.from || bytes > kRangeBytesMax || range.last < range.first || bytes % kBatchAlignment != 0 ||
      bytes < count * kBatchHeaderBytes)
    return fail(ErrorCode::kCorrupt, 3132,
                "bytes [" + std::to_string(range.from) + ", " + std::to_string(range.to) + ") of segment " +
                    std::to_string(segment.number) + " cannot have held " + std::to_string(offsets) + " offsets",
                "restore the segment from a copy");
  Gap gap;
  gap.chain_hash = range.previous_hash;
  std::uint64_t at = range.from;
  Offset offset = range.first;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t left = count - i;  // This one included.
    // All but what the ones behind it need at least.
    const std::uint64_t size = std::min(range.to - at - (left - 1) * kBatchHeaderBytes, kGapBytesMax);
    BatchHeader header;
    header.kind = BatchKind::kGap;
    header.body_length = header.uncompressed_length = static_cast<std::uint32_t>(size - kBatchHeaderBytes);
    header.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(range.last - offset, limits::kBatchEventsMax));
    header.base_offset = offset;
    header.log_position = position_at(segment, at);
    header.writer_epoch = range.epoch;
    header.previous_header_hash = gap.chain_hash;
    header.append_time = header.min_timestamp = header.max_timestamp = range.append_time;
    header.body_hash = hash_of_zeros(header.body_length);
    header.resume_hash = left == 1 ? range.resume_hash : 0;
    GapBatch batch;
    batch.at = at;
    batch.header.resize(kBatchHeaderBytes);
    batch.filler = header.body_length;
    const std::uint64_t hash =
        encode_batch_header(header, segment.log_id.low, reinterpret_cast<std::byte*>(batch.header.data()));
    gap.chain_hash = chain_hash_of(header, hash);
    gap.batches.push_back(std::move(batch));
    at += size;
    offset += header.count;
  }
  return gap;
}

}  // namespace kappa::log
