// Holds: who still needs which part of the log, so that retention waits for them.
//
// A hold on offset N keeps every segment with an event at or above N. Retention takes its floor under
// the table's lock: a hold is either seen by it or begins at the floor, never in between. A hold lives
// as long as its token; tokens may outlive the table's log. Thread-safe; a token is one thread's.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "proto/ids.h"

namespace kappa::log {

class HoldTable;

// One hold; gone when it is destroyed. An empty one holds nothing.
class Hold {
 public:
  Hold() = default;
  ~Hold() { release(); }
  Hold(Hold&& other) noexcept = default;
  Hold& operator=(Hold&& other) noexcept;
  void release();
  // Everything below `offset` is not needed any more; a lower offset than before changes nothing.
  void advance(Offset offset);
  // From where on the log is kept for this hold (unless the hard cap took it): at least what was asked
  // for, more if that was gone already. 0 of an empty hold.
  [[nodiscard]] Offset offset() const;

 private:
  friend class HoldTable;
  struct Entry {
    std::string name;
    std::atomic<std::uint64_t> offset;
  };
  Hold(std::shared_ptr<HoldTable> table, std::shared_ptr<Entry> entry)
      : table_(std::move(table)), entry_(std::move(entry)) {}
  std::shared_ptr<HoldTable> table_;
  std::shared_ptr<Entry> entry_;
};

struct HoldInfo {
  std::string name;
  Offset offset;
};

class HoldTable : public std::enable_shared_from_this<HoldTable> {
 public:
  explicit HoldTable(Offset floor) : floor_(floor) {}
  // `name` is for people: `view "v"`.
  [[nodiscard]] Hold add(std::string name, Offset offset);
  // The lowest; nullopt if there is none.
  [[nodiscard]] std::optional<HoldInfo> lowest() const;
  // Calls decide(lowest hold), which gives the new floor; a lower one than before changes nothing.
  template <class Decide>
  void raise_floor(Decide decide) {
    const std::lock_guard lock(mutex_);
    floor_ = std::max(floor_, decide(lowest_locked()));
  }

 private:
  friend class Hold;
  void remove(const Hold::Entry* entry);
  [[nodiscard]] std::optional<HoldInfo> lowest_locked() const;

  mutable std::mutex mutex_;
  Offset floor_;  // What retention has decided to keep.
  std::vector<std::shared_ptr<Hold::Entry>> entries_;
};

}  // namespace kappa::log
