// See refused_segment.h.
#include "log/refused_segment.h"

#include <algorithm>

#include "log/segment_scan.h"

namespace kappa::log {

RefusedSegment look_at_refused(Segment& segment, Offset end_offset, const std::string& why) {
  const SegmentHeader& header = segment.header();
  const std::string name = segment.path().filename().string();
  const std::uint64_t end = segment.end();
  RefusedSegment found;
  const auto map = segment.mapping();
  if (!map) {
    found.damaged.push_back({name, header.number, 0, end, header.base_offset, end_offset, map.error().message});
    return found;
  }
  const Bytes whole = (*map)->bytes();
  const Bytes file = whole.first(std::min<std::size_t>(whole.size(), end));
  std::uint64_t at = kSegmentHeaderBytes;
  Offset next = header.base_offset;
  while (at < end) {
    auto batch = batch_at(file, header, at);
    if (batch && batch->header.base_offset != next && batch->header.covers_offsets())
      batch = fail(ErrorCode::kCorrupt, 3109, "batch offsets do not continue");
    if (batch) {
      if (batch->header.covers_offsets()) next = batch->header.end_offset();
      found.last_hash = batch->chain_hash();
      at = batch->end();
      continue;
    }
    found.last_hash.reset();
    DamagedRange range{name, header.number, at, end, next, end_offset, batch.error().message};
    for (auto later = find_batch(file, header, at + kBatchAlignment); later;
         later = find_batch(file, header, later->at + kBatchAlignment)) {
      if (!batch_at(file, header, later->at) || later->header.base_offset < next) continue;
      range.to = later->at;
      range.last = later->header.base_offset;
      break;
    }
    if (whole.size() <= at) range.what = why;
    at = range.to;
    next = range.last;
    found.damaged.push_back(std::move(range));
  }
  if ((*map)->lost_any()) {
    // Zeros in place of what the disk does not give look like other damage.
    for (DamagedRange& range : found.damaged) range.what = "the disk could not deliver it";
  }
  if (found.damaged.empty())
    found.damaged.push_back({name, header.number, end, std::max<std::uint64_t>(whole.size(), end), end_offset, end_offset, why});
  return found;
}

Offset held_upto(Bytes file, const SegmentHeader& header) {
  Offset upto(0);
  for (auto found = find_batch(file, header, kSegmentHeaderBytes); found;) {
    const auto whole = batch_at(file, header, found->at);
    if (whole) upto = std::max(upto, whole->header.end_offset());
    found = find_batch(file, header, whole ? whole->end() : found->at + kBatchAlignment);
  }
  return upto;
}

bool snapshot_is_whole(Segment& segment) {
  const SegmentHeader& header = segment.header();
  if (header.base_position == LogPosition(0)) return true;  // Nothing to repeat.
  const auto map = segment.mapping();
  if (!map) return false;
  const Bytes file = (*map)->bytes().first(std::min<std::size_t>((*map)->bytes().size(), segment.end()));
  bool any = false;
  for (std::uint64_t at = kSegmentHeaderBytes; at < segment.end();) {
    const auto batch = batch_at(file, header, at);
    // In an unsealed segment the snapshot may be all there is.
    if (!batch) return any && segment.end() == Segment::kOpenEnd && end_of_bytes(file, std::min<std::uint64_t>(at, file.size())) <= at;
    if (batch->header.kind != BatchKind::kSnapshot) return any;
    any = true;
    at = batch->end();
  }
  return any;
}

}  // namespace kappa::log
