// See overlay.h.
#include "processor/state/overlay.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

#include "processor/state/entry_slabs.h"

namespace kappa::processor {
namespace {

// What a sort compares: entries lie all over the heap, so sixteen bytes of each key are fetched once. They begin
// where the keys of the table begin to differ.
struct Sortable {
  std::uint64_t bytes;
  std::uint64_t more;
  StateEntry* entry;
};

constexpr std::size_t kAhead = 12;
// From here on a radix sort by `bytes` is faster than comparing.
constexpr std::size_t kRadixMin = 4096;

std::uint64_t bytes_from(std::string_view key, std::size_t at) {
  char bytes[8] = {};
  if (at < key.size()) std::memcpy(bytes, key.data() + at, std::min<std::size_t>(8, key.size() - at));
  return __builtin_bswap64(std::bit_cast<std::uint64_t>(bytes));
}

bool is_below(const Sortable& a, const Sortable& b) {
  if (a.bytes != b.bytes) return a.bytes < b.bytes;
  return a.more != b.more ? a.more < b.more : a.entry->key < b.entry->key;
}

// A byte at a time from the last one on, which keeps what is sorted already; bytes that are all the same are left out.
void sort_by_bytes(std::vector<Sortable>& all) {
  static constexpr std::size_t kValues = 256;
  std::array<std::array<std::uint32_t, kValues>, 8> counts{};
  for (const Sortable& one : all) {
    for (std::size_t byte = 0; byte < 8; ++byte) ++counts[byte][one.bytes >> byte * 8 & 0xff];
  }
  std::vector<Sortable> other(all.size());
  for (std::size_t byte = 0; byte < 8; ++byte) {
    std::array<std::uint32_t, kValues>& count = counts[byte];
    if (count[all[0].bytes >> byte * 8 & 0xff] == all.size()) continue;
    std::uint32_t begin = 0;
    for (std::uint32_t& one : count) begin += std::exchange(one, begin);
    for (const Sortable& one : all) other[count[one.bytes >> byte * 8 & 0xff]++] = one;
    all.swap(other);
  }
}

void sort_table(std::span<StateEntry*> entries) {
  if (entries.size() < 2) return;
  const auto prefetch = [&](std::size_t i) {
    if (i + kAhead >= entries.size()) return;
    __builtin_prefetch(entries[i + kAhead]);
    __builtin_prefetch(reinterpret_cast<const char*>(entries[i + kAhead]) + sizeof(StateEntry));
  };
  const std::string_view first = entries[0]->key;
  std::size_t common = first.size();
  for (std::size_t i = 1; i < entries.size(); ++i) {
    prefetch(i);
    const std::string_view key = entries[i]->key;
    common = std::min(common, key.size());
    if (common == 0 || std::memcmp(first.data(), key.data(), common) == 0) continue;
    common = static_cast<std::size_t>(std::ranges::mismatch(first.substr(0, common), key.substr(0, common)).in1 - first.begin());
  }
  std::vector<Sortable> sortable;
  sortable.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    prefetch(i);
    const std::string_view key = entries[i]->key;
    sortable.push_back({bytes_from(key, common), bytes_from(key, common + 8), entries[i]});
  }
  if (sortable.size() < kRadixMin || sortable.size() > UINT32_MAX) {
    std::ranges::sort(sortable, is_below);
  } else {
    sort_by_bytes(sortable);
    for (auto at = sortable.begin(); at != sortable.end();) {
      auto end = at + 1;
      while (end != sortable.end() && end->bytes == at->bytes) ++end;
      if (end - at > 1) std::sort(at, end, is_below);
      at = end;
    }
  }
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = sortable[i].entry;
}

}  // namespace

Overlay::~Overlay() {
  for (StateEntry* entry : replaced) {
    const EntrySlabs::SizeClass size = entry->size_class;
    entry->~StateEntry();
    if (size == EntrySlabs::kHeap) std::free(entry);  // The others go with the store's slabs, which live longer.
  }
}

const std::vector<StateEntry*>& Overlay::sorted() const {
  std::call_once(sort_once_, [this] {
    sorted_ = entries_;
    const auto table = [](const StateEntry* entry) { return entry->table; };
    if (!std::ranges::all_of(sorted_, [&](const StateEntry* e) { return e->table == sorted_[0]->table; }))
      std::ranges::sort(sorted_, {}, table);
    for (auto at = sorted_.begin(); at != sorted_.end();) {
      const auto end = std::ranges::upper_bound(at, sorted_.end(), (*at)->table, {}, table);
      sort_table({at, end});
      at = end;
    }
  });
  return sorted_;
}

const StateEntry* Overlay::find(TableId table, std::string_view key) const {
  const auto at = std::ranges::lower_bound(sorted(), EntryLess::Place{table, key}, EntryLess{},
                                           [](const StateEntry* e) { return EntryLess::place(e); });
  return at != sorted_.end() && (*at)->table == table && (*at)->key == key ? *at : nullptr;
}

}  // namespace kappa::processor
