#include "serving/names_read.h"

#include <algorithm>

#include "processor/sql/parser.h"

namespace kappa::serving {

namespace {

namespace sql = processor::sql;

// Names behind FROM that are not of this query's own WITH. `with`: those in sight.
void names_of(const sql::Query& query, std::vector<std::string> with, std::vector<std::string>& names);

void names_of(const sql::TableRef& table, const std::vector<std::string>& with, std::vector<std::string>& names) {
  if (table.subquery) return names_of(*table.subquery, with, names);
  if (std::ranges::find(with, table.name.text) == with.end()) names.push_back(table.name.text);
}

void names_of(const sql::Query& query, std::vector<std::string> with, std::vector<std::string>& names) {
  for (const auto& [name, inner] : query.with) {
    names_of(*inner, with, names);  // Those before it, not itself.
    with.push_back(name.text);
  }
  if (query.from) {
    names_of(query.from->first, with, names);
    for (const sql::JoinSyntax& join : query.from->joins) names_of(join.table, with, names);
  }
  for (const sql::Query::Union& member : query.unions) names_of(*member.query, with, names);
}

}  // namespace

Error forbidden(std::string_view what, std::string_view scope) {
  return Error{ErrorCode::kInvalid, 4013, "the token does not allow " + std::string(what),
               "it needs the scope " + std::string(scope), 0, {}};
}

Expected<std::vector<std::string>> names_read(std::string_view statement) {
  KAPPA_TRY(const sql::StatementSyntax syntax, sql::parse(statement));
  if (const auto* query = std::get_if<sql::QueryPtr>(&syntax.statement)) {
    std::vector<std::string> names;
    names_of(**query, {}, names);
    return names;
  }
  if (const auto* describe = std::get_if<sql::DescribeSyntax>(&syntax.statement))
    return std::vector<std::string>{describe->name.text};
  return std::unexpected(forbidden("this statement", "admin"));
}

Status may_run(const Token& token, std::string_view statement) {
  if (token.admin()) return {};
  KAPPA_TRY(const std::vector<std::string> names, names_read(statement));
  for (const std::string& name : names) {
    if (!token.may_read(name)) return std::unexpected(forbidden("reading \"" + name + "\"", "read:" + name));
  }
  return {};
}

std::string_view without_version(std::string_view view) {
  const std::size_t at = view.rfind('@');
  const bool version = at != std::string_view::npos && at + 1 < view.size() &&
                       view.find_first_not_of("0123456789", at + 1) == std::string_view::npos;
  return version ? view.substr(0, at) : view;
}

}  // namespace kappa::serving
