// Numbers in keys of operators' own tables: big-endian, so that memcmp orders them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kappa::processor {

template <class T>
void append_big_endian(std::string& out, T value) {
  char bytes[sizeof value];
  for (std::size_t i = 0; i < sizeof value; ++i) bytes[i] = static_cast<char>(value >> (8 * (sizeof value - 1 - i)));
  out.append(bytes, sizeof value);
}

// A time, before 1970 too: the sign is flipped.
inline constexpr std::size_t kTimeBytes = sizeof(std::int64_t);
inline void append_time(std::string& out, std::int64_t time) {
  append_big_endian(out, static_cast<std::uint64_t>(time) ^ (std::uint64_t{1} << 63));
}
// `bytes` has at least kTimeBytes.
[[nodiscard]] inline std::int64_t read_time(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kTimeBytes; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return static_cast<std::int64_t>(value ^ (std::uint64_t{1} << 63));
}

}  // namespace kappa::processor
