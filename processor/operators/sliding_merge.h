// The merged state of the groups inside a window that only moves forward, at about three merges a group however
// many a window holds: a stack of merged suffixes and a running merge of what came behind it. (Tangwongsan, Hirzel,
// Schneider, Wu: General Incremental Sliding-Window Aggregation, VLDB 2015, on the two stacks.)
//
// One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "processor/operators/group_codec.h"

namespace kappa::processor {

class SlidingMerge {
 public:
  // Of a mergeable set; borrowed.
  explicit SlidingMerge(const AggregateSet& aggregates) : aggregates_(aggregates) {}
  void clear();
  [[nodiscard]] bool empty() const { return front_.empty() && back_.empty(); }
  // The groups' values, at ascending times. kCorrupt 3301, as for all that merge.
  [[nodiscard]] Status add(std::int64_t time, std::string_view value);
  // Takes those with a lower time out.
  [[nodiscard]] Status drop_before(Int128 time);
  // All that are in, into `merged`; not empty().
  [[nodiscard]] Status merge_into(EntryValue& merged) const;

 private:
  struct Part {
    std::int64_t time;
    std::string value;
  };
  const AggregateSet& aggregates_;
  std::vector<Part> front_;  // The oldest last; each merged with all that are before it here.
  std::vector<Part> back_;   // Newer than those, as they came.
  EntryValue back_merged_;
};

}  // namespace kappa::processor
