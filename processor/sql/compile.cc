// One statement from text to its bound form.
#include "processor/sql/compile.h"

#include <algorithm>

#include "processor/sql/lexer.h"
#include "processor/sql/parser.h"
#include "processor/sql/planner.h"

namespace kappa::processor {
namespace {

using namespace sql;

std::string explain_kept(const std::string& what, const ViewPlan& plan) {
  std::string key;
  for (const std::size_t column : plan.key_columns) key += (key.empty() ? "" : ", ") + plan.root->output[column].name;
  std::string text = what + ": ";
  text += plan.single_row ? "one row" : "key " + key;
  return text + "\n" + explain_replay(plan) + explain(*plan.root, plan.emit == ViewPlan::Emit::kNone);
}

struct Binder {
  const CatalogReader& catalog;

  Expected<Statement> operator()(const QueryPtr& query) const {
    KAPPA_TRY(Select select, plan_select(*query, catalog));
    return Statement(std::move(select));
  }
  Expected<Statement> operator()(const CreateStreamSyntax& syntax) const {
    KAPPA_TRY(CreateStream stream, syntax.query ? plan_derived(syntax, catalog) : bind_stream(syntax, catalog));
    return Statement(std::move(stream));
  }
  Expected<Statement> operator()(const CreateTableSyntax& syntax) const {
    KAPPA_TRY(CreateView table, plan_table(syntax, catalog));
    return Statement(std::move(table));
  }
  Expected<Statement> operator()(const CreateViewSyntax& syntax) const {
    KAPPA_TRY(CreateView view, plan_view(syntax, catalog));
    return Statement(std::move(view));
  }
  Expected<Statement> operator()(const DropSyntax& syntax) const {
    return Statement(
        Drop{syntax.what, syntax.name.text, syntax.name.place, syntax.if_exists, syntax.cascade});
  }
  Expected<Statement> operator()(const ShowSyntax& syntax) const {
    Show show;
    show.what = syntax.what;
    if (syntax.of) show.of = syntax.of->text;
    if (syntax.of) show.place = syntax.of->place;
    return Statement(std::move(show));
  }
  Expected<Statement> operator()(const DescribeSyntax& syntax) const {
    return Statement(Describe{syntax.name.text, syntax.version, syntax.name.place});
  }
  Expected<Statement> operator()(const AlterSyntax& syntax) const {
    return Statement(Alter{syntax.action, syntax.name.text, syntax.name.place});
  }
};

}  // namespace

Expected<Statement> compile(std::string_view sql, const CatalogReader& catalog) {
  KAPPA_TRY(const StatementSyntax syntax, parse(sql));
  if (syntax.later) {
    return fail_at(syntax.later->place, ErrorCode::kUnsupported, 2008,
                   "not available in this version: " + syntax.later->construct);
  }
  KAPPA_TRY(Statement statement, std::visit(Binder{catalog}, syntax.statement));
  if (!syntax.explain) return statement;
  if (const auto* select = std::get_if<Select>(&statement)) return Statement(Explain{explain(*select->plan)});
  if (const auto* view = std::get_if<CreateView>(&statement)) {
    return Statement(Explain{explain_kept((view->table ? "table " : "materialized view ") + view->name, view->plan)});
  }
  if (const auto* stream = std::get_if<CreateStream>(&statement); stream != nullptr && stream->plan) {
    return Statement(Explain{explain_kept("derived stream " + stream->definition->name, *stream->plan)});
  }
  return fail_at({1, 1, 7}, ErrorCode::kInvalid, 2005,
                 "EXPLAIN takes a SELECT or a CREATE that keeps one: MATERIALIZED VIEW, TABLE, STREAM AS");
}

}  // namespace kappa::processor
