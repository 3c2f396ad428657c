// The log's tables after reading all of it, as exact as damage allows.
//
// They are carried from segment to segment; a segment's snapshot is needed to begin with, and to heal them
// behind damage, and then only if it is whole itself. A topic whose name is lost gets one to be found by.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "log/log_state.h"
#include "log/segment_scan.h"

namespace kappa::log {

class StateReplay {
 public:
  // `from_zero`: the first segment is the log's first, so nothing is missing in front of it.
  void begin_log(bool from_zero) { exact_ = from_zero; }
  void begin_segment() { head_ = {}; }
  // The next batch; verified.
  void apply(const FoundBatch& found);
  // Batches are lost here.
  void lose();
  // The snapshot at the beginning of the segment, if there is one, is complete.
  void end_head();
  // The tables are what the whole log up to here said before anything of it was lost.
  [[nodiscard]] bool exact() const { return exact_; }
  [[nodiscard]] LogState take() { return std::move(state_); }

 private:
  LogState state_;
  bool exact_ = false;  // state_ is what the whole log up to here says.
  struct Head {
    bool open = true;
    std::vector<std::pair<BatchHeader, std::string>> snapshot;
  };
  Head head_;
};

}  // namespace kappa::log
