// See overlay.h.
#include "processor/state/overlay.h"

#include <algorithm>
#include <cstring>

namespace kappa::processor {

std::string_view Overlay::keep(std::string_view key) {
  static constexpr std::size_t kBlockBytes = std::size_t{64} << 10;
  if (key.size() > key_left_) {
    const std::size_t size = std::max(kBlockBytes, key.size());
    key_blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    key_at_ = key_blocks_.back().get();
    key_left_ = size;
  }
  if (!key.empty()) std::memcpy(key_at_, key.data(), key.size());
  const std::string_view kept(key_at_, key.size());
  key_at_ += key.size();
  key_left_ -= key.size();
  return kept;
}

StateEntry& Overlay::add(const Lookup& lookup) {
  StateEntry& entry = entries_.emplace_back();
  entry.key = keep(lookup.key);
  entry.hash = lookup.hash;
  entry.table = lookup.table;
  private_.insert(&entry);
  bytes_ += sizeof(StateEntry) + lookup.key.size() + 2 * sizeof(void*);
  return entry;
}

void Overlay::show(StateEntry& entry, bool ordered) {
  if (!entry.visible) {
    private_.erase(&entry);
    visible_.insert(&entry);
    if (ordered) ordered_.insert(&entry);
    entry.visible = true;
  }
  bytes_ += entry.value.size() - entry.counted;  // Wraps to a difference when the value shrank.
  entry.counted = entry.value.size();
}

const std::vector<const StateEntry*>& Overlay::sorted() const {
  std::call_once(sort_once_, [this] {
    sorted_.assign(visible_.begin(), visible_.end());
    std::ranges::sort(sorted_, EntryLess{});
  });
  return sorted_;
}

}  // namespace kappa::processor
