// What an aggregate is to the aggregate operator. A new one is one file here that implements
// AggregateFunction, and one row in the table of registry.cc (registry.h says what the row holds).
//
// Invariants: the state after a batch depends only on the weighted rows so far, never on how they were
// cut into batches; equal inputs have equal state bytes. Without rows a group's state is all zeros. Rows
// whose argument is NULL do not count, where the aggregate does not say otherwise. On append-only input the
// state may forget what taking back would need.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "processor/operators/aggregates/group_layout.h"
#include "processor/operators/build.h"
#include "processor/sql/plan.h"
#include "processor/state/state_store.h"
#include "processor/vector/vector.h"
#include "proto/error.h"
#include "proto/value.h"

namespace kappa::processor {

// The rows of a batch that one aggregate takes, after its FILTER.
struct AggregateRows {
  std::span<const std::uint32_t> rows;       // Positions in the batch, ascending.
  std::span<const std::uint32_t> group_of;   // By position: number of its group in this batch.
  std::span<StateEntry* const> groups;       // By group number; value has the group's layout.
  std::span<const Vector* const> arguments;  // Evaluated; empty for count(*).
  std::span<const Vector* const> order;      // Evaluated keys of order_by.
  std::span<const std::int64_t> weights;     // By position; empty: all +1.

  [[nodiscard]] std::int64_t weight(std::uint32_t row) const { return weights.empty() ? 1 : weights[row]; }
  [[nodiscard]] StateEntry& group(std::uint32_t row) const { return *groups[group_of[row]]; }
};

class MultisetPool;  // multiset.h: side tables that several aggregates of one operator share.

class AggregateFunction {
 public:
  virtual ~AggregateFunction() = default;
  // Of the group's fixed block; at least 4 (a length) with a variable part. New groups are all zeros.
  [[nodiscard]] virtual std::size_t fixed_bytes() const = 0;
  [[nodiscard]] virtual bool has_variable() const { return false; }
  // Where the state lies. Called once, before anything below.
  void place(const GroupLayout& layout, std::size_t number) {
    layout_ = &layout;
    number_ = number;
    offset_ = layout.offset(number);
    placed();
  }

  // Loads what update() will touch, while readers may still read. Group values may not be there yet.
  [[nodiscard]] virtual Status prepare(const AggregateRows&) { return {}; }
  // Takes the rows in; readers are shut out.
  [[nodiscard]] virtual Status update(const AggregateRows& rows) = 0;
  // Whether a group's value is all the state there is: no side tables in this input mode. Then merge() may be
  // asked. Known once made.
  [[nodiscard]] virtual bool mergeable() const { return false; }
  // Makes the state in `into` that of both row sets, which are disjoint: the bytes are as if all rows had
  // come to one group. Associative and commutative. Thread-safe. kCorrupt 3301 for bytes that are not a
  // group's.
  [[nodiscard]] virtual Status merge(EntryValue& into, std::string_view from) const;
  // The aggregate's value for a group. Thread-safe.
  [[nodiscard]] virtual Expected<Value> result(std::string_view group_value) const = 0;
  // Appends the wire form of result(); worth a form of its own where the value is a text. Thread-safe.
  [[nodiscard]] virtual Status append_wire(std::string_view group_value, std::string& out) const {
    KAPPA_TRY(const Value value, result(group_value));
    encode_value(value, out);
    return {};
  }

 protected:
  // For an aggregate around another one: the inner one lies in the same place.
  virtual void placed() {}
  [[nodiscard]] char* block(StateEntry& group) const { return group.value.data() + offset_; }
  [[nodiscard]] const char* block(std::string_view group_value) const { return group_value.data() + offset_; }
  [[nodiscard]] char* block(EntryValue& group_value) const { return group_value.data() + offset_; }
  [[nodiscard]] const GroupLayout& layout() const { return *layout_; }
  [[nodiscard]] std::size_t number() const { return number_; }

 private:
  const GroupLayout* layout_ = nullptr;
  std::size_t number_ = 0;
  std::size_t offset_ = 0;
};

// What a factory may use.
struct AggregateContext {
  const Aggregate& aggregate;
  InputKind input;
  StateStore* store;    // Null when only result() will be asked for.
  TableId& next_table;  // Side tables take this number and advance it.
  MultisetPool& multisets;
};

// The function for an aggregate of a plan. kUnsupported 2008 for a name that is not in the table, kInvalid
// 2005 for one that cannot take rows back where they are, kTooLarge 2009 when side tables run out.
[[nodiscard]] Expected<std::unique_ptr<AggregateFunction>> make_aggregate(const AggregateContext& context);

// Factories, one per family; see registry.cc.
using AggregateFactory = std::unique_ptr<AggregateFunction> (*)(const AggregateContext&);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_count(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_sum(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_average(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_extremum(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_variance(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_percentile(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_choice(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_list(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_approx_count_distinct(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_approx_quantile(const AggregateContext& context);
[[nodiscard]] std::unique_ptr<AggregateFunction> make_boolean(const AggregateContext& context);
// `inner` over each distinct argument once.
[[nodiscard]] std::unique_ptr<AggregateFunction> make_distinct(const AggregateContext& context,
                                                               std::unique_ptr<AggregateFunction> inner);

}  // namespace kappa::processor
