// Operators take changes in and give changes out (Budiu, Chajed, McSherry, Ryzhyk, Tannen: DBSP,
// VLDB 2023). A running view is a tree of them from scans to a sink, owned by a Dataflow (dataflow.h).
//
// Invariants: the rows an operator has given, weights added up, equal its query over the rows it was
// given. It works a ChangeBatch at a time and holds no reference to one after push() returns. One
// thread at a time; all persistent state is in a StateStore, so state and applied offset commit together.
// Weights may be below zero for a while within one publication (an input of a join before the other).
#pragma once

#include <cstdint>

#include "processor/vector/vector.h"
#include "proto/error.h"

namespace kappa::processor {

class Operator {
 public:
  virtual ~Operator() = default;
  // Consumes one batch and pushes what follows from it downstream before returning. Errors are
  // those of the state store (kIo, kFull, kCorrupt); the batch is then half applied and the view must
  // be reopened from its last commit.
  [[nodiscard]] virtual Status push(const ChangeBatch& batch) = 0;
  // Called once, before the first push, on a state that has never seen a batch: rows that exist
  // over nothing (a global aggregate's one row) are given here. What is downstream has started already.
  [[nodiscard]] virtual Status start() { return {}; }
  // The watermark of the view's streams is now `watermark` (microseconds; never goes back): windows whose time
  // has come are closed or dropped. Called after the pushes of a cut, upstream operators first.
  [[nodiscard]] virtual Status advance(std::int64_t watermark) { return static_cast<void>(watermark), Status{}; }
  // Values that its expressions could not compute since it was made (division by zero, casts, overflow), where it
  // counts them. Exact only over rows that come once each: straight from a stream.
  [[nodiscard]] virtual std::uint64_t failures() const { return 0; }
  // Downstream; borrowed.
  void set_next(Operator* next) { next_ = next; }
  [[nodiscard]] Operator* next() const { return next_; }

 protected:
  [[nodiscard]] Status give(const ChangeBatch& batch) { return next_ != nullptr ? next_->push(batch) : Status{}; }

 private:
  Operator* next_ = nullptr;
};

}  // namespace kappa::processor
