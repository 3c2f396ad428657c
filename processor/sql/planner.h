// SELECT to logical plans, for ad hoc reads and for views.
//
// A relation under construction is a base plan, a predicate over it and one expression a column:
// subqueries that only filter and project dissolve into their outer query, so that view plans keep the
// canonical shape  project [filter] aggregate [filter] stream-scan  or  project [filter] stream-scan.
#pragma once

#include "processor/sql/ast.h"
#include "processor/sql/binder.h"
#include "processor/sql/compile.h"

namespace kappa::processor::sql {

// Errors: those of the binder; 2003 for FROM; 2008 for what this version does not plan.
[[nodiscard]] Expected<Select> plan_select(const Query& query, const CatalogReader& catalog);
[[nodiscard]] Expected<CreateView> plan_view(const CreateViewSyntax& syntax, const CatalogReader& catalog);

// CREATE STREAM: columns, paths, options, WHERE (bind_stream.cc).
[[nodiscard]] Expected<CreateStream> bind_stream(const CreateStreamSyntax& syntax,
                                                 const CatalogReader& catalog);

// "$.a[0].\"b c\"" to steps; kInvalid 2001 with the place of the literal.
[[nodiscard]] Expected<std::vector<StreamColumn::Step>> parse_path(const std::string& path,
                                                                   SourcePlace place);

// Keeps in every stream scan only the columns that the node above needs (prune.cc).
[[nodiscard]] PlanPtr prune(const PlanPtr& plan);

// Refuses a name that is taken: kExists 2007.
[[nodiscard]] Status check_new_name(const Name& name, bool may_exist, const CatalogReader& catalog);
// kNotFound 2003 with a suggestion.
[[nodiscard]] std::unexpected<Error> unknown_relation(const Name& name, const CatalogReader& catalog);

}  // namespace kappa::processor::sql
