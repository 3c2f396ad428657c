// See entry_cache.h.
#include "processor/state/entry_cache.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "proto/check.h"

namespace kappa::processor {
namespace {
constexpr std::size_t kSlotsMin = 1024;
}  // namespace

EntryCache::EntryCache() {
  set_slots(kSlotsMin);
}

void EntryCache::set_slots(std::size_t count) {
  slots_ = std::make_unique<std::atomic<std::uint64_t>[]>(count);
  mask_ = count - 1;
  hand_ = 0;
  static constexpr double kGoldenRatio = 0.6180339887498949;
  stride_ = static_cast<std::size_t>(static_cast<double>(count / kLineSlots) * kGoldenRatio) | 1;
}

EntryCache::~EntryCache() {
  for (std::size_t at = 0; at <= mask_; ++at) {
    const std::uint64_t slot = slots_[at].load(std::memory_order_relaxed);
    if (slot == 0) continue;
    StateEntry* const entry = entry_of(slot);
    const EntrySlabs::SizeClass size = entry->size_class;
    entry->~StateEntry();
    if (size == EntrySlabs::kHeap) slabs_.give_back(entry, size);  // The others go with their slabs.
  }
}

void EntryCache::grow(std::size_t count) {
  const std::size_t wanted = std::bit_ceil((used_ + count) * 2);
  if (wanted <= slot_count()) return;
  const std::size_t old_count = slot_count();
  const auto old = std::move(slots_);
  set_slots(wanted);
  bytes_ += (wanted - old_count) * sizeof(std::uint64_t);
  static constexpr std::size_t kAhead = 16;
  for (std::size_t at = 0; at < old_count; ++at) {
    if (at + kAhead < old_count) {
      const std::uint64_t ahead = old[at + kAhead].load(std::memory_order_relaxed);
      if (ahead != 0) __builtin_prefetch(entry_of(ahead));
    }
    const std::uint64_t slot = old[at].load(std::memory_order_relaxed);
    if (slot != 0) place(*entry_of(slot));
  }
}

void EntryCache::place(StateEntry& entry) {
  std::size_t distance = 0;
  for (std::size_t at = home(entry.hash);; at = (at + 1) & mask_, ++distance) {
    if (slots_[at].load(std::memory_order_relaxed) != 0) continue;
    slots_[at].store(make_slot(entry, distance), std::memory_order_release);
    return;
  }
}

StateEntry& EntryCache::make_entry(const Lookup& lookup, std::string_view value, std::size_t room) {
  static constexpr std::size_t kRoomMax = 1024;  // Larger values are changed in size, not in place.
  room = std::max(value.size() <= kRoomMax ? value.size() : 0, std::min(room, kRoomMax));
  const std::size_t bytes = sizeof(StateEntry) + lookup.key.size() + room;
  const EntrySlabs::SizeClass size = EntrySlabs::class_of(bytes);
  void* const block = slabs_.take(bytes, size);
  char* const key = static_cast<char*>(block) + sizeof(StateEntry);
  if (!lookup.key.empty()) std::memcpy(key, lookup.key.data(), lookup.key.size());
  StateEntry& entry = *new (block) StateEntry({key, lookup.key.size()}, key + lookup.key.size(), room);
  entry.hash = lookup.hash;
  entry.table = lookup.table;
  entry.size_class = size;
  entry.touched = true;
  entry.value.assign(value);
  entry.heap_counted = static_cast<std::uint32_t>(entry.value.heap_bytes());
  bytes_ += bytes_of(entry);
  return entry;
}

StateEntry& EntryCache::add(const Lookup& lookup, bool exists, std::string_view value, std::size_t room) {
  KAPPA_CHECK(has_room(1), "no slot for an entry of the state");
  StateEntry& entry = make_entry(lookup, value, room);
  entry.exists = exists;
  place(entry);
  ++used_;
  return entry;
}

StateEntry& EntryCache::replace(StateEntry& old) {
  StateEntry& entry = make_entry({old.table, old.key, old.hash}, old.value, old.value.size());
  entry.exists = old.exists;
  std::size_t distance = 0;
  for (std::size_t at = home(old.hash);; at = (at + 1) & mask_, ++distance) {
    const std::uint64_t slot = slots_[at].load(std::memory_order_relaxed);
    KAPPA_CHECK(slot != 0, "an entry of the state is not in its index");
    if (entry_of(slot) != &old) continue;
    slots_[at].store(make_slot(entry, distance), std::memory_order_release);
    return entry;
  }
}

std::size_t EntryCache::probes(const Lookup& lookup) const {
  for (std::size_t at = home(lookup.hash), count = 1;; at = (at + 1) & mask_, ++count) {
    const std::uint64_t slot = slots_[at].load(std::memory_order_acquire);
    if (slot == 0 || (tag_of(slot) == tag(lookup.hash) && entry_of(slot)->hash == lookup.hash)) return count;
  }
}

// Those behind move up, so that no search ends before its entry.
void EntryCache::remove_slot(std::size_t at) {
  std::size_t hole = at;
  for (std::size_t next = (hole + 1) & mask_;; next = (next + 1) & mask_) {
    const std::uint64_t slot = slots_[next].load(std::memory_order_relaxed);
    if (slot == 0) break;
    std::size_t distance = distance_of(slot);
    if (distance == kDistanceMax) distance = (next - home(entry_of(slot)->hash)) & mask_;
    const std::size_t gap = (next - hole) & mask_;
    if (distance < gap) continue;
    slots_[hole].store(make_slot_at(slot, distance - gap), std::memory_order_relaxed);
    hole = next;
  }
  slots_[hole].store(0, std::memory_order_relaxed);
  --used_;
}

void EntryCache::free_entry(StateEntry* entry) {
  bytes_ -= bytes_of(*entry);
  const EntrySlabs::SizeClass size = entry->size_class;
  entry->~StateEntry();
  slabs_.give_back(entry, size);
}

}  // namespace kappa::processor
