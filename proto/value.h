// Types and single values of the SQL language, as they appear in keys, rows and on the wire.
//
// Vectors of values (processor/vector) are the hot form; a Value is one of them taken out. A Value
// owns its text. NULL is a state of every type.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "proto/bytes.h"
#include "proto/error.h"

namespace kappa {

__extension__ typedef __int128 Int128;

// Values are on the wire and in view state: never renumber.
enum class TypeId : std::uint8_t {
  kNull = 0,       // The type of a bare NULL literal.
  kBoolean = 1,
  kBigint = 2,     // 64-bit signed.
  kDouble = 3,     // IEEE 754 binary64, never NaN or infinite.
  kNumeric = 4,    // 128-bit integer scaled by 10^scale.
  kText = 5,       // UTF-8.
  kTimestamp = 6,  // Microseconds since the epoch, UTC.
  kInterval = 7,   // Microseconds.
  kJson = 8,       // The JSON text of a value, as it stood in the event.
};

struct Type {
  TypeId id = TypeId::kNull;
  std::uint8_t precision = 0;  // NUMERIC only: digits, 1..38.
  std::uint8_t scale = 0;      // NUMERIC only: digits after the point, 0..precision.
  bool operator==(const Type&) const = default;
};

inline constexpr Type kBooleanType{TypeId::kBoolean, 0, 0};
inline constexpr Type kBigintType{TypeId::kBigint, 0, 0};
inline constexpr Type kDoubleType{TypeId::kDouble, 0, 0};
inline constexpr Type kTextType{TypeId::kText, 0, 0};
inline constexpr Type kTimestampType{TypeId::kTimestamp, 0, 0};
inline constexpr Type kIntervalType{TypeId::kInterval, 0, 0};
inline constexpr Type kJsonType{TypeId::kJson, 0, 0};
// sum(BIGINT): exact beyond 64 bits.
inline constexpr Type kHugeintType{TypeId::kNumeric, 38, 0};

// "BIGINT", "NUMERIC(10,2)", ...
[[nodiscard]] std::string to_string(Type type);

class Value {
 public:
  Value() = default;  // NULL without a type.
  [[nodiscard]] static Value null(Type type) { return Value(type, std::monostate{}); }
  [[nodiscard]] static Value boolean(bool v) { return Value(kBooleanType, v); }
  [[nodiscard]] static Value bigint(std::int64_t v) { return Value(kBigintType, v); }
  [[nodiscard]] static Value real(double v) { return Value(kDoubleType, v); }
  [[nodiscard]] static Value numeric(Int128 v, std::uint8_t precision, std::uint8_t scale) {
    return Value(Type{TypeId::kNumeric, precision, scale}, v);
  }
  [[nodiscard]] static Value text(std::string v) { return Value(kTextType, std::move(v)); }
  [[nodiscard]] static Value json(std::string v) { return Value(kJsonType, std::move(v)); }
  [[nodiscard]] static Value timestamp(std::int64_t micros) { return Value(kTimestampType, micros); }
  [[nodiscard]] static Value interval(std::int64_t micros) { return Value(kIntervalType, micros); }

  [[nodiscard]] Type type() const { return type_; }
  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  // Each getter requires the matching type and a value that is not NULL.
  [[nodiscard]] bool as_bool() const { return std::get<bool>(data_); }
  [[nodiscard]] std::int64_t as_int64() const { return std::get<std::int64_t>(data_); }
  [[nodiscard]] double as_double() const { return std::get<double>(data_); }
  [[nodiscard]] Int128 as_int128() const { return std::get<Int128>(data_); }
  [[nodiscard]] const std::string& as_text() const { return std::get<std::string>(data_); }

  // Same type and same value; NULL equals NULL. Not SQL's "=".
  bool operator==(const Value&) const = default;

 private:
  using Data = std::variant<std::monostate, bool, std::int64_t, double, Int128, std::string>;
  Value(Type type, Data data) : type_(type), data_(std::move(data)) {}
  Type type_;
  Data data_;
};

using Row = std::vector<Value>;

// Total order used by ORDER BY and keys: NULL as asked, numbers by value (also across BIGINT,
// DOUBLE and NUMERIC), text by bytes. Values of unrelated types order by type id.
[[nodiscard]] std::strong_ordering compare(const Value& a, const Value& b, bool nulls_first = true);

// Exact comparisons of numbers of different representation; the double must be finite.
[[nodiscard]] std::strong_ordering compare_numbers(std::int64_t a, double b);
// `a` / 10^scale against `b`.
[[nodiscard]] std::strong_ordering compare_numbers(Int128 a, std::uint8_t scale, double b);
// a / 10^a_scale against b / 10^b_scale.
[[nodiscard]] std::strong_ordering compare_numbers(Int128 a, std::uint8_t a_scale, Int128 b,
                                                   std::uint8_t b_scale);
// 10^exponent, 0..38.
[[nodiscard]] Int128 power_of_ten(std::uint8_t exponent);

// Wire form of one value: u8 type id (0 = NULL), then the payload: BOOLEAN u8; BIGINT, TIMESTAMP,
// INTERVAL i64; DOUBLE f64; NUMERIC u8 precision, u8 scale, 16 bytes; TEXT and JSON u32 length and
// bytes. A NULL's type is not kept.
void encode_value(const Value& value, std::string& out);
[[nodiscard]] Expected<Value> decode_value(ByteReader& in);
void encode_row(const Row& row, std::string& out);  // u16 count, then values.
[[nodiscard]] Expected<Row> decode_row(ByteReader& in);

// The text a person reads: RFC 3339 with Z for TIMESTAMP, shortest round-trip for DOUBLE, exact
// digits for NUMERIC, "NULL" for NULL.
[[nodiscard]] std::string display(const Value& value);
// RFC 3339 in UTC; fraction only when not zero, 3 or 6 digits. Years before 0 or past 9999 use a sign.
[[nodiscard]] std::string format_timestamp(std::int64_t micros);
// RFC 3339 text to microseconds; nullopt if it is not one. Also accepts a space for the T, and a
// missing zone only when `zone_required` is false (then UTC).
[[nodiscard]] std::optional<std::int64_t> parse_timestamp(std::string_view text, bool zone_required);
// "[-][N day[s] ]HH:MM:SS[.ffffff]", as PostgreSQL prints an interval without months.
[[nodiscard]] std::string format_interval(std::int64_t micros);
// What format_interval prints, and "1 hour 30 minutes", "90s", "-2 days", "1.5 hours"; units from
// microseconds to weeks. nullopt otherwise, also for months and years and on overflow.
[[nodiscard]] std::optional<std::int64_t> parse_interval(std::string_view text);
// Shortest text that reads back as the same double.
[[nodiscard]] std::string format_double(double v);
// Decimal text ("-12.5e3") to a NUMERIC(precision, scale), rounded half away from zero; nullopt if it
// is not a number or does not fit. JSON numbers are a subset of what is accepted.
[[nodiscard]] std::optional<Int128> parse_numeric(std::string_view text, std::uint8_t precision,
                                                  std::uint8_t scale);
[[nodiscard]] std::string format_int128(Int128 v);
// The digits of `v` with the point `scale` places from the right.
[[nodiscard]] std::string format_numeric(Int128 v, std::uint8_t scale);
// JSON text of a value: numbers bare and exact, text escaped, TIMESTAMP as quoted RFC 3339, JSON as it is.
void append_json(const Value& value, std::string& out);
void append_json_string(std::string_view text, std::string& out);

}  // namespace kappa
