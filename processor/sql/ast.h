// Syntax trees: what the parser makes of tokens, before any name is resolved. Plain data.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "processor/sql/compile.h"
#include "proto/error.h"
#include "proto/value.h"

namespace kappa::processor::sql {

struct Name {
  std::string text;     // Folded to lower case unless quoted.
  std::string written;  // As in the statement, without quotes.
  bool quoted = false;
  SourcePlace place;
};

struct Node;
using NodePtr = std::shared_ptr<const Node>;
struct Query;
using QueryPtr = std::shared_ptr<const Query>;

enum class NodeKind : std::uint8_t {
  kLiteral,  // literal
  kColumn,   // [qualifier.]name in `names`
  kStar,     // * or qualifier.*; only in select lists and count(*)
  kCall,     // function(arguments), operators included, by registry name
  kCase,     // [operand] in `operand`, arguments: condition, value, ..., [else]
  kCast,     // arguments[0] AS target
};

struct OrderItem {
  NodePtr expression;
  bool descending = false;
  std::optional<bool> nulls_first;
};

// OVER (PARTITION BY ... ORDER BY ...).
struct WindowSpecification {
  std::vector<NodePtr> partition_by;
  std::vector<OrderItem> order_by;
  SourcePlace place;
};

struct Node {
  NodeKind kind = NodeKind::kLiteral;
  SourcePlace place;        // Of the operator, the function's name or the literal.
  std::string_view source;  // The whole expression as written; points into the statement.
  std::size_t depth = 1;    // Of the tree below.
  Value literal;
  std::vector<Name> names;
  std::string function;
  bool named_call = false;  // Written as name(...): aggregates and functions by name.
  std::vector<NodePtr> arguments;
  NodePtr operand;
  bool has_else = false;
  Type target;
  bool strict = false;  // kCast of a typed literal (TIMESTAMP '...'): failing is an error.
  bool star = false;    // count(*)
  bool distinct = false;
  NodePtr filter;
  std::shared_ptr<const WindowSpecification> over;
  std::vector<OrderItem> order_by;  // f(x ORDER BY ...), f(p) WITHIN GROUP (ORDER BY ...)
  bool within_group = false;
};

struct SelectItem {
  NodePtr expression;
  std::optional<Name> alias;
};

// TUMBLE(stream, time, size), HOP(stream, time, slide, size), SESSION(stream [PARTITION BY ...], time, gap) in
// FROM.
struct WindowCall {
  std::string function;  // "tumble", "hop", "session"
  SourcePlace place;
  std::vector<NodePtr> arguments;  // The time, then the intervals.
  std::vector<NodePtr> partition_by;
};

struct TableRef {
  Name name;                             // Unless subquery.
  std::optional<std::uint32_t> version;  // name@1
  std::optional<std::uint64_t> as_of_offset;
  QueryPtr subquery;
  std::optional<Name> alias;
  std::optional<WindowCall> window;      // Around the above.
  NodePtr system_time;                   // FOR SYSTEM_TIME AS OF this.
};

struct JoinSyntax {
  enum class Kind : std::uint8_t { kInner, kLeft, kRight, kCross };
  Kind kind = Kind::kInner;
  bool asof = false;
  TableRef table;
  NodePtr on;                // Null: USING or a cross join.
  std::vector<Name> using_;  // USING (a, b)
  SourcePlace place;
};

struct FromSyntax {
  TableRef first;
  std::vector<JoinSyntax> joins;  // Left to right.
};

struct Query {
  SourcePlace place;
  // WITH name AS (query), ...: seen by the ones behind and by the query itself.
  std::vector<std::pair<Name, QueryPtr>> with;
  bool distinct = false;
  std::vector<SelectItem> items;
  std::optional<FromSyntax> from;
  NodePtr where;
  std::vector<NodePtr> group_by;
  NodePtr having;
  // UNION [ALL] query ...: joined to this SELECT from left to right, before ORDER BY and LIMIT.
  struct Union {
    bool all = true;
    QueryPtr query;
    SourcePlace place;
  };
  std::vector<Union> unions;
  std::vector<OrderItem> order_by;
  std::optional<std::uint64_t> limit;
  SourcePlace limit_place;
  std::uint64_t offset = 0;
};

enum class EmitSyntax : std::uint8_t { kNone, kChanges, kOnWindowClose };

struct ColumnDefinition {
  Name name;
  Type type;
  std::optional<std::string> path;
  SourcePlace path_place;
};
struct Option {
  Name name;
  std::string value;
  SourcePlace value_place;
};

struct CreateStreamSyntax {
  Name name;
  bool if_not_exists = false;
  bool or_replace = false;
  std::vector<ColumnDefinition> columns;
  std::vector<Option> options;
  NodePtr where;
  // A derived stream: AS this.
  QueryPtr query;
  EmitSyntax emit = EmitSyntax::kNone;
  SourcePlace emit_place;
};
// CREATE TABLE name AS LATEST source BY keys [DELETE WHEN condition]
struct CreateTableSyntax {
  Name name;
  bool if_not_exists = false;
  bool or_replace = false;
  std::vector<Option> options;
  Name source;
  std::vector<NodePtr> keys;
  NodePtr delete_when;
};
struct CreateViewSyntax {
  Name name;
  bool if_not_exists = false;
  bool or_replace = false;
  std::vector<Option> options;
  QueryPtr query;
  EmitSyntax emit = EmitSyntax::kNone;
  SourcePlace emit_place;
};
struct DropSyntax {
  Drop::What what = Drop::What::kView;
  Name name;
  bool if_exists = false;
  bool cascade = false;
};
struct ShowSyntax {
  Show::What what = Show::What::kViews;
  std::optional<Name> of;  // kDeadLetters: one stream's.
};
struct DescribeSyntax {
  Name name;
  std::optional<std::uint32_t> version;
};
struct AlterSyntax {
  Alter::Action action = Alter::Action::kCutover;
  Name name;
};

struct StatementSyntax {
  std::variant<QueryPtr, CreateStreamSyntax, CreateTableSyntax, CreateViewSyntax, DropSyntax, ShowSyntax,
               DescribeSyntax, AlterSyntax>
      statement;
  bool explain = false;
  // The first construct of the text that this version does not run.
  struct Later {
    std::string construct;
    SourcePlace place;
  };
  std::optional<Later> later;
};

}  // namespace kappa::processor::sql
