// Logical plans: a tree of operators over streams, views and tables, made by the planner and turned
// into running operators by processor/operators/build.h. A plan node says what, never how.
//
// Adding an operator (window, join, top-k) is one more kind here, one case in the planner and one
// file in operators/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "processor/sql/expression.h"
#include "proto/value.h"

namespace kappa::processor {

struct Column {
  std::string name;
  Type type;
};

// One column of a stream: a typed reading of a place in the event.
struct StreamColumn {
  std::string name;
  Type type;
  // Path from the event's root: member names and array indexes.
  struct Step {
    std::optional<std::string> member;
    std::uint32_t index = 0;
    bool operator==(const Step&) const = default;
  };
  std::vector<Step> path;
  bool operator==(const StreamColumn&) const = default;
};

// A stream as the catalog knows it.
struct StreamDefinition {
  std::string name;
  std::string topic;
  std::vector<StreamColumn> columns;          // Declared columns, in order.
  std::vector<StreamColumn> hidden;           // Members that only WHERE names; type by use.
  std::optional<std::size_t> event_time;      // Index into columns.
  std::int64_t delay_micros = 0;              // Of the watermark.
  bool dead_letter = false;                   // on_error = 'dead_letter'.
  ExpressionPtr where;                        // Over columns, then hidden; null: every event.
};

// Columns every stream has besides its own, in this order after them.
enum class Pseudo : std::uint8_t { kOffset, kSequence, kKey, kAppendTime };  // _offset _seq _key _append_time

struct Aggregate {
  std::string function;                      // "count", "sum", "min", "max", "avg", ...
  bool distinct = false;
  std::vector<ExpressionPtr> arguments;      // Empty: count(*). Over the input's columns.
  ExpressionPtr filter;                      // Over the input's columns; null: every row.
  Type type;                                 // Of the result.
};

struct SortKey {
  ExpressionPtr expression;
  bool descending = false;
  bool nulls_first = false;
};

enum class PlanKind : std::uint8_t {
  kStreamScan,  // Events of a stream, its WHERE applied. Output: the stream_columns asked for.
  kViewScan,    // Rows of a materialized view (or of its inner plan, when a view reads a view).
  kFilter,      // Rows for which predicate is true.
  kProject,     // One expression a column.
  kAggregate,   // GROUP BY group_keys; output: group keys, then aggregates.
  kSort,        // ORDER BY and LIMIT of a SELECT (not of a view, in this version). Output: the first
                // columns of its input; those after them only order.
  kValues,      // One row, no columns: SELECT without FROM.
};

struct Plan;
using PlanPtr = std::shared_ptr<const Plan>;

struct Plan {
  PlanKind kind = PlanKind::kValues;
  std::vector<Column> output;  // Names and types of what this node gives.
  PlanPtr input;               // Null for scans and values.

  // kStreamScan
  std::shared_ptr<const StreamDefinition> stream;
  std::vector<std::size_t> stream_columns;  // Per output column: index into columns+hidden, or
                                            // columns.size()+hidden.size()+Pseudo.
  // kViewScan
  std::string view;                         // Name.
  std::uint32_t view_version = 0;           // 0: the current one.

  ExpressionPtr predicate;                  // kFilter
  std::vector<ExpressionPtr> expressions;   // kProject
  std::vector<ExpressionPtr> group_keys;    // kAggregate
  std::vector<Aggregate> aggregates;        // kAggregate
  std::vector<SortKey> sort_keys;           // kSort
  std::optional<std::uint64_t> limit;       // kSort
  std::uint64_t offset = 0;                 // kSort: rows skipped.
};

// What a materialized view is: the plan, and its key. The plan's root gives the view's columns and,
// after them, any key columns that the SELECT list does not have (hidden from SELECT *).
struct ViewPlan {
  PlanPtr root;
  std::size_t visible_columns = 0;           // The first so many of root->output are the view's.
  std::vector<std::size_t> key_columns;      // Indexes into root->output, in key order (GROUP BY order).
  bool single_row = false;                   // A global aggregate: always exactly one row, empty key.
};

// Multi-line EXPLAIN text of a plan: operators, columns decoded, state kept and whether it grows.
[[nodiscard]] std::string explain(const Plan& plan);

}  // namespace kappa::processor
