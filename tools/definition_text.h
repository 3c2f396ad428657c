// The text of a definition, as far as it says what is defined: what `kappa apply` compares.
//
// Two texts are the same if their tokens are, leaving out what does not say what is defined: white space, comments,
// the case of words, a semicolon, OR REPLACE, IF NOT EXISTS, MATERIALIZED, and of the options those that only say how
// a version is replaced (cutover, keep_old) and their order. Literals and quoted names count as written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"

namespace kappa::tools {

// kInvalid 2001 if it has no tokens of SQL.
[[nodiscard]] Expected<std::string> normalized_definition(std::string_view sql);

// A statement of a script.
struct ScriptStatement {
  std::string_view text;     // Points into the script; from its first word to its last.
  std::uint32_t line = 1;    // Of its first byte; from 1.
  std::uint32_t column = 1;  // In bytes, from 1.
  bool create = true;        // Else DROP.
  std::string kind;          // "stream", "table", "view"; of DROP also "topic".
  std::string name;
  bool or_replace = false;
  bool replays = true;       // It has rows of its own; a stream over a topic has none.
  std::string normalized;    // Of CREATE.
};

// `error`, whose place is in the statement, with the place in the script.
[[nodiscard]] Error placed_in_script(Error error, const ScriptStatement& statement);

// The statements of a script, each parsed. Errors have their place in the script: what does not parse (2001, 2002,
// 2005), what is neither CREATE nor DROP (kInvalid 2005), a name that comes twice (kExists 2007).
[[nodiscard]] Expected<std::vector<ScriptStatement>> parse_definitions(std::string_view script);

// The same statement with OR REPLACE; errors of it that are to be shown in the script go through
// without_or_replace() first.
[[nodiscard]] std::string with_or_replace(const ScriptStatement& statement);
[[nodiscard]] Error without_or_replace(Error error, const ScriptStatement& statement);

}  // namespace kappa::tools
