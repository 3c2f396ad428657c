// SELECT, FROM and what stands in them.
#include "processor/sql/parser.h"

namespace kappa::processor::sql {

Expected<QueryPtr> Parser::query() {
  const Nesting nesting(*this);
  KAPPA_CHECK_OK(check_nesting());
  if (at("with")) {
    later("WITH (common table expressions)", next().place);
    take("recursive");
    do {
      KAPPA_TRY(const Name ignored, name("a name"));
      for (const std::string_view word : {"as", "("}) KAPPA_CHECK_OK(expect(word));
      KAPPA_TRY(const QueryPtr body, query());
      KAPPA_CHECK_OK(expect(")"));
    } while (take(","));
  }
  KAPPA_TRY(Query result, select_core());
  while (at("union") || at("intersect") || at("except")) {
    const Token& word = next();
    later(word.text == "union" ? "UNION" : word.text == "intersect" ? "INTERSECT" : "EXCEPT", word.place);
    if (!take("all")) take("distinct");
    KAPPA_TRY(const Query ignored, select_core());
  }
  if (take_words({"order", "by"})) {
    KAPPA_TRY(result.order_by, order_list());
  }
  while (at("limit") || at("offset") || at("fetch")) {
    if (!result.limit) result.limit_place = peek().place;
    if (take("limit")) {
      if (take("all")) continue;
      KAPPA_TRY(result.limit, count_literal("a number of rows"));
    } else if (take("offset")) {
      KAPPA_TRY(result.offset, count_literal("a number of rows"));
      if (!take("rows")) take("row");
    } else {
      next();
      if (!take("first")) KAPPA_CHECK_OK(expect("next"));
      KAPPA_TRY(result.limit, count_literal("a number of rows"));
      if (!take("rows")) KAPPA_CHECK_OK(expect("row"));
      KAPPA_CHECK_OK(expect("only"));
    }
  }
  return std::make_shared<const Query>(std::move(result));
}

Expected<Query> Parser::select_core() {
  Query query;
  query.place = peek().place;
  KAPPA_CHECK_OK(expect("select"));
  query.distinct = take("distinct");
  if (!query.distinct) take("all");
  if (query.distinct && at("on")) return unexpected("a column; DISTINCT ON is not part of the language");
  do {
    KAPPA_TRY(SelectItem item, select_item());
    query.items.push_back(std::move(item));
    if (query.items.size() > limits::kColumnsMax) {
      return fail_at(query.place, ErrorCode::kTooLarge, 2009,
                     "more than " + std::to_string(limits::kColumnsMax) + " columns");
    }
  } while (take(","));
  if (take("from")) {
    KAPPA_TRY(query.from, table_reference());
  }
  if (take("where")) {
    KAPPA_TRY(query.where, expression());
  }
  if (take_words({"group", "by"})) {
    do {
      const SourcePlace place = peek().place;
      if (at_words({"grouping", "sets"}) || at_words({"rollup", "("}) || at_words({"cube", "("})) {
        return fail_at(place, ErrorCode::kUnsupported, 2008,
                       "GROUPING SETS, ROLLUP and CUBE are not available");
      }
      KAPPA_TRY(NodePtr key, expression());
      query.group_by.push_back(std::move(key));
    } while (take(","));
  }
  if (take("having")) {
    KAPPA_TRY(query.having, expression());
  }
  return query;
}

Expected<std::optional<Name>> Parser::alias() {
  if (take("as")) {
    KAPPA_TRY(Name alias, name("an alias"));
    return alias;
  }
  const Token& token = peek();
  if (token.kind == TokenKind::kQuotedName) {
    KAPPA_TRY(Name alias, name("an alias"));
    return alias;
  }
  if (token.kind != TokenKind::kName) return std::nullopt;
  for (const std::string_view reserved :
       {"from",    "where", "group", "having", "order", "limit", "offset", "fetch", "union", "intersect",
        "except",  "on",    "join",  "inner",  "left",  "right", "full",   "cross", "asof",  "natural",
        "using",   "emit",  "as",    "for",    "with",  "and",   "or",     "not",   "is",    "in",
        "between", "like",  "ilike", "window", "when",  "then",  "else",   "end"}) {
    if (token.text == reserved) return std::nullopt;
  }
  KAPPA_TRY(Name alias, name("an alias"));
  return alias;
}

Expected<SelectItem> Parser::select_item() {
  SelectItem item;
  const std::size_t start = at_;
  if (at("*")) {
    Node star;
    star.kind = NodeKind::kStar;
    star.place = next().place;
    KAPPA_TRY(item.expression, finish(std::move(star), start));
    return item;
  }
  KAPPA_TRY(item.expression, expression());
  KAPPA_TRY(item.alias, alias());
  return item;
}

Expected<TableRef> Parser::table_reference() {
  KAPPA_TRY(TableRef first, table_primary());
  for (;;) {
    const SourcePlace place = peek().place;
    if (take(",")) {
      later("joins", place);
      KAPPA_TRY(const TableRef ignored, table_primary());
      continue;
    }
    const bool cross = take("cross");
    const bool asof = !cross && take("asof");
    if (!cross && !asof && (take("left") || take("right") || take("full"))) {
      take("outer");
    } else if (!cross && !asof) {
      take("inner");
    }
    if (!at("join")) {
      if (place != peek().place) return unexpected("JOIN");
      return first;
    }
    next();
    later(asof ? "ASOF JOIN" : "joins", place);
    KAPPA_TRY(const TableRef ignored, table_primary());
    if (take_words({"for", "system_time", "as", "of"})) {
      KAPPA_TRY(const NodePtr moment, expression());
    }
    if (take("on")) {
      KAPPA_TRY(const NodePtr condition, expression());
    } else if (take("using")) {
      KAPPA_CHECK_OK(expect("("));
      do {
        KAPPA_TRY(const Name column, name("a column's name"));
      } while (take(","));
      KAPPA_CHECK_OK(expect(")"));
    } else if (!cross) {
      return unexpected("ON");
    }
  }
}

Expected<TableRef> Parser::table_primary() {
  TableRef table;
  if (take("(")) {
    if (!at("select") && !at("with")) return unexpected("SELECT");
    KAPPA_TRY(table.subquery, query());
    KAPPA_CHECK_OK(expect(")"));
  } else {
    for (const std::string_view function : {"tumble", "hop", "session"}) {
      if (at(function) && at("(", 1)) return window_table(function);
    }
    KAPPA_TRY(table.name, name("the name of a stream or view"));
    if (take("@")) {
      KAPPA_TRY(const std::uint64_t version, count_literal("a version number"));
      table.version = static_cast<std::uint32_t>(std::min<std::uint64_t>(version, UINT32_MAX));
    }
    if (take_words({"as", "of", "offset"})) {
      KAPPA_TRY(table.as_of_offset, count_literal("an offset"));
    }
  }
  KAPPA_TRY(table.alias, alias());
  if (!table.as_of_offset && !table.subquery && take_words({"as", "of", "offset"})) {
    KAPPA_TRY(table.as_of_offset, count_literal("an offset"));
  }
  return table;
}

// FROM TUMBLE(hits, ts, INTERVAL '1 minute')
Expected<TableRef> Parser::window_table(std::string_view function) {
  std::string construct = function == "tumble" ? "TUMBLE" : function == "hop" ? "HOP" : "SESSION";
  later(construct + " windows", next().place);
  KAPPA_CHECK_OK(expect("("));
  TableRef table;
  KAPPA_TRY(table.name, name("the name of a stream"));
  while (take(",")) {
    KAPPA_TRY(const NodePtr ignored, expression());
  }
  KAPPA_CHECK_OK(expect(")"));
  KAPPA_TRY(table.alias, alias());
  return table;
}

Expected<std::vector<OrderItem>> Parser::order_list() {
  std::vector<OrderItem> items;
  do {
    OrderItem item;
    KAPPA_TRY(item.expression, expression());
    if (take("desc")) {
      item.descending = true;
    } else {
      take("asc");
    }
    if (take("nulls")) {
      item.nulls_first = at("first");
      if (!take("first")) KAPPA_CHECK_OK(expect("last"));
    }
    items.push_back(std::move(item));
  } while (take(","));
  return items;
}

Status Parser::emit_clause() {
  const SourcePlace place = peek().place;
  if (!take("emit")) return {};
  if (!take("changes")) {
    for (const std::string_view word : {"on", "window", "close"}) KAPPA_CHECK_OK(expect(word));
  }
  later("EMIT", place);
  return {};
}

}  // namespace kappa::processor::sql
