// ROW_NUMBER, RANK and DENSE_RANK with a limit: the first rows of each partition.
//
// TopKListOperator: ROW_NUMBER with a small limit over rows that are never taken back. What is outside the limit
// once never comes back in, so only the rows inside are kept, in one entry a partition:
//   partition key -> u32 place of the last row in the value | u64 copies of all rows
//                    | (varint length, order bytes | varint copies | varint length, row bytes)*  in order
// A row that is not among the first costs one look at the last of them.
//
// TopKTableOperator: everything else. All rows, in order, in a table of their own:
//   partition key, order bytes -> varint length of the rank keys' bytes | rows with weights (copies.h)
// Over rows that are never taken back, those outside the limit are removed.
//
// Both give what changed in the first rows of the partitions that a batch touched, once. State grows with: limit *
// partitions (list, or append-only), rows (otherwise). One thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/operators/operator.h"
#include "processor/operators/ranking.h"
#include "processor/operators/row_codec.h"
#include "processor/operators/row_keys.h"
#include "processor/state/state_store.h"

namespace kappa::processor {

// The rows of a top-k as they leave it.
class RankedOutput {
 public:
  explicit RankedOutput(const Plan& plan);
  // kCorrupt 3301.
  [[nodiscard]] Status give_difference(const Ranking& from, const Ranking& to, Operator* next);
  [[nodiscard]] Status flush(Operator* next) { return out_.give_to(next); }

 private:
  RowCodec codec_;
  bool gives_rank_;
  BatchBuilder out_;
};

class TopKListOperator final : public Operator {
 public:
  // Whether this form is right for the plan.
  [[nodiscard]] static bool fits(const Plan& plan, bool append_only);
  TopKListOperator(const Plan& plan, StateStore& store, TableId table);
  [[nodiscard]] Status push(const ChangeBatch& batch) override;

 private:
  struct Touched {
    StateEntry* entry;
    std::size_t begin;  // Of the old value in old_.
    std::size_t size;
  };
  [[nodiscard]] Status insert(StateEntry& entry, const OrderedRow& row);
  [[nodiscard]] Status rank(std::string_view value, Ranking& ranking) const;

  StateStore& store_;
  const TableId table_;
  const std::uint64_t keep_;
  RowKeys partition_;
  RowOrder order_;
  RowCodec codec_;
  RankedOutput out_;
  Ranking from_;
  Ranking to_;

  // Of the batch at hand.
  std::vector<StateEntry*> entries_;
  std::vector<Touched> touched_;
  std::string old_;
  std::string key_;
  std::string order_bytes_;
  std::string row_bytes_;
  std::string value_;
};

class TopKTableOperator final : public Operator {
 public:
  TopKTableOperator(const Plan& plan, bool append_only, StateStore& store, TableId table);
  [[nodiscard]] Status push(const ChangeBatch& batch) override;

 private:
  // The first rows of a partition; the bytes are its own.
  struct First {
    explicit First(const TopK& top_k) : ranking(top_k) {}
    std::deque<std::string> bytes;
    Ranking ranking;
    bool full = false;             // Nothing behind the last row can be in it.
    std::string last_rank_keys;    // Of the last row.
    std::string last;
  };
  // `beyond`: the keys of all entries outside the limit.
  [[nodiscard]] Status read(const std::string& partition, First& first, std::vector<std::string>* beyond);
  [[nodiscard]] bool outside(const First& first, std::string_view order) const;

  const TopK& top_k_;
  const bool append_only_;
  StateStore& store_;
  const TableId table_;
  RowKeys partition_;
  RowOrder order_;
  RowCodec codec_;
  RankedOutput out_;

  // Of the batch at hand.
  struct Change {
    StateEntry* entry;
    std::uint32_t row;
    std::size_t rank_bytes;
  };
  std::vector<Change> changes_;
  boost::unordered_flat_map<std::string, std::size_t> partition_numbers_;
  std::deque<First> old_;
  std::vector<const std::string*> partitions_;
  std::string key_;
  std::string row_bytes_;
  std::string scratch_;
};

}  // namespace kappa::processor
