// SELECT and what is made of it to logical plans: views, tables, derived streams. planner_impl.h has the parts.
#pragma once

#include "processor/sql/ast.h"
#include "processor/sql/binder.h"
#include "processor/sql/compile.h"

namespace kappa::processor::sql {

// Errors: those of the binder; 2003 for FROM; 2008 for what this version does not plan.
[[nodiscard]] Expected<Select> plan_select(const Query& query, const CatalogReader& catalog);
[[nodiscard]] Expected<CreateView> plan_view(const CreateViewSyntax& syntax, const CatalogReader& catalog);

// CREATE TABLE ... AS LATEST.
[[nodiscard]] Expected<CreateView> plan_table(const CreateTableSyntax& syntax, const CatalogReader& catalog);
// CREATE STREAM ... AS SELECT.
[[nodiscard]] Expected<CreateStream> plan_derived(const CreateStreamSyntax& syntax, const CatalogReader& catalog);

// CREATE STREAM: columns, paths, options, WHERE (bind_stream.cc).
[[nodiscard]] Expected<CreateStream> bind_stream(const CreateStreamSyntax& syntax,
                                                 const CatalogReader& catalog);

// "$.a[0].\"b c\"" to steps; kInvalid 2001 with the place of the literal.
[[nodiscard]] Expected<std::vector<StreamColumn::Step>> parse_path(const std::string& path,
                                                                   SourcePlace place);

// Keeps in every node only the columns that the nodes above need; the root keeps all of its own (prune.cc).
[[nodiscard]] PlanPtr prune(const PlanPtr& plan);

// The options of CREATE OR REPLACE, which every CREATE takes: whether it is one, and its value. kInvalid 2005, 2002.
[[nodiscard]] bool is_replace_option(std::string_view name);
[[nodiscard]] Status read_replace_option(const Option& option, ReplaceOptions& options);

// Refuses a name that is taken: kExists 2007.
[[nodiscard]] Status check_new_name(const Name& name, bool may_exist, const CatalogReader& catalog);
// kNotFound 2003 with a suggestion.
[[nodiscard]] std::unexpected<Error> unknown_relation(const Name& name, const CatalogReader& catalog);

}  // namespace kappa::processor::sql
