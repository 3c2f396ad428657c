// Bytes that rows are found and ordered by in the state: expressions evaluated over a whole batch, then encoded
// row by row (processor/state/key_encoding.h).
//
// One thread. What prepare() evaluated lives until the next prepare() or the end of the batch.
#pragma once

#include <string>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

// Equal keys have equal bytes.
class RowKeys {
 public:
  explicit RowKeys(const std::vector<ExpressionPtr>& expressions);
  void prepare(const ChangeBatch& batch);
  void append(std::size_t row, std::string& out) const;
  [[nodiscard]] bool has_null(std::size_t row) const;

 private:
  std::vector<ExpressionEvaluator> expressions_;
  std::vector<const Vector*> columns_;
};

// Bytes order as ORDER BY says: of a descending key all bits are flipped, NULL is 00 or 02 where a value begins
// with 01.
class RowOrder {
 public:
  explicit RowOrder(const std::vector<SortKey>& keys);
  void prepare(const ChangeBatch& batch);
  // Appends all keys; gives how many bytes the first `some` of them took.
  std::size_t append(std::size_t row, std::size_t some, std::string& out) const;

 private:
  struct Key {
    ExpressionEvaluator expression;
    bool descending;
    bool nulls_first;
    const Vector* column = nullptr;
  };
  std::vector<Key> keys_;
};

}  // namespace kappa::processor
