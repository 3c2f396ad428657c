// Byte strings that are mostly short, without a call: keys, names, small texts. A call of memcmp for eight bytes costs
// more than the comparison. Nothing is read outside the bytes. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace kappa::processor {

inline constexpr std::size_t kShortBytes = 16;

template <class Word>
[[nodiscard]] inline Word load_bytes(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// A text of at most kShortBytes as two words, which overlap where it has not 16: with its size they are its value.
struct ShortWords {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  friend bool operator==(const ShortWords&, const ShortWords&) = default;
};
[[nodiscard]] inline ShortWords short_words(const char* at, std::size_t size) {
  if (size >= 8) return {load_bytes<std::uint64_t>(at), load_bytes<std::uint64_t>(at + size - 8)};
  if (size >= 4) return {load_bytes<std::uint32_t>(at), load_bytes<std::uint32_t>(at + size - 4)};
  if (size == 0) return {};
  const auto byte = [at](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(at[i])}; };
  return {byte(0), byte(size / 2) << 8 | byte(size - 1)};
}

[[nodiscard]] inline bool same_bytes(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  if (a.size() <= kShortBytes) return short_words(a.data(), a.size()) == short_words(b.data(), b.size());
  // Keys that begin alike are common: the end decides more often.
  const std::size_t last = a.size() - 8;
  if (load_bytes<std::uint64_t>(a.data() + last) != load_bytes<std::uint64_t>(b.data() + last)) return false;
  if (a.size() > 64) return std::memcmp(a.data(), b.data(), a.size()) == 0;
  for (std::size_t at = 0; at < last; at += 8) {
    if (load_bytes<std::uint64_t>(a.data() + at) != load_bytes<std::uint64_t>(b.data() + at)) return false;
  }
  return true;
}

// Whether one of the word's bytes is zero.
[[nodiscard]] inline bool has_zero_byte(std::uint64_t word) {
  return ((word - 0x0101010101010101U) & ~word & 0x8080808080808080U) != 0;
}

}  // namespace kappa::processor
