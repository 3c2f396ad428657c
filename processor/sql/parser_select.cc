// SELECT, FROM and what stands in them.
#include "processor/sql/parser.h"

namespace kappa::processor::sql {

Expected<QueryPtr> Parser::query() {
  const Nesting nesting(*this);
  KAPPA_CHECK_OK(check_nesting());
  std::vector<std::pair<Name, QueryPtr>> with;
  if (take("with")) {
    if (at("recursive")) {
      return fail_at(peek().place, ErrorCode::kInvalid, 2005, "WITH RECURSIVE is not part of the language");
    }
    do {
      KAPPA_TRY(Name called, name("a name"));
      for (const std::string_view word : {"as", "("}) KAPPA_CHECK_OK(expect(word));
      KAPPA_TRY(QueryPtr body, query());
      KAPPA_CHECK_OK(expect(")"));
      with.emplace_back(std::move(called), std::move(body));
    } while (take(","));
  }
  KAPPA_TRY(Query result, select_core());
  result.with = std::move(with);
  while (at("union") || at("intersect") || at("except")) {
    const Token& word = next();
    if (word.text != "union") {
      return fail_at(word.place, ErrorCode::kInvalid, 2005,
                     "INTERSECT and EXCEPT are not part of the language", "UNION ALL is; joins and WHERE do the rest");
    }
    Query::Union member;
    member.place = word.place;
    member.all = take("all");
    if (!member.all) take("distinct");
    KAPPA_TRY(Query core, select_core());
    member.query = std::make_shared<const Query>(std::move(core));
    result.unions.push_back(std::move(member));
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
    KAPPA_TRY(query.from, from_clause());
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
        "between", "like",  "ilike", "window", "when",  "then",  "else",   "end",   "partition"}) {
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

Expected<FromSyntax> Parser::from_clause() {
  FromSyntax from;
  KAPPA_TRY(from.first, table_primary());
  for (;;) {
    JoinSyntax join;
    join.place = peek().place;
    if (take(",")) {
      join.kind = JoinSyntax::Kind::kCross;
      KAPPA_TRY(join.table, table_primary());
      from.joins.push_back(std::move(join));
      continue;
    }
    // LEFT, ASOF and their like in any order that people write.
    bool any = false;
    for (bool more = true; more;) {
      more = true;
      if (take("cross")) {
        join.kind = JoinSyntax::Kind::kCross;
      } else if (take("asof")) {
        join.asof = true;
      } else if (take("left")) {
        join.kind = JoinSyntax::Kind::kLeft;
        take("outer");
      } else if (take("right")) {
        join.kind = JoinSyntax::Kind::kRight;
        take("outer");
      } else if (at("full")) {
        return fail_at(join.place, ErrorCode::kInvalid, 2005, "FULL JOIN is not part of the language",
                       "LEFT JOIN, and UNION ALL with what it leaves out");
      } else if (!take("inner")) {
        more = false;
      }
      any = any || more;
    }
    if (!at("join")) {
      if (any) return unexpected("JOIN");
      return from;
    }
    next();
    KAPPA_TRY(join.table, table_primary());
    if (take("on")) {
      KAPPA_TRY(join.on, expression());
    } else if (take("using")) {
      KAPPA_CHECK_OK(expect("("));
      do {
        KAPPA_TRY(Name column, name("a column's name"));
        join.using_.push_back(std::move(column));
      } while (take(","));
      KAPPA_CHECK_OK(expect(")"));
    } else if (join.kind != JoinSyntax::Kind::kCross) {
      return unexpected("ON");
    }
    from.joins.push_back(std::move(join));
    if (from.joins.size() > limits::kJoinsMax) {
      return fail_at(from.joins.back().place, ErrorCode::kTooLarge, 2009,
                     "more than " + std::to_string(limits::kJoinsMax) + " joins in one FROM");
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
    KAPPA_TRY(table.version, version());
    if (take_words({"as", "of", "offset"})) {
      KAPPA_TRY(table.as_of_offset, count_literal("an offset"));
    }
  }
  const auto system_time = [&]() -> Status {
    if (table.system_time || !take_words({"for", "system_time", "as", "of"})) return {};
    KAPPA_TRY(table.system_time, expression());
    return {};
  };
  KAPPA_CHECK_OK(system_time());
  KAPPA_TRY(table.alias, alias());
  KAPPA_CHECK_OK(system_time());
  if (!table.as_of_offset && !table.subquery && take_words({"as", "of", "offset"})) {
    KAPPA_TRY(table.as_of_offset, count_literal("an offset"));
  }
  return table;
}

// FROM TUMBLE(hits, ts, INTERVAL '1 minute'); Flink's TUMBLE(TABLE hits, DESCRIPTOR(ts), ...) is the same.
Expected<TableRef> Parser::window_table(std::string_view function) {
  WindowCall window;
  window.function = std::string(function);
  window.place = next().place;
  const Nesting nesting(*this);
  KAPPA_CHECK_OK(check_nesting());
  KAPPA_CHECK_OK(expect("("));
  take("table");
  KAPPA_TRY(TableRef table, table_primary());
  if (table.window) {
    return fail_at(window.place, ErrorCode::kInvalid, 2005, "a window of a window", "put the inner one into a subquery");
  }
  // SESSION(stream PARTITION BY a, b, time, gap): the last two of the list are the time and the gap.
  const bool partitioned = take_words({"partition", "by"});
  while (partitioned ? window.arguments.empty() || take(",") : take(",")) {
    KAPPA_TRY(NodePtr argument, window_time());
    window.arguments.push_back(std::move(argument));
  }
  if (partitioned) {
    if (window.arguments.size() < 3) return unexpected("the columns of PARTITION BY, the time and the gap");
    window.partition_by.assign(window.arguments.begin(), window.arguments.end() - 2);
    window.arguments.erase(window.arguments.begin(), window.arguments.end() - 2);
  }
  KAPPA_CHECK_OK(expect(")"));
  KAPPA_TRY(std::optional<Name> outer, alias());
  if (outer) table.alias = std::move(outer);
  table.window = std::move(window);
  return table;
}

Expected<NodePtr> Parser::window_time() {
  if (!at("descriptor") || !at("(", 1)) return expression();
  next();
  next();
  KAPPA_TRY(NodePtr time, expression());
  KAPPA_CHECK_OK(expect(")"));
  return time;
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

Expected<EmitSyntax> Parser::emit_clause() {
  if (!take("emit")) return EmitSyntax::kNone;
  if (take("changes")) return EmitSyntax::kChanges;
  for (const std::string_view word : {"on", "window", "close"}) KAPPA_CHECK_OK(expect(word));
  return EmitSyntax::kOnWindowClose;
}

}  // namespace kappa::processor::sql
