// See key_encoding.h.
#include "processor/state/key_encoding.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "processor/vector/short_bytes.h"
#include "proto/bytes.h"

namespace kappa::processor {
namespace {

constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
constexpr char kNullMark = 0;
constexpr char kValueMark = 1;

char* write_u64(std::uint64_t v, char* to) {
  v = __builtin_bswap64(v);
  std::memcpy(to, &v, 8);
  return to + 8;
}
std::uint64_t load_u64(const char* from) {
  std::uint64_t v = 0;
  std::memcpy(&v, from, 8);
  return __builtin_bswap64(v);
}

char* write_bool(bool v, char* to) {
  to[0] = kValueMark;
  to[1] = v ? 1 : 0;
  return to + 2;
}
char* write_int64(std::int64_t v, char* to) {
  *to = kValueMark;
  return write_u64(static_cast<std::uint64_t>(v) ^ kSign, to + 1);
}
char* write_double(double v, char* to) {
  if (v == 0) v = 0;  // -0 and 0 are one value.
  const auto bits = std::bit_cast<std::uint64_t>(v);
  *to = kValueMark;
  return write_u64((bits & kSign) != 0 ? ~bits : bits | kSign, to + 1);
}
double double_of(std::uint64_t ordered) {
  return std::bit_cast<double>((ordered & kSign) != 0 ? ordered & ~kSign : ~ordered);
}
char* write_int128(Int128 v, char* to) {
  __extension__ typedef unsigned __int128 Wide;
  const auto wide = static_cast<Wide>(v);
  *to = kValueMark;
  to = write_u64(static_cast<std::uint64_t>(wide >> 64) ^ kSign, to + 1);
  return write_u64(static_cast<std::uint64_t>(wide), to);
}
Int128 int128_of(const char* from) {
  __extension__ typedef unsigned __int128 Wide;
  return static_cast<Int128>((static_cast<Wide>(load_u64(from) ^ kSign) << 64) | load_u64(from + 8));
}
char* write_escaped(std::string_view text, char* to) {
  while (!text.empty()) {
    const void* const zero = std::memchr(text.data(), 0, text.size());
    if (zero == nullptr) break;
    const auto length = static_cast<std::size_t>(static_cast<const char*>(zero) - text.data());
    std::memcpy(to, text.data(), length + 1);
    to += length + 1;
    *to++ = '\xff';
    text.remove_prefix(length + 1);
  }
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}
// Without a call where the text is short and has no zero.
char* write_text(std::string_view text, char* to) {
  *to++ = kValueMark;
  const std::size_t size = text.size();
  const ShortWords words = size <= kShortBytes ? short_words(text.data(), size) : ShortWords{};
  if (size > kShortBytes || size < 4) {
    to = write_escaped(text, to);
  } else if (size < 8 ? has_zero_byte(words.first | words.last << 32)
                      : has_zero_byte(words.first) || has_zero_byte(words.last)) {
    to = write_escaped(text, to);
  } else {
    if (size < 8) {
      std::memcpy(to, &words.first, 4);
      std::memcpy(to + size - 4, &words.last, 4);
    } else {
      std::memcpy(to, &words.first, 8);
      std::memcpy(to + size - 8, &words.last, 8);
    }
    to += size;
  }
  to[0] = 0;
  to[1] = 0;
  return to + 2;
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
  const auto append = [&out](std::size_t bytes_max, auto&& write) {
    const std::size_t begin = out.size();
    out.resize(begin + bytes_max);
    out.resize(static_cast<std::size_t>(write(out.data() + begin) - out.data()));
  };
  if (value.is_null()) {
    out.push_back(kNullMark);
    return;
  }
  switch (physical_of(value.type().id)) {
    case Physical::kBool: append(2, [&](char* to) { return write_bool(value.as_bool(), to); }); return;
    case Physical::kInt64: append(9, [&](char* to) { return write_int64(value.as_int64(), to); }); return;
    case Physical::kDouble: append(9, [&](char* to) { return write_double(value.as_double(), to); }); return;
    case Physical::kInt128: append(17, [&](char* to) { return write_int128(value.as_int128(), to); }); return;
    case Physical::kText:
      append(3 + 2 * value.as_text().size(), [&](char* to) { return write_text(value.as_text(), to); });
      return;
  }
}

void append_text_key(std::string_view text, std::string& out) {
  const std::size_t begin = out.size();
  out.resize(begin + 3 + 2 * text.size());
  out.resize(static_cast<std::size_t>(write_text(text, out.data() + begin) - out.data()));
}

Status key_to_wire(std::string_view& in, Type type, std::string& out) {
  if (physical_of(type.id) == Physical::kText && !in.empty() && in[0] == kValueMark) {
    // Most texts have no escapes and are copied.
    const std::size_t zero = in.find('\0', 1);
    if (zero == std::string_view::npos || zero + 1 >= in.size()) return damaged();
    if (in[zero + 1] == '\0') {
      ByteWriter to(out);
      to.u8(static_cast<std::uint8_t>(type.id));
      to.sized_text(in.substr(1, zero - 1));
      in.remove_prefix(zero + 2);
      return {};
    }
  }
  KAPPA_TRY(const Value value, read_key(in, type));
  encode_value(value, out);
  return {};
}

char* write_key(const Vector& vector, std::size_t row, char* to) {
  if (vector.valid()[row] == 0) {
    *to = kNullMark;
    return to + 1;
  }
  switch (physical_of(vector.type().id)) {
    case Physical::kBool: return write_bool(vector.data<std::uint8_t>()[row] != 0, to);
    case Physical::kInt64: return write_int64(vector.data<std::int64_t>()[row], to);
    case Physical::kDouble: return write_double(vector.data<double>()[row], to);
    case Physical::kInt128: return write_int128(vector.data<Int128>()[row], to);
    case Physical::kText: return write_text(vector.data<std::string_view>()[row], to);
  }
  return to;
}

void append_key(const Vector& vector, std::size_t row, std::string& out) {
  static constexpr std::size_t kFewBytes = 64;
  const std::size_t bytes_max = key_bytes_max(vector, row);
  if (bytes_max <= kFewBytes) {
    char few[kFewBytes];
    out.append(few, static_cast<std::size_t>(write_key(vector, row, few) - few));
    return;
  }
  const std::size_t begin = out.size();
  out.resize(begin + bytes_max);
  out.resize(static_cast<std::size_t>(write_key(vector, row, out.data() + begin) - out.data()));
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
