#include "tools/definition_text.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "processor/sql/compile.h"
#include "processor/sql/lexer.h"
#include "processor/sql/parser.h"

namespace kappa::tools {
namespace {

using processor::sql::Token;
using processor::sql::TokenKind;

constexpr std::string_view kOrReplace = " OR REPLACE";

std::string doubled(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

// No two lists of tokens give the same text: what is quoted keeps its quotes.
std::string spelled(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText: return doubled(token.text, '\'');
    case TokenKind::kQuotedName: return doubled(token.text, '"');
    case TokenKind::kName:
    case TokenKind::kNumber:
    case TokenKind::kSymbol:
    case TokenKind::kEnd: break;
  }
  return token.text;
}

class Words {
 public:
  explicit Words(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  [[nodiscard]] bool at(std::string_view word, std::size_t ahead = 0) const {
    const Token& token = peek(ahead);
    return (token.kind == TokenKind::kName || token.kind == TokenKind::kSymbol) && token.text == word;
  }
  [[nodiscard]] bool ended() const { return peek().kind == TokenKind::kEnd; }
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];  // The last one is kEnd.
  }
  const Token& next() {
    const Token& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  void skip(std::initializer_list<std::string_view> words) {
    std::size_t ahead = 0;
    for (const std::string_view word : words) {
      if (!at(word, ahead++)) return;
    }
    at_ += words.size();
  }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

void append(std::string& out, std::string_view text) {
  if (!out.empty()) out += ' ';
  out += text;
}

// After "WITH (": the options up to the closing parenthesis, in the order of their names.
std::string options_text(Words& words) {
  std::vector<std::string> options;
  while (!words.ended() && !words.at(")")) {
    const bool how = words.at("cutover") || words.at("keep_old");
    std::string option;
    while (!words.ended() && !words.at(",") && !words.at(")")) append(option, spelled(words.next()));
    if (!how) options.push_back(std::move(option));
    if (words.at(",")) words.next();
  }
  words.next();
  std::ranges::sort(options);
  std::string text;
  for (const std::string& option : options) text += (text.empty() ? "with ( " : " , ") + option;
  return text.empty() ? text : text + " )";
}

struct Described {
  bool create = true;
  std::string kind;
  std::string name;
  bool or_replace = false;
  bool replays = true;
};

std::optional<Described> describe(const processor::sql::StatementSyntax& syntax) {
  using namespace processor::sql;
  if (syntax.explain) return std::nullopt;
  if (const auto* stream = std::get_if<CreateStreamSyntax>(&syntax.statement))
    return Described{true, "stream", stream->name.text, stream->or_replace, stream->query != nullptr};
  if (const auto* table = std::get_if<CreateTableSyntax>(&syntax.statement))
    return Described{true, "table", table->name.text, table->or_replace, true};
  if (const auto* view = std::get_if<CreateViewSyntax>(&syntax.statement))
    return Described{true, "view", view->name.text, view->or_replace, true};
  if (const auto* drop = std::get_if<DropSyntax>(&syntax.statement)) {
    using What = processor::Drop::What;
    std::string kind;
    switch (drop->what) {
      case What::kStream: kind = "stream"; break;
      case What::kTable: kind = "table"; break;
      case What::kView: kind = "view"; break;
      case What::kTopic: kind = "topic"; break;
    }
    return Described{false, std::move(kind), drop->name.text, false, false};
  }
  return std::nullopt;
}

// Of the first byte of the statement to that of its first word.
std::size_t create_end(const ScriptStatement& statement) {
  const auto tokens = processor::sql::tokenize(statement.text);
  const std::string_view word = tokens->front().source;
  return static_cast<std::size_t>(word.data() - statement.text.data()) + word.size();
}

}  // namespace

Expected<std::string> normalized_definition(std::string_view sql) {
  KAPPA_TRY(std::vector<Token> tokens, processor::sql::tokenize(sql));
  Words words(std::move(tokens));
  std::string text;
  if (words.at("create")) {
    append(text, spelled(words.next()));
    words.skip({"or", "replace"});
    if (words.at("view", 1)) words.skip({"materialized"});
    append(text, spelled(words.next()));
    words.skip({"if", "not", "exists"});
  }
  std::size_t depth = 0;
  while (!words.ended()) {
    if (words.at(";") && words.peek(1).kind == TokenKind::kEnd) break;
    if (depth == 0 && words.at("with") && words.at("(", 1)) {
      words.skip({"with", "("});
      const std::string options = options_text(words);
      if (!options.empty()) append(text, options);
      continue;
    }
    if (words.at("(")) ++depth;
    if (words.at(")") && depth > 0) --depth;
    append(text, spelled(words.next()));
  }
  return text;
}

Error placed_in_script(Error error, const ScriptStatement& statement) {
  SourcePlace place = error.place.value_or(SourcePlace{1, 1, 1});
  if (place.line <= 1) place.column += statement.column - 1;
  place.line = std::max(place.line, 1U) + statement.line - 1;
  error.place = place;
  return error;
}

Expected<std::vector<ScriptStatement>> parse_definitions(std::string_view script) {
  std::vector<ScriptStatement> statements;
  std::map<std::string, std::uint32_t> lines;
  for (const processor::ScriptPiece& piece : processor::split_script(script)) {
    ScriptStatement statement;
    statement.text = piece.text;
    statement.line = piece.line;
    statement.column = piece.column;
    const auto refused = [&](ErrorCode code, std::uint16_t number, std::string message,
                             std::string hint) -> std::unexpected<Error> {
      Error error{code, number, std::move(message), std::move(hint), 0, {}};
      return std::unexpected(placed_in_script(std::move(error), statement));
    };
    const auto syntax = processor::sql::parse(piece.text);
    if (!syntax) return std::unexpected(placed_in_script(syntax.error(), statement));
    auto described = describe(*syntax);
    if (!described) {
      return refused(ErrorCode::kInvalid, 2005, "only CREATE and DROP can be applied: the file says what there is to be",
                     "run other statements with kappa sql");
    }
    statement.create = described->create;
    statement.kind = std::move(described->kind);
    statement.name = std::move(described->name);
    statement.or_replace = described->or_replace;
    statement.replays = described->replays;
    // A topic is not of the names that streams, tables and views share.
    const std::string key = (statement.kind == "topic" ? "topic " : "") + statement.name;
    if (const auto [first, fresh] = lines.emplace(key, statement.line); !fresh) {
      return refused(ErrorCode::kExists, 2007, "\"" + statement.name + "\" is in the file twice, first in line " + std::to_string(first->second),
                     "a name is defined, or dropped, once");
    }
    if (statement.create) {
      KAPPA_TRY(statement.normalized, normalized_definition(piece.text));
    }
    statements.push_back(std::move(statement));
  }
  return statements;
}

std::string with_or_replace(const ScriptStatement& statement) {
  std::string text(statement.text);
  if (!statement.or_replace) text.insert(create_end(statement), kOrReplace);
  return text;
}

Error without_or_replace(Error error, const ScriptStatement& statement) {
  if (statement.or_replace || !error.place) return error;
  const std::string_view before = statement.text.substr(0, create_end(statement));
  const auto line = static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n'));
  const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  const auto inserted = static_cast<std::uint32_t>(before.size() - start);
  if (error.place->line == line && error.place->column > inserted + kOrReplace.size())
    error.place->column -= static_cast<std::uint32_t>(kOrReplace.size());
  return error;
}

}  // namespace kappa::tools
