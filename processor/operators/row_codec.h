// Rows as operators keep them in their state: one schema, so no types in the bytes, and one row has one encoding.
//
//   a bit a column, whether it is there (not NULL), in whole bytes, then the columns that are:
//     BOOLEAN                       u8
//     BIGINT, TIMESTAMP, INTERVAL   zigzag varint
//     DOUBLE                        8 bytes
//     NUMERIC                       16 bytes
//     TEXT, JSON                    varint length, bytes
//
// Immutable and thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/sql/plan.h"
#include "proto/error.h"

namespace kappa::processor {

class RowCodec {
 public:
  explicit RowCodec(const std::vector<Column>& columns);
  // Appends row `row` of a batch of this schema.
  void encode(const ChangeBatch& batch, std::size_t row, std::string& out) const;
  // Writes the row into the columns from `first` on of the builder's row at hand. kCorrupt 3301.
  [[nodiscard]] Status decode(std::string_view bytes, BatchBuilder& out, std::size_t first) const;
  [[nodiscard]] std::size_t columns() const { return types_.size(); }

 private:
  std::vector<Type> types_;
};

// A varint in front of bytes: appending and reading what many rows in one entry need.
void append_varint(std::string& out, std::uint64_t value);

}  // namespace kappa::processor
