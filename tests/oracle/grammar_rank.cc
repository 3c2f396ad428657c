// See grammar.h: top-k by ROW_NUMBER, RANK and DENSE_RANK, and ORDER BY ... LIMIT in a view.
//
// NULLs sort last ascending and first descending unless said otherwise; SQLite is always told. Rows of a
// stream that tie go by offset; others are ordered by all that is selected, so that ties are equal rows.
#include <algorithm>

#include "tests/oracle/aggregates.h"
#include "tests/oracle/grammar.h"

namespace kappa::oracle {
namespace {

// One ORDER BY item in both spellings.
Dual order_item(Random& random, const Dual& term) {
  const bool down = random.one_in(2);
  const std::string direction = down ? " DESC" : random.one_in(2) ? " ASC" : "";
  const bool nulls_first = random.one_in(4) ? !down : down;
  const std::string nulls = nulls_first ? " NULLS FIRST" : " NULLS LAST";
  const bool said = nulls_first != down || random.one_in(4);
  return {term.kappa + direction + (said ? nulls : ""), term.sqlite + direction + nulls};
}

bool sortable(const Term& term) {
  return term.exact && term.kind != Kind::kJson && (term.kind != Kind::kHuge || term.bound < 4e18);
}

}  // namespace

Query Grammar::ranked(int depth) {
  const std::string function = random_.pick({"ROW_NUMBER", "RANK", "DENSE_RANK"});
  note(function == "ROW_NUMBER" ? "top_k.row_number"
       : function == "RANK"     ? "top_k.rank"
                                : "top_k.dense_rank");
  From source = random_.one_in(2) ? stream_source() : from(depth - 1);
  std::vector<Item> items;
  Dual group;
  Scope scope = source.scope;
  bool over_groups = false;
  if (random_.one_in(3)) {
    // Over the aggregates of a GROUP BY of its own.
    Expressions expressions(random_, source.scope, used_);
    const Term* key = expressions.any_column();
    if (key != nullptr) {
      note("top_k.over_groups");
      over_groups = true;
      Aggregates aggregates(random_, source, used_);
      items.push_back({*key, "k0"});
      Term aggregate = aggregates.any();
      if (!sortable(aggregate)) aggregate = {same("count(*)"), Kind::kInteger, 1e5, true};
      items.push_back({aggregate, "n0"});
      group = {" GROUP BY " + key->text.kappa, " GROUP BY " + key->text.sqlite};
    }
  }
  if (!over_groups) {
    const std::size_t count = 1 + random_.below(3);
    for (std::size_t i = 0; i < count; ++i) {
      const Term& term = random_.pick(source.scope);
      if (sortable(term)) items.push_back({term, "c" + std::to_string(i)});
    }
    if (items.empty()) return plain(depth);
  }
  Dual partition;
  if (random_.one_in(2)) {
    note("top_k.partition");
    const Dual by = items[0].term.text;
    partition = {"PARTITION BY " + by.kappa + " ", "PARTITION BY " + by.sqlite + " "};
  }
  Dual order;
  const bool by_offset = !source.stream_alias.empty() && !over_groups;
  std::vector<Item> keys = items;
  // Fewer keys where ties are settled by offset, or are ranks.
  if (by_offset || function != "ROW_NUMBER") keys.resize(1 + random_.below(keys.size()));
  for (std::size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[random_.below(i)]);
  for (const Item& key : keys) {
    const Dual item = order_item(random_, key.term.text);
    order.kappa += (order.kappa.empty() ? "" : ", ") + item.kappa;
    order.sqlite += (order.sqlite.empty() ? "" : ", ") + item.sqlite;
  }
  if (by_offset && function == "ROW_NUMBER") order.sqlite += ", " + source.stream_alias + "._offset";
  const Dual condition = where(source, 3), columns = list(items);
  const std::string limit = random_.pick({"1", "2", "3", "5", "10"});
  const std::string outer = alias();
  std::vector<Column> result = columns_of(items);
  std::string selected;
  for (const Column& c : result) selected += c.name + ", ";
  result.push_back({"rk", Kind::kInteger, 1e6, true});
  std::string filter = random_.pick({"rk <= ", "rk < ", "rk = "}) + limit;
  Dual more;
  if (random_.one_in(4)) {
    note("top_k.and_more");
    Scope inner;
    for (const Column& c : columns_of(items)) inner.push_back({same(c.name), c.kind, c.bound, c.exact});
    Expressions expressions(random_, inner, used_);
    const Dual p = expressions.predicate().text;
    more = {" AND " + p.kappa, " AND " + p.sqlite};
  }
  const bool keep_rank = !random_.one_in(3);
  if (!keep_rank) {
    result.pop_back();
    selected.resize(selected.size() - 2);
  } else {
    selected += "rk";
  }
  return finish({"SELECT " + selected + " FROM (SELECT " + columns.kappa + ", " + function + "() OVER (" +
                     partition.kappa + "ORDER BY " + order.kappa + ") AS rk FROM " + source.text.kappa +
                     condition.kappa + group.kappa + ") " + outer + " WHERE " + filter + more.kappa,
                 "SELECT " + selected + " FROM (SELECT " + columns.sqlite + ", " + function + "() OVER (" +
                     partition.sqlite + "ORDER BY " + order.sqlite + ") AS rk FROM " + source.text.sqlite +
                     condition.sqlite + group.sqlite + ") AS " + outer + " WHERE " + filter + more.sqlite},
                std::move(result), source);
}

Query Grammar::limited(int depth) {
  note("order_by_limit");
  From source = random_.one_in(2) ? stream_source() : from(depth - 1);
  std::vector<Item> items;
  const std::size_t count = 1 + random_.below(3);
  for (std::size_t i = 0; i < count; ++i) {
    const Term& term = random_.pick(source.scope);
    if (sortable(term)) items.push_back({term, "c" + std::to_string(i)});
  }
  if (items.empty()) return plain(depth);
  const bool by_offset = !source.stream_alias.empty();
  Dual order;
  for (std::size_t i = 0; i < (by_offset ? 1 : items.size()); ++i) {
    const Dual item = order_item(random_, same(items[i].name));
    order.kappa += (order.kappa.empty() ? "" : ", ") + item.kappa;
    order.sqlite += (order.sqlite.empty() ? "" : ", ") + item.sqlite;
  }
  if (by_offset) order.sqlite += ", " + source.stream_alias + "._offset";
  std::string limit = " LIMIT " + random_.pick({"1", "2", "5", "20"});
  if (random_.one_in(3)) {
    note("order_by_limit_offset");
    limit += " OFFSET " + random_.pick({"1", "3"});
  }
  const Dual condition = where(source, 3), columns = list(items);
  return finish({"SELECT " + columns.kappa + " FROM " + source.text.kappa + condition.kappa + " ORDER BY " +
                     order.kappa + limit,
                 "SELECT " + columns.sqlite + " FROM " + source.text.sqlite + condition.sqlite +
                     " ORDER BY " + order.sqlite + limit},
                columns_of(items), source);
}

}  // namespace kappa::oracle
