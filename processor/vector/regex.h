// Regular expressions with RE2's syntax: matching takes time linear in the text and bounded memory,
// whatever the pattern.
//
// Patterns and texts are UTF-8. \C (one byte) is refused, and empty matches inside a code point do not count:
// no piece of a text is ever broken UTF-8. One thread at a time (the submatches are kept across calls).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"

namespace re2 {
class RE2;
class StringPiece;
}  // namespace re2

namespace kappa::processor {

class Regex {
 public:
  // Flags: i ignore case, c mind it, s the dot matches line ends too, m ^ and $ match at line ends, g all
  // matches (of replace). kInvalid 2002, with RE2's reason, for a pattern that is none or is too large.
  [[nodiscard]] static Expected<Regex> compile(std::string_view pattern, std::string_view flags);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  [[nodiscard]] int groups() const;
  [[nodiscard]] bool matches(std::string_view text) const;
  // What group `group` (0: the whole match) of the first match took, a piece of `text`; false if there
  // is no match or the group took no part in it.
  bool extract(std::string_view text, int group, std::string_view& out);
  [[nodiscard]] std::int64_t count(std::string_view text);
  // Replaces the first match, with the flag g all of them. In `replacement` \1 to \9 stand for groups,
  // \& for the match and \\ for a backslash. `out` is overwritten; false if it passes `bytes_max`.
  bool replace(std::string_view text, std::string_view replacement, std::size_t bytes_max, std::string& out);

 private:
  explicit Regex(std::unique_ptr<re2::RE2> compiled, bool all);
  // The first match that starts at `from` or later, as pieces_[0] and groups up to `group`.
  bool find(std::string_view text, std::size_t from, int group);
  // Calls found(start, end) for every match, leftmost, without overlaps; it says whether to go on.
  template <class Found>
  void for_each_match(std::string_view text, int group, Found&& found);

  std::unique_ptr<re2::RE2> compiled_;
  std::vector<re2::StringPiece> pieces_;
  bool all_ = false;
};

}  // namespace kappa::processor
