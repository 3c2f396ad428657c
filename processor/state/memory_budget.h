// The memory that all views' states may take together, and who has how much of it.
//
// Uncommitted entries must stay until they are committed; everything else is a cache and can go. So half of the
// budget is for what is uncommitted: at a quarter the largest views are committed early, at half whoever has more
// than its part waits for the committer. The rest of the memory, and what the caches of the others leave, is cache.
// LMDB's own pages of a running commit (4 KiB for each page that it changes) come on top.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace kappa::processor {

class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  // Bytes that caches should give back.
  [[nodiscard]] std::size_t excess() const {
    const std::size_t used = this->used();
    return used > bytes_ ? used - bytes_ : 0;
  }
  // Whether a view with so many bytes changed since its last freeze should be frozen now.
  [[nodiscard]] bool freeze_now(std::size_t active) const {
    return active_.load(std::memory_order_relaxed) > bytes_ / 4 && active > bytes_ / 4 / stores();
  }
  // The same for a view that is built from nothing. Its commits need no memory beside it, and what is committed once
  // instead of twice is all that they cost: it waits for them anyhow.
  [[nodiscard]] bool freeze_built_now(std::size_t active) const {
    const std::size_t most = bytes_ / 8 * 5;
    return active_.load(std::memory_order_relaxed) > most && active > most / stores();
  }
  // Whether a view with so many uncommitted bytes has to stop until some are committed.
  [[nodiscard]] bool wait_now(std::size_t uncommitted) const {
    return active_.load(std::memory_order_relaxed) + frozen_.load(std::memory_order_relaxed) > bytes_ / 2 &&
           uncommitted > bytes_ / 2 / stores();
  }

  // What one store has. Its setters are for one thread each.
  class Share {
   public:
    explicit Share(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {
      if (budget_) budget_->stores_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Share() {
      if (!budget_) return;
      set_used(0);
      set_active(0);
      set_frozen(0);
      budget_->stores_.fetch_sub(1, std::memory_order_relaxed);
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    void set_used(std::size_t bytes) { set(used_, bytes, &MemoryBudget::used_); }
    void set_active(std::size_t bytes) { set(active_, bytes, &MemoryBudget::active_); }
    void set_frozen(std::size_t bytes) { set(frozen_, bytes, &MemoryBudget::frozen_); }
    // Null: there is no bound.
    [[nodiscard]] const MemoryBudget* budget() const { return budget_.get(); }

   private:
    void set(std::size_t& mine, std::size_t bytes, std::atomic<std::size_t> MemoryBudget::*all) {
      if (budget_) ((*budget_).*all).fetch_add(bytes - mine, std::memory_order_relaxed);  // Wraps for less.
      mine = bytes;
    }
    std::shared_ptr<MemoryBudget> budget_;  // Shared by all stores.
    std::size_t used_ = 0;
    std::size_t active_ = 0;
    std::size_t frozen_ = 0;
  };

 private:
  [[nodiscard]] std::size_t stores() const {
    const std::size_t stores = stores_.load(std::memory_order_relaxed);
    return stores == 0 ? 1 : stores;
  }
  const std::size_t bytes_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> active_{0};
  std::atomic<std::size_t> frozen_{0};
  std::atomic<std::size_t> stores_{0};
};

}  // namespace kappa::processor
