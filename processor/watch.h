// Following the rows of a view: what it is now, then what every step of its progress did to it.
//
// A step takes the watcher from the view at one applied offset to the view at a later one; the rows that it took
// and gave, added up, are the view at each mark. Steps coalesce: a watcher that is slow gets fewer and larger ones,
// and beyond a bound it is told that it missed some (Reset) and begins anew.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "processor/sql/plan.h"
#include "proto/error.h"
#include "proto/ids.h"
#include "proto/value.h"

namespace kappa::processor {

// What one watcher may leave waiting; and all of them together, above which whoever gets more begins anew.
inline constexpr std::size_t kWatchBytesMax = std::size_t{4} << 20;
inline constexpr std::size_t kWatchesBytesMax = std::size_t{64} << 20;

struct WatchRequest {
  std::string view;             // "name" follows the version that serves, "name@2" that version.
  std::vector<Value> prefix;    // Of the key: only rows that have it.
  bool snapshot = true;         // Begin with the rows that there are, and again after each reset.
  bool reset_at_cutover = false;  // Instead of the difference between the versions.
  // Goes on from a mark of an earlier watch, if nothing happened since that cannot be told any more.
  struct From {
    Offset applied;
    std::uint32_t version = 0;
  };
  std::optional<From> resume;
  std::size_t bytes_max = kWatchBytesMax;
};

// Why a watcher begins anew: what it has is to be thrown away.
enum class WatchReset : std::uint8_t {
  kSnapshot = 0,    // It asked to.
  kBehind = 1,      // It was slow, and what it missed is not known any more.
  kReplaced = 2,    // Another version serves, and it asked to be told so.
  kRebuilt = 3,     // The view's state was made anew.
  kNotResumed = 4,  // It cannot go on from where it was.
};

// Receives steps, from one thread: begin(), change() any number of times, end(). False stops the step.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // Before the first step, and where they change: rows that are given from here on have these columns.
  [[nodiscard]] virtual bool columns(const std::vector<Column>& columns) = 0;
  // A step begins, to this offset of this version. `pinned`: while it lasts it keeps an old state of the view from
  // being given up, so the sink must not wait long for its reader; otherwise it must not wait at all.
  struct Step {
    Offset applied;
    std::uint32_t version = 1;
    std::optional<WatchReset> reset;
    bool pinned = false;
  };
  [[nodiscard]] virtual bool begin(const Step& step) = 0;
  // A row is in the view now, or is not any more (once).
  [[nodiscard]] virtual bool change(bool added, const Row& row) = 0;
  [[nodiscard]] virtual bool end(const Step& step) = 0;
};

enum class WatchNews : std::uint8_t { kNothing = 0, kProgress = 1, kChange = 2 };

// One watcher. step() from one thread at a time; destroyed while no step runs, before the engine.
class Watch {
 public:
  virtual ~Watch() = default;
  // Gives what there is: a step, which may be empty. kNotFound 2003 when the view is gone; the view's error when it
  // failed; kClosed 4008 when the sink stopped it with `cancelled`; kBusy 4011 when the sink stopped it otherwise:
  // the next step begins anew.
  [[nodiscard]] virtual Status step(WatchSink& sink, const std::atomic<bool>& cancelled) = 0;
  // Gives up what only the exact difference between two versions needs: the watcher is too slow for it.
  virtual void let_go() = 0;
};

}  // namespace kappa::processor
