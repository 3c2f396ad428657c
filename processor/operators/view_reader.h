// ViewReader for the two kinds of stored view: aggregate state that is finished when read, and rows.
//
// Immutable and thread-safe: what evaluates expressions is taken from a pool for one row.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "processor/operators/build.h"
#include "processor/operators/group_codec.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

// Converts a value to a key column's type; TEXT is read as the type's literal. kInvalid 2011.
[[nodiscard]] Expected<Value> convert_key_value(const Value& value, Type type);

// The filters and projections between a plan's root and `below`, applied to single rows.
class RowFinisher {
 public:
  // `stages` from the bottom up: kFilter and kProject nodes; `input` are the columns below them.
  RowFinisher(std::vector<PlanPtr> stages, std::vector<Column> input);
  ~RowFinisher();
  // nullopt when a filter hides the row.
  [[nodiscard]] std::optional<Row> finish(Row row) const;
  // Where only projections of plain columns are between: of each column given, which of the input's it is.
  [[nodiscard]] std::optional<std::vector<std::size_t>> plain_columns() const;

 private:
  struct Evaluation;
  [[nodiscard]] std::unique_ptr<Evaluation> take() const;
  std::vector<PlanPtr> stages_;
  std::vector<Column> input_;
  bool plain_ = true;  // Only projections of plain columns: no evaluator is needed.
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Evaluation>> pool_;
};

class AggregateReader final : public ViewReader {
 public:
  AggregateReader(std::unique_ptr<AggregateSet> aggregates, TableId table,
                  std::unique_ptr<RowFinisher> finisher)
      : aggregates_(std::move(aggregates)),
        table_(table),
        finisher_(std::move(finisher)),
        plain_columns_(finisher_->plain_columns()) {}
  [[nodiscard]] const std::vector<Type>& key_types() const override { return aggregates_->key_types(); }
  [[nodiscard]] Expected<std::string> encode_key(std::span<const Value> values) const override;
  [[nodiscard]] TableId table() const override { return table_; }
  [[nodiscard]] Expected<std::optional<StoredRow>> decode(std::string_view key,
                                                          std::string_view value) const override;
  [[nodiscard]] Expected<bool> append_wire_row(std::string_view key, std::string_view value, std::size_t columns,
                                               std::string& out) const override;
  [[nodiscard]] const AggregateSet& aggregates() const { return *aggregates_; }

 private:
  std::unique_ptr<const AggregateSet> aggregates_;
  TableId table_;
  std::unique_ptr<const RowFinisher> finisher_;
  std::optional<std::vector<std::size_t>> plain_columns_;
};

class RowsReader final : public ViewReader {
 public:
  RowsReader(const std::vector<Column>& columns, const std::vector<std::size_t>& key_columns, TableId table);
  [[nodiscard]] const std::vector<Type>& key_types() const override { return key_types_; }
  [[nodiscard]] Expected<std::string> encode_key(std::span<const Value> values) const override;
  [[nodiscard]] TableId table() const override { return table_; }
  [[nodiscard]] Expected<std::optional<StoredRow>> decode(std::string_view key,
                                                          std::string_view value) const override;
  [[nodiscard]] Expected<bool> append_wire_row(std::string_view key, std::string_view value, std::size_t columns,
                                               std::string& out) const override;

 private:
  std::vector<Type> types_;
  std::vector<Type> key_types_;
  TableId table_;
};

}  // namespace kappa::processor
