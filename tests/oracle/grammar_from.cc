// See grammar.h: what FROM may hold, joins apart.
#include "tests/oracle/grammar.h"

namespace kappa::oracle {

From Grammar::named(const Relation& relation) {
  const std::string name = alias();
  From from;
  const std::string as = random_.one_in(3) ? " AS " : " ";
  from.text = {relation.text.kappa + as + name, relation.text.sqlite + " AS " + name};
  for (const Column& c : relation.columns) {
    from.scope.push_back({same(name + "." + c.name), c.kind, c.bound, c.exact, c.tolerance});
  }
  from.single_alias = name;
  from.needs = relation.needs;
  if (relation.stream) {
    from.stream_alias = name;
    from.event_time = name + "." + relation.event_time;
  }
  return from;
}

Relation Grammar::relation(int depth) {
  const std::size_t choice = random_.below(10);
  if (choice < 4) return some_stream().relation();
  if (choice < 6 && !views_.empty()) {
    note("view_over_view");
    return random_.pick(views_);
  }
  if (choice == 6) {
    note("from.table");
    return random_.pick(schema_.tables).relation;
  }
  if (depth <= 0) return some_stream().relation();
  note("from.subquery");
  const Query inner = select(depth - 1);
  Relation relation;
  relation.text = {"(" + inner.text.kappa + ")", "(" + inner.text.sqlite + ")"};
  relation.columns = inner.columns;
  relation.needs = inner.needs;
  return relation;
}

From Grammar::stream_source() {
  return named(some_stream().relation());
}

From Grammar::one_source(int depth) {
  return named(relation(depth));
}

From Grammar::from(int depth) {
  if (depth >= 1 && random_.one_in(3)) return joined(depth);
  if (random_.one_in(14)) return table_function();
  return one_source(depth);
}

std::string Grammar::interval(std::int64_t micros) {
  if (micros % 1'000'000 != 0) return "INTERVAL '" + std::to_string(micros / 1000) + " milliseconds'";
  const std::string seconds = std::to_string(micros / 1'000'000);
  switch (random_.below(3)) {
    case 0: return "INTERVAL '" + seconds + "' SECOND";
    default: return "INTERVAL '" + seconds + " seconds'";
  }
}

}  // namespace kappa::oracle
