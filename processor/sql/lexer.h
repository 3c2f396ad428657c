// SQL text to tokens. Every token knows its place; text is bounded by limits::kSqlBytesMax.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"

namespace kappa::processor::sql {

enum class TokenKind : std::uint8_t {
  kName,        // Unquoted: keyword or identifier.
  kQuotedName,  // "..."
  kText,        // '...' or E'...'
  kNumber,      // 12, 1.5, .5, 1e-3
  kSymbol,      // Punctuation and operators.
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  // kName: folded to lower case; kQuotedName and kText: the content; else as written.
  std::string text;
  std::string_view source;  // As written; points into the statement.
  SourcePlace place;
};

// All tokens, the last one kEnd. kInvalid 2001 for an unterminated string, name or comment, for a NUL
// or another byte that starts no token; kTooLarge 2009 for text over the limit.
[[nodiscard]] Expected<std::vector<Token>> tokenize(std::string_view sql);

[[nodiscard]] std::unexpected<Error> fail_at(SourcePlace place, ErrorCode code, std::uint16_t number,
                                             std::string message, std::string hint = {});
[[nodiscard]] std::string fold(std::string_view name);

}  // namespace kappa::processor::sql
