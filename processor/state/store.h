// The one implementation of StateStore: a cache of entries in memory, two overlays that say which of them are not
// committed yet, and an optional tree.
//
// A turnstile before the shared mutex keeps a stream of readers from starving the processor: whoever
// wants the lock, in either mode, passes it in turn.
#pragma once

#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "processor/state/entry_cache.h"
#include "processor/state/memory_budget.h"
#include "processor/state/merge_cursor.h"
#include "processor/state/overlay.h"
#include "processor/state/state_store.h"
#include "processor/state/tree.h"

namespace kappa::processor {

class FairSharedMutex {
 public:
  void lock() {
    const std::lock_guard turn(turnstile_);
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }
  void lock_shared() {
    const std::lock_guard turn(turnstile_);
    mutex_.lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  std::mutex turnstile_;
  std::shared_mutex mutex_;
};

// The active overlay as it was at one moment, in order; keys and values are copies. Shared by the snapshots that
// were taken before the next publish.
struct ActiveImage {
  std::vector<ImageEntry> entries;
  std::string bytes;
  std::uint64_t version = 0;
};

class LayeredStore final : public StateStore {
 public:
  // `tree` may be null: the state lives in memory only. `memory` may be null: then nothing bounds it.
  LayeredStore(std::unique_ptr<Tree> tree, std::shared_ptr<MemoryBudget> memory);
  ~LayeredStore() override;

  [[nodiscard]] Expected<std::optional<std::string>> get(TableId table, std::string_view key) override;
  void put(TableId table, std::string_view key, std::string_view value) override;
  void erase(TableId table, std::string_view key) override;
  [[nodiscard]] Expected<StateEntry*> entry(TableId table, std::string_view key) override;
  [[nodiscard]] Status entries(TableId table, std::span<const std::string_view> keys,
                               std::span<StateEntry*> out) override;
  void begin_changes() override;
  void changed(StateEntry& entry) override;
  void changed(std::span<StateEntry* const> entries) override;
  void keep_ordered(TableId table) override {
    ordered_tables_[table] = true;
    ordered_ = true;
    set_bulk(bulk_);
  }
  [[nodiscard]] Expected<std::optional<std::pair<std::string, std::string>>> first(TableId table,
                                                                                   KeyRange range,
                                                                                   bool backward) override;
  [[nodiscard]] Expected<std::unique_ptr<StateCursor>> scan(TableId table, KeyRange range, bool backward) override;
  void begin_publish() override;
  void end_publish(const Progress& progress) override;
  void observe(bool on) override { observed_.store(on, std::memory_order_relaxed); }
  [[nodiscard]] Changes take_changes() override { return std::exchange(changes_, {}); }
  [[nodiscard]] std::size_t active_bytes() const override;
  [[nodiscard]] std::size_t uncommitted_bytes() const override {
    return active_bytes() + frozen_bytes_.load(std::memory_order_relaxed);
  }
  void shrink() override;
  [[nodiscard]] bool freeze() override;
  void set_bulk(bool bulk) override {
    bulk_ = bulk;
    if (tree_) tree_->set_bulk(bulk && !ordered_);
  }
  [[nodiscard]] bool makes_runs() const override { return bulk_ && !ordered_ && tree_ && tree_->fresh(); }
  [[nodiscard]] bool has_runs() const override { return tree_ && tree_->has_runs(); }
  [[nodiscard]] Status commit() override;
  [[nodiscard]] bool has_frozen() const override;
  [[nodiscard]] Status check(const std::function<bool(std::uint64_t bytes)>& go_on) override;
  [[nodiscard]] bool checked() const override { return !tree_ || tree_->checked(); }
  [[nodiscard]] std::uint64_t opened_bytes() const override { return tree_ ? tree_->file_bytes() : 0; }
  [[nodiscard]] Expected<std::shared_ptr<StateSnapshot>> snapshot() override;
  [[nodiscard]] Expected<PointRead> read(TableId table, std::string_view key) override;
  [[nodiscard]] Expected<PointReads> read_many(TableId table, std::span<const std::string> keys) override;
  [[nodiscard]] Status read_many(TableId table, std::span<const std::string_view> keys, PointBatch& out) override;
  [[nodiscard]] Progress progress() const override;
  [[nodiscard]] Offset committed() const override {
    return Offset(committed_.load(std::memory_order_acquire));
  }
  [[nodiscard]] std::uint64_t bytes_in_memory() const override {
    return cached_bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t bytes_on_disk() const override { return tree_ ? tree_->bytes_on_disk() : 0; }

 private:
  // Takes the layers below the active one as they are now, for the processor's reads.
  [[nodiscard]] Status look_below();
  // Slots for so many more entries. Shuts readers out for as long as that takes, if need be.
  void make_room(std::size_t count);
  StateEntry& add(const EntryCache::Lookup& lookup, const std::optional<std::string_view>& value);
  // The entry itself, or its copy if an overlay that is being committed or read needs it as it is.
  [[nodiscard]] StateEntry& writable(StateEntry& entry);
  [[nodiscard]] StateEntry& writable_of_older(StateEntry& entry);
  void note_change(StateEntry& entry);
  // The entry of a key whose value does not matter. After begin_changes().
  [[nodiscard]] StateEntry& entry_unloaded(TableId table, std::string_view key);
  // Keeps what an entry is before this publish changes it, if somebody wants to know.
  void remember(const StateEntry& entry) {
    if (observed_.load(std::memory_order_relaxed)) [[unlikely]]
      remember_before(entry);
  }
  void remember_before(const StateEntry& entry);
  void compare_with_before();
  // Readers are out: what no overlay needs any more, and what the budget wants back, goes to garbage_.
  void retire_overlays();
  void evict();
  // No reader can hold it any more.
  void free_garbage();

  const std::shared_ptr<Tree> tree_;         // May be null. Shared with snapshots, which may live longer.
  const std::shared_ptr<EntryCache> cache_;  // Shared with snapshots, whose overlays point into it.
  MemoryBudget::Share share_;

  // Guarded by mutex_: the processor thread changes them holding it alone, others read them sharing
  // it. The processor thread itself reads without it. It also guards the values of the entries.
  mutable FairSharedMutex mutex_;
  std::shared_ptr<Overlay> active_;
  std::shared_ptr<Overlay> frozen_;
  Progress visible_;
  Progress frozen_progress_;
  std::uint64_t committed_hash_ = 0;  // Of the committed mark: a repair of the log may give its place another.
  std::uint64_t version_ = 0;

  // Of the processor thread.
  bool bulk_ = false;
  bool ordered_ = false;                            // Some table is.
  bool publishing_ = false;
  bool locked_ = false;
  bool below_is_current_ = false;
  std::shared_ptr<const Overlay> frozen_seen_;
  ReadTransaction below_;
  std::array<bool, 256> ordered_tables_{};
  std::array<std::size_t, 256> rooms_{};            // By table: bytes that a value will probably need.
  std::vector<std::shared_ptr<Overlay>> kept_;      // Frozen ones that are not retired, oldest first.
  std::vector<StateEntry*> garbage_;
  std::vector<std::uint64_t> hashes_;               // Of entries().
  std::vector<std::size_t> missing_;
  std::vector<std::string_view> missing_keys_;
  std::vector<std::optional<std::string_view>> missing_values_;
  std::atomic<bool> observed_{false};               // Set by whoever keeps the processor still.
  boost::unordered_flat_map<std::string, std::optional<std::string>> before_;  // Of entries of kRowsTable.
  std::size_t before_bytes_ = 0;
  bool before_complete_ = true;
  Changes changes_;

  std::atomic<std::uint64_t> committed_{0};
  std::atomic<bool> has_frozen_{false};
  std::atomic<std::size_t> active_bytes_{0};
  std::atomic<std::size_t> frozen_bytes_{0};
  std::atomic<std::size_t> cached_bytes_{0};

  std::mutex image_mutex_;  // Taken before mutex_.
  std::shared_ptr<const ActiveImage> image_;
};

}  // namespace kappa::processor
