// Verification of single batches and the search for the next valid one.
#include "log/segment_scan.h"

#include <cstring>

namespace kappa::log {
namespace {

Expected<FoundBatch> header_at(Bytes file, const SegmentHeader& segment, std::uint64_t at) {
  if (at > file.size()) return fail(ErrorCode::kCorrupt, 3101, "past the end of the segment file");
  KAPPA_TRY(const BatchHeader header, decode_batch_header(file.subspan(at), segment.log_id.low));
  if (header.log_position != position_at(segment, at))
    return fail(ErrorCode::kCorrupt, 3107, "batch was written for another place");
  FoundBatch found;
  found.header = header;
  found.header_hash = stored_header_hash(file.subspan(at));
  found.at = at;
  return found;
}

}  // namespace

Expected<FoundBatch> batch_at(Bytes file, const SegmentHeader& segment, std::uint64_t at, bool check_body) {
  KAPPA_TRY(FoundBatch found, header_at(file, segment, at));
  if (found.header.stored_bytes() > file.size() - at)
    return fail(ErrorCode::kCorrupt, 3104, "batch is longer than its segment file");
  found.body = file.subspan(at + kBatchHeaderBytes, found.header.body_length);
  if (check_body && hash_body(found.body) != found.header.body_hash)
    return fail(ErrorCode::kCorrupt, 3108, "batch body does not match its hash");
  return found;
}

Status check_chain(const ChainState& chain, const FoundBatch& batch) {
  if (batch.header.previous_header_hash != chain.header_hash)
    return fail(ErrorCode::kCorrupt, 3109, "batch does not follow the one before it");
  if (batch.header.base_offset != chain.next_offset)
    return fail(ErrorCode::kCorrupt, 3109, "batch offsets do not continue those before");
  return {};
}

std::optional<FoundBatch> find_batch(Bytes file, const SegmentHeader& segment, std::uint64_t from) {
  from = (from + kBatchAlignment - 1) / kBatchAlignment * kBatchAlignment;
  for (std::uint64_t at = from; at + kBatchHeaderBytes <= file.size(); at += kBatchAlignment) {
    std::uint32_t magic = 0;
    std::memcpy(&magic, file.data() + at, sizeof magic);
    if (magic != kBatchMagic) continue;
    // The position inside the header tells it from a copy of log bytes within somebody's event.
    if (auto found = header_at(file, segment, at)) return *found;
  }
  return std::nullopt;
}

std::optional<LogPosition> guess_base_position(Bytes file, std::uint64_t seed) {
  for (std::uint64_t at = kSegmentHeaderBytes; at + kBatchHeaderBytes <= file.size(); at += kBatchAlignment) {
    const auto header = decode_batch_header(file.subspan(at), seed);
    if (header && header->log_position.value() >= at - kSegmentHeaderBytes)
      return header->log_position - (at - kSegmentHeaderBytes);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> find_footer(Bytes file, const SegmentHeader& header) {
  const std::uint64_t least = 136;
  if (file.size() < kSegmentHeaderBytes + least) return std::nullopt;
  for (std::uint64_t at = (file.size() - least) / 8 * 8; at >= kSegmentHeaderBytes; at -= 8) {
    if (std::memcmp(file.data() + at, "KFTR", 4) == 0) {
      const auto footer = decode_footer(file.subspan(at), header.log_id.low);
      if (footer && footer->number == header.number && footer->end_position == position_at(header, at))
        return at;
    }
    // The largest footer, of 65,536 topics, has 1.5 MiB.
    if (file.size() - at > (std::uint64_t{4} << 20)) break;
  }
  return std::nullopt;
}

std::uint64_t end_of_bytes(Bytes file, std::uint64_t from) {
  std::uint64_t end = file.size();
  for (; end >= from + 8; end -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, file.data() + end - 8, sizeof word);
    if (word != 0) break;
  }
  while (end > from && file[end - 1] == std::byte{0}) --end;
  return end;
}

}  // namespace kappa::log
