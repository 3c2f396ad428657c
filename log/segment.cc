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
  // A page that was lost stays lost in its mapping: a new one sees what the file is now.
  if (mapping_ && mapping_->lost_any()) mapping_.reset();
  if (!mapping_) {
    KAPPA_TRY(const auto file, files_.open(path(), OpenMode::kRead));
    KAPPA_TRY(mapping_, file->map());
  }
  return mapping_;
}

std::optional<DamagedRange> Segment::hole_within(std::uint64_t from, std::uint64_t to, Offset offset) {
  if (!has_holes_.load(std::memory_order_acquire)) return std::nullopt;
  std::shared_lock lock(index_mutex_);
  for (const DamagedRange& hole : holes_)
    if (hole.from >= from && hole.from < to && hole.last > offset) return hole;
  return std::nullopt;
}

void Segment::set_holes(std::vector<DamagedRange> holes) {
  std::unique_lock lock(index_mutex_);
  holes_ = std::move(holes);
  has_holes_.store(!holes_.empty(), std::memory_order_release);
}

SegmentIndex scan_index(Bytes file, const SegmentHeader& header, std::uint64_t end,
                        std::vector<DamagedRange>& holes) {
  SegmentIndex index(header);
  const Bytes batches = file.first(std::min<std::uint64_t>(file.size(), end));
  Offset next_offset = header.base_offset;
  for (std::uint64_t at = kSegmentHeaderBytes; at < end;) {
    auto found = batch_at(batches, header, at, false);
    if (!found) {
      DamagedRange hole;
      hole.file = segment_name(header.number, header.base_offset);
      hole.segment = header.number;
      hole.from = at;
      hole.first = next_offset;
      hole.what = found.error().message;
      // Index what can be read behind it.
      auto next = find_batch(batches, header, at + kBatchAlignment);
      while (next && next->header.base_offset < next_offset)
        next = find_batch(batches, header, next->at + kBatchAlignment);
      const bool usable = next && next->end() <= end;
      hole.to = usable ? next->at : end;
      hole.last = usable ? next->header.base_offset : Offset(UINT64_MAX);
      holes.push_back(std::move(hole));
      if (!usable) break;
      found = *next;
    }
    index.add(found->header, found->header_hash, found->at);
    next_offset = found->header.end_offset();
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
  std::vector<DamagedRange> holes;
  SegmentIndex index = scan_index(map->bytes(), header_, end(), holes);
  if (holes.empty() && map->lost_any()) return fail(ErrorCode::kIo, 3131, "cannot be read from the disk: " + path().filename().string());
  index_ = std::make_unique<SegmentIndex>(std::move(index));
  holes_ = std::move(holes);
  has_holes_.store(!holes_.empty(), std::memory_order_release);
  // The index of a damaged segment is not written: it would hide the damage from who uses it.
  if (!holes_.empty()) return {};
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
