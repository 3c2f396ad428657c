// Wire form of values and rows; the layout is in value.h. Decoding trusts nothing: type ids, boolean
// bytes, finite doubles, NUMERIC bounds and every length are checked. Pure functions.
#include <cmath>
#include <limits>

#include "proto/check.h"
#include "proto/value.h"

namespace kappa {
namespace {

std::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::kInvalid, 1010, std::string("malformed value: ") + what);
}

}  // namespace

void encode_value(const Value& value, std::string& out) {
  ByteWriter writer(out);
  if (value.is_null()) {
    writer.u8(0);
    return;
  }
  writer.u8(static_cast<std::uint8_t>(value.type().id));
  switch (value.type().id) {
    case TypeId::kNull: break;
    case TypeId::kBoolean: writer.u8(value.as_bool() ? 1 : 0); break;
    case TypeId::kBigint:
    case TypeId::kTimestamp:
    case TypeId::kInterval: writer.i64(value.as_int64()); break;
    case TypeId::kDouble: writer.fixed(value.as_double()); break;
    case TypeId::kNumeric: {
      const auto bits = static_cast<unsigned __int128>(value.as_int128());
      writer.u8(value.type().precision);
      writer.u8(value.type().scale);
      writer.u64(static_cast<std::uint64_t>(bits));
      writer.u64(static_cast<std::uint64_t>(bits >> 64));
      break;
    }
    case TypeId::kText:
    case TypeId::kJson: writer.sized_text(value.as_text()); break;
  }
}

Expected<Value> decode_value(ByteReader& in) {
  const std::uint8_t id = in.u8();
  Value value;
  switch (static_cast<TypeId>(id)) {
    case TypeId::kNull: break;
    case TypeId::kBoolean: {
      const std::uint8_t byte = in.u8();
      if (byte > 1) return malformed("boolean is neither 0 nor 1");
      value = Value::boolean(byte == 1);
      break;
    }
    case TypeId::kBigint: value = Value::bigint(in.i64()); break;
    case TypeId::kTimestamp: value = Value::timestamp(in.i64()); break;
    case TypeId::kInterval: value = Value::interval(in.i64()); break;
    case TypeId::kDouble: {
      const double number = in.fixed<double>();
      if (!std::isfinite(number)) return malformed("double is not finite");
      value = Value::real(number);
      break;
    }
    case TypeId::kNumeric: {
      const std::uint8_t precision = in.u8();
      const std::uint8_t scale = in.u8();
      const std::uint64_t low = in.u64();
      const std::uint64_t high = in.u64();
      if (!in.ok()) return malformed("truncated");
      if (precision < 1 || precision > 38 || scale > precision) return malformed("precision or scale");
      const auto bits = (static_cast<unsigned __int128>(high) << 64) | low;
      const auto number = static_cast<Int128>(bits);
      const Int128 bound = power_of_ten(precision);
      if (number >= bound || number <= -bound) return malformed("more digits than the precision");
      value = Value::numeric(number, precision, scale);
      break;
    }
    case TypeId::kText: value = Value::text(std::string(in.sized_text())); break;
    case TypeId::kJson: value = Value::json(std::string(in.sized_text())); break;
    default: return malformed("unknown type id");
  }
  if (!in.ok()) return malformed("truncated");
  return value;
}

void encode_row(const Row& row, std::string& out) {
  KAPPA_CHECK(row.size() <= std::numeric_limits<std::uint16_t>::max(), "too many columns in a row");
  ByteWriter(out).u16(static_cast<std::uint16_t>(row.size()));
  for (const Value& value : row) encode_value(value, out);
}

Expected<Row> decode_row(ByteReader& in) {
  const std::uint16_t count = in.u16();
  // A value takes at least a byte: a count that cannot be true allocates nothing.
  if (!in.ok() || count > in.remaining()) return malformed("truncated row");
  Row row;
  row.reserve(count);
  for (std::uint16_t i = 0; i < count; ++i) {
    KAPPA_TRY(Value value, decode_value(in));
    row.push_back(std::move(value));
  }
  return row;
}

}  // namespace kappa
