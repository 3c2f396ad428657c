// Bytes of UTF-8 text, eight at a time: counting code points and changing the case of ASCII letters. The
// text is valid UTF-8, whatever else it holds. Pure functions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "processor/vector/like.h"

namespace kappa::processor {

inline constexpr std::uint64_t kEachByte = 0x0101010101010101;

[[nodiscard]] inline std::uint64_t load_word(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Where `piece` starts at `from` or later; npos if it does not. Linear in the text (std::string_view::find
// looks at every place anew), and several times faster on what is usual.
[[nodiscard]] inline std::size_t find_bytes(std::string_view text, std::string_view piece,
                                            std::size_t from = 0) {
  if (from > text.size() || text.size() - from < piece.size()) return std::string_view::npos;
  if (piece.empty()) return from;
  const char* const start = text.data() + from;
  const void* const hit = piece.size() == 1 ? std::memchr(start, piece.front(), text.size() - from)
                                            : memmem(start, text.size() - from, piece.data(), piece.size());
  return hit == nullptr ? std::string_view::npos
                        : static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
}

[[nodiscard]] inline std::int64_t code_points(std::string_view text) {
  std::size_t at = 0;
  std::size_t continuing = 0;
  for (; at + 8 <= text.size(); at += 8) {
    const std::uint64_t word = load_word(text.data() + at);
    continuing += static_cast<std::size_t>(std::popcount((word >> 7) & ~(word >> 6) & kEachByte));
  }
  for (; at < text.size(); ++at) continuing += starts_code_point(text[at]) ? 0 : 1;
  return static_cast<std::int64_t>(text.size() - continuing);
}

// Byte position of code point `n` (from 0, not negative); the size if there are fewer.
[[nodiscard]] inline std::size_t byte_of(std::string_view text, std::int64_t n) {
  std::size_t at = 0;
  while (n >= 8 && at + 8 <= text.size()) {
    const std::uint64_t word = load_word(text.data() + at);
    n -= 8 - std::popcount((word >> 7) & ~(word >> 6) & kEachByte);
    at += 8;
  }
  for (; at < text.size(); ++at) {
    if (starts_code_point(text[at]) && n-- == 0) break;
  }
  return at;
}

// 0x20 in each byte that is a letter of the other case, else 0. Seven bits and a small sum never carry
// into the next byte.
template <bool kToLower>
[[nodiscard]] inline std::uint64_t case_bits(std::uint64_t word) {
  constexpr std::uint64_t kFirst = 0x80 - (kToLower ? 'A' : 'a');
  constexpr std::uint64_t kAfter = 0x80 - (kToLower ? 'Z' : 'z') - 1;
  const std::uint64_t low = word & (0x7f * kEachByte);
  const std::uint64_t letters = ((low + kFirst * kEachByte) ^ (low + kAfter * kEachByte)) & ~word;
  return (letters & (0x80 * kEachByte)) >> 2;
}

// Whether ASCII letters of the text would change.
template <bool kToLower>
[[nodiscard]] inline bool changes_case(std::string_view text) {
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    if (case_bits<kToLower>(load_word(text.data() + at)) != 0) return true;
  }
  for (; at < text.size(); ++at) {
    if ((kToLower ? ascii_lower(text[at]) : ascii_upper(text[at])) != text[at]) return true;
  }
  return false;
}

// Writes text.size() bytes to `out`.
template <bool kToLower>
inline void copy_case(std::string_view text, char* out) {
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    const std::uint64_t word = load_word(text.data() + at);
    const std::uint64_t changed = word ^ case_bits<kToLower>(word);
    std::memcpy(out + at, &changed, sizeof changed);
  }
  for (; at < text.size(); ++at) out[at] = kToLower ? ascii_lower(text[at]) : ascii_upper(text[at]);
}

}  // namespace kappa::processor
