// From a logical plan to running operators, and from state back to rows.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "processor/operators/dataflow.h"
#include "processor/operators/operator.h"
#include "processor/sql/plan.h"
#include "processor/state/state_store.h"
#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/value.h"

namespace kappa::processor {

// Turns the stored entries of a view into rows. Immutable and thread-safe. A view that ends in an
// aggregate is stored as aggregate state only, and finished (HAVING, projection) when read; a view
// that ends in a projection or filter stores its rows.
class ViewReader {
 public:
  virtual ~ViewReader() = default;
  // Types of the key columns, in key order.
  [[nodiscard]] virtual const std::vector<Type>& key_types() const = 0;
  // Order-preserving bytes of the first key columns (all of them for a point read). Converts TEXT
  // values to the column's type; kInvalid 2011 when that fails or there are too many.
  [[nodiscard]] virtual Expected<std::string> encode_key(std::span<const Value> values) const = 0;
  [[nodiscard]] virtual TableId table() const = 0;
  // All columns of the plan's root, hidden key columns included; nullopt when HAVING (or the filter
  // above an aggregate) hides the row; the weight tells copies of a bag's row (>= 1).
  struct StoredRow {
    Row row;
    std::int64_t weight = 1;
  };
  [[nodiscard]] virtual Expected<std::optional<StoredRow>> decode(std::string_view key,
                                                                  std::string_view value) const = 0;

  // The keys of the view whose rows follow from this entry; nullopt: its own key alone, by decode().
  [[nodiscard]] virtual std::optional<KeyRange> decides(std::string_view key) const {
    static_cast<void>(key);
    return std::nullopt;
  }

  // Rows in key order. One thread.
  class Cursor {
   public:
    virtual ~Cursor() = default;
    // Moves to the next key of the view (the first, on the first call); false at the end.
    [[nodiscard]] virtual Expected<bool> next() = 0;
    // What decode() gives for it. May be moved from.
    [[nodiscard]] virtual std::optional<StoredRow>& row() = 0;
  };
  // The keys in `range`; the snapshot must live as long as the cursor. By default they are the entries of table().
  [[nodiscard]] virtual std::unique_ptr<Cursor> scan(StateSnapshot& snapshot, KeyRange range) const;
  // One key, at the offset that was visible, without a snapshot's cost where it can be had so.
  struct PointRead {
    std::optional<StoredRow> row;
    Offset applied;
  };
  [[nodiscard]] virtual Expected<PointRead> get(StateStore& store, std::string_view key) const;

  // --- from wire bytes to wire bytes (proto/value.h), for many point reads ---
  // Whether a row is one entry of table(); otherwise only get() reads it.
  [[nodiscard]] virtual bool single_entries() const { return true; }
  // Appends encode_key() of the values of a row on the wire, all `count` of which the caller knows to be wanted.
  // kInvalid 2011, 1010 for bytes that are not values.
  [[nodiscard]] Status append_wire_key(ByteReader& values, std::size_t count, std::string& out) const;
  // Appends the row of an entry as encode_row() would, its first `columns` columns; false, and nothing, where
  // decode() gives none.
  [[nodiscard]] virtual Expected<bool> append_wire_row(std::string_view key, std::string_view value,
                                                       std::size_t columns, std::string& out) const;
};

struct BuiltView {
  Dataflow flow;
  std::shared_ptr<const ViewReader> reader;
};

// Whether an operator's input may take rows back (weights below zero). It keeps more state then.
enum class InputKind { kAppendOnly, kRetracting };

// The operators of a view over `store` (borrowed, outlives the view); the plan must live as long. The scans
// themselves are the caller's. `input`: of the scans. Rows counted in rows() of Progress are maintained through
// `row_count`. With a `sink` (borrowed), which a derived stream needs, the root's changes go there and nowhere
// else: there is no reader then. kTooLarge 2009 for a plan with too many tables.
[[nodiscard]] Expected<BuiltView> build_view(const ViewPlan& plan, InputKind input, StateStore& store,
                                             std::uint64_t& row_count, Operator* sink = nullptr);

// Rows that came for windows which had been closed (EMIT ON WINDOW CLOSE) and were left out, so far. Any thread.
[[nodiscard]] Expected<std::uint64_t> late_rows(StateStore& store);
// Where they are counted. Operators' own tables are below.
inline constexpr TableId kLateRowsTable = 200;

// A bounded query: the operators of `plan` except its scans. What they keep is in memory.
class QueryRun {
 public:
  virtual ~QueryRun() = default;
  // Feeds rows of a scan, by index into scans_of(plan). False once no more rows are needed (LIMIT without
  // ORDER BY is full).
  [[nodiscard]] virtual Expected<bool> push(std::size_t head, const ChangeBatch& batch) = 0;
  // After the last push: sorts, limits, and gives what was not given yet.
  [[nodiscard]] virtual Status finish() = 0;
};
// `emit` receives result rows in order, in bounded pieces; false stops the query. `memory_bytes_max`
// bounds what all operators together may hold (kTooLarge 4010 above it). `input`: of the scans; rows that are
// taken back must be so before finish(). The plan must live as long as the run.
[[nodiscard]] Expected<std::unique_ptr<QueryRun>> build_query(const PlanPtr& plan, InputKind input,
                                                              std::size_t memory_bytes_max,
                                                              std::function<bool(std::vector<Row>)> emit);

// A state that lives in memory only, for bounded queries and tests. Same contract; commit() and
// freeze() do nothing.
[[nodiscard]] std::unique_ptr<StateStore> make_memory_state();

}  // namespace kappa::processor
