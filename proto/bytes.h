// Bounded little-endian cursors over bytes. A read past the end fails and stays failed; nothing is
// ever read beyond the span. The writer appends to a string it does not own.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace kappa {

static_assert(std::endian::native == std::endian::little, "formats are little-endian in memory too");

using Bytes = std::span<const std::byte>;

[[nodiscard]] inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

[[nodiscard]] constexpr std::uint64_t zigzag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
[[nodiscard]] constexpr std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
}

// Reads in order. After any failure ok() is false and every read gives zero or an empty view.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  template <class T>
    requires std::is_integral_v<T> || std::is_floating_point_v<T>
  T fixed() {
    T value{};
    if (remaining() < sizeof(T)) {
      give_up();
      return value;
    }
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint16_t u16() { return fixed<std::uint16_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }
  std::int64_t i64() { return fixed<std::int64_t>(); }

  // LEB128, at most 10 bytes; overlong or overflowing encodings fail.
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) break;
      const auto byte = static_cast<std::uint8_t>(*at_++);
      if (shift == 63 && byte > 1) break;
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        if (byte == 0 && shift != 0) break;  // Overlong: one value has one encoding.
        return value;
      }
    }
    give_up();
    return 0;
  }
  Bytes bytes(std::size_t count) {
    if (remaining() < count) {
      give_up();
      return {};
    }
    const Bytes piece{at_, count};
    at_ += count;
    return piece;
  }
  std::string_view text(std::size_t count) { return as_text(bytes(count)); }
  // u32 length, then that many bytes.
  std::string_view sized_text() { return text(u32()); }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
  // True when everything was read and nothing failed: a message with trailing bytes is refused.
  [[nodiscard]] bool done() const { return ok_ && at_ == end_; }
  void give_up() {
    ok_ = false;
    at_ = end_;
  }

 private:
  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  template <class T>
    requires std::is_integral_v<T> || std::is_floating_point_v<T>
  void fixed(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out_.append(raw, sizeof(T));
  }
  void u8(std::uint8_t v) { fixed(v); }
  void u16(std::uint16_t v) { fixed(v); }
  void u32(std::uint32_t v) { fixed(v); }
  void u64(std::uint64_t v) { fixed(v); }
  void i64(std::int64_t v) { fixed(v); }
  void varint(std::uint64_t v) {
    char raw[10];
    std::size_t count = 0;
    while (v >= 0x80) {
      raw[count++] = static_cast<char>(v | 0x80);
      v >>= 7;
    }
    raw[count++] = static_cast<char>(v);
    out_.append(raw, count);
  }
  void text(std::string_view v) { out_.append(v); }
  void sized_text(std::string_view v) {
    u32(static_cast<std::uint32_t>(v.size()));
    text(v);
  }
  [[nodiscard]] std::size_t size() const { return out_.size(); }

 private:
  std::string& out_;
};

}  // namespace kappa
