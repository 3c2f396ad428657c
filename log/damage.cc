// Describing damage and keeping the list of it.
#include "log/damage.h"

#include <algorithm>
#include <tuple>

namespace kappa::log {
namespace {

bool before(const DamagedRange& a, const DamagedRange& b) {
  return std::tie(a.segment, a.file, a.from) < std::tie(b.segment, b.file, b.from);
}

void join(DamagedRange& into, const DamagedRange& other) {
  into.from = std::min(into.from, other.from);
  into.to = std::max(into.to, other.to);
  into.first = std::min(into.first, other.first);
  into.last = std::max(into.last, other.last);
}

}  // namespace

std::string bracket(const char* what, std::uint64_t from, std::uint64_t to) {
  return std::string(what) + " [" + std::to_string(from) + ", " + std::to_string(to) + ")";
}

std::string describe(const DamagedRange& range) {
  return bracket("offsets", range.first.value(), range.last.value()) + " are damaged: " +
         (range.segment != 0 ? "segment file " : "file ") + range.file + ", " +
         bracket("bytes", range.from, range.to) + ": " + range.what;
}

Error damage_error(const DamagedRange& range) {
  return {ErrorCode::kCorrupt,
          3130,
          describe(range),
          "what comes after can be read from offset " + std::to_string(range.last.value()),
          0,
          {}};
}

DamagedRange damaged_range(Bytes file, const SegmentHeader& segment, std::uint64_t start, std::uint64_t at,
                           std::uint64_t end, Offset end_offset) {
  DamagedRange range;
  range.file = segment_name(segment.number, segment.base_offset);
  range.segment = segment.number;
  range.from = start;
  range.to = std::max(end, at);
  range.first = segment.base_offset;
  range.last = end_offset;
  const Bytes batches = file.first(std::min<std::uint64_t>(file.size(), end));
  // Headers in front of it: the last sound one says where the damage begins and at which offset.
  for (std::uint64_t place = start; place < at;) {
    auto found = batch_at(batches, segment, place, false);
    if (!found) {
      const auto next = find_batch(batches, segment, place + kBatchAlignment);
      if (!next || next->at > at) break;
      found = *next;
    }
    if (found->at >= at) break;
    if (found->end() > at) break;  // A batch whose body holds `at`: the damage is the batch.
    place = found->end();
    range.from = place;
    range.first = found->header.end_offset();
  }
  if (const auto own = batch_at(batches, segment, range.from, false)) range.first = own->header.base_offset;
  for (auto later = find_batch(batches, segment, at + kBatchAlignment); later;
       later = find_batch(batches, segment, later->at + kBatchAlignment)) {
    if (!batch_at(batches, segment, later->at)) continue;
    range.to = later->at;
    range.last = later->header.base_offset;
    break;
  }
  range.last = std::max(range.last, range.first);
  return range;
}

bool DamageRegistry::add(DamagedRange range) {
  std::lock_guard lock(mutex_);
  const auto same = [&](const DamagedRange& other) {
    return other.segment == range.segment && other.file == range.file;
  };
  for (const DamagedRange& known : ranges_)
    if (same(known) && known.from <= range.from && known.to >= range.to && known.first <= range.first &&
        known.last >= range.last)
      return false;
  // What overlaps becomes one.
  for (std::size_t i = 0; i < ranges_.size();) {
    const DamagedRange& known = ranges_[i];
    if (same(known) && known.from < range.to && range.from < known.to) {
      join(range, known);
      ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  if (static_cast<std::size_t>(std::ranges::count_if(ranges_, same)) >= kRangesOfSegment) {
    auto nearest = ranges_.end();
    const auto distance = [&](const DamagedRange& other) {
      return other.to <= range.from ? range.from - other.to : other.from - range.to;
    };
    for (auto it = ranges_.begin(); it != ranges_.end(); ++it)
      if (same(*it) && (nearest == ranges_.end() || distance(*it) < distance(*nearest))) nearest = it;
    join(*nearest, range);
    nearest->what = "many damaged places";
    return true;
  }
  ranges_.insert(std::ranges::upper_bound(ranges_, range, before), std::move(range));
  size_.store(ranges_.size(), std::memory_order_release);
  return true;
}

std::vector<DamagedRange> DamageRegistry::list(std::size_t count) const {
  std::lock_guard lock(mutex_);
  return {ranges_.begin(),
          ranges_.begin() + static_cast<std::ptrdiff_t>(std::min(count, ranges_.size()))};
}

void DamageRegistry::forget_before(std::uint64_t segment) {
  std::lock_guard lock(mutex_);
  std::erase_if(ranges_, [&](const DamagedRange& range) { return range.segment < segment; });
  size_.store(ranges_.size(), std::memory_order_release);
}
void DamageRegistry::forget(std::uint64_t segment) {
  std::lock_guard lock(mutex_);
  std::erase_if(ranges_, [&](const DamagedRange& range) { return range.segment == segment; });
  size_.store(ranges_.size(), std::memory_order_release);
}

}  // namespace kappa::log
