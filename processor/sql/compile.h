// SQL text to bound statements: lexer, parser, binder and planner behind one call.
//
// Names, types and functions are resolved against a catalog; nothing is changed by compiling. Errors
// carry a SourcePlace into the text and, for names, a "did you mean".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "processor/sql/plan.h"
#include "proto/error.h"

namespace kappa::processor {

// What CREATE TABLE ... AS LATEST reads, beside its plan: for ASOF joins with the table's history.
struct TableDefinition {
  std::shared_ptr<const StreamDefinition> stream;
  ExpressionPtr delete_when;  // Over the stream's columns, then the pseudo columns; null: rows are never deleted.
};

// What the binder asks the catalog. Implementations are snapshots: answers do not change during a call.
class CatalogReader {
 public:
  virtual ~CatalogReader() = default;
  [[nodiscard]] virtual std::shared_ptr<const StreamDefinition> stream(std::string_view name) const = 0;
  struct View {
    std::string name;
    std::uint32_t version = 1;
    std::shared_ptr<const ViewPlan> plan;
    std::shared_ptr<const TableDefinition> table = nullptr;  // Null for a materialized view.
  };
  [[nodiscard]] virtual std::optional<View> view(std::string_view name) const = 0;
  // name@version; nullopt if there is no such version.
  [[nodiscard]] virtual std::optional<View> view(std::string_view name, std::uint32_t version) const {
    auto current = view(name);
    return current && current->version == version ? std::move(current) : std::nullopt;
  }
  // Every stream, table and view, for suggestions.
  [[nodiscard]] virtual std::vector<std::string> names() const = 0;
};

// How CREATE OR REPLACE goes on: WITH (cutover = 'auto' | 'manual', keep_old = '24 hours').
struct ReplaceOptions {
  bool manual = false;                                    // Readers switch when ALTER ... CUTOVER says so.
  std::int64_t keep_micros = std::int64_t{24} * 3600 * 1'000'000;  // The version before stays fed so long.
};

struct CreateStream {
  std::shared_ptr<const StreamDefinition> definition;
  std::shared_ptr<const ViewPlan> plan;  // A derived stream: what writes its events.
  std::vector<std::string> reads;  // A derived stream: streams and views it reads, directly.
  bool if_not_exists = false;
  bool or_replace = false;
  ReplaceOptions replace = {};
};
// A materialized view or a table.
struct CreateView {
  std::string name;
  ViewPlan plan;
  std::shared_ptr<const TableDefinition> table = nullptr;  // Null for a materialized view.
  std::vector<std::string> reads;              // Streams and views it reads, directly.
  bool if_not_exists = false;
  bool or_replace = false;
  ReplaceOptions replace = {};
};
struct Select {
  PlanPtr plan;                        // Root: [kSort] over kProject over ...
  std::vector<std::string> views;      // Views it reads.
  std::vector<std::string> streams;    // Streams it reads (a bounded replay).
  std::optional<std::uint64_t> as_of_offset;
};
struct Drop {
  enum class What { kStream, kView, kTable, kTopic } what = What::kView;
  std::string name;
  SourcePlace place;
  bool if_exists = false;
  bool cascade = false;
};
// What is done with the versions of a name (processor/replacement.h).
struct Alter {
  enum class Action { kCutover, kRollback, kPause, kResume, kCancel } action = Action::kCutover;
  std::string name;
  SourcePlace place;
};
struct Show {
  enum class What { kTopics, kStreams, kTables, kViews, kDefinitions, kReplays, kDeadLetters } what = What::kViews;
  std::string of;     // kDeadLetters: the stream; empty: every one.
  SourcePlace place;  // Of its name.
};
struct Describe {
  std::string name;
  std::optional<std::uint32_t> version;  // name@1; else the one that serves.
  SourcePlace place;
};
struct Explain {
  std::string text;  // Lines of the plan.
};
using Statement = std::variant<CreateStream, CreateView, Select, Drop, Alter, Show, Describe, Explain>;

// Compiles exactly one statement (a trailing semicolon is fine). Errors: kInvalid 2001 syntax, 2002
// type, 2004 function, 2005 refused construct (names the replacement); kNotFound 2003 stream or view,
// 2006 column; kExists 2007; kUnsupported 2008 (part of the language, not of this version); kTooLarge 2009.
[[nodiscard]] Expected<Statement> compile(std::string_view sql, const CatalogReader& catalog);

// Cuts a script into statements at semicolons outside strings, quoted names and comments. Each piece
// says where it starts, so that places can be shown in the whole text. Pieces of only comments and
// white space are left out.
struct ScriptPiece {
  std::string_view text;
  std::uint32_t line = 1;    // 1-based line of text[0] in the script.
  std::uint32_t column = 1;  // 1-based byte column of text[0].
};
[[nodiscard]] std::vector<ScriptPiece> split_script(std::string_view script);

}  // namespace kappa::processor
