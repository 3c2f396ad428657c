// Logical plans: a tree of operators over streams, views and tables, made by the planner and turned
// into running operators by processor/operators/build.h. A plan node says what, never how.
//
// Adding an operator is one more kind here, one case in the planner and one file in operators/.
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
// After those, only of a scan of dead letters: why an event was set aside, and the offset of the event that
// a retry stands for.
enum class LetterColumn : std::uint8_t { kReason = 4, kRetryOf = 5 };

struct SortKey {
  ExpressionPtr expression;
  bool descending = false;
  bool nulls_first = false;
};

struct Aggregate {
  std::string function;                      // "count", "sum", "min", "max", "avg", ...
  bool distinct = false;
  std::vector<ExpressionPtr> arguments;      // Empty: count(*). Over the input's columns.
  std::vector<SortKey> order_by;             // Of ordered aggregates, what breaks ties (_offset) included.
  std::vector<Value> parameters;             // Constants: the p of a percentile, a delimiter.
  ExpressionPtr filter;                      // Over the input's columns; null: every row.
  Type type;                                 // Of the result.
};

// HOP and SESSION. TUMBLE needs no operator: its start is date_bin(size, time).
struct Window {
  enum class Kind : std::uint8_t { kHop, kSession };
  Kind kind = Kind::kHop;
  ExpressionPtr time;                    // TIMESTAMP over the input's columns; rows where it is NULL leave.
  std::int64_t size_micros = 0;          // kHop; a multiple of the slide or not. Above zero.
  std::int64_t slide_micros = 0;         // kHop; above zero, at most the size.
  std::int64_t gap_micros = 0;           // kSession; zero or more.
  std::vector<ExpressionPtr> partition;  // kSession: rows that differ here are never in one session.
};

// How a join finds the rows of its right input.
struct Join {
  enum class Match : std::uint8_t {
    kCurrent,     // Every right row with equal keys for which the residual is true, as it is now.
    kAsOfTime,    // Of the right rows with equal keys and right_time <= left_time (< if strict): the one with
                  // the greatest right_time, then the greatest right_order. Late rows of either side count.
    kAsOfOffset,  // kCurrent, against the right input as it was when the left event was appended; later changes
                  // of the right input do not touch the row any more. Needs Granularity::kRun.
  };
  Match match = Match::kCurrent;
  bool left_outer = false;                // A left row without a match is kept, the right columns NULL.
  // Equal pairwise, same types; a NULL among them joins nothing. May be empty (a cross join).
  std::vector<ExpressionPtr> left_keys;   // Over input.
  std::vector<ExpressionPtr> right_keys;  // Over right.
  ExpressionPtr residual;                 // Over input's columns, then right's; null: true. kAsOfTime: null.
  // kAsOfTime: both; kCurrent: set where lower <= right_time - left_time <= upper is part of the condition (it
  // is not in the residual then). int64 physical types; NULL joins nothing.
  ExpressionPtr left_time;                // Over input.
  ExpressionPtr right_time;               // Over right.
  std::optional<std::int64_t> lower, upper;
  bool strict = false;
  // kCurrent: the condition equates columns of both sides, though one of them is a constant below and the
  // equality a filter by now. Such a join is not one that forgot its condition.
  bool equated = false;
  std::vector<ExpressionPtr> right_order;  // kAsOfTime; over right: what decides among equal times (_offset).
  ExpressionPtr right_deleted;            // kAsOfTime; over right: a row for which this is true stands for none.
};

enum class RankFunction : std::uint8_t { kRowNumber, kRank, kDenseRank };

// The rows whose rank in their partition is in (offset, offset + limit].
struct TopK {
  std::vector<ExpressionPtr> partition;  // Empty: one partition.
  // A total order up to equal rows: ties are broken by the keys after the first rank_keys of them.
  std::vector<SortKey> order;
  std::size_t rank_keys = 0;             // Rows that are equal in these have one RANK and DENSE_RANK.
  RankFunction function = RankFunction::kRowNumber;
  std::uint64_t limit = 0;               // At least 1.
  std::uint64_t offset = 0;              // Only with kRowNumber.
  bool gives_rank = false;               // The rank (BIGINT) is the last output column.
};

// Where an aggregate's group is a window in time: among the group keys.
struct WindowKey {
  std::size_t start = 0;                 // Index of window_start in group_keys.
  std::optional<std::size_t> end;        // Index of window_end (sessions); else start + size_micros.
  std::int64_t size_micros = 0;
  std::int64_t step_micros = 0;          // Starts are multiples of this; 0: any time (sessions).
};

enum class PlanKind : std::uint8_t {
  kStreamScan,  // Events of a stream, its WHERE applied. Output: the stream_columns asked for.
  kViewScan,    // Rows of a materialized view (or of its inner plan, when a view reads a view).
  kFilter,      // Rows for which predicate is true.
  kProject,     // One expression a column.
  kAggregate,   // GROUP BY group_keys; output: group keys, then aggregates.
  kSort,        // ORDER BY and LIMIT of a SELECT, only at the root; a view has kTopK. Output: the first
                // columns of its input; those after them only order.
  kValues,      // One row, no columns: SELECT without FROM.
  kWindow,      // Each row once for each window it is in. Output: the input's, window_start, window_end.
  kJoin,        // input and right. Output: the columns of input, then those of right.
  kTopK,        // Output: the input's columns, then the rank if gives_rank.
  kUnion,       // UNION ALL of input and right, which have the same types. Output: input's names.
};

struct Plan;
using PlanPtr = std::shared_ptr<const Plan>;

struct Plan {
  PlanKind kind = PlanKind::kValues;
  std::vector<Column> output;  // Names and types of what this node gives.
  PlanPtr input;               // Null for scans and values.
  PlanPtr right;               // Second input of kJoin and kUnion.

  // kStreamScan
  std::shared_ptr<const StreamDefinition> stream;
  std::vector<std::size_t> stream_columns;  // Per output column: index into columns+hidden, or
                                            // columns.size()+hidden.size()+Pseudo.
  bool dead_letters = false;                // The events that the stream sets aside, and retries of such, in
                                            // place of its own (processor/dead_letters.h).
  // kViewScan
  std::string view;                         // Name.
  std::uint32_t view_version = 0;           // The one that serves, unless another was named.

  ExpressionPtr predicate;                  // kFilter
  std::vector<ExpressionPtr> expressions;   // kProject
  std::vector<ExpressionPtr> group_keys;    // kAggregate
  std::vector<Aggregate> aggregates;        // kAggregate
  std::optional<WindowKey> window_key;      // kAggregate over windows.
  // kAggregate with window_key: a group leaves when the watermark has passed its window's end by this much,
  // and rows that come for it later are left out.
  std::optional<std::int64_t> retain_micros;
  // kAggregate with window_key: a group's row is given once, when the watermark reaches its window's end, and
  // its state goes; rows that come later are counted and left out.
  bool emit_on_close = false;
  std::vector<SortKey> sort_keys;           // kSort
  std::optional<std::uint64_t> limit;       // kSort
  std::uint64_t offset = 0;                 // kSort: rows skipped.
  Window window;                            // kWindow
  Join join;                                // kJoin
  TopK top_k;                               // kTopK
};

// What a materialized view is: the plan, and its key. The plan's root gives the view's columns and,
// after them, any key columns that the SELECT list does not have (hidden from SELECT *).
struct ViewPlan {
  PlanPtr root;
  std::size_t visible_columns = 0;           // The first so many of root->output are the view's.
  std::vector<std::size_t> key_columns;      // Indexes into root->output, in key order (GROUP BY order).
  bool single_row = false;                   // A global aggregate: always exactly one row, empty key.
  // No two rows have one key, and none is ever replaced or taken back: an entry need not be read to be written.
  bool append_only_key = false;
  // A derived stream: what its rows are. Its state has no rows of its own.
  enum class Emit : std::uint8_t { kNone, kChanges, kOnWindowClose };
  Emit emit = Emit::kNone;
};

// Multi-line EXPLAIN text of a plan: operators, columns decoded, state kept and whether it grows.
// `read`: its rows are read from what its operators keep; a derived stream's are not.
[[nodiscard]] std::string explain(const Plan& plan, bool read = true);
// One line: how the view is built from the log, and why the order of the log counts, if it does.
[[nodiscard]] std::string explain_replay(const ViewPlan& plan);

}  // namespace kappa::processor
