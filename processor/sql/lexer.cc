#include "processor/sql/lexer.h"

#include <algorithm>
#include <array>

#include "processor/sql/compile.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace sql {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  // Bytes of multi-byte UTF-8 are letters, as in PostgreSQL.
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name(char c) {
  return is_name_start(c) || is_digit(c) || c == '$';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

// Longest first.
constexpr std::array<std::string_view, 29> kSymbols = {
    "->>", "!~*", "::", "->", "<>", "!=", "!~", "~*", "<=", ">=", "||", "(", ")", ",", ";",
    ".",   "+",   "-",  "*",  "/",  "%",  "^",  "~",  "<",  ">",  "=",  "@", "[", "]"};

class Lexer {
 public:
  explicit Lexer(std::string_view sql) : sql_(sql) {}

  Expected<std::vector<Token>> run() {
    std::vector<Token> tokens;
    for (;;) {
      KAPPA_CHECK_OK(skip_blank());
      mark();
      if (at_ == sql_.size()) {
        tokens.push_back(token(TokenKind::kEnd, {}));
        return tokens;
      }
      KAPPA_TRY(Token next, read());
      tokens.push_back(std::move(next));
    }
  }

  // Byte position after blanks and comments; used by split_script.
  Status skip_blank() {
    while (at_ < sql_.size()) {
      if (is_space(sql_[at_])) {
        advance(1);
      } else if (sql_.substr(at_).starts_with("--")) {
        while (at_ < sql_.size() && sql_[at_] != '\n') advance(1);
      } else if (sql_.substr(at_).starts_with("/*")) {
        mark();
        if (!skip_comment()) return fail_here(2, "the comment that starts here does not end", "add */");
      } else {
        break;
      }
    }
    return {};
  }

 private:
  bool skip_comment() {
    std::size_t depth = 0;
    while (at_ < sql_.size()) {
      const std::string_view rest = sql_.substr(at_);
      if (rest.starts_with("/*")) {
        ++depth;
        advance(2);
      } else if (rest.starts_with("*/")) {
        advance(2);
        if (--depth == 0) return true;
      } else {
        advance(1);
      }
    }
    return false;
  }

  Expected<Token> read() {
    const char c = sql_[at_];
    if (c == '\'') return quoted('\'', TokenKind::kText, false);
    if (c == '"') return quoted('"', TokenKind::kQuotedName, false);
    if ((c == 'e' || c == 'E') && at_ + 1 < sql_.size() && sql_[at_ + 1] == '\'') {
      advance(1);
      return quoted('\'', TokenKind::kText, true);
    }
    if (is_name_start(c)) {
      while (at_ < sql_.size() && is_name(sql_[at_])) advance(1);
      return token(TokenKind::kName, fold(sql_.substr(start_, at_ - start_)));
    }
    if (is_digit(c) || (c == '.' && at_ + 1 < sql_.size() && is_digit(sql_[at_ + 1]))) return number();
    for (const std::string_view symbol : kSymbols) {
      if (sql_.substr(at_).starts_with(symbol)) {
        advance(symbol.size());
        return token(TokenKind::kSymbol, std::string(symbol));
      }
    }
    if (c == '\0') return fail_here(1, "a NUL byte is not part of SQL");
    return fail_here(1, "unexpected character '" + std::string(1, c) + "'");
  }

  Expected<Token> quoted(char quote, TokenKind kind, bool escapes) {
    std::string content;
    advance(1);
    while (at_ < sql_.size()) {
      const char c = sql_[at_];
      if (c == '\0') break;
      if (c == quote) {
        if (at_ + 1 >= sql_.size() || sql_[at_ + 1] != quote) {
          advance(1);
          if (kind == TokenKind::kQuotedName && content.empty())
            return fail_here(2, "a name cannot be empty");
          return token(kind, std::move(content));
        }
        advance(1);  // Doubled: one of it.
      } else if (c == '\\' && escapes && at_ + 1 < sql_.size()) {
        advance(1);
        content += unescape(sql_[at_]);
        advance(1);
        continue;
      }
      content += sql_[at_];
      advance(1);
    }
    if (at_ < sql_.size()) return fail_here(at_ - start_, "a NUL byte is not part of SQL");
    return fail_here(1, kind == TokenKind::kText ? "the string that starts here does not end"
                                                 : "the quoted name that starts here does not end");
  }

  static char unescape(char c) {
    switch (c) {
      case 'n': return '\n';
      case 't': return '\t';
      case 'r': return '\r';
      case 'b': return '\b';
      case 'f': return '\f';
      default: return c;
    }
  }

  Expected<Token> number() {
    const auto digits = [&] {
      while (at_ < sql_.size() && is_digit(sql_[at_])) advance(1);
    };
    digits();
    if (at_ < sql_.size() && sql_[at_] == '.') {
      advance(1);
      digits();
    }
    if (at_ < sql_.size() && (sql_[at_] == 'e' || sql_[at_] == 'E')) {
      std::size_t exponent = at_ + 1;
      if (exponent < sql_.size() && (sql_[exponent] == '+' || sql_[exponent] == '-')) ++exponent;
      if (exponent < sql_.size() && is_digit(sql_[exponent])) {
        advance(exponent - at_);
        digits();
      }
    }
    if (at_ < sql_.size() && is_name_start(sql_[at_])) {
      return fail_here(at_ - start_ + 1, "a name cannot start with a digit: \"" +
                                             std::string(sql_.substr(start_, at_ - start_ + 1)) + "\"");
    }
    return token(TokenKind::kNumber, std::string(sql_.substr(start_, at_ - start_)));
  }

  void mark() {
    start_ = at_;
    place_ = {line_, static_cast<std::uint32_t>(at_ - line_start_ + 1), 0};
  }
  void advance(std::size_t bytes) {
    for (; bytes > 0; --bytes) {
      if (sql_[at_++] == '\n') {
        ++line_;
        line_start_ = at_;
      }
    }
  }
  Token token(TokenKind kind, std::string text) {
    place_.length = static_cast<std::uint32_t>(at_ - start_);
    return {kind, std::move(text), sql_.substr(start_, at_ - start_), place_};
  }
  std::unexpected<Error> fail_here(std::size_t length, std::string message, std::string hint = {}) {
    place_.length = static_cast<std::uint32_t>(length);
    return fail_at(place_, ErrorCode::kInvalid, 2001, std::move(message), std::move(hint));
  }

  std::string_view sql_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;
  std::uint32_t line_ = 1;
  std::size_t line_start_ = 0;
  SourcePlace place_;
};

}  // namespace

std::string fold(std::string_view name) {
  std::string folded(name);
  std::transform(folded.begin(), folded.end(), folded.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  return folded;
}

std::unexpected<Error> fail_at(SourcePlace place, ErrorCode code, std::uint16_t number, std::string message,
                               std::string hint) {
  return std::unexpected(Error{code, number, std::move(message), std::move(hint), 0, place});
}

Expected<std::vector<Token>> tokenize(std::string_view sql) {
  if (sql.size() > limits::kSqlBytesMax) {
    return fail_at({1, 1, 0}, ErrorCode::kTooLarge, 2009,
                   "the statement has " + std::to_string(sql.size()) + " bytes, at most " +
                       std::to_string(limits::kSqlBytesMax) + " are allowed");
  }
  return Lexer(sql).run();
}

}  // namespace sql

std::vector<ScriptPiece> split_script(std::string_view script) {
  // A light scan, not the lexer: a broken statement must not keep the others from being cut.
  std::vector<ScriptPiece> pieces;
  std::uint32_t line = 1;
  std::size_t line_start = 0;
  std::size_t at = 0;
  std::optional<ScriptPiece> piece;
  std::size_t start = 0;
  std::size_t end = 0;  // After the last byte of the piece that is neither blank nor comment.
  const auto step = [&](std::size_t bytes) {
    for (; bytes > 0 && at < script.size(); --bytes) {
      if (script[at++] == '\n') {
        ++line;
        line_start = at;
      }
    }
  };
  const auto finish = [&] {
    if (piece) {
      piece->text = script.substr(start, end - start);
      pieces.push_back(*piece);
      piece.reset();
    }
  };
  while (at < script.size()) {
    const std::string_view rest = script.substr(at);
    if (rest.starts_with("--")) {
      step(std::min(rest.find('\n'), rest.size()));
    } else if (rest.starts_with("/*")) {
      std::size_t depth = 0;
      do {
        const std::string_view here = script.substr(at);
        if (here.starts_with("/*")) {
          ++depth;
          step(2);
        } else if (here.starts_with("*/")) {
          --depth;
          step(2);
        } else {
          step(1);
        }
      } while (depth > 0 && at < script.size());
    } else if (sql::is_space(rest.front())) {
      step(1);
    } else if (rest.front() == ';') {
      finish();
      step(1);
    } else {
      if (!piece) {
        piece = ScriptPiece{{}, line, static_cast<std::uint32_t>(at - line_start + 1)};
        start = at;
      }
      const char quote = rest.front();
      step(1);
      if (quote == '\'' || quote == '"') {
        // In E'...' a backslash takes the next character along.
        const bool escapes = quote == '\'' && at >= 2 && (script[at - 2] == 'e' || script[at - 2] == 'E') &&
                             (at < 3 || !sql::is_name(script[at - 3]));
        while (at < script.size() && script[at] != quote) step(escapes && script[at] == '\\' ? 2 : 1);
        step(1);
      }
      end = at;
    }
  }
  finish();
  return pieces;
}

}  // namespace kappa::processor
