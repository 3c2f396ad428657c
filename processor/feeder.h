// From chunks of events to the heads of a dataflow, cut so that what comes out does not depend on where
// the chunks happened to end (granularity_of() says how finely; sql/plan_properties.h).
//
// Invariant: after feed() the receiver has had every event below the chunk's end once, in cuts whose places
// follow from the log and the plan alone, except for Granularity::kChunk; and the watermark is that of the
// prefix. Cuts are selections over the chunk's vectors; only cuts that are small against their chunk are
// copied out of it, because what works on a batch may look at all of it.
// One thread at a time. Used by live views and by queries over streams.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "processor/event_source.h"
#include "processor/sql/plan.h"
#include "processor/sql/plan_properties.h"
#include "processor/vector/vector.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

// Is told what the rows that come next are owed to. For who writes results back to the log.
class CutListener {
 public:
  virtual ~CutListener() = default;
  // A cut begins whose last event has this offset. The same offsets for the same log, whatever the chunks and
  // restarts, except for Granularity::kChunk.
  [[nodiscard]] virtual Status begin_cut(Offset source) = 0;
};

class Feeder {
 public:
  // What is fed.
  class Receiver : public CutListener {
   public:
    // Rows of the scan with this index in scans_of(plan).
    [[nodiscard]] virtual Status push(std::size_t head, const ChangeBatch& batch) = 0;
    // After the pushes of each cut, once there is a watermark: that of the plan's streams together.
    [[nodiscard]] virtual Status advance(std::int64_t watermark) = 0;
    [[nodiscard]] Status begin_cut(Offset) override { return {}; }
  };

  // The plan must live as long.
  explicit Feeder(const ViewPlan& plan);

  // The plan's kStreamScan leaves, left to right: those whose chunks feed() takes, in this order.
  [[nodiscard]] const std::vector<const Plan*>& scans() const { return scans_; }

  // `first`: index of scans()[0] among the source's scans; the others follow it. Errors are the receiver's.
  [[nodiscard]] Status feed(const EventSource& source, std::size_t first, Receiver& receiver);

  // Greatest event times by stream, in the order of their first scans: streams that have an event time only.
  struct StreamTime {
    const StreamDefinition* stream = nullptr;
    std::int64_t latest = INT64_MIN;  // INT64_MIN: no event with a time yet.
  };
  [[nodiscard]] const std::vector<StreamTime>& times() const { return times_; }
  // To go on from a stored state.
  void set_time(std::size_t index, std::int64_t latest) { times_[index].latest = latest; }
  // The least of latest - delay over the streams that have an event time; INT64_MIN: none (yet).
  [[nodiscard]] std::int64_t watermark() const;

 private:
  static constexpr std::size_t kNoTime = SIZE_MAX;
  // One stream scan, and how far the chunk at hand was fed to it. Rows are counted among the selected ones.
  struct Input {
    std::size_t head = 0;  // Index into scans_of(plan).
    unsigned turn = 0;
    std::size_t time = kNoTime;  // Index into times_.
    const ScanChunk* chunk = nullptr;
    std::size_t next = 0;    // The first that was not looked at.
    std::size_t pushed = 0;  // The first that was not pushed.
    std::size_t size = 0;
    Selection selection;  // Of a cut.
    std::vector<Vector> copies;
    ChangeBatch part;
    [[nodiscard]] std::uint32_t row(std::size_t i) const {
      return chunk->changes.selection != nullptr ? (*chunk->changes.selection)[i] : static_cast<std::uint32_t>(i);
    }
    [[nodiscard]] std::uint64_t offset() const {
      return next < size ? chunk->offsets[row(next)] : UINT64_MAX;
    }
  };
  [[nodiscard]] Status feed_whole(Offset end, Receiver& receiver);
  [[nodiscard]] Status feed_cuts(Receiver& receiver);
  // Pushes what was looked at and not pushed.
  [[nodiscard]] Status push_cut(Offset source, Receiver& receiver);
  [[nodiscard]] static Status push_part(Input& input, Receiver& receiver);
  // Whether the event that every input in `at_` has next must begin a cut.
  [[nodiscard]] bool begins_cut(std::uint64_t offset) const;

  const Granularity granularity_;
  const std::int64_t step_;
  unsigned turns_ = 1;
  unsigned greatest_turn_ = 0;  // Of the cut so far.
  std::vector<const Plan*> scans_;
  std::vector<Input> inputs_;
  std::vector<StreamTime> times_;
};

}  // namespace kappa::processor
