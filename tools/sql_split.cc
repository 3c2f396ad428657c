#include "tools/sql_split.h"

namespace kappa::tools {
namespace {

// Past the token that begins at `at`; `closed` is false if the text ends inside it.
std::size_t skip_token(std::string_view sql, std::size_t at, bool& closed, bool& blank) {
  const char c = sql[at];
  closed = true;
  if (c == '\'' || c == '"') {
    // A doubled quote closes and opens again at once, which comes to the same.
    blank = false;
    const std::size_t end = sql.find(c, at + 1);
    closed = end != std::string_view::npos;
    return closed ? end + 1 : sql.size();
  }
  if (sql.substr(at, 2) == "--") {
    const std::size_t end = sql.find('\n', at);
    return end == std::string_view::npos ? sql.size() : end + 1;
  }
  if (sql.substr(at, 2) == "/*") {
    std::size_t depth = 0;
    while (at < sql.size()) {
      if (sql.substr(at, 2) == "/*") {
        ++depth;
        at += 2;
      } else if (sql.substr(at, 2) == "*/") {
        at += 2;
        if (--depth == 0) return at;
      } else {
        ++at;
      }
    }
    closed = false;
    return at;
  }
  if (c != ' ' && c != '\t' && c != '\r' && c != '\n') blank = false;
  return at + 1;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

SqlPieces split_sql(std::string_view script) {
  SqlPieces pieces;
  std::size_t start = 0;
  bool blank = true;
  bool closed = true;
  for (std::size_t at = 0; at < script.size();) {
    if (script[at] == ';') {
      if (!blank) pieces.statements.push_back(trimmed(script.substr(start, at - start)));
      start = ++at;
      blank = true;
      continue;
    }
    at = skip_token(script, at, closed, blank);
  }
  pieces.rest = script.substr(start);
  pieces.open = !closed;
  return pieces;
}

bool is_blank_sql(std::string_view sql) {
  bool blank = true;
  bool closed = true;
  for (std::size_t at = 0; at < sql.size() && blank;) at = skip_token(sql, at, closed, blank);
  return blank;
}

}  // namespace kappa::tools
