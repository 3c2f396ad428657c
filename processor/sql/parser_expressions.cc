// Expressions, lowest precedence first: OR, AND, NOT, IS, comparisons, BETWEEN IN LIKE, other
// operators (|| -> ->> ~ ~*), + -, * / %, ^, unary minus, ::. Literals are in parser_literals.cc.
#include "processor/sql/parser.h"

namespace kappa::processor::sql {

// Gives a node its source text and depth.
Expected<NodePtr> Parser::finish(Node node, std::size_t start) {
  const std::string_view first = tokens_[start].source;
  const std::string_view last = tokens_[at_ > start ? at_ - 1 : start].source;
  node.source = {first.data(), static_cast<std::size_t>(last.data() + last.size() - first.data())};
  for (const NodePtr& argument : node.arguments) node.depth = std::max(node.depth, argument->depth + 1);
  for (const NodePtr& part : {node.operand, node.filter}) {
    if (part) node.depth = std::max(node.depth, part->depth + 1);
  }
  for (const OrderItem& item : node.order_by) node.depth = std::max(node.depth, item.expression->depth + 1);
  if (node.depth > kExpressionDepthMax) {
    return fail_at(node.place, ErrorCode::kTooLarge, 2009,
                   "the expression is more than " + std::to_string(kExpressionDepthMax) + " operators deep");
  }
  return std::make_shared<const Node>(std::move(node));
}

Expected<NodePtr> Parser::operation(std::string function, SourcePlace place, std::vector<NodePtr> arguments,
                                    std::size_t start) {
  Node node;
  node.kind = NodeKind::kCall;
  node.place = place;
  node.function = std::move(function);
  node.arguments = std::move(arguments);
  return finish(std::move(node), start);
}

Expected<NodePtr> Parser::expression() {
  const Nesting nesting(*this);
  KAPPA_CHECK_OK(check_nesting());
  return or_level();
}

// AND and OR chains of any length become trees of logarithmic depth.
Expected<NodePtr> Parser::balanced(std::string_view function, std::vector<NodePtr> operands,
                                   std::vector<SourcePlace> places, std::size_t start) {
  while (operands.size() > 1) {
    std::vector<NodePtr> half;
    std::vector<SourcePlace> between;
    for (std::size_t i = 0; i + 1 < operands.size(); i += 2) {
      KAPPA_TRY(NodePtr pair,
                operation(std::string(function), places[i], {operands[i], operands[i + 1]}, start));
      half.push_back(std::move(pair));
      if (i + 1 < places.size()) between.push_back(places[i + 1]);
    }
    if (operands.size() % 2 == 1) half.push_back(operands.back());
    operands = std::move(half);
    places = std::move(between);
  }
  return operands.front();
}

Expected<NodePtr> Parser::or_level() {
  const std::size_t start = at_;
  std::vector<NodePtr> operands;
  std::vector<SourcePlace> places;
  for (;;) {
    KAPPA_TRY(NodePtr operand, and_level());
    operands.push_back(std::move(operand));
    places.push_back(peek().place);
    if (!take("or")) return balanced("or", std::move(operands), std::move(places), start);
  }
}

Expected<NodePtr> Parser::and_level() {
  const std::size_t start = at_;
  std::vector<NodePtr> operands;
  std::vector<SourcePlace> places;
  for (;;) {
    KAPPA_TRY(NodePtr operand, not_level());
    operands.push_back(std::move(operand));
    places.push_back(peek().place);
    if (!take("and")) return balanced("and", std::move(operands), std::move(places), start);
  }
}

Expected<NodePtr> Parser::not_level() {
  const std::size_t start = at_;
  const SourcePlace place = peek().place;
  if (!take("not")) return is_level();
  const Nesting nesting(*this);
  KAPPA_CHECK_OK(check_nesting());
  KAPPA_TRY(NodePtr operand, not_level());
  return operation("not", place, {std::move(operand)}, start);
}

Expected<NodePtr> Parser::is_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, comparison_level());
  for (;;) {
    const SourcePlace place = peek().place;
    if (take("isnull")) {
      KAPPA_TRY(left, operation("is null", place, {left}, start));
      continue;
    }
    if (take("notnull")) {
      KAPPA_TRY(left, operation("is not null", place, {left}, start));
      continue;
    }
    if (!take("is")) return left;
    std::string function = take("not") ? "is not " : "is ";
    if (take("null") || take("unknown")) {
      function += "null";
    } else if (take("true")) {
      function += "true";
    } else if (take("false")) {
      function += "false";
    } else if (take_words({"distinct", "from"})) {
      KAPPA_TRY(NodePtr right, comparison_level());
      KAPPA_TRY(left, operation(function + "distinct from", place, {left, right}, start));
      continue;
    } else {
      return unexpected("NULL, TRUE, FALSE or DISTINCT FROM");
    }
    KAPPA_TRY(left, operation(std::move(function), place, {left}, start));
  }
}

Expected<NodePtr> Parser::comparison_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, range_level());
  for (const std::string_view symbol : {"=", "<>", "!=", "<=", ">=", "<", ">"}) {
    if (peek().kind != TokenKind::kSymbol || !at(symbol)) continue;
    const SourcePlace place = next().place;
    KAPPA_TRY(NodePtr right, range_level());
    return operation(symbol == "!=" ? "<>" : std::string(symbol), place, {left, right}, start);
  }
  return left;
}

Expected<NodePtr> Parser::range_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, other_operator_level());
  for (;;) {
    const bool negated = at("not") && (at("between", 1) || at("in", 1) || at("like", 1) || at("ilike", 1));
    if (negated) next();
    const SourcePlace place = peek().place;
    NodePtr result;
    if (take("between")) {
      KAPPA_TRY(NodePtr low, other_operator_level());
      KAPPA_CHECK_OK(expect("and"));
      KAPPA_TRY(NodePtr high, other_operator_level());
      KAPPA_TRY(NodePtr above, operation(">=", place, {left, low}, start));
      KAPPA_TRY(NodePtr below, operation("<=", place, {left, high}, start));
      KAPPA_TRY(result, operation("and", place, {above, below}, start));
    } else if (take("in")) {
      KAPPA_TRY(left, in_list(std::move(left), negated, place, start));
      continue;
    } else if (at("like") || at("ilike")) {
      const std::string function = next().text;
      KAPPA_TRY(NodePtr pattern, other_operator_level());
      std::vector<NodePtr> arguments{left, pattern};
      if (take("escape")) {
        KAPPA_TRY(NodePtr escape, other_operator_level());
        arguments.push_back(std::move(escape));
      }
      KAPPA_TRY(result, operation(function, place, std::move(arguments), start));
    } else {
      return left;
    }
    if (negated) {
      KAPPA_TRY(result, operation("not", place, {result}, start));
    }
    left = std::move(result);
  }
}

Expected<NodePtr> Parser::in_list(NodePtr value, bool negated, SourcePlace place, std::size_t start) {
  KAPPA_CHECK_OK(expect("("));
  std::vector<NodePtr> arguments{std::move(value)};
  if (at("select") || at("with")) {
    later("IN with a subquery", place);
    KAPPA_TRY(const QueryPtr ignored, query());
    arguments.push_back(arguments.front());
  } else {
    do {
      KAPPA_TRY(NodePtr element, expression());
      arguments.push_back(std::move(element));
    } while (take(","));
  }
  KAPPA_CHECK_OK(expect(")"));
  KAPPA_TRY(NodePtr result, operation("in", place, std::move(arguments), start));
  if (!negated) return result;
  return operation("not", place, {std::move(result)}, start);
}

Expected<NodePtr> Parser::other_operator_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, additive_level());
  while (at("||") || at("->") || at("->>") || at("~") || at("~*") || at("!~") || at("!~*")) {
    const Token& symbol = next();
    const bool negated = symbol.text.front() == '!';
    KAPPA_TRY(NodePtr right, additive_level());
    KAPPA_TRY(left, operation(symbol.text.substr(negated ? 1 : 0), symbol.place, {left, right}, start));
    if (!negated) continue;
    KAPPA_TRY(left, operation("not", symbol.place, {left}, start));
  }
  return left;
}

Expected<NodePtr> Parser::additive_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, multiplicative_level());
  while (at("+") || at("-")) {
    const Token& symbol = next();
    KAPPA_TRY(NodePtr right, multiplicative_level());
    KAPPA_TRY(left, operation(symbol.text, symbol.place, {left, right}, start));
  }
  return left;
}

Expected<NodePtr> Parser::multiplicative_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, power_level());
  while (at("*") || at("/") || at("%")) {
    const Token& symbol = next();
    KAPPA_TRY(NodePtr right, power_level());
    KAPPA_TRY(left, operation(symbol.text, symbol.place, {left, right}, start));
  }
  return left;
}

Expected<NodePtr> Parser::power_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, unary_level());
  while (at("^")) {
    const SourcePlace place = next().place;
    KAPPA_TRY(NodePtr right, unary_level());
    KAPPA_TRY(left, operation("power", place, {left, right}, start));
  }
  return left;
}

Expected<NodePtr> Parser::unary_level() {
  const std::size_t start = at_;
  const SourcePlace place = peek().place;
  if (!at("-") && !at("+")) return cast_level();
  const bool negative = next().text == "-";
  const Nesting nesting(*this);
  KAPPA_CHECK_OK(check_nesting());
  KAPPA_TRY(NodePtr operand, unary_level());
  if (!negative) return operand;
  return operation("negate", place, {std::move(operand)}, start);
}

Expected<NodePtr> Parser::cast_level() {
  const std::size_t start = at_;
  KAPPA_TRY(NodePtr left, primary());
  while (at("::")) {
    Node cast;
    cast.kind = NodeKind::kCast;
    cast.place = next().place;
    cast.arguments = {std::move(left)};
    KAPPA_TRY(cast.target, type_name());
    KAPPA_TRY(left, finish(std::move(cast), start));
  }
  return left;
}

Expected<NodePtr> Parser::primary() {
  const std::size_t start = at_;
  const Token& token = peek();
  Node node;
  node.place = token.place;
  switch (token.kind) {
    case TokenKind::kNumber: return number();
    case TokenKind::kText: node.literal = Value::text(next().text); return finish(std::move(node), start);
    case TokenKind::kQuotedName: return name_or_call();
    case TokenKind::kEnd: return unexpected("an expression");
    case TokenKind::kSymbol: {
      if (!take("(")) return unexpected("an expression");
      if (at("select") || at("with")) {
        later("a subquery as a value", node.place);
        const Nesting nesting(*this);
        KAPPA_CHECK_OK(check_nesting());
        KAPPA_TRY(const QueryPtr ignored, query());
        KAPPA_CHECK_OK(expect(")"));
        return finish(std::move(node), start);
      }
      KAPPA_TRY(NodePtr inner, expression());
      KAPPA_CHECK_OK(expect(")"));
      return inner;
    }
    case TokenKind::kName: break;
  }
  if (take("true") || take("false")) {
    node.literal = Value::boolean(token.text == "true");
    return finish(std::move(node), start);
  }
  if (take("null")) return finish(std::move(node), start);
  if (at("case")) return case_expression();
  if (at("interval")) return interval();
  if (starts_typed_literal()) return typed_literal();
  if (at("exists") && at("(", 1)) {
    later("EXISTS", token.place);
    next();
    next();
    KAPPA_TRY(const QueryPtr ignored, query());
    KAPPA_CHECK_OK(expect(")"));
    return finish(std::move(node), start);
  }
  for (const std::string_view reserved :
       {"from", "where",  "group", "having",  "order", "limit", "offset", "and", "or",
        "not",  "select", "as",    "on",      "when",  "then",  "else",   "end", "union",
        "by",   "join",   "in",    "between", "like",  "ilike", "is"}) {
    if (at(reserved)) return unexpected("an expression");
  }
  return name_or_call();
}

Expected<NodePtr> Parser::name_or_call() {
  const std::size_t start = at_;
  KAPPA_TRY(Name first, name("a name"));
  if (at("(")) {
    if (!first.quoted) {
      for (const std::string_view special : {"cast", "try_cast", "extract", "substring", "trim", "position"}) {
        if (first.text == special) return special_call(special, start);
      }
    }
    return call(std::move(first));
  }
  Node node;
  node.place = first.place;
  if (!first.quoted) {
    for (const std::string_view clock : {"current_timestamp", "current_date", "localtimestamp"}) {
      if (first.text != clock) continue;
      node.kind = NodeKind::kCall;
      node.named_call = true;
      node.function = first.text;
      return finish(std::move(node), start);
    }
  }
  node.kind = NodeKind::kColumn;
  node.names.push_back(std::move(first));
  while (take(".")) {
    if (take("*")) {
      node.kind = NodeKind::kStar;
      break;
    }
    KAPPA_TRY(Name part, name("a column's name"));
    node.place.length = part.place.line == node.place.line
                            ? part.place.column + part.place.length - node.place.column
                            : node.place.length;
    node.names.push_back(std::move(part));
  }
  return finish(std::move(node), start);
}

Expected<NodePtr> Parser::call(Name function) {
  const std::size_t start = at_ - 1;
  Node node;
  node.kind = NodeKind::kCall;
  node.place = function.place;
  node.function = fold(function.text);
  node.named_call = true;
  KAPPA_CHECK_OK(expect("("));
  if (take("*")) {
    node.star = true;
  } else if (!at(")")) {
    node.distinct = take("distinct");
    if (!node.distinct) take("all");
    do {
      KAPPA_TRY(NodePtr argument, expression());
      node.arguments.push_back(std::move(argument));
    } while (take(","));
    if (take_words({"order", "by"})) {
      KAPPA_TRY(node.order_by, order_list());
    }
  }
  KAPPA_CHECK_OK(expect(")"));
  return call_suffixes(std::move(node), start);
}

Expected<NodePtr> Parser::call_suffixes(Node node, std::size_t start) {
  SourcePlace place = peek().place;
  if (take_words({"within", "group"})) {
    if (!node.order_by.empty()) {
      return fail_at(place, ErrorCode::kInvalid, 2001, "WITHIN GROUP and ORDER BY in one call");
    }
    for (const std::string_view word : {"(", "order", "by"}) KAPPA_CHECK_OK(expect(word));
    KAPPA_TRY(node.order_by, order_list());
    KAPPA_CHECK_OK(expect(")"));
    node.within_group = true;
  }
  if (at("filter") && at("(", 1)) {
    next();
    next();
    KAPPA_CHECK_OK(expect("where"));
    KAPPA_TRY(node.filter, expression());
    KAPPA_CHECK_OK(expect(")"));
  }
  if (take("over")) {
    KAPPA_TRY(node.over, window_specification());
  }
  return finish(std::move(node), start);
}

Expected<std::shared_ptr<const WindowSpecification>> Parser::window_specification() {
  WindowSpecification window;
  window.place = peek().place;
  KAPPA_CHECK_OK(expect("("));
  if (take_words({"partition", "by"})) {
    do {
      KAPPA_TRY(NodePtr key, expression());
      window.partition_by.push_back(std::move(key));
    } while (take(","));
  }
  if (take_words({"order", "by"})) {
    KAPPA_TRY(window.order_by, order_list());
  }
  if (at("rows") || at("range") || at("groups")) {
    return fail_at(peek().place, ErrorCode::kInvalid, 2005, "window frames are not part of the language",
                   "ROW_NUMBER, RANK and DENSE_RANK need none");
  }
  KAPPA_CHECK_OK(expect(")"));
  return std::make_shared<const WindowSpecification>(std::move(window));
}

// CAST(x AS type), EXTRACT(unit FROM x), SUBSTRING(x FROM a FOR b), TRIM([BOTH] [chars] FROM x), POSITION(x
// IN y): also with plain commas, except the last.
Expected<NodePtr> Parser::special_call(std::string_view function, std::size_t start) {
  Node node;
  node.kind = NodeKind::kCall;
  node.place = tokens_[start].place;
  node.named_call = true;
  node.function = function;
  KAPPA_CHECK_OK(expect("("));
  if (function == "extract" && (peek().kind == TokenKind::kName || peek().kind == TokenKind::kText) &&
      at("from", 1)) {
    Node unit;
    unit.place = peek().place;
    unit.literal = Value::text(next().text);
    KAPPA_TRY(NodePtr literal, finish(std::move(unit), at_ - 1));
    node.arguments.push_back(std::move(literal));
    next();
    KAPPA_TRY(NodePtr value, expression());
    node.arguments.push_back(std::move(value));
    KAPPA_CHECK_OK(expect(")"));
    return finish(std::move(node), start);
  }
  if (function == "trim") {
    if (take("leading")) {
      node.function = "ltrim";
    } else if (take("trailing")) {
      node.function = "rtrim";
    } else {
      take("both");
    }
    if (take("from")) {
      KAPPA_TRY(NodePtr value, expression());
      node.arguments.push_back(std::move(value));
      KAPPA_CHECK_OK(expect(")"));
      return finish(std::move(node), start);
    }
  }
  if (function == "position") {
    KAPPA_TRY(NodePtr part, other_operator_level());
    KAPPA_CHECK_OK(expect("in"));
    KAPPA_TRY(NodePtr text, other_operator_level());
    KAPPA_CHECK_OK(expect(")"));
    node.function = "strpos";
    node.arguments = {std::move(text), std::move(part)};
    return finish(std::move(node), start);
  }
  KAPPA_TRY(NodePtr first, expression());
  node.arguments.push_back(std::move(first));
  if (function == "cast" || function == "try_cast") {
    node.kind = NodeKind::kCast;
    KAPPA_CHECK_OK(expect("as"));
    KAPPA_TRY(node.target, type_name());
  } else if (function == "substring" && take("from")) {
    KAPPA_TRY(NodePtr from, expression());
    node.arguments.push_back(std::move(from));
    if (take("for")) {
      KAPPA_TRY(NodePtr length, expression());
      node.arguments.push_back(std::move(length));
    }
  } else if (function == "trim" && take("from")) {
    KAPPA_TRY(NodePtr value, expression());
    node.arguments.insert(node.arguments.begin(), std::move(value));
  } else {
    while (take(",")) {
      KAPPA_TRY(NodePtr argument, expression());
      node.arguments.push_back(std::move(argument));
    }
  }
  KAPPA_CHECK_OK(expect(")"));
  return finish(std::move(node), start);
}

Expected<NodePtr> Parser::case_expression() {
  const std::size_t start = at_;
  const Nesting nesting(*this);
  KAPPA_CHECK_OK(check_nesting());
  Node node;
  node.kind = NodeKind::kCase;
  node.place = next().place;
  if (!at("when")) {
    KAPPA_TRY(node.operand, expression());
  }
  while (take("when")) {
    KAPPA_TRY(NodePtr condition, expression());
    KAPPA_CHECK_OK(expect("then"));
    KAPPA_TRY(NodePtr value, expression());
    node.arguments.push_back(std::move(condition));
    node.arguments.push_back(std::move(value));
  }
  if (node.arguments.empty()) return unexpected("WHEN");
  if (take("else")) {
    KAPPA_TRY(NodePtr value, expression());
    node.arguments.push_back(std::move(value));
    node.has_else = true;
  }
  KAPPA_CHECK_OK(expect("end"));
  return finish(std::move(node), start);
}

}  // namespace kappa::processor::sql
