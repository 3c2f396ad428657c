// Literals: numbers, intervals, and text with the name of its type in front (TIMESTAMP '...').
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "processor/sql/parser.h"

namespace kappa::processor::sql {

Expected<NodePtr> Parser::number() {
  const std::size_t start = at_;
  const Token& token = next();
  Node node;
  node.place = token.place;
  if (token.text.find_first_of(".eE") == std::string::npos) {
    const auto exact = parse_numeric(token.text, 38, 0);
    if (!exact) {
      return fail_at(token.place, ErrorCode::kInvalid, 2002, "the number has more than 38 digits",
                     "write it with an exponent for a DOUBLE");
    }
    node.literal = *exact <= INT64_MAX ? Value::bigint(static_cast<std::int64_t>(*exact))
                                       : Value::numeric(*exact, 38, 0);
  } else {
    const double real = std::strtod(token.text.c_str(), nullptr);
    if (!std::isfinite(real)) {
      return fail_at(token.place, ErrorCode::kInvalid, 2002, "the number is too large for a DOUBLE");
    }
    node.literal = Value::real(real);
  }
  return finish(std::move(node), start);
}

// Whether the name of a type stands here that text follows. DATE is a TIMESTAMP at midnight: there is no type
// of that name.
bool Parser::starts_typed_literal() const {
  static constexpr std::array<std::string_view, 14> kTypes = {
      "timestamp", "timestamptz", "date", "boolean", "bool",    "bigint",  "int",
      "integer",   "double",      "real", "numeric", "decimal", "varchar", "json"};
  if (peek().kind != TokenKind::kName) return false;
  if (std::find(kTypes.begin(), kTypes.end(), peek().text) == kTypes.end()) return false;
  if (peek(1).kind == TokenKind::kText) return true;
  if (at("timestamp")) return (at("with", 1) || at("without", 1)) && at("time", 2) && at("zone", 3);
  return at("double") && at("precision", 1) && peek(2).kind == TokenKind::kText;
}

Expected<NodePtr> Parser::typed_literal() {
  const std::size_t start = at_;
  Node node;
  node.kind = NodeKind::kCast;
  node.strict = true;
  if (take("date")) {
    node.target = kTimestampType;
  } else {
    KAPPA_TRY(node.target, type_name());
  }
  if (peek().kind != TokenKind::kText) return unexpected("a text literal");
  Node text;
  text.place = peek().place;
  text.literal = Value::text(next().text);
  KAPPA_TRY(NodePtr literal, finish(std::move(text), at_ - 1));
  node.place = literal->place;
  node.arguments = {std::move(literal)};
  return finish(std::move(node), start);
}

// INTERVAL '90 seconds', INTERVAL '1' MINUTE, INTERVAL 1 MINUTE.
Expected<NodePtr> Parser::interval() {
  const std::size_t start = at_;
  const bool bare = peek(1).kind == TokenKind::kNumber && peek(2).kind == TokenKind::kName;
  if (peek(1).kind != TokenKind::kText && !bare) return name_or_call();
  next();
  Node node;
  node.place = peek().place;
  std::string text = next().text;
  if (peek().kind == TokenKind::kName && text.find_first_not_of("0123456789.-+ ") == std::string::npos) {
    if (const auto whole = parse_interval(text + " " + peek().text)) {
      next();
      node.literal = Value::interval(*whole);
      return finish(std::move(node), start);
    }
  }
  const auto micros = parse_interval(text);
  if (!micros) {
    return fail_at(node.place, ErrorCode::kInvalid, 2002, "'" + text + "' is not a valid INTERVAL",
                   "for example INTERVAL '5 minutes'; units from milliseconds to days");
  }
  node.literal = Value::interval(*micros);
  return finish(std::move(node), start);
}

}  // namespace kappa::processor::sql
