// A plan's operators, connected: heads take the rows of the scans, the end keeps or gives the result.
//
// Invariant: inputs stand before what they feed. Of one thread at a time; borrows the state store that its
// operators were made with.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "processor/operators/operator.h"
#include "processor/sql/plan.h"

namespace kappa::processor {

class Dataflow {
 public:
  // Takes the rows of one scan of the plan, in the order of its output columns.
  struct Head {
    const Plan* scan = nullptr;  // Of the plan that was built, which must live as long.
    Operator* in = nullptr;
  };

  // Adds an operator behind those there are; the caller connects it.
  template <class T, class... Arguments>
  T& add(Arguments&&... arguments) {
    auto made = std::make_unique<T>(std::forward<Arguments>(arguments)...);
    T& added = *made;
    operators_.push_back(std::move(made));
    return added;
  }
  // The same for one that is made and connected already.
  void adopt(std::unique_ptr<Operator> one) { operators_.push_back(std::move(one)); }
  // Its failures() are exact: counted in those of the dataflow.
  void count_failures_of(const Operator& one) { counted_.push_back(&one); }
  [[nodiscard]] std::uint64_t failures() const {
    std::uint64_t failures = 0;
    for (const Operator* const one : counted_) failures += one->failures();
    return failures;
  }
  void add_head(const Plan& scan, Operator& in) { heads_.push_back({&scan, &in}); }

  // In the order of scans_of(plan).
  [[nodiscard]] const std::vector<Head>& heads() const { return heads_; }
  // Operator::start() of all, downstream first.
  [[nodiscard]] Status start() {
    for (auto one = operators_.rbegin(); one != operators_.rend(); ++one) KAPPA_CHECK_OK((*one)->start());
    return {};
  }
  // Operator::advance() of all, upstream first.
  [[nodiscard]] Status advance(std::int64_t watermark) {
    for (const auto& one : operators_) KAPPA_CHECK_OK(one->advance(watermark));
    return {};
  }

 private:
  std::vector<std::unique_ptr<Operator>> operators_;
  std::vector<Head> heads_;
  std::vector<const Operator*> counted_;  // Among them.
};

}  // namespace kappa::processor
