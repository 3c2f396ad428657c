// The cursor that the parts of the parser share.
#include "processor/sql/parser.h"

#include <algorithm>
#include <charconv>

namespace kappa::processor::sql {

const Token& Parser::peek(std::size_t ahead) const {
  return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead] : tokens_.back();
}

const Token& Parser::next() {
  const Token& token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::at(std::string_view word, std::size_t ahead) const {
  const Token& token = peek(ahead);
  return (token.kind == TokenKind::kName || token.kind == TokenKind::kSymbol) && token.text == word;
}

bool Parser::at_words(std::initializer_list<std::string_view> words) const {
  std::size_t ahead = 0;
  for (const std::string_view word : words) {
    if (!at(word, ahead++)) return false;
  }
  return true;
}

bool Parser::take(std::string_view word) {
  if (!at(word)) return false;
  next();
  return true;
}

bool Parser::take_words(std::initializer_list<std::string_view> words) {
  if (!at_words(words)) return false;
  for (std::size_t i = 0; i < words.size(); ++i) next();
  return true;
}

namespace {

std::string upper(std::string_view word) {
  std::string text(word);
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

}  // namespace

Status Parser::expect(std::string_view word) {
  if (take(word)) return {};
  const bool keyword = word.front() >= 'a' && word.front() <= 'z';
  return unexpected(keyword ? upper(word) : "\"" + std::string(word) + "\"");
}

std::unexpected<Error> Parser::unexpected(std::string expected) const {
  const Token& token = peek();
  const std::string found = token.kind == TokenKind::kEnd
                                ? "the end of the statement"
                                : "\"" + std::string(token.source.substr(0, 40)) + "\"";
  return fail_at(token.place, ErrorCode::kInvalid, 2001,
                 "syntax error: expected " + std::move(expected) + ", found " + found);
}

void Parser::later(std::string construct, SourcePlace place) {
  if (!later_) later_ = StatementSyntax::Later{std::move(construct), place};
}

Status Parser::check_nesting() const {
  if (nesting_ <= limits::kSqlNestingMax) return {};
  return fail_at(peek().place, ErrorCode::kTooLarge, 2009,
                 "nested more than " + std::to_string(limits::kSqlNestingMax) + " levels deep");
}

Expected<Name> Parser::name(std::string_view what) {
  const Token& token = peek();
  if (token.kind != TokenKind::kName && token.kind != TokenKind::kQuotedName)
    return unexpected(std::string(what));
  Name result;
  result.text = token.text;
  result.quoted = token.kind == TokenKind::kQuotedName;
  result.written = result.quoted ? token.text : std::string(token.source);
  result.place = token.place;
  next();
  return result;
}

Expected<std::string> Parser::text_literal(std::string_view what) {
  if (peek().kind != TokenKind::kText) return unexpected(std::string(what));
  return next().text;
}

Expected<std::uint64_t> Parser::count_literal(std::string_view what) {
  const Token& token = peek();
  std::uint64_t count = 0;
  if (token.kind == TokenKind::kNumber) {
    const auto result = std::from_chars(token.text.data(), token.text.data() + token.text.size(), count);
    if (result.ec == std::errc{} && result.ptr == token.text.data() + token.text.size()) {
      next();
      return count;
    }
  }
  return unexpected(std::string(what));
}

Expected<std::optional<std::uint32_t>> Parser::version() {
  if (!take("@")) return std::nullopt;
  KAPPA_TRY(const std::uint64_t version, count_literal("a version number"));
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(version, UINT32_MAX));
}

Expected<StatementSyntax> parse(std::string_view sql) {
  KAPPA_TRY(std::vector<Token> tokens, tokenize(sql));
  return Parser(std::move(tokens)).statement();
}

}  // namespace kappa::processor::sql
