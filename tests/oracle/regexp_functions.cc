// Regular expressions of the oracle, by std::regex. The grammar's patterns mean the same to it and to RE2.
#include <map>
#include <regex>
#include <string>

#include "tests/oracle/sqlite_functions.h"

namespace kappa::oracle {
namespace {

using Values = sqlite3_value**;

std::string text_of(sqlite3_value* v) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(v));
  return {text == nullptr ? "" : text, static_cast<std::size_t>(sqlite3_value_bytes(v))};
}
void give(sqlite3_context* context, const std::string& text) {
  sqlite3_result_text(context, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

const std::regex& compiled(const std::string& pattern, bool ignore_case) {
  thread_local std::map<std::pair<std::string, bool>, std::regex> all;
  const auto found = all.find({pattern, ignore_case});
  if (found != all.end()) return found->second;
  const auto flags = std::regex::ECMAScript | (ignore_case ? std::regex::icase : std::regex::flag_type{});
  return all.emplace(std::pair(pattern, ignore_case), std::regex(pattern, flags)).first->second;
}

bool any_null(int n, Values v) {
  for (int i = 0; i < n; ++i) {
    if (sqlite3_value_type(v[i]) == SQLITE_NULL) return true;
  }
  return false;
}

// text, pattern, flags.
void like(sqlite3_context* c, int n, Values v) {
  if (any_null(n, v)) return;
  sqlite3_result_int(c, std::regex_search(text_of(v[0]), compiled(text_of(v[1]), text_of(v[2]) == "i")));
}

// text, pattern, group.
void extract(sqlite3_context* c, int n, Values v) {
  if (any_null(n, v)) return;
  const std::string text = text_of(v[0]);
  std::smatch match;
  if (!std::regex_search(text, match, compiled(text_of(v[1]), false))) return;
  const auto& part = match[static_cast<std::size_t>(sqlite3_value_int(v[2]))];
  if (part.matched) give(c, part.str());
}

// text, pattern.
void count(sqlite3_context* c, int n, Values v) {
  if (any_null(n, v)) return;
  const std::string text = text_of(v[0]);
  const std::regex& pattern = compiled(text_of(v[1]), false);
  sqlite3_result_int64(c, std::distance(std::sregex_iterator(text.begin(), text.end(), pattern), {}));
}

// text, pattern, flags: each match in angle brackets.
void replace(sqlite3_context* c, int n, Values v) {
  if (any_null(n, v)) return;
  const std::string flags = text_of(v[2]);
  const auto how = flags.find('g') == std::string::npos ? std::regex_constants::format_first_only
                                                        : std::regex_constants::format_default;
  give(c, std::regex_replace(text_of(v[0]), compiled(text_of(v[1]), flags.find('i') != std::string::npos),
                             "<$&>", how));
}

}  // namespace

void register_regexp_functions(sqlite3* db) {
  const auto scalar = [&](const char* name, int arguments, void (*function)(sqlite3_context*, int, Values)) {
    sqlite3_create_function(db, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr, function,
                            nullptr, nullptr);
  };
  scalar("k_re_like", 3, like);
  scalar("k_re_extract", 3, extract);
  scalar("k_re_count", 2, count);
  scalar("k_re_replace", 3, replace);
}

}  // namespace kappa::oracle
