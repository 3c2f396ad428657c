// The entries that changed between two freezes. The active overlay grows; a frozen one is what one commit writes,
// and immutable: whoever changes one of its entries changes a copy.
//
// An entry says in its stamp which overlay it belongs to: twice the overlay's number, plus one if it is in the
// overlay, plus nothing for a copy that was made meanwhile and has not changed. Entries are the cache's
// (entry_cache.h), except those that were replaced by copies: they are the overlay's until it retires.
// Threads: the active overlay: add() needs readers out, the rest is under the store's lock. Frozen: any.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

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
  explicit Overlay(std::uint32_t number) : number_(number) {}
  ~Overlay();
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;

  [[nodiscard]] std::uint32_t number() const { return number_; }
  [[nodiscard]] static std::uint32_t number_of(const StateEntry& entry) { return entry.stamp / 2; }
  [[nodiscard]] bool has(const StateEntry& entry) const { return entry.stamp == number_ * 2 + 1; }
  // Makes the entry a member; it must not be one.
  void add(StateEntry& entry, bool ordered) {
    entry.stamp = number_ * 2 + 1;
    entries_.push_back(&entry);
    if (ordered) ordered_.insert(&entry);
  }
  // A copy, not a member, which must stay in memory as long as the members.
  void keep(StateEntry& copy) const { copy.stamp = number_ * 2; }

  [[nodiscard]] const std::vector<StateEntry*>& entries() const { return entries_; }
  // Those of the tables that are kept in order.
  [[nodiscard]] const std::set<StateEntry*, EntryLess>& ordered() const { return ordered_; }
  // Memory of the members.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  void count(std::size_t bytes) { bytes_ += bytes; }

  // --- frozen ---
  // All in order.
  [[nodiscard]] const std::vector<StateEntry*>& sorted() const;
  [[nodiscard]] const StateEntry* find(TableId table, std::string_view key) const;
  void set_committed() { committed_.store(true, std::memory_order_release); }
  // A snapshot reads it: its entries must not change.
  void pin() const { pins_.fetch_add(1, std::memory_order_relaxed); }
  void unpin() const { pins_.fetch_sub(1, std::memory_order_release); }
  // Nobody needs its entries to stay as they are any more.
  [[nodiscard]] bool retired() const {
    return committed_.load(std::memory_order_acquire) && pins_.load(std::memory_order_acquire) == 0;
  }
  // Members that copies have replaced. Processor thread.
  std::vector<StateEntry*> replaced;

 private:
  const std::uint32_t number_;
  std::vector<StateEntry*> entries_;
  std::set<StateEntry*, EntryLess> ordered_;
  std::size_t bytes_ = 0;
  std::atomic<bool> committed_{false};
  mutable std::atomic<std::uint32_t> pins_{0};
  mutable std::once_flag sort_once_;
  mutable std::vector<StateEntry*> sorted_;
};

// A frozen overlay that a snapshot reads; empty for none.
class OverlayPin {
 public:
  OverlayPin() = default;
  explicit OverlayPin(std::shared_ptr<const Overlay> overlay) : overlay_(std::move(overlay)) {
    if (overlay_) overlay_->pin();
  }
  ~OverlayPin() {
    if (overlay_) overlay_->unpin();
  }
  OverlayPin(OverlayPin&& other) noexcept : overlay_(std::exchange(other.overlay_, nullptr)) {}
  OverlayPin& operator=(OverlayPin&&) = delete;
  [[nodiscard]] const Overlay* get() const { return overlay_.get(); }

 private:
  std::shared_ptr<const Overlay> overlay_;  // Shared with the store and other snapshots.
};

}  // namespace kappa::processor
