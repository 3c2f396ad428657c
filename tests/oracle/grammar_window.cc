// See grammar.h: TUMBLE, HOP and SESSION, in GROUP BY and as table functions.
//
// The oracle: tumbling by integer arithmetic, hopping by a cross join with the numbers 0.., sessions by
// lag() over the group.
#include "tests/oracle/aggregates.h"
#include "tests/oracle/grammar.h"

namespace kappa::oracle {
namespace {

std::string floored(const std::string& x, std::int64_t unit) {
  const std::string u = std::to_string(unit);
  return "(" + x + " - ((" + x + " % " + u + ") + " + u + ") % " + u + ")";
}

const std::vector<std::int64_t> kSizes{500'000, 1'000'000, 2'000'000, 7'000'000, 10'000'000, 60'000'000};

}  // namespace

From Grammar::table_function() {
  const Stream& stream = some_stream();
  const std::string name = alias();
  const bool hop = random_.one_in(2);
  note(hop ? "hop.table_function" : "tumble.table_function");
  const std::int64_t slide = random_.pick(kSizes), size = hop ? slide * random_.between(1, 4) : slide;
  From from;
  const std::string start = floored("ts", slide) + (hop ? " - n * " + std::to_string(slide) : "");
  from.text.kappa =
      hop ? "HOP(" + stream.name + ", ts, " + interval(slide) + ", " + interval(size) + ") " + name
          : "TUMBLE(" + stream.name + ", ts, " + interval(size) + ") " + name;
  from.text.sqlite = "(SELECT *, window_start + " + std::to_string(size) + " AS window_end FROM (SELECT *, " +
                     start + " AS window_start FROM " + stream.name + (hop ? ", slides" : "") +
                     " WHERE _offset < ?1 AND ts IS NOT NULL) WHERE " + "ts < window_start + " +
                     std::to_string(size) + ") AS " + name;
  for (const StreamColumn& c : stream.columns) {
    from.scope.push_back({same(name + "." + c.column.name), c.column.kind, c.column.bound, c.column.exact});
  }
  from.scope.push_back({same(name + ".window_start"), Kind::kTime, 0, true});
  from.scope.push_back({same(name + ".window_end"), Kind::kTime, 0, true});
  from.windowed = true;
  return from;
}

Query Grammar::windowed(int depth) {
  // Mostly a stream by its event time; else a join with one, or anything that has a time.
  From source = depth >= 1 && random_.one_in(4) ? from(depth) : stream_source();
  Expressions expressions(random_, source.scope, used_);
  std::string time = source.event_time;
  if (time.empty()) {
    const Term* column = expressions.column(Kind::kTime);
    if (column == nullptr) return session();
    note("window.over_any");
    time = column->text.sqlite;
  }
  return windowed_over(source, time, random_.one_in(2));
}

Query Grammar::windowed_over(const From& source, const std::string& time, bool with_end) {
  Expressions expressions(random_, source.scope, used_);
  const bool hop = random_.one_in(2);
  note(hop ? "hop" : "tumble");
  const std::int64_t slide = random_.pick(kSizes);
  const std::int64_t size = hop ? slide * random_.between(1, 5) + (random_.one_in(4) ? slide / 2 : 0) : slide;
  const std::string start =
      "(" + floored(time, slide) + (hop ? " - slides.n * " + std::to_string(slide) : "") + ")";
  const std::string width = std::to_string(size);

  Aggregates aggregates(random_, source, used_);
  std::vector<Item> items;
  items.push_back({{{"window_start", start}, Kind::kTime, 0, true}, "ws"});
  if (with_end)
    items.push_back({{{"window_end", "(" + start + " + " + width + ")"}, Kind::kTime, 0, true}, "we"});
  Dual keys;
  const std::size_t key_count = random_.below(3);
  for (std::size_t i = 0; i < key_count; ++i) {
    const Term* key = expressions.any_column();
    if (key == nullptr) break;
    items.push_back({*key, "k" + std::to_string(i)});
    keys.kappa += key->text.kappa + ", ";
    keys.sqlite += key->text.sqlite + ", ";
  }
  const std::size_t count = 1 + random_.below(3);
  for (std::size_t i = 0; i < count; ++i) items.push_back({aggregates.any(), "c" + std::to_string(i)});
  Dual condition = where(source, 3);
  condition.sqlite += condition.sqlite.empty() ? " WHERE " : " AND ";
  condition.sqlite += time + " IS NOT NULL";
  if (hop) condition.sqlite += " AND " + time + " < " + start + " + " + width;
  Dual having;
  if (random_.one_in(5)) {
    const Dual test = aggregates.having().text;
    having = {" HAVING " + test.kappa, " HAVING " + test.sqlite};
  }
  const std::string window = hop ? "HOP(" + time + ", " + interval(slide) + ", " + interval(size) + ")"
                                 : "TUMBLE(" + time + ", " + interval(size) + ")";
  const Dual columns = list(items);
  return finish(
      {"SELECT " + columns.kappa + " FROM " + source.text.kappa + condition.kappa + " GROUP BY " +
           keys.kappa + window + having.kappa,
       "SELECT " + columns.sqlite + " FROM " + source.text.sqlite + (hop ? " CROSS JOIN slides" : "") +
           condition.sqlite + " GROUP BY " + keys.sqlite + start + having.sqlite},
      columns_of(items), source);
}

Grammar::Windows Grammar::windows() {
  used_.clear();
  aliases_ = 0;
  const Stream& stream = some_stream();
  const From source = named(stream.relation());
  return {windowed_over(source, source.event_time, true),
          "(SELECT max(" + stream.event_time + ") FROM " + stream.name + " WHERE _offset < ?1)"};
}

Query Grammar::retained() {
  Windows windows = this->windows();
  const std::int64_t seconds = random_.pick(std::vector<std::int64_t>{0, 1, 10, 60, 3600});
  Query query = std::move(windows.query);
  query.productions.insert("retain");
  query.options = "WITH (retain = '" + std::to_string(seconds) + " seconds') ";
  // INT64_MIN stands for no watermark.
  query.text.sqlite = "SELECT * FROM (" + query.text.sqlite + ") WHERE we + " +
                      std::to_string(seconds * 1'000'000) + " > coalesce(" + windows.watermark +
                      ", -9223372036854775807 - 1)";
  return query;
}

Query Grammar::session() {
  note("session");
  From source = stream_source();
  Expressions expressions(random_, source.scope, used_);
  source.sessions = true;
  const std::string name = source.single_alias, time = source.event_time;
  const std::int64_t gap = random_.pick(kSizes);
  std::vector<Item> keys;
  std::string partition, key_list;
  const std::size_t key_count = random_.below(3);
  for (std::size_t i = 0; i < key_count; ++i) {
    const Term* key = expressions.any_column();
    if (key == nullptr) break;
    keys.push_back({*key, "k" + std::to_string(i)});
    key_list += key->text.sqlite + ", ";
    partition += (partition.empty() ? "PARTITION BY " : ", ") + key->text.sqlite;
  }
  const Dual condition = where(source, 3);
  const std::string width = std::to_string(gap);
  // Inside out: the rows of the groups, the first ones of their sessions, the number of each row's session.
  const std::string rows = "(SELECT " + name + ".*, lag(" + time + ") OVER (" + partition + " ORDER BY " +
                           time + ", " + name + "._offset) AS session_before FROM " + source.text.sqlite +
                           condition.sqlite + (condition.sqlite.empty() ? " WHERE " : " AND ") + time +
                           " IS NOT NULL) AS " + name;
  const std::string numbered = "(SELECT " + name + ".*, sum(session_before IS NULL OR " + time +
                               " - session_before > " + width + ") OVER (" + partition + " ORDER BY " + time +
                               ", " + name + "._offset) AS session_number FROM " + rows + ") AS " + name;
  Aggregates aggregates(random_, source, used_);
  std::vector<Item> items;
  items.push_back({{{"window_start", "min(" + time + ")"}, Kind::kTime, 0, true}, "ws"});
  items.push_back({{{"window_end", "(max(" + time + ") + " + width + ")"}, Kind::kTime, 0, true}, "we"});
  for (const Item& key : keys) items.push_back(key);
  const std::size_t count = 1 + random_.below(3);
  for (std::size_t i = 0; i < count; ++i) items.push_back({aggregates.any(), "c" + std::to_string(i)});
  Dual having;
  if (random_.one_in(5)) {
    const Dual test = aggregates.having().text;
    having = {" HAVING " + test.kappa, " HAVING " + test.sqlite};
  }
  const Dual columns = list(items);
  return finish({"SELECT " + columns.kappa + " FROM " + source.text.kappa + condition.kappa + " GROUP BY " +
                     key_list + "SESSION(" + time + ", " + interval(gap) + ")" + having.kappa,
                 "SELECT " + columns.sqlite + " FROM " + numbered + " GROUP BY " + key_list +
                     "session_number" + having.sqlite},
                columns_of(items), source);
}

}  // namespace kappa::oracle
