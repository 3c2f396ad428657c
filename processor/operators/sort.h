// The ends of a bounded query: ORDER BY with LIMIT and OFFSET, and the output.
//
// One thread at a time. Rows taken back are not expected here: a bounded query's source is a prefix.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "processor/operators/operator.h"
#include "processor/sql/plan.h"
#include "processor/vector/evaluate.h"
#include "proto/value.h"

namespace kappa::processor {

// Bytes that a row holds, approximately.
[[nodiscard]] std::size_t row_bytes(const Row& row);

// Gives rows to `emit` in pieces; skips `offset` rows and stops after `limit`.
class OutputOperator final : public Operator {
 public:
  struct Options {
    std::size_t columns = 0;  // The first so many are given.
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> limit;
  };
  OutputOperator(Options options, std::function<bool(std::vector<Row>)> emit)
      : options_(options), emit_(std::move(emit)) {}
  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  // One row, `weight` times.
  void add(Row row, std::int64_t weight);
  // Hands out what is held back.
  void flush();
  // The same if nothing was handed out yet, or for a while: between two batches.
  void flush_if_old();
  // No more rows are wanted: the limit is reached or emit() said so.
  [[nodiscard]] bool full() const { return stopped_ || (options_.limit && given_ >= *options_.limit); }

 private:
  const Options options_;
  std::function<bool(std::vector<Row>)> emit_;
  std::vector<Row> pending_;
  std::size_t pending_bytes_ = 0;
  std::chrono::steady_clock::time_point handed_out_{};
  std::uint64_t skipped_ = 0;
  std::uint64_t given_ = 0;
  bool stopped_ = false;
};

// Sorts everything, or, with a limit, keeps the first limit + offset rows in a heap. Equal rows stay in
// the order they came.
class SortOperator final : public Operator {
 public:
  // `output` is borrowed; rows reach it on finish(). kTooLarge 4010 above `memory_bytes_max`.
  SortOperator(const Plan& plan, std::size_t memory_bytes_max, OutputOperator& output);
  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  void finish();

 private:
  struct Item {
    Row keys;
    Row row;
    std::int64_t weight = 1;
    std::uint64_t order = 0;  // Of arrival.
    std::size_t bytes = 0;
  };
  [[nodiscard]] bool before(const Item& a, const Item& b) const;

  std::vector<SortKey> keys_;
  std::vector<ExpressionEvaluator> expressions_;
  std::optional<std::uint64_t> keep_;  // limit + offset.
  std::size_t columns_;
  std::size_t memory_bytes_max_;
  OutputOperator& output_;
  std::vector<Item> items_;  // A heap with the last item on top once keep_ is reached.
  std::uint64_t arrived_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace kappa::processor
