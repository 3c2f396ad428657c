// See overlay.h.
#include "processor/state/overlay.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <span>

namespace kappa::processor {
namespace {

// What a sort compares: entries lie all over the heap, so eight bytes of each key are fetched once. They begin
// where the keys of the table begin to differ.
struct Sortable {
  std::uint64_t bytes;
  StateEntry* entry;
};

std::uint64_t bytes_from(std::string_view key, std::size_t at) {
  char bytes[8] = {};
  if (at < key.size()) std::memcpy(bytes, key.data() + at, std::min<std::size_t>(8, key.size() - at));
  return __builtin_bswap64(std::bit_cast<std::uint64_t>(bytes));
}

void sort_table(std::span<StateEntry*> entries) {
  if (entries.size() < 2) return;
  const std::string_view first = entries[0]->key;
  std::size_t common = first.size();
  for (const StateEntry* entry : entries) {
    common = std::min(common, entry->key.size());
    if (common == 0 || std::memcmp(first.data(), entry->key.data(), common) == 0) continue;
    common = static_cast<std::size_t>(
        std::ranges::mismatch(first.substr(0, common), entry->key.substr(0, common)).in1 - first.begin());
  }
  std::vector<Sortable> sortable;
  sortable.reserve(entries.size());
  for (StateEntry* entry : entries) sortable.push_back({bytes_from(entry->key, common), entry});
  std::ranges::sort(sortable, [](const Sortable& a, const Sortable& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.entry->key < b.entry->key;
  });
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = sortable[i].entry;
}

}  // namespace

Overlay::~Overlay() {
  for (StateEntry* entry : replaced) {
    entry->~StateEntry();
    std::free(entry);
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
