// See rows.h.
#include "processor/operators/rows.h"

#include <algorithm>

#include "processor/operators/copies.h"
#include "processor/state/key_encoding.h"
#include "proto/bytes.h"

namespace kappa::processor {
namespace {

// The wire form of one vector position; encode_value() without a Value in between.
void append_wire(const Vector& vector, std::size_t row, std::string& out) {
  ByteWriter writer(out);
  const Type type = vector.type();
  if (!vector.valid()[row] || type.id == TypeId::kNull) {
    writer.u8(0);
    return;
  }
  if (type.id == TypeId::kNumeric) {
    encode_value(vector.value(row), out);
    return;
  }
  writer.u8(static_cast<std::uint8_t>(type.id));
  switch (physical_of(type.id)) {
    case Physical::kBool: writer.u8(vector.data<std::uint8_t>()[row]); return;
    case Physical::kInt64: writer.i64(vector.data<std::int64_t>()[row]); return;
    // -0 and 0 are one value, as in keys: rows that are equal must have the same bytes.
    case Physical::kDouble: writer.fixed(vector.data<double>()[row] == 0 ? 0.0 : vector.data<double>()[row]); return;
    case Physical::kInt128: return;  // NUMERIC, above.
    case Physical::kText: writer.sized_text(vector.data<std::string_view>()[row]); return;
  }
}

}  // namespace

Status RowsOperator::push(const ChangeBatch& batch) {
  keys_.clear();
  ends_.clear();
  for_each_row(batch, [&](std::uint32_t row) {
    for (const std::size_t column : options_.key_columns) append_key(*batch.columns[column], row, keys_);
    ends_.push_back(keys_.size());
  });
  const auto key_of = [&](std::size_t i) {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(keys_).substr(begin, ends_[i] - begin);
  };
  entries_.clear();
  if (!options_.unique) {
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      KAPPA_TRY(StateEntry* const entry, store_.entry(options_.table, key_of(i)));
      entries_.push_back(entry);
    }
  }
  store_.begin_changes();
  std::size_t i = 0;
  Status status;
  for_each_row(batch, [&](std::uint32_t row) {
    const std::size_t index = i++;
    const std::int64_t weight = batch.weight(row);
    if (!status || weight == 0) return;
    row_.clear();
    for (const Vector* const column : batch.columns) append_wire(*column, row, row_);
    if (options_.unique) {
      merged_.clear();
      append_copy({weight, row_}, merged_);
      store_.put(options_.table, key_of(index), merged_);
      if (options_.row_count != nullptr) *options_.row_count += static_cast<std::uint64_t>(weight);
    } else {
      status = add(*entries_[index], weight);
    }
  });
  return status;
}

Status RowsOperator::add(StateEntry& entry, std::int64_t weight) {
  KAPPA_TRY(const std::int64_t before, add_copy(entry, 0, {weight, row_}, merged_));
  store_.changed(entry);
  if (options_.row_count != nullptr) {
    *options_.row_count += static_cast<std::uint64_t>(std::max<std::int64_t>(before + weight, 0)) -
                           static_cast<std::uint64_t>(std::max<std::int64_t>(before, 0));
  }
  return {};
}

namespace {

// The first copy that is there; weight 0 if none is.
Expected<StoredCopy> shown_copy(std::string_view value) {
  ByteReader copies(as_bytes(value));
  while (copies.remaining() > 0) {
    const StoredCopy copy = next_copy(copies);
    if (copy.weight == 0) return damaged_state("a stored row");
    if (copy.weight > 0) return copy;
  }
  return StoredCopy{};
}

}  // namespace

Expected<std::optional<std::string_view>> stored_row_bytes(std::string_view value) {
  KAPPA_TRY(const StoredCopy copy, shown_copy(value));
  if (copy.weight == 0) return std::nullopt;
  return copy.row;
}

Expected<std::optional<ViewReader::StoredRow>> read_stored_row(std::string_view value,
                                                               const std::vector<Type>& types) {
  KAPPA_TRY(const StoredCopy copy, shown_copy(value));
  if (copy.weight == 0) return std::nullopt;
  ViewReader::StoredRow stored;
  stored.weight = copy.weight;
  ByteReader in(as_bytes(copy.row));
  for (const Type type : types) {
    KAPPA_TRY(Value column, decode_value(in));
    if (column.is_null())
      column = Value::null(type);
    else if (column.type().id != type.id)
      return damaged_state("a stored row");
    stored.row.push_back(std::move(column));
  }
  if (!in.done()) return damaged_state("a stored row");
  return stored;
}

}  // namespace kappa::processor
