// See grammar.h: the SELECTs without windows and ranks.
#include <algorithm>

#include "tests/oracle/aggregates.h"
#include "tests/oracle/grammar.h"

namespace kappa::oracle {

Query Grammar::query() {
  used_.clear();
  aliases_ = 0;
  return select(2);
}

Query Grammar::select(int depth) {
  switch (random_.below(16)) {
    case 0:
    case 1:
    case 2: return plain(depth);
    case 3: return distinct(depth);
    case 4:
    case 5:
    case 6:
    case 7: return grouped(depth);
    case 8: return union_all(depth);
    case 9:
    case 10:
    case 11: return windowed(depth);
    case 12: return session();
    case 13:
    case 14: return ranked(depth);
    default: return limited(depth);
  }
}

Dual Grammar::list(const std::vector<Item>& items) {
  Dual text;
  for (const Item& item : items) {
    const std::string separator = text.kappa.empty() ? "" : ", ";
    text.kappa += separator + item.term.text.kappa + " AS " + item.name;
    text.sqlite += separator + item.term.text.sqlite + " AS " + item.name;
  }
  return text;
}

std::vector<Column> Grammar::columns_of(const std::vector<Item>& items) {
  std::vector<Column> columns;
  for (const Item& item : items)
    columns.push_back({item.name, item.term.kind, item.term.bound, item.term.exact, item.term.tolerance});
  return columns;
}

Query Grammar::finish(Dual text, std::vector<Column> columns, const From& from) {
  return {std::move(text), {}, std::move(columns), from.needs, used_};
}

Dual Grammar::where(const From& from, std::size_t one_in) {
  if (!random_.one_in(one_in)) return {};
  note("where");
  Expressions expressions(random_, from.scope, used_);
  const Dual p = expressions.predicate().text;
  return {" WHERE " + p.kappa, " WHERE " + p.sqlite};
}

Query Grammar::plain(int depth) {
  note("select");
  const From source = from(depth);
  Expressions expressions(random_, source.scope, used_);
  std::vector<Item> items;
  const std::size_t count = 1 + random_.below(4);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "c" + std::to_string(i);
    if (random_.one_in(12) && expressions.column(Kind::kJson) != nullptr) {
      items.push_back({expressions.json_part(false), name});
    } else if (random_.one_in(2)) {
      items.push_back({random_.pick(source.scope), name});
    } else {
      items.push_back(
          {expressions.term(expressions.some_kind(), 1 + static_cast<int>(random_.below(2))), name});
    }
  }
  if (!source.stream_alias.empty() && random_.one_in(4)) {
    note("select.offset");
    items.push_back(
        {{same(source.stream_alias + random_.pick({"._offset", "._seq"})), Kind::kInteger, 1e9, true}, "o"});
  }
  const Dual columns = list(items), condition = where(source, 2);
  return finish({"SELECT " + columns.kappa + " FROM " + source.text.kappa + condition.kappa,
                 "SELECT " + columns.sqlite + " FROM " + source.text.sqlite + condition.sqlite},
                columns_of(items), source);
}

Query Grammar::distinct(int depth) {
  const From source = from(depth);
  Expressions expressions(random_, source.scope, used_);
  std::vector<Item> items;
  const std::size_t count = 1 + random_.below(2);
  for (std::size_t i = 0; i < count; ++i) {
    items.push_back(
        {expressions.term(expressions.some_kind(), random_.one_in(2) ? 0 : 1), "c" + std::to_string(i)});
  }
  const Dual columns = list(items), condition = where(source, 2);
  if (random_.one_in(2)) {
    note("distinct");
    return finish({"SELECT DISTINCT " + columns.kappa + " FROM " + source.text.kappa + condition.kappa,
                   "SELECT DISTINCT " + columns.sqlite + " FROM " + source.text.sqlite + condition.sqlite},
                  columns_of(items), source);
  }
  note("group_by.no_aggregates");
  const std::string keys = count == 1 ? " GROUP BY 1" : " GROUP BY 1, 2";
  return finish({"SELECT " + columns.kappa + " FROM " + source.text.kappa + condition.kappa + keys,
                 "SELECT DISTINCT " + columns.sqlite + " FROM " + source.text.sqlite + condition.sqlite},
                columns_of(items), source);
}

Query Grammar::grouped(int depth) {
  From source = from(depth);
  Expressions expressions(random_, source.scope, used_);
  Aggregates aggregates(random_, source, used_);
  std::vector<Item> items;
  Dual keys;
  const std::size_t key_count = random_.one_in(6) ? 0 : 1 + random_.below(3);
  note(key_count == 0 ? "aggregate.global" : "group_by");
  for (std::size_t i = 0; i < key_count; ++i) {
    const Term key = expressions.term(expressions.some_kind(), random_.one_in(3) ? 1 : 0);
    const std::string name = "k" + std::to_string(i);
    const std::string separator = keys.kappa.empty() ? " GROUP BY " : ", ";
    // A key that is not selected is a key all the same. Constants as keys would be taken for ordinals.
    const bool selected = !random_.one_in(6) || key_count == 1;
    if (selected) {
      items.push_back({key, name});
      // An alias means the item only where no input column has its name.
      const bool free = std::ranges::none_of(
          source.scope, [&](const Term& t) { return t.text.kappa.ends_with("." + name); });
      keys.kappa += separator + (free && random_.one_in(3) ? name : std::to_string(items.size()));
      keys.sqlite += separator + std::to_string(items.size());
    } else {
      note("group_by.not_selected");
      const Term* column = expressions.any_column();
      if (column == nullptr) continue;
      keys.kappa += separator + column->text.kappa;
      keys.sqlite += separator + column->text.sqlite;
    }
  }
  const std::size_t count = (key_count == 0 ? 1 : 0) + 1 + random_.below(3);
  for (std::size_t i = 0; i < count; ++i) items.push_back({aggregates.any(), "c" + std::to_string(i)});
  const Dual columns = list(items), condition = where(source, 3);
  Dual having;
  if (random_.one_in(4)) {
    const Dual test = aggregates.having().text;
    having = {" HAVING " + test.kappa, " HAVING " + test.sqlite};
  }
  return finish(
      {"SELECT " + columns.kappa + " FROM " + source.text.kappa + condition.kappa + keys.kappa + having.kappa,
       "SELECT " + columns.sqlite + " FROM " + source.text.sqlite + condition.sqlite + keys.sqlite +
           having.sqlite},
      columns_of(items), source);
}

Query Grammar::union_all(int depth) {
  // UNION leaves equal rows out.
  const std::string word = random_.one_in(4) ? " UNION " : " UNION ALL ";
  note(word == " UNION " ? "union" : "union_all");
  const From left = from(depth - 1);
  std::vector<Item> items;
  Expressions first(random_, left.scope, used_);
  const std::size_t count = 1 + random_.below(3);
  for (std::size_t i = 0; i < count; ++i)
    items.push_back({first.term(first.some_kind(), 1), "c" + std::to_string(i)});
  Query all;
  std::vector<Column> columns = columns_of(items);
  const Dual condition = where(left, 2), selected = list(items);
  Dual text{"SELECT " + selected.kappa + " FROM " + left.text.kappa + condition.kappa,
            "SELECT " + selected.sqlite + " FROM " + left.text.sqlite + condition.sqlite};
  From needs = left;
  const std::size_t more = 1 + random_.below(2);
  for (std::size_t n = 0; n < more; ++n) {
    const From right = from(depth - 1);
    Expressions second(random_, right.scope, used_);
    std::vector<Item> others;
    for (std::size_t i = 0; i < count; ++i) {
      const Term term = second.term(columns[i].kind, 1);
      others.push_back({term, "c" + std::to_string(i)});
      columns[i].bound = std::max(columns[i].bound, term.bound);
    }
    const Dual also = where(right, 2), chosen = list(others);
    text.kappa += word + "SELECT " + chosen.kappa + " FROM " + right.text.kappa + also.kappa;
    text.sqlite += word + "SELECT " + chosen.sqlite + " FROM " + right.text.sqlite + also.sqlite;
    merge_needs(needs.needs, right.needs);
  }
  return finish(std::move(text), std::move(columns), needs);
}

}  // namespace kappa::oracle
