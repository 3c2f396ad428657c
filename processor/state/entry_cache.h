// The entries of one store that are in memory: what changed since it was last committed, and copies of what was
// read or committed. One hash index finds the newest version of each.
//
// An entry found here has the value that readers may see, whatever its state: it is changed only while readers
// are out. So whoever finds one need not look further down, and whoever finds none looks into the tree.
//
//   index   slots of 8 bytes: address (48 bits), tag of the hash (12), distance from the hash's own slot (4)
//   entry   one block (entry_slabs.h): StateEntry, key, room for the value
//
// Threads: the processor thread; find() also others that keep it from begin_changes() on out (the store's lock,
// shared). What moves or removes slots (grow, evict) needs readers out; add() and replace() do not. Blocks are
// freed only when no reader can hold them (store.cc).
//
// The hand of evict() goes over the index in strides of the golden ratio, a cache line of slots at a time, so that
// what leaves is spread as evenly as what comes. A hand that went from slot to slot would leave the slots behind it
// empty and those before it with twice the average: over 50 % full they end in one run of many thousands.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "processor/state/entry_slabs.h"
#include "processor/state/hash.h"
#include "processor/state/state_store.h"
#include "processor/vector/short_bytes.h"

namespace kappa::processor {

class EntryCache {
 public:
  struct Lookup {
    TableId table;
    std::string_view key;
    std::uint64_t hash;
  };
  [[nodiscard]] static Lookup lookup(TableId table, std::string_view key) {
    return {table, key, hash_key(table, key)};
  }

  EntryCache();
  ~EntryCache();
  EntryCache(const EntryCache&) = delete;
  EntryCache& operator=(const EntryCache&) = delete;

  [[nodiscard]] StateEntry* find(const Lookup& lookup) const {
    for (std::size_t at = home(lookup.hash);; at = (at + 1) & mask_) {
      const std::uint64_t slot = slots_[at].load(std::memory_order_acquire);
      if (slot == 0) return nullptr;
      if (tag_of(slot) != tag(lookup.hash)) continue;
      StateEntry* const entry = entry_of(slot);
      if (is(*entry, lookup)) return entry;
    }
  }
  // For lookups that come in many: ask for all slots, then for all entries, then find.
  void prefetch_slot(std::uint64_t hash) const { __builtin_prefetch(&slots_[home(hash)]); }
  // Gives the entry that is probably it, which is not looked at yet; null if there is none.
  [[nodiscard]] StateEntry* prefetch_entry(std::uint64_t hash) const {
    for (std::size_t at = home(hash);; at = (at + 1) & mask_) {
      const std::uint64_t slot = slots_[at].load(std::memory_order_relaxed);
      if (slot == 0) return nullptr;
      if (tag_of(slot) != tag(hash)) continue;
      StateEntry* const entry = entry_of(slot);
      __builtin_prefetch(entry);
      __builtin_prefetch(reinterpret_cast<const char*>(entry) + 64);
      return entry;
    }
  }
  // The same for readers beside the processor thread.
  void prefetch_block(std::uint64_t hash) const {
    for (std::size_t at = home(hash);; at = (at + 1) & mask_) {
      const std::uint64_t slot = slots_[at].load(std::memory_order_relaxed);
      if (slot == 0) return;
      if (tag_of(slot) != tag(hash)) continue;
      const char* const block = reinterpret_cast<const char*>(entry_of(slot));
      for (std::size_t line = 0; line < 3; ++line) __builtin_prefetch(block + line * 64);
      return;
    }
  }
  // find(), where prefetch_entry() gave `candidate` and nothing was added or replaced since.
  [[nodiscard]] StateEntry* find(const Lookup& lookup, StateEntry* candidate) const {
    if (candidate == nullptr || is(*candidate, lookup)) return candidate;
    return find(lookup);
  }

  // Whether `count` more entries have slots without grow().
  [[nodiscard]] bool has_room(std::size_t count) const { return used_ + count <= slot_count() / 4 * 3; }
  void grow(std::size_t count);
  // A new entry, with `exists` and `value` as given, and room for `room` bytes if that is more. There must be none
  // of that key, and room for it.
  StateEntry& add(const Lookup& lookup, bool exists, std::string_view value, std::size_t room);
  // Puts a copy into the entry's place, and gives the copy. The old one is the caller's to free_entry().
  StateEntry& replace(StateEntry& old);
  // Takes entries out for which `may_go` holds and that were not touched since the hand passed them last, until
  // they have `bytes`; looks at a bounded number. They go to `out`, to be freed by the caller.
  template <class MayGo>
  void evict(std::size_t bytes, MayGo&& may_go, std::vector<StateEntry*>& out);
  // What an entry takes, its slot included.
  [[nodiscard]] static std::size_t bytes_of(const StateEntry& entry) {
    const std::size_t block = entry.size_class == EntrySlabs::kHeap
                                  ? ::malloc_usable_size(const_cast<StateEntry*>(&entry))
                                  : EntrySlabs::bytes_of(entry.size_class);
    return block + entry.heap_counted + kOverhead;
  }
  // Frees the block of an entry that is in no slot.
  void free_entry(StateEntry* entry);
  // Counts what the entry's value has taken from the heap since.
  void recount(StateEntry& entry) {
    const auto heap = static_cast<std::uint32_t>(entry.value.heap_bytes());
    bytes_ += heap;
    bytes_ -= entry.heap_counted;
    entry.heap_counted = heap;
  }
  // Slots that find() looks at for this key.
  [[nodiscard]] std::size_t probes(const Lookup& lookup) const;
  // Of all blocks, those that were replaced and not yet freed included, and of the index as far as it grew.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t count() const { return used_; }

 private:
  static constexpr unsigned kTagBits = 12;
  static constexpr std::uint64_t kDistanceMax = 15;  // Saturates: such an entry is asked for its hash.
  static constexpr std::size_t kOverhead = 16 + 8;   // Slot with its air; the slab's own.
  static constexpr std::size_t kLooksMax = 1 << 13;
  static constexpr std::size_t kLineSlots = 8;

  [[nodiscard]] static bool is(const StateEntry& entry, const Lookup& lookup) {
    return entry.hash == lookup.hash && entry.table == lookup.table && same_bytes(entry.key, lookup.key);
  }
  [[nodiscard]] std::size_t slot_count() const { return mask_ + 1; }
  [[nodiscard]] std::size_t home(std::uint64_t hash) const { return hash & mask_; }
  // Bits that home() does not use in any table of this world.
  [[nodiscard]] static std::uint64_t tag(std::uint64_t hash) { return hash >> (64 - kTagBits); }
  [[nodiscard]] static std::uint64_t tag_of(std::uint64_t slot) { return slot >> (64 - kTagBits); }
  [[nodiscard]] static std::uint64_t distance_of(std::uint64_t slot) { return slot >> 48 & kDistanceMax; }
  [[nodiscard]] static StateEntry* entry_of(std::uint64_t slot) {
    return reinterpret_cast<StateEntry*>(slot & ((std::uint64_t{1} << 48) - 1));
  }
  [[nodiscard]] static std::uint64_t make_slot(const StateEntry& entry, std::size_t distance) {
    return tag(entry.hash) << (64 - kTagBits) | std::min<std::uint64_t>(distance, kDistanceMax) << 48 |
           reinterpret_cast<std::uint64_t>(&entry);
  }
  [[nodiscard]] static std::uint64_t make_slot_at(std::uint64_t slot, std::size_t distance) {
    return (slot & ~(kDistanceMax << 48)) | std::min<std::uint64_t>(distance, kDistanceMax) << 48;
  }
  [[nodiscard]] StateEntry& make_entry(const Lookup& lookup, std::string_view value, std::size_t room);
  void place(StateEntry& entry);
  void remove_slot(std::size_t at);
  // The slot that the hand is at, `ahead` looks from now.
  [[nodiscard]] std::size_t at_hand(std::size_t ahead) const {
    const std::size_t line = ((hand_ + ahead) / kLineSlots * stride_) & (mask_ / kLineSlots);
    return line * kLineSlots + (hand_ + ahead) % kLineSlots;
  }
  void set_slots(std::size_t count);

  EntrySlabs slabs_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> slots_;
  std::size_t mask_ = 0;
  std::size_t used_ = 0;
  std::size_t hand_ = 0;    // Looks so far.
  std::size_t stride_ = 1;  // In lines; odd, so that it meets every line.
  std::size_t bytes_ = 0;
};

template <class MayGo>
void EntryCache::evict(std::size_t bytes, MayGo&& may_go, std::vector<StateEntry*>& out) {
  static constexpr std::size_t kAhead = 2 * kLineSlots;
  std::size_t freed = 0;
  for (std::size_t looks = 0; looks < kLooksMax && freed < bytes; ++looks) {
    if (hand_ % kLineSlots == 0) {
      __builtin_prefetch(&slots_[at_hand(2 * kAhead)]);
      const std::size_t line = at_hand(kAhead);
      for (std::size_t at = line; at < line + kLineSlots; ++at) {
        const std::uint64_t slot = slots_[at].load(std::memory_order_relaxed);
        if (slot != 0) __builtin_prefetch(entry_of(slot));
      }
    }
    const std::size_t at = at_hand(0);
    const std::uint64_t slot = slots_[at].load(std::memory_order_relaxed);
    if (slot == 0) {
      ++hand_;
      continue;
    }
    StateEntry& entry = *entry_of(slot);
    if (entry.touched || !may_go(entry)) {
      entry.touched = false;
      ++hand_;
      continue;
    }
    freed += bytes_of(entry);
    out.push_back(&entry);
    remove_slot(at);  // Another may have moved here: look again.
  }
}

}  // namespace kappa::processor
