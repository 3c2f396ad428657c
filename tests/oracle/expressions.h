// The grammar of expressions: random typed terms over a scope, in both spellings.
//
// SQLite's own operators are used where their operands are small enough to stay within 64 bits; beyond,
// functions that give NULL where Kappa must (sqlite_functions.h).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/random.h"

namespace kappa::oracle {

// What an expression can see: columns with the text that names them.
using Scope = std::vector<Term>;

// The literal of a text or the NULL of a kind, in both spellings.
[[nodiscard]] std::string quoted(const std::string& text);
[[nodiscard]] std::string type_name(Kind kind);
// A literal of a pattern that means the same to RE2 and to std::regex, and matches no empty text.
[[nodiscard]] std::string regular_expression(Random& random);

class Expressions {
 public:
  // All borrowed; `used` collects productions.
  Expressions(Random& random, const Scope& scope, std::set<std::string>& used)
      : random_(random), scope_(scope), used_(used) {}

  Term term(Kind kind, int depth);
  Term boolean(int depth);
  Term integer(int depth);
  Term real(int depth);
  Term numeric(int depth);
  Term text(int depth);
  Term time(int depth);
  // A part of a document, as JSON or as text; a text without one if the scope has no document.
  Term json_part(bool as_text);

  // A column of the scope, of this kind if there is one; `usable` ones only (no inexact doubles, no sums
  // beyond 64 bits, no documents). nullptr: none.
  const Term* column(Kind kind);
  const Term* any_column();
  // A kind that the scope has.
  Kind some_kind();
  // A condition that keeps a good part of the rows.
  Term predicate();

 private:
  Term leaf(Kind kind);
  Term conditional(Kind kind, int depth);
  Term integer_operation(int depth);
  Term real_operation(int depth);
  Term comparison(int depth);
  Term numeric_operation(int depth);
  Term like(int depth);
  void note(const char* production) { used_.insert(production); }

  Random& random_;
  const Scope& scope_;
  std::set<std::string>& used_;
};

}  // namespace kappa::oracle
