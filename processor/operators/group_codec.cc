// See group_codec.h.
#include "processor/operators/group_codec.h"

#include <algorithm>

#include "processor/state/key_encoding.h"
#include "proto/bytes.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "the state of a group has the wrong size",
              "the view is rebuilt from the log");
}

}  // namespace

Expected<std::unique_ptr<AggregateSet>> AggregateSet::make(const Plan& aggregate, InputKind input,
                                                           StateStore* store, TableId& next_table) {
  auto set = std::make_unique<AggregateSet>();
  for (const ExpressionPtr& key : aggregate.group_keys) set->key_types_.push_back(key->type);
  for (const Aggregate& one : aggregate.aggregates) {
    KAPPA_TRY(std::unique_ptr<AggregateFunction> function,
              make_aggregate({one, input, store, next_table, set->multisets_}));
    set->layout_.add(function->fixed_bytes(), function->has_variable());
    set->functions_.push_back(std::move(function));
  }
  for (std::size_t i = 0; i < set->functions_.size(); ++i) set->functions_[i]->place(set->layout_, i);
  return set;
}

bool AggregateSet::mergeable() const {
  return std::ranges::all_of(functions_, [](const auto& function) { return function->mergeable(); });
}

Status AggregateSet::merge(EntryValue& into, std::string_view from) const {
  if (!layout_.fits(into) || !layout_.fits(from)) return damaged();
  add_raw(into.data(), GroupLayout::weight(from));
  for (const auto& function : functions_) KAPPA_CHECK_OK(function->merge(into, from));
  return {};
}

Expected<Row> AggregateSet::row(std::string_view key, std::string_view value) const {
  if (!layout_.fits(value)) return damaged();
  Row row;
  row.reserve(key_types_.size() + functions_.size());
  for (const Type type : key_types_) {
    KAPPA_TRY(Value column, read_key(key, type));
    row.push_back(std::move(column));
  }
  for (const auto& function : functions_) {
    KAPPA_TRY(Value result, function->result(value));
    row.push_back(std::move(result));
  }
  return row;
}

Expected<bool> AggregateSet::append_wire_row(std::string_view key, std::string_view value,
                                             std::span<const std::size_t> columns, std::string& out) const {
  if (!layout_.fits(value)) return damaged();
  if (!has_row(value)) return false;
  ByteWriter(out).u16(static_cast<std::uint16_t>(columns.size()));
  std::string_view rest = key;
  std::size_t next_key = 0;  // The column that `rest` begins with.
  for (const std::size_t column : columns) {
    if (column >= key_types_.size()) {
      KAPPA_CHECK_OK(functions_[column - key_types_.size()]->append_wire(value, out));
      continue;
    }
    // Keys are mostly asked for in their order.
    if (column < next_key) {
      rest = key;
      next_key = 0;
    }
    for (; next_key < column; ++next_key) {
      KAPPA_TRY(const Value skipped, read_key(rest, key_types_[next_key]));
      static_cast<void>(skipped);
    }
    KAPPA_CHECK_OK(key_to_wire(rest, key_types_[column], out));
    ++next_key;
  }
  return true;
}

}  // namespace kappa::processor
