// Operators take changes in and give changes out (Budiu, Chajed, McSherry, Ryzhyk, Tannen: DBSP,
// VLDB 2023). A running view is a chain (later a tree) of them from a source to a sink.
//
// Invariants: the rows an operator has given, weights added up, equal its query over the rows it was
// given. It works a ChangeBatch at a time and holds no reference to one after push() returns. One
// thread at a time; all persistent state is in a StateStore, so state and applied offset commit together.
#pragma once

#include <cstdint>
#include <memory>

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
  // over nothing (a global aggregate's one row) are given here.
  [[nodiscard]] virtual Status start() { return next_ ? next_->start() : Status{}; }
  // Downstream; owned.
  void set_next(std::unique_ptr<Operator> next) { next_ = std::move(next); }
  [[nodiscard]] Operator* next() const { return next_.get(); }

 protected:
  [[nodiscard]] Status give(const ChangeBatch& batch) { return next_ ? next_->push(batch) : Status{}; }

 private:
  std::unique_ptr<Operator> next_;
};

}  // namespace kappa::processor
