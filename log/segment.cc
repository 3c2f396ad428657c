// Segment caches and the segment list.
#include "log/segment.h"

#include <algorithm>

namespace kappa::log {

Segment::Segment(FileSystem& files, std::filesystem::path directory, SegmentHeader header,
                 std::unique_ptr<SegmentIndex> index)
    : files_(files), directory_(std::move(directory)), header_(header), index_(std::move(index)) {}

std::filesystem::path Segment::path() const {
  return directory_ / segment_name(header_.number, header_.base_offset);
}
std::filesystem::path Segment::index_path() const {
  return directory_ / index_name(header_.number, header_.base_offset);
}

Expected<std::shared_ptr<const Mapping>> Segment::mapping() {
  std::lock_guard lock(mapping_mutex_);
  if (!mapping_) {
    KAPPA_TRY(const auto file, files_.open(path(), OpenMode::kRead));
    KAPPA_TRY(mapping_, file->map());
  }
  return mapping_;
}

Expected<SegmentIndex> scan_index(Bytes file, const SegmentHeader& header, std::uint64_t end) {
  SegmentIndex index(header);
  const Bytes batches = file.first(std::min<std::uint64_t>(file.size(), end));
  for (std::uint64_t at = kSegmentHeaderBytes; at < end;) {
    auto found = batch_at(batches, header, at, false);
    if (!found) {
      // Damage: index what can be read behind it; readers meet the damage by themselves.
      const auto next = find_batch(batches, header, at + kBatchAlignment);
      if (!next) break;
      found = *next;
      if (found->end() > end) break;
    }
    index.add(found->header, found->header_hash, found->at);
    at = found->end();
  }
  return index;
}

Status Segment::load_index(bool repair_index) {
  {
    std::shared_lock lock(index_mutex_);
    if (index_) return {};
  }
  std::unique_lock lock(index_mutex_);
  if (index_) return {};
  if (auto stored = files_.read_whole(index_path(), std::size_t{1} << 30)) {
    if (auto index = SegmentIndex::decode(as_bytes(*stored), header_, header_.log_id.low)) {
      index_ = std::make_unique<SegmentIndex>(std::move(*index));
      set_index_stored();
      return {};
    }
  }
  KAPPA_TRY(const auto map, mapping());
  KAPPA_TRY(SegmentIndex index, scan_index(map->bytes(), header_, end()));
  index_ = std::make_unique<SegmentIndex>(std::move(index));
  // Derived: a failure to store it costs the next opening a scan, nothing else.
  if (repair_index && files_.replace_derived(index_path(), index_->encode(header_.log_id.low)))
    set_index_stored();
  return {};
}

void Segment::drop_caches() {
  {
    std::lock_guard lock(mapping_mutex_);
    mapping_.reset();
  }
  if (end() == kOpenEnd || !index_stored_.load(std::memory_order_acquire)) return;
  std::unique_lock lock(index_mutex_);
  index_.reset();
}

void SegmentList::add(std::shared_ptr<Segment> segment) {
  std::lock_guard lock(mutex_);
  segments_.push_back(std::move(segment));
}
std::size_t SegmentList::size() const {
  std::lock_guard lock(mutex_);
  return segments_.size();
}
std::vector<std::shared_ptr<Segment>> SegmentList::all() const {
  std::lock_guard lock(mutex_);
  return segments_;
}
std::shared_ptr<Segment> SegmentList::first() const {
  std::lock_guard lock(mutex_);
  return segments_.empty() ? nullptr : segments_.front();
}
std::shared_ptr<Segment> SegmentList::find(Offset offset) const {
  std::lock_guard lock(mutex_);
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), offset,
                                      [](Offset wanted, const std::shared_ptr<Segment>& segment) {
                                        return wanted < segment->header().base_offset;
                                      });
  if (segments_.empty()) return nullptr;
  return after == segments_.begin() ? *after : *std::prev(after);
}
std::shared_ptr<Segment> SegmentList::after(std::uint64_t number) const {
  std::lock_guard lock(mutex_);
  const auto found = std::upper_bound(segments_.begin(), segments_.end(), number,
                                      [](std::uint64_t wanted, const std::shared_ptr<Segment>& segment) {
                                        return wanted < segment->header().number;
                                      });
  return found == segments_.end() ? nullptr : *found;
}
void SegmentList::remove_before(std::uint64_t number) {
  const auto leaves = [number](const std::shared_ptr<Segment>& segment) {
    return segment->header().number < number;
  };
  std::lock_guard lock(mutex_);
  std::erase_if(segments_, leaves);
  used_.remove_if(leaves);
}

void SegmentList::touch(const std::shared_ptr<Segment>& segment) {
  std::shared_ptr<Segment> leaving;
  {
    std::lock_guard lock(mutex_);
    const auto found = std::find(used_.begin(), used_.end(), segment);
    if (found != used_.end()) {
      used_.splice(used_.begin(), used_, found);
      return;
    }
    used_.push_front(segment);
    if (used_.size() > kCachedSegments) {
      leaving = std::move(used_.back());
      used_.pop_back();
    }
  }
  if (leaving) leaving->drop_caches();
}

}  // namespace kappa::log
