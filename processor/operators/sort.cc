// See sort.h.
#include "processor/operators/sort.h"

#include <algorithm>

namespace kappa::processor {
namespace {

constexpr std::size_t kPieceRows = 1024;
// Whoever reads a query that finds little sees it this soon.
constexpr std::chrono::milliseconds kPieceAge{10};
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

}  // namespace

std::size_t row_bytes(const Row& row) {
  std::size_t bytes = sizeof(Row);
  for (const Value& value : row) {
    bytes += sizeof(Value);
    if (!value.is_null() && physical_of(value.type().id) == Physical::kText)
      bytes += value.as_text().capacity();
  }
  return bytes;
}

void OutputOperator::add(Row row, std::int64_t weight) {
  for (; weight > 0 && !full(); --weight) {
    if (skipped_ < options_.offset) {
      ++skipped_;
      continue;
    }
    ++given_;
    pending_bytes_ += row_bytes(row);
    pending_.push_back(row);
    if (pending_.size() >= kPieceRows || pending_bytes_ >= kPieceBytes) flush();
  }
}

void OutputOperator::flush() {
  if (pending_.empty() || stopped_) return;
  stopped_ = !emit_(std::exchange(pending_, {}));
  pending_bytes_ = 0;
  handed_out_ = std::chrono::steady_clock::now();
}
void OutputOperator::flush_if_old() {
  if (!pending_.empty() && std::chrono::steady_clock::now() - handed_out_ >= kPieceAge) flush();
}

Status OutputOperator::push(const ChangeBatch& batch) {
  for_each_row(batch, [&](std::uint32_t row) {
    if (full()) return;
    Row values;
    values.reserve(options_.columns);
    for (std::size_t i = 0; i < options_.columns; ++i) values.push_back(batch.columns[i]->value(row));
    add(std::move(values), batch.weight(row));
  });
  return {};
}

SortOperator::SortOperator(const Plan& plan, std::size_t memory_bytes_max, OutputOperator& output)
    : keys_(plan.sort_keys),
      columns_(plan.output.size()),
      memory_bytes_max_(memory_bytes_max),
      output_(output) {
  for (const SortKey& key : keys_) expressions_.emplace_back(key.expression);
  if (plan.limit) {
    std::uint64_t keep = 0;
    if (!__builtin_add_overflow(*plan.limit, plan.offset, &keep)) keep_ = keep;
  }
}

bool SortOperator::before(const Item& a, const Item& b) const {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const Value& x = a.keys[i];
    const Value& y = b.keys[i];
    if (x.is_null() || y.is_null()) {
      if (x.is_null() && y.is_null()) continue;
      return x.is_null() == keys_[i].nulls_first;
    }
    const std::strong_ordering order = compare(x, y);
    if (order != 0) return keys_[i].descending ? order > 0 : order < 0;
  }
  return a.order < b.order;
}

Status SortOperator::push(const ChangeBatch& batch) {
  std::vector<const Vector*> keys;
  for (ExpressionEvaluator& expression : expressions_) keys.push_back(&expression.evaluate(batch));
  const auto less = [this](const Item& a, const Item& b) { return before(a, b); };
  for_each_row(batch, [&](std::uint32_t row) {
    Item item;
    item.order = arrived_++;
    item.weight = batch.weight(row);
    if (item.weight <= 0) return;
    item.keys.reserve(keys.size());
    for (const Vector* key : keys) item.keys.push_back(key->value(row));
    const bool replaces = keep_ && items_.size() >= *keep_;
    if (replaces && (items_.empty() || !before(item, items_.front()))) return;
    item.row.reserve(columns_);
    for (std::size_t i = 0; i < columns_; ++i) item.row.push_back(batch.columns[i]->value(row));
    item.bytes = sizeof(Item) + row_bytes(item.keys) + row_bytes(item.row);
    bytes_ += item.bytes;
    items_.push_back(std::move(item));
    if (!keep_) return;
    std::ranges::push_heap(items_, less);
    if (replaces) {
      std::ranges::pop_heap(items_, less);
      bytes_ -= items_.back().bytes;
      items_.pop_back();
    }
  });
  if (bytes_ > memory_bytes_max_) {
    return fail(ErrorCode::kTooLarge, 4010,
                "the query's ORDER BY needs more than " + std::to_string(memory_bytes_max_) + " bytes",
                "add a LIMIT or a narrower WHERE");
  }
  return {};
}

void SortOperator::finish() {
  std::ranges::sort(items_, [this](const Item& a, const Item& b) { return before(a, b); });
  for (Item& item : items_) {
    if (output_.full()) break;
    output_.add(std::move(item.row), item.weight);
  }
  items_.clear();
}

}  // namespace kappa::processor
