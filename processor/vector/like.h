// LIKE patterns: % is any run of characters, _ one code point. Text and pattern are UTF-8.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kappa::processor {

// A compiled pattern. The frequent shapes (x, x%, %x, %x%) need no general matching.
class LikePattern {
 public:
  // `escape`: empty, or the one character that takes the next one literally; nullopt if the pattern
  // ends with it or it is longer than a character.
  [[nodiscard]] static std::optional<LikePattern> compile(std::string_view pattern, std::string_view escape,
                                                          bool ignore_case);
  // With ignore_case, ASCII letters match in either case.
  [[nodiscard]] bool matches(std::string_view text) const;

 private:
  // Literal bytes between two %, with _ among them.
  struct Piece {
    std::string bytes;
    std::vector<bool> any;  // Per byte of `bytes`: a one-code-point wildcard (the byte is unused).
    bool has_any = false;
    std::size_t prefix = 0;  // With has_any: bytes in front of the first wildcard.
  };
  [[nodiscard]] bool same(char text, char pattern) const;
  // End of the match of `piece` at `at`; npos if it does not match there.
  [[nodiscard]] std::size_t match_at(const Piece& piece, std::string_view text, std::size_t at) const;
  [[nodiscard]] std::size_t find(const Piece& piece, std::string_view text, std::size_t from,
                                 std::size_t& end) const;
  [[nodiscard]] bool match_end(const Piece& piece, std::string_view text, std::size_t from) const;

  std::vector<Piece> pieces_;  // Between the %: n % make n + 1 pieces, some empty.
  bool ignore_case_ = false;
};

// Code points: bytes that do not continue one.
[[nodiscard]] inline bool starts_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}
[[nodiscard]] constexpr char ascii_lower(char c) {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}
[[nodiscard]] constexpr char ascii_upper(char c) {
  return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

}  // namespace kappa::processor
