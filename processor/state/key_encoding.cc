// See key_encoding.h.
#include "processor/state/key_encoding.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace kappa::processor {
namespace {

constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
constexpr char kNullMark = 0;
constexpr char kValueMark = 1;

void append_u64(std::uint64_t v, std::string& out) {
  v = __builtin_bswap64(v);
  char raw[8];
  std::memcpy(raw, &v, 8);
  out.append(raw, 8);
}
std::uint64_t load_u64(const char* from) {
  std::uint64_t v = 0;
  std::memcpy(&v, from, 8);
  return __builtin_bswap64(v);
}

void append_int64(std::int64_t v, std::string& out) {
  const std::uint64_t big_endian = __builtin_bswap64(static_cast<std::uint64_t>(v) ^ kSign);
  char raw[9];
  raw[0] = kValueMark;
  std::memcpy(raw + 1, &big_endian, 8);
  out.append(raw, 9);
}
void append_double(double v, std::string& out) {
  if (v == 0) v = 0;  // -0 and 0 are one value.
  const auto bits = std::bit_cast<std::uint64_t>(v);
  out.push_back(kValueMark);
  append_u64((bits & kSign) != 0 ? ~bits : bits | kSign, out);
}
double double_of(std::uint64_t ordered) {
  return std::bit_cast<double>((ordered & kSign) != 0 ? ordered & ~kSign : ~ordered);
}
void append_int128(Int128 v, std::string& out) {
  __extension__ typedef unsigned __int128 Wide;
  const auto wide = static_cast<Wide>(v);
  out.push_back(kValueMark);
  append_u64(static_cast<std::uint64_t>(wide >> 64) ^ kSign, out);
  append_u64(static_cast<std::uint64_t>(wide), out);
}
Int128 int128_of(const char* from) {
  __extension__ typedef unsigned __int128 Wide;
  return static_cast<Int128>((static_cast<Wide>(load_u64(from) ^ kSign) << 64) | load_u64(from + 8));
}
void append_text(std::string_view text, std::string& out) {
  out.push_back(kValueMark);
  while (!text.empty()) {
    const void* zero = std::memchr(text.data(), 0, text.size());
    if (zero == nullptr) break;
    const auto length = static_cast<std::size_t>(static_cast<const char*>(zero) - text.data());
    out.append(text.data(), length);
    out.append("\0\xff", 2);
    text.remove_prefix(length + 1);
  }
  out.append(text);
  out.append(2, '\0');
}

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "a key of the view's state is damaged",
              "the view is rebuilt from the log");
}

// The text at the front of `in`, escapes undone into `out`; false if it does not end.
bool read_text(std::string_view& in, std::string& out) {
  for (;;) {
    const std::size_t zero = in.find('\0');
    if (zero == std::string_view::npos || zero + 1 >= in.size()) return false;
    out.append(in.substr(0, zero));
    const char next = in[zero + 1];
    in.remove_prefix(zero + 2);
    if (next == '\0') return true;
    if (next != '\xff') return false;
    out.push_back('\0');
  }
}

std::size_t fixed_bytes(Physical physical) {
  switch (physical) {
    case Physical::kBool: return 1;
    case Physical::kInt64:
    case Physical::kDouble: return 8;
    case Physical::kInt128: return 16;
    case Physical::kText: return 0;
  }
  return 0;
}

}  // namespace

void append_key(const Value& value, std::string& out) {
  if (value.is_null()) {
    out.push_back(kNullMark);
    return;
  }
  switch (physical_of(value.type().id)) {
    case Physical::kBool:
      out.push_back(kValueMark);
      out.push_back(value.as_bool() ? 1 : 0);
      return;
    case Physical::kInt64: append_int64(value.as_int64(), out); return;
    case Physical::kDouble: append_double(value.as_double(), out); return;
    case Physical::kInt128: append_int128(value.as_int128(), out); return;
    case Physical::kText: append_text(value.as_text(), out); return;
  }
}

void append_key(const Vector& vector, std::size_t row, std::string& out) {
  if (!vector.valid()[row]) {
    out.push_back(kNullMark);
    return;
  }
  switch (physical_of(vector.type().id)) {
    case Physical::kBool:
      out.push_back(kValueMark);
      out.push_back(vector.data<std::uint8_t>()[row] ? 1 : 0);
      return;
    case Physical::kInt64: append_int64(vector.data<std::int64_t>()[row], out); return;
    case Physical::kDouble: append_double(vector.data<double>()[row], out); return;
    case Physical::kInt128: append_int128(vector.data<Int128>()[row], out); return;
    case Physical::kText: append_text(vector.data<std::string_view>()[row], out); return;
  }
}

Expected<Value> read_key(std::string_view& in, Type type) {
  if (in.empty()) return damaged();
  const char mark = in[0];
  in.remove_prefix(1);
  if (mark == kNullMark) return Value::null(type);
  if (mark != kValueMark) return damaged();
  const Physical physical = physical_of(type.id);
  const std::size_t fixed = fixed_bytes(physical);
  if (in.size() < fixed) return damaged();
  const char* const raw = in.data();
  in.remove_prefix(fixed);
  switch (physical) {
    case Physical::kBool:
      if (static_cast<unsigned char>(*raw) > 1) return damaged();
      return Value::boolean(*raw != 0);
    case Physical::kInt64: {
      const auto v = static_cast<std::int64_t>(load_u64(raw) ^ kSign);
      if (type.id == TypeId::kTimestamp) return Value::timestamp(v);
      if (type.id == TypeId::kInterval) return Value::interval(v);
      return Value::bigint(v);
    }
    case Physical::kDouble: {
      // -0 is stored as 0, and no DOUBLE is infinite or NaN.
      const double v = double_of(load_u64(raw));
      if (!std::isfinite(v) || (v == 0 && std::signbit(v))) return damaged();
      return Value::real(v);
    }
    case Physical::kInt128: {
      const Int128 v = int128_of(raw);
      const Int128 bound = power_of_ten(type.precision);
      if (v >= bound || v <= -bound) return damaged();
      return Value::numeric(v, type.precision, type.scale);
    }
    case Physical::kText: break;
  }
  std::string text;
  if (!read_text(in, text)) return damaged();
  return type.id == TypeId::kJson ? Value::json(std::move(text)) : Value::text(std::move(text));
}

Status read_key(std::string_view& in, Vector& out, std::size_t row, Arena& arena) {
  KAPPA_TRY(const Value value, read_key(in, out.type()));
  out.set(row, value, arena);
  return {};
}

std::string key_after_prefix(std::string_view prefix) {
  std::string after(prefix);
  while (!after.empty() && static_cast<unsigned char>(after.back()) == 0xff) after.pop_back();
  if (!after.empty()) after.back() = static_cast<char>(static_cast<unsigned char>(after.back()) + 1);
  return after;
}

}  // namespace kappa::processor
