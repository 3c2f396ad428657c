// The fuzzer's bytes, taken from the front as numbers and pieces: how structured targets read what to do.
// Past the end everything is zero and empty, so that every input means something.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "proto/bytes.h"
#include "proto/check.h"

namespace kappa::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  template <class T>
  T number() {
    T value{};
    const std::string_view raw = take(sizeof(T));
    if (!raw.empty()) std::memcpy(&value, raw.data(), raw.size());
    return value;
  }
  std::uint8_t u8() { return number<std::uint8_t>(); }
  std::uint16_t u16() { return number<std::uint16_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  // One of 0 .. count-1.
  std::size_t choice(std::size_t count) { return u8() % count; }
  // At most `bytes`; less at the end.
  std::string_view take(std::size_t bytes) {
    const std::string_view piece = rest_.substr(0, std::min(bytes, rest_.size()));
    rest_.remove_prefix(piece.size());
    return piece;
  }
  std::string_view rest() { return take(rest_.size()); }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace kappa::fuzz
