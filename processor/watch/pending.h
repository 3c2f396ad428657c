// What a watcher has not been given yet: the entries that changed since its mark, as they were there and as they are.
//
// Changes of one key coalesce, and vanish when it is as it was. Bytes count in a sum that all watchers share. Not
// thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "processor/state/state_store.h"

namespace kappa::processor {

class Pending {
 public:
  struct Entry {
    std::optional<std::string> before;
    std::optional<std::string> after;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;
  using Sum = std::shared_ptr<std::atomic<std::size_t>>;  // Shared: a watcher may live longer than who counts.

  explicit Pending(Sum sum) : sum_(std::move(sum)) {}
  ~Pending() { clear(); }
  Pending(Pending&& other) noexcept
      : sum_(other.sum_), entries_(std::move(other.entries_)), bytes_(std::exchange(other.bytes_, 0)) {
    other.entries_.clear();
  }
  Pending& operator=(Pending&& other) noexcept {
    if (this == &other) return *this;
    clear();
    entries_ = std::move(other.entries_);
    other.entries_.clear();
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  void add(const EntryChange& change) {
    const auto found = entries_.find(change.key);
    if (found == entries_.end()) {
      entries_.emplace(change.key, Entry{change.before, change.after});
      count(bytes_of(change.key, change.before) + bytes_of({}, change.after), 0);
      return;
    }
    Entry& entry = found->second;
    const std::size_t was = bytes_of({}, entry.after);
    if (entry.before == change.after) {
      count(0, bytes_of(change.key, entry.before) + was);
      entries_.erase(found);
      return;
    }
    entry.after = change.after;
    count(bytes_of({}, entry.after), was);
  }
  void clear() {
    entries_.clear();
    count(0, bytes_);
  }
  [[nodiscard]] const Entries& entries() const { return entries_; }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t all_bytes() const { return sum_->load(std::memory_order_relaxed); }

 private:
  static std::size_t bytes_of(std::string_view key, const std::optional<std::string>& value) {
    static constexpr std::size_t kPartBytes = 64;
    return kPartBytes + key.size() + (value ? value->size() : 0);
  }
  void count(std::size_t more, std::size_t less) {
    bytes_ += more - less;
    sum_->fetch_add(more - less, std::memory_order_relaxed);  // May wrap, and does so back.
  }

  Sum sum_;
  Entries entries_;
  std::size_t bytes_ = 0;
};

}  // namespace kappa::processor
