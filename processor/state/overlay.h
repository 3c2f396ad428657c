// The part of a view's state that lives in memory: what changed since the last freeze, and private
// copies of what the processor has read below it.
//
// Invariants: an entry's address and key bytes never change while the overlay lives. Readers see
// `visible` entries only. Threads: find(), add() of private entries and marks belong to the processor
// thread, without a lock; show() and changes of visible entries need the store's lock held alone;
// readers use find_visible() and visible() under the store's lock shared. Once frozen an overlay is
// immutable and free to read.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>

#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "processor/state/hash.h"
#include "processor/state/state_store.h"

namespace kappa::processor {

// Order of the tree: by table, then by key bytes.
struct EntryLess {
  using is_transparent = void;
  struct Place {
    TableId table;
    std::string_view key;
  };
  static Place place(const StateEntry* entry) { return {entry->table, entry->key}; }
  static Place place(const Place& p) { return p; }
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    const Place x = place(a);
    const Place y = place(b);
    return x.table != y.table ? x.table < y.table : x.key < y.key;
  }
};

class Overlay {
 public:
  struct Lookup {
    TableId table;
    std::string_view key;
    std::uint64_t hash;
  };
  [[nodiscard]] static Lookup lookup(TableId table, std::string_view key) {
    return {table, key, hash_key(table, key)};
  }

  [[nodiscard]] StateEntry* find_visible(const Lookup& lookup) const { return find_in(visible_, lookup); }
  [[nodiscard]] StateEntry* find(const Lookup& lookup) const {
    StateEntry* entry = find_in(visible_, lookup);
    return entry != nullptr || private_.empty() ? entry : find_in(private_, lookup);
  }
  // A new private entry; there must be none for the key.
  StateEntry& add(const Lookup& lookup);
  // Makes the entry part of the overlay (if it is not) and counts its bytes.
  void show(StateEntry& entry, bool ordered);

  template <class Body>
  void for_each_visible(Body&& body) const {
    for (const StateEntry* entry : visible_) body(*entry);
  }
  [[nodiscard]] std::size_t visible_count() const { return visible_.size(); }
  // Memory, approximately.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // Visible entries of the tables that are kept in order.
  [[nodiscard]] const std::set<StateEntry*, EntryLess>& ordered() const { return ordered_; }
  // All visible entries in order. Only of a frozen overlay; thread-safe.
  [[nodiscard]] const std::vector<const StateEntry*>& sorted() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const StateEntry* entry) const { return entry->hash; }
    std::size_t operator()(const Lookup& lookup) const { return lookup.hash; }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const StateEntry* a, const StateEntry* b) const { return a == b; }
    bool operator()(const Lookup& a, const StateEntry* b) const {
      return a.hash == b->hash && a.table == b->table && a.key == b->key;
    }
    bool operator()(const StateEntry* a, const Lookup& b) const { return (*this)(b, a); }
  };
  using Index = boost::unordered_flat_set<StateEntry*, Hash, Equal>;
  [[nodiscard]] static StateEntry* find_in(const Index& index, const Lookup& lookup) {
    const auto found = index.find(lookup);
    return found == index.end() ? nullptr : *found;
  }
  [[nodiscard]] std::string_view keep(std::string_view key);

  std::deque<StateEntry> entries_;
  std::deque<std::unique_ptr<char[]>> key_blocks_;
  char* key_at_ = nullptr;
  std::size_t key_left_ = 0;
  Index visible_;
  Index private_;
  std::set<StateEntry*, EntryLess> ordered_;
  std::size_t bytes_ = 0;
  mutable std::once_flag sort_once_;
  mutable std::vector<const StateEntry*> sorted_;
};

}  // namespace kappa::processor
