// Statements other than SELECT.
#include <array>

#include "processor/sql/parser.h"
#include "processor/sql/suggest.h"

namespace kappa::processor::sql {

Expected<StatementSyntax> Parser::statement() {
  StatementSyntax result;
  if (take("explain")) result.explain = true;
  KAPPA_TRY(result.statement, body());
  take(";");
  if (peek().kind != TokenKind::kEnd) return unexpected("the end of the statement");
  result.later = std::move(later_);
  return result;
}

Expected<Parser::Body> Parser::body() {
  if (at("select") || at("with")) {
    KAPPA_TRY(QueryPtr select, query());
    return select;
  }
  const Token& first = peek();
  if (at("create")) return create();
  if (at("alter")) return alter();
  if (at("drop")) return drop();
  if (at("show")) return show();
  if (take("describe") || take("desc")) {
    DescribeSyntax described;
    KAPPA_TRY(described.name, name("the name of a stream or view"));
    KAPPA_TRY(described.version, version());
    return described;
  }
  struct Foreign {
    std::string_view word;
    std::string_view hint;
  };
  static constexpr std::array kForeign{
      Foreign{"insert", "events enter with \"kappa append TOPIC\""},
      Foreign{"update", "the log is append-only: append a newer event instead"},
      Foreign{"delete", "the log is append-only: append an event that says so instead"},
      Foreign{"begin", "there are no transactions: every statement stands alone"},
      Foreign{"commit", "there are no transactions: every statement stands alone"}};
  for (const Foreign& foreign : kForeign) {
    if (at(foreign.word)) {
      return fail_at(first.place, ErrorCode::kInvalid, 2005,
                     "there is no " + std::string(first.source) + " statement", std::string(foreign.hint));
    }
  }
  auto error = unexpected("a statement");
  if (first.kind == TokenKind::kName) {
    static const std::vector<std::string> kWords = {"select", "create",   "alter",  "drop",
                                                    "show",   "describe", "explain"};
    Error with_hint = error.error();
    with_hint.hint = did_you_mean(first.text, kWords);
    return std::unexpected(std::move(with_hint));
  }
  return error;
}

Expected<bool> Parser::if_not_exists() {
  if (!take("if")) return false;
  for (const std::string_view word : {"not", "exists"}) KAPPA_CHECK_OK(expect(word));
  return true;
}

Expected<Parser::Body> Parser::create() {
  next();
  bool or_replace = false;
  if (take("or")) {
    KAPPA_CHECK_OK(expect("replace"));
    or_replace = true;
  }
  if (take("stream")) return create_stream(or_replace);
  if (at("table")) return create_table(or_replace);
  const bool materialized = take("materialized");
  if (take("view")) return create_view(or_replace);
  return unexpected(materialized ? "VIEW" : "STREAM, TABLE or MATERIALIZED VIEW");
}

Expected<Parser::Body> Parser::create_stream(bool or_replace) {
  CreateStreamSyntax stream;
  stream.or_replace = or_replace;
  KAPPA_TRY(stream.if_not_exists, if_not_exists());
  KAPPA_TRY(stream.name, name("the stream's name"));
  if (!at("(")) {
    if (at("with")) {
      KAPPA_TRY(stream.options, options());
    }
    if (!take("as")) return unexpected("\"(\" and the stream's columns");
    KAPPA_TRY(stream.query, query());
    stream.emit_place = peek().place;
    KAPPA_TRY(stream.emit, emit_clause());
    return stream;
  }
  next();
  do {
    KAPPA_TRY(ColumnDefinition column, column_definition());
    stream.columns.push_back(std::move(column));
  } while (take(","));
  KAPPA_CHECK_OK(expect(")"));
  if (at("with")) {
    KAPPA_TRY(stream.options, options());
  }
  if (take("where")) {
    KAPPA_TRY(stream.where, expression());
  }
  return stream;
}

Expected<ColumnDefinition> Parser::column_definition() {
  ColumnDefinition column;
  KAPPA_TRY(column.name, name("a column's name"));
  KAPPA_TRY(column.type, type_name());
  if (take("path")) {
    column.path_place = peek().place;
    KAPPA_TRY(column.path, text_literal("a path such as '$.name'"));
  }
  return column;
}

// WITH (name = 'value', ...); values may be text, numbers or bare words.
Expected<std::vector<Option>> Parser::options() {
  next();
  KAPPA_CHECK_OK(expect("("));
  std::vector<Option> all;
  do {
    Option option;
    KAPPA_TRY(option.name, name("an option's name"));
    KAPPA_CHECK_OK(expect("="));
    const Token& value = peek();
    if (value.kind != TokenKind::kText && value.kind != TokenKind::kNumber &&
        value.kind != TokenKind::kName) {
      return unexpected("the option's value");
    }
    option.value = next().text;
    option.value_place = value.place;
    all.push_back(std::move(option));
  } while (take(","));
  KAPPA_CHECK_OK(expect(")"));
  return all;
}

Expected<Parser::Body> Parser::create_table(bool or_replace) {
  next();
  CreateTableSyntax table;
  table.or_replace = or_replace;
  KAPPA_TRY(table.if_not_exists, if_not_exists());
  KAPPA_TRY(table.name, name("the table's name"));
  if (at("with")) {
    KAPPA_TRY(table.options, options());
  }
  for (const std::string_view word : {"as", "latest"}) KAPPA_CHECK_OK(expect(word));
  KAPPA_TRY(table.source, name("the name of a stream"));
  KAPPA_CHECK_OK(expect("by"));
  do {
    KAPPA_TRY(NodePtr key, expression());
    table.keys.push_back(std::move(key));
  } while (take(","));
  if (take_words({"delete", "when"})) {
    KAPPA_TRY(table.delete_when, expression());
  }
  return table;
}

Expected<Parser::Body> Parser::create_view(bool or_replace) {
  CreateViewSyntax view;
  view.or_replace = or_replace;
  KAPPA_TRY(view.if_not_exists, if_not_exists());
  KAPPA_TRY(view.name, name("the view's name"));
  if (at("with")) {
    KAPPA_TRY(view.options, options());
  }
  KAPPA_CHECK_OK(expect("as"));
  KAPPA_TRY(view.query, query());
  view.emit_place = peek().place;
  KAPPA_TRY(view.emit, emit_clause());
  return view;
}

// ALTER MATERIALIZED VIEW name CUTOVER | ROLLBACK | PAUSE | RESUME | CANCEL; of a stream or table, what its
// replacement replaced.
Expected<Parser::Body> Parser::alter() {
  next();
  if (!take("stream") && !take("table")) {
    take("materialized");
    if (!take("view")) return unexpected("MATERIALIZED VIEW, TABLE or STREAM");
  }
  AlterSyntax alter;
  KAPPA_TRY(alter.name, name("a name"));
  struct Word {
    std::string_view word;
    Alter::Action action;
  };
  using Action = Alter::Action;
  static constexpr std::array kWords{Word{"cutover", Action::kCutover}, Word{"rollback", Action::kRollback},
                                     Word{"pause", Action::kPause}, Word{"resume", Action::kResume},
                                     Word{"cancel", Action::kCancel}};
  for (const Word& word : kWords) {
    if (!take(word.word)) continue;
    alter.action = word.action;
    return alter;
  }
  return unexpected("CUTOVER, ROLLBACK, PAUSE, RESUME or CANCEL");
}

Expected<Parser::Body> Parser::drop() {
  next();
  DropSyntax drop;
  if (take("stream")) {
    drop.what = Drop::What::kStream;
  } else if (take("table")) {
    drop.what = Drop::What::kTable;
  } else if (take("topic")) {
    drop.what = Drop::What::kTopic;
  } else {
    take("materialized");
    if (!take("view")) return unexpected("STREAM, TABLE, TOPIC or MATERIALIZED VIEW");
    drop.what = Drop::What::kView;
  }
  if (take("if")) {
    KAPPA_CHECK_OK(expect("exists"));
    drop.if_exists = true;
  }
  KAPPA_TRY(drop.name, name("a name"));
  drop.cascade = take("cascade");
  if (!drop.cascade) take("restrict");
  return drop;
}

Expected<Parser::Body> Parser::show() {
  next();
  struct Listing {
    std::string_view word;
    Show::What what;
  };
  static constexpr std::array kListings{
      Listing{"topics", Show::What::kTopics}, Listing{"streams", Show::What::kStreams},
      Listing{"tables", Show::What::kTables}, Listing{"views", Show::What::kViews},
      Listing{"definitions", Show::What::kDefinitions}, Listing{"replays", Show::What::kReplays}};
  take("materialized");
  for (const Listing& listing : kListings) {
    if (take(listing.word)) return ShowSyntax{listing.what, {}};
  }
  if (take_words({"dead", "letters"})) {
    ShowSyntax letters{Show::What::kDeadLetters, {}};
    if (take("from")) {
      KAPPA_TRY(letters.of, name("a stream"));
    }
    return letters;
  }
  return unexpected("TOPICS, STREAMS, TABLES, VIEWS, DEFINITIONS, REPLAYS or DEAD LETTERS");
}

}  // namespace kappa::processor::sql
