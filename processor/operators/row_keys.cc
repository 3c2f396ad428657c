// See row_keys.h.
#include "processor/operators/row_keys.h"

#include "processor/state/key_encoding.h"

namespace kappa::processor {

RowKeys::RowKeys(const std::vector<ExpressionPtr>& expressions) {
  for (const ExpressionPtr& expression : expressions) expressions_.emplace_back(expression);
}

void RowKeys::prepare(const ChangeBatch& batch) {
  columns_.clear();
  for (ExpressionEvaluator& expression : expressions_) columns_.push_back(&expression.evaluate(batch));
}

void RowKeys::append(std::size_t row, std::string& out) const {
  for (const Vector* const column : columns_) append_key(*column, row, out);
}

bool RowKeys::has_null(std::size_t row) const {
  for (const Vector* const column : columns_) {
    if (column->valid()[row] == 0) return true;
  }
  return false;
}

RowOrder::RowOrder(const std::vector<SortKey>& keys) {
  for (const SortKey& key : keys)
    keys_.push_back({ExpressionEvaluator(key.expression), key.descending, key.nulls_first, nullptr});
}

void RowOrder::prepare(const ChangeBatch& batch) {
  for (Key& key : keys_) key.column = &key.expression.evaluate(batch);
}

std::size_t RowOrder::append(std::size_t row, std::size_t some, std::string& out) const {
  const std::size_t begin = out.size();
  std::size_t some_bytes = 0;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (i == some) some_bytes = out.size() - begin;
    const Key& key = keys_[i];
    const std::size_t at = out.size();
    append_key(*key.column, row, out);
    if (out[at] == '\0') {
      if (!key.nulls_first) out[at] = '\2';
    } else if (key.descending) {
      for (std::size_t byte = at + 1; byte < out.size(); ++byte) out[byte] = static_cast<char>(~out[byte]);
    }
  }
  return some >= keys_.size() ? out.size() - begin : some_bytes;
}

}  // namespace kappa::processor
