// What follows from a plan's shape: which inputs never take rows back, which keep the log's order, which
// scans it has, how finely events must be fed to it. Pure functions.
#pragma once

#include <vector>

#include "processor/sql/plan.h"

namespace kappa::processor {

struct PlanProperties {
  // Weights are always above zero. Operators keep the small state then.
  bool append_only = true;
  // Rows come in the order of the log whatever the batches: state that depends on arrival order is the
  // same for the same prefix. Only filters, projections and windows over one scan keep it.
  bool log_ordered = true;
};
// What is known of how a plan runs.
struct PlanSetting {
  bool scans_take_back = false;    // Scans give weights below zero, in any order.
  bool aggregates_at_end = false;  // Aggregates give their rows once, after the last input (bounded queries).
};
[[nodiscard]] PlanProperties properties_of(const Plan& plan, PlanSetting setting = {});

// Whether the plan never has two rows at rest for which all of the expressions (over its output) are equal.
// Whether rows of an event leave before the next event is looked at, with nothing kept in between: filters,
// projections and hopping windows over one stream.
[[nodiscard]] bool is_stateless(const Plan& plan);

[[nodiscard]] bool is_unique_on(const Plan& plan, const std::vector<ExpressionPtr>& expressions);

// The scans (kStreamScan, kViewScan, kValues) of a plan, left to right, each occurrence once: the order of
// Dataflow's heads.
[[nodiscard]] std::vector<const Plan*> scans_of(const Plan& plan);

// How events must be cut before they are pushed into a dataflow, so that what it gives does not depend on how
// they happened to be cut.
enum class Granularity : std::uint8_t {
  kChunk,        // Any way.
  kRun,          // Heads have turns (head_turns()): within one push of all heads no event of a lower turn may have
                 // a greater offset than one of a higher turn.
  kWindowClose,  // A cut after every event that moves the watermark over a multiple of watermark_step().
  kEvent,        // A cut after every event.
};
[[nodiscard]] Granularity granularity_of(const ViewPlan& plan);

// kRun: by index into scans_of(): right inputs of FOR SYSTEM_TIME joins go before their left inputs. All 0
// where there is no such join.
[[nodiscard]] std::vector<unsigned> head_turns(const Plan& plan);

// kWindowClose: the greatest step whose multiples hold every window end of the plan; 1 for sessions.
[[nodiscard]] std::int64_t watermark_step(const Plan& plan);

}  // namespace kappa::processor
