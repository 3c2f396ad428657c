// See grammar.h: joins with tables, views, subqueries and streams, ASOF, and as of the log's offset.
#include "tests/oracle/grammar.h"

namespace kappa::oracle {
namespace {

void append_scope(Scope& to, const Scope& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// A pair of columns that may be joined on.
struct Pair {
  const Term* left = nullptr;
  const Term* right = nullptr;
};
Pair pair_of(Random& random, const Scope& left, const Scope& right) {
  std::vector<Pair> pairs;
  for (const Term& a : left) {
    for (const Term& b : right) {
      const bool keys = a.kind == b.kind && a.exact && b.exact &&
                        (a.kind == Kind::kText || a.kind == Kind::kInteger || a.kind == Kind::kTime ||
                         a.kind == Kind::kNumeric);
      if (keys) pairs.push_back({&a, &b});
    }
  }
  return pairs.empty() ? Pair{} : pairs[random.below(pairs.size())];
}

// The terms of two scopes that name the same column of an event.
const Term* called(const Scope& scope, const std::string& name) {
  for (const Term& term : scope) {
    if (term.text.kappa.ends_with("." + name)) return &term;
  }
  return nullptr;
}

}  // namespace

From Grammar::joined(int depth) {
  switch (random_.below(8)) {
    case 0: return as_of();
    case 1: return system_time();
    case 2:
    case 3: return join_streams();
    default: break;
  }
  // With a table, a view or a subquery, current rows on both sides.
  From left = random_.one_in(2) ? stream_source() : one_source(depth - 1);
  Relation right;
  switch (random_.below(3)) {
    case 0: right = relation(depth - 1); break;
    case 1:
      if (!views_.empty()) {
        note("join.view");
        right = random_.pick(views_);
        break;
      }
      [[fallthrough]];
    default: note("join.table"); right = random_.pick(schema_.tables).relation;
  }
  From other = named(right);
  const Pair on = pair_of(random_, left.scope, other.scope);
  if (on.left == nullptr) return left;
  const bool outer = random_.one_in(2);
  note(outer ? "join.left" : "join.inner");
  std::string condition = on.left->text.kappa + " = " + on.right->text.kappa;
  if (random_.one_in(5)) {
    const Pair more = pair_of(random_, left.scope, other.scope);
    note("join.two_keys");
    condition += " AND " + more.left->text.kappa + " = " + more.right->text.kappa;
  } else if (random_.one_in(5)) {
    const Pair more = pair_of(random_, left.scope, other.scope);
    note("join.inequality");
    condition +=
        " AND " + more.left->text.kappa + random_.pick({" < ", " <> ", " >= "}) + more.right->text.kappa;
  }
  const bool right_outer = outer && random_.one_in(3);
  // SQLite is asked the other way round: its RIGHT JOIN lets rows through that its WHERE does not.
  if (right_outer) note("join.right");
  const std::string word = right_outer ? " RIGHT JOIN "
                           : outer     ? " LEFT JOIN "
                                       : random_.pick({" JOIN ", " INNER JOIN "});
  From from;
  from.text = {left.text.kappa + word + other.text.kappa + " ON " + condition,
               (right_outer ? other.text.sqlite + " LEFT JOIN " + left.text.sqlite
                            : left.text.sqlite + word + other.text.sqlite) +
                   " ON " + condition};
  append_scope(from.scope, left.scope);
  append_scope(from.scope, other.scope);
  from.needs = left.needs;
  merge_needs(from.needs, other.needs);
  return from;
}

From Grammar::join_streams() {
  From left = stream_source(), right = stream_source();
  const bool outer = random_.one_in(4);
  const bool bounded = !random_.one_in(3);
  note(bounded ? "join.streams_bounded" : "join.streams");
  if (outer) note("join.streams_left");
  const std::string a = left.single_alias, b = right.single_alias;
  Dual condition = same(a + ".k = " + b + ".k AND " + a + ".g = " + b + ".g");
  if (bounded) {
    const std::int64_t before = random_.pick(std::vector<std::int64_t>{0, 1'000'000, 5'000'000, 60'000'000});
    const std::int64_t after = random_.pick(std::vector<std::int64_t>{0, 1'000'000, 10'000'000});
    const std::string low = std::to_string(before), high = std::to_string(after);
    condition.kappa += " AND " + b + ".ts BETWEEN " + a + ".ts - " + interval(before) + " AND " + a +
                       ".ts + " + interval(after);
    condition.sqlite += " AND " + b + ".ts BETWEEN " + a + ".ts - " + low + " AND " + a + ".ts + " + high;
  }
  const std::string word = outer ? " LEFT JOIN " : " JOIN ";
  From from;
  from.text = {left.text.kappa + word + right.text.kappa + " ON " + condition.kappa,
               left.text.sqlite + word + right.text.sqlite + " ON " + condition.sqlite};
  append_scope(from.scope, left.scope);
  append_scope(from.scope, right.scope);
  return from;
}

From Grammar::as_of() {
  From left = stream_source(), right = stream_source();
  const bool outer = random_.one_in(2);
  note(outer ? "as_of.left" : "as_of.inner");
  const std::string a = left.single_alias, b = right.single_alias;
  const std::string key = random_.one_in(3) ? ".g" : ".k";
  const std::string later = random_.one_in(3) ? " < " : " <= ";
  // "(SELECT ...) AS a1": the relation alone for the search in it.
  const std::string history = right.text.sqlite.substr(0, right.text.sqlite.rfind(" AS "));
  From from;
  from.text = {left.text.kappa + (outer ? " ASOF LEFT JOIN " : " ASOF JOIN ") + right.text.kappa + " ON " +
                   a + key + " = " + b + key + " AND " + b + ".ts" + later + a + ".ts",
               left.text.sqlite + (outer ? " LEFT JOIN " : " JOIN ") + right.text.sqlite + " ON " + b +
                   "._offset = (SELECT h._offset FROM " + history + " AS h WHERE h" + key + " = " + a + key +
                   " AND h.ts" + later + a + ".ts ORDER BY h.ts DESC, h._offset DESC LIMIT 1)"};
  append_scope(from.scope, left.scope);
  append_scope(from.scope, right.scope);
  return from;
}

// The row as it was when the event was appended, what the event itself did to it included.
From Grammar::system_time() {
  From left = stream_source();
  const Table& table = random_.pick(schema_.tables);
  From right = named(table.relation);
  const bool outer = random_.one_in(2);
  note(outer ? "system_time.left" : "system_time.inner");
  const std::string a = left.single_alias, b = right.single_alias;
  const Term* key = called(left.scope, table.key);
  if (key == nullptr) return left;
  From from;
  from.text = {left.text.kappa + (outer ? " LEFT JOIN " : " JOIN ") + table.name + " FOR SYSTEM_TIME AS OF " +
                   a + "._offset " + b + " ON " + key->text.kappa + " = " + b + "." + table.key,
               left.text.sqlite + (outer ? " LEFT JOIN " : " JOIN ") + table.history + " AS " + b +
                   " ON NOT " + b + ".gone AND " + b + "._offset = (SELECT max(h._offset) FROM " +
                   table.history + " AS h WHERE h." + table.key + " = " + key->text.sqlite +
                   " AND h._offset <= " + a + "._offset)"};
  append_scope(from.scope, left.scope);
  append_scope(from.scope, right.scope);
  from.needs = {table.name};
  return from;
}

}  // namespace kappa::oracle
