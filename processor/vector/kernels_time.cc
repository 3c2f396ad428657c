// Functions of TIMESTAMP, all in UTC and the proleptic Gregorian calendar: date_trunc, extract and the
// functions of single fields, date_bin, epoch_ms, to_char, date_format. Floors also before 1970.
#include <cmath>
#include <optional>

#include "processor/vector/civil.h"
#include "processor/vector/kernel.h"
#include "processor/vector/like.h"
#include "processor/vector/time_format.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace {

enum class Unit {
  kMicrosecond,
  kMillisecond,
  kSecond,
  kMinute,
  kHour,
  kDay,
  kWeek,
  kMonth,
  kQuarter,
  kYear,
  kDecade,
  kCentury,
  kMillennium,
  // Only fields, nothing to cut to.
  kIsoYear,
  kDayOfWeek,
  kIsoDayOfWeek,
  kDayOfYear,
  kEpoch,
};
struct UnitName {
  std::string_view name;
  Unit unit;
};
constexpr UnitName kUnits[] = {{"microseconds", Unit::kMicrosecond},
                               {"microsecond", Unit::kMicrosecond},
                               {"milliseconds", Unit::kMillisecond},
                               {"millisecond", Unit::kMillisecond},
                               {"second", Unit::kSecond},
                               {"seconds", Unit::kSecond},
                               {"minute", Unit::kMinute},
                               {"minutes", Unit::kMinute},
                               {"hour", Unit::kHour},
                               {"hours", Unit::kHour},
                               {"day", Unit::kDay},
                               {"days", Unit::kDay},
                               {"week", Unit::kWeek},
                               {"weeks", Unit::kWeek},
                               {"month", Unit::kMonth},
                               {"months", Unit::kMonth},
                               {"quarter", Unit::kQuarter},
                               {"year", Unit::kYear},
                               {"years", Unit::kYear},
                               {"decade", Unit::kDecade},
                               {"century", Unit::kCentury},
                               {"millennium", Unit::kMillennium},
                               {"isoyear", Unit::kIsoYear},
                               {"dow", Unit::kDayOfWeek},
                               {"isodow", Unit::kIsoDayOfWeek},
                               {"doy", Unit::kDayOfYear},
                               {"epoch", Unit::kEpoch}};

// The unit that a constant first argument names.
Expected<Unit> unit_of(const Expression& argument) {
  if (!is_text_constant(argument)) {
    return fail(ErrorCode::kInvalid, 2002, "the unit must be a text constant", "for example 'hour' or 'day'");
  }
  std::string lower;
  for (const char c : argument.constant.as_text()) lower += ascii_lower(c);
  for (const UnitName& unit : kUnits) {
    if (unit.name == lower) return unit.unit;
  }
  return fail(ErrorCode::kInvalid, 2002, "\"" + lower + "\" is not a unit of time",
              "units: second, minute, hour, day, week, month, quarter, year, ...");
}

std::shared_ptr<const void> prepare_unit(const Expression& call) {
  const auto unit = unit_of(*call.arguments[0]);
  if (!unit) return nullptr;
  return std::make_shared<const Unit>(*unit);
}

bool first_micros(std::int64_t year, int month, std::int64_t& out) {
  return !__builtin_mul_overflow(first_day(year, month), kDayMicros, &out);
}
// The first year of a span of years that starts with year `from` modulo `size`: 2001 for centuries.
std::int64_t first_year(std::int64_t year, std::int64_t size, std::int64_t from) {
  return year - floor_remainder(year - from, size);
}

std::int64_t field(Unit unit, std::int64_t ts) {
  switch (unit) {
    case Unit::kMicrosecond: return floor_remainder(ts, kMinuteMicros);
    case Unit::kMillisecond: return floor_remainder(ts, kMinuteMicros) / 1000;
    case Unit::kSecond: return floor_remainder(ts, kMinuteMicros) / kSecondMicros;
    case Unit::kMinute: return floor_remainder(ts, kHourMicros) / kMinuteMicros;
    case Unit::kHour: return floor_remainder(ts, kDayMicros) / kHourMicros;
    default: break;
  }
  const Civil civil(ts);
  switch (unit) {
    case Unit::kDay: return civil.day;
    case Unit::kWeek: return IsoWeek(civil.days).week;
    case Unit::kMonth: return civil.month;
    case Unit::kQuarter: return (civil.month + 2) / 3;
    case Unit::kYear: return civil.year;
    case Unit::kDecade: return floor_divide(civil.year, 10);
    case Unit::kCentury: return floor_divide(civil.year - 1, 100) + 1;
    case Unit::kMillennium: return floor_divide(civil.year - 1, 1000) + 1;
    case Unit::kIsoYear: return IsoWeek(civil.days).year;
    case Unit::kDayOfWeek: return day_of_week(civil.days);
    case Unit::kIsoDayOfWeek: return iso_day_of_week(civil.days);
    case Unit::kDayOfYear: return day_of_year(civil);
    default: return floor_divide(ts, kSecondMicros);
  }
}

// Of an interval: days and the time within one, each with the interval's sign.
std::int64_t interval_field(Unit unit, std::int64_t span) {
  switch (unit) {
    case Unit::kMicrosecond: return span % kMinuteMicros;
    case Unit::kMinute: return span % kHourMicros / kMinuteMicros;
    case Unit::kHour: return span % kDayMicros / kHourMicros;
    default: return span / kDayMicros;
  }
}

bool truncate(Unit unit, std::int64_t ts, std::int64_t& out) {
  const auto down = [&](std::int64_t size) {
    return !__builtin_sub_overflow(ts, floor_remainder(ts, size), &out);
  };
  switch (unit) {
    case Unit::kMicrosecond: out = ts; return true;
    case Unit::kMillisecond: return down(1000);
    case Unit::kSecond: return down(kSecondMicros);
    case Unit::kMinute: return down(kMinuteMicros);
    case Unit::kHour: return down(kHourMicros);
    case Unit::kDay: return down(kDayMicros);
    case Unit::kWeek:  // Weeks start on Monday; the epoch was a Thursday.
      return !__builtin_sub_overflow(
          ts, floor_remainder(floor_remainder(ts, 7 * kDayMicros) + 3 * kDayMicros, 7 * kDayMicros), &out);
    default: break;
  }
  const Civil civil(ts);
  switch (unit) {
    case Unit::kMonth: return first_micros(civil.year, civil.month, out);
    case Unit::kQuarter: return first_micros(civil.year, (civil.month - 1) / 3 * 3 + 1, out);
    case Unit::kYear: return first_micros(civil.year, 1, out);
    case Unit::kDecade: return first_micros(first_year(civil.year, 10, 0), 1, out);
    case Unit::kCentury: return first_micros(first_year(civil.year, 100, 1), 1, out);
    case Unit::kMillennium: return first_micros(first_year(civil.year, 1000, 1), 1, out);
    default: return false;
  }
}

void date_trunc_kernel(KernelCall& call) {
  const Unit unit = *static_cast<const Unit*>(call.state);
  binary_or_null<std::int64_t, std::string_view, std::int64_t>(
      call, [unit](std::string_view, std::int64_t ts, std::int64_t& out) { return truncate(unit, ts, out); });
}

void extract_kernel(KernelCall& call) {
  const Unit unit = *static_cast<const Unit*>(call.state);
  const bool span = call.arguments[1]->type().id == TypeId::kInterval;
  if (call.expression.type.id == TypeId::kDouble) {
    return binary_or_null<double, std::string_view, std::int64_t>(
        call, [unit, span](std::string_view, std::int64_t v, double& out) {
          const std::int64_t in_minute = span ? v % kMinuteMicros : floor_remainder(v, kMinuteMicros);
          out = static_cast<double>(unit == Unit::kEpoch ? v : in_minute) /
                (unit == Unit::kMillisecond ? 1e3 : 1e6);
          return true;
        });
  }
  binary_or_null<std::int64_t, std::string_view, std::int64_t>(
      call, [unit, span](std::string_view, std::int64_t v, std::int64_t& out) {
        out = span ? interval_field(unit, v) : field(unit, v);
        return true;
      });
}

template <Unit unit>
void field_kernel(KernelCall& call) {
  unary<std::int64_t, std::int64_t>(call, [](std::int64_t ts) { return field(unit, ts); });
}
// 1 is Sunday.
void day_of_week_kernel(KernelCall& call) {
  unary<std::int64_t, std::int64_t>(call, [](std::int64_t ts) { return field(Unit::kDayOfWeek, ts) + 1; });
}

void epoch_ms_kernel(KernelCall& call) {
  unary<std::int64_t, std::int64_t>(call, [](std::int64_t ts) { return floor_divide(ts, 1000); });
}

// date_bin(size, ts[, origin]): the start of the bin of that size that holds ts, exact for all of 64 bits.
// NULL where that start is below the least timestamp, and for a size that is not positive.
void bin_by_constant(KernelCall& call, std::int64_t size) {
  const std::int64_t* ts = data_of<std::int64_t>(call, 1);
  const std::uint8_t* valid = valid_of(call, 1);
  std::int64_t* out = call.result.data<std::int64_t>();
  std::uint8_t* out_valid = call.result.valid();
  for_cheap_rows(call.batch, [&](std::uint32_t row) {
    const bool overflow = __builtin_sub_overflow(ts[row], floor_remainder(ts[row], size), &out[row]);
    out_valid[row] = static_cast<std::uint8_t>(valid[row] & static_cast<std::uint8_t>(!overflow));
  });
}

bool bin_from(std::int64_t size, std::int64_t ts, std::int64_t origin, std::int64_t& out) {
  if (size <= 0) return false;
  const Int128 distance = Int128{ts} - origin;
  Int128 rest = distance % size;
  if (rest < 0) rest += size;
  const Int128 start = Int128{ts} - rest;
  out = static_cast<std::int64_t>(start);
  return start >= INT64_MIN;
}

void date_bin_kernel(KernelCall& call) {
  const Expression& size = *call.expression.arguments[0];
  if (call.arguments.size() == 3) {
    return nary_or_null<std::int64_t, std::int64_t, std::int64_t, std::int64_t>(call, bin_from);
  }
  if (size.kind == ExpressionKind::kConstant && !size.constant.is_null() && size.constant.as_int64() > 0) {
    return bin_by_constant(call, size.constant.as_int64());
  }
  binary_or_null<std::int64_t, std::int64_t, std::int64_t>(
      call,
      [](std::int64_t width, std::int64_t ts, std::int64_t& out) { return bin_from(width, ts, 0, out); });
}

// Seconds since 1970, as PostgreSQL's to_timestamp.
void to_timestamp_kernel(KernelCall& call) {
  unary_or_null<std::int64_t, double>(call, [](double seconds, std::int64_t& out) {
    const double micros = std::nearbyint(seconds * 1e6);
    if (!(micros >= -0x1p63 && micros < 0x1p63)) return false;
    out = static_cast<std::int64_t>(micros);
    return true;
  });
}

// Patterns are mostly constant: one is compiled again only where it differs from the row before.
template <class Compile>
void format_kernel(KernelCall& call, Compile&& compile) {
  std::optional<TimeFormat> format;
  std::optional<std::string_view> compiled;
  std::string text;
  binary_or_null<std::string_view, std::int64_t, std::string_view>(
      call, [&](std::int64_t ts, std::string_view pattern, std::string_view& out) {
        if (compiled != pattern) {
          format = compile(pattern);
          compiled = pattern;
        }
        if (!format) return false;
        text.clear();
        format->append(ts, text);
        if (text.size() > limits::kTextBytesMax) return false;
        out = call.arena.copy(text);
        return true;
      });
}
void to_char_kernel(KernelCall& call) {
  format_kernel(call, [](std::string_view pattern) { return std::optional(TimeFormat::postgres(pattern)); });
}
void date_format_kernel(KernelCall& call) {
  format_kernel(call, [](std::string_view pattern) {
    auto format = TimeFormat::java(pattern);
    return format ? std::optional(std::move(*format)) : std::nullopt;
  });
}

// --- types ---

Expected<Signature> date_trunc_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(const Unit unit, unit_of(*a[0]));
  if (unit >= Unit::kIsoYear) {
    return fail(ErrorCode::kInvalid, 2002, "date_trunc cannot cut to '" + a[0]->constant.as_text() + "'");
  }
  return fixed_types(a, "TS", kTimestampType);
}
Expected<Signature> extract_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(const Unit unit, unit_of(*a[0]));
  const bool fraction = unit == Unit::kSecond || unit == Unit::kEpoch || unit == Unit::kMillisecond;
  const Type result = fraction ? kDoubleType : kBigintType;
  if (a[1]->type.id != TypeId::kInterval) return fixed_types(a, "TS", result);
  if (unit > Unit::kDay && unit != Unit::kEpoch) {
    return fail(ErrorCode::kInvalid, 2002, "an INTERVAL has no " + a[0]->constant.as_text(),
                "fields of intervals: epoch, day, hour, minute, second, millisecond, microsecond");
  }
  return fixed_types(a, "TV", result);
}
Expected<Signature> date_format_types(std::span<const ExpressionPtr> a) {
  if (is_text_constant(*a[1])) {
    KAPPA_TRY([[maybe_unused]] const TimeFormat format, TimeFormat::java(a[1]->constant.as_text()));
  }
  return fixed_types(a, "ST", kTextType);
}

using Form = ScalarFunction::Form;
constexpr auto kOfTimestamp = takes<"S", kBigintType>;
template <Unit unit>
constexpr ScalarFunction field_row(std::string_view name, std::string_view usage) {
  return {name, usage, Form::kCall, 1, 1, kOfTimestamp, field_kernel<unit>, nullptr, false};
}
constexpr ScalarFunction kFunctions[] = {
    {"date_trunc", "date_trunc('unit', TIMESTAMP)", Form::kCall, 2, 2, date_trunc_types, date_trunc_kernel,
     prepare_unit, true},
    {"extract", "extract(unit FROM TIMESTAMP), extract(unit FROM INTERVAL)", Form::kCall, 2, 2, extract_types,
     extract_kernel, prepare_unit, false},
    {"date_bin", "date_bin(INTERVAL, TIMESTAMP[, origin])", Form::kCall, 2, 3, takes<"VSS", kTimestampType>,
     date_bin_kernel, nullptr, true},
    {"to_char", "to_char(TIMESTAMP, 'YYYY-MM-DD HH24:MI:SS')", Form::kCall, 2, 2, takes<"ST", kTextType>,
     to_char_kernel, nullptr, true},
    {"date_format", "date_format(TIMESTAMP, 'yyyy-MM-dd HH:mm:ss')", Form::kCall, 2, 2, date_format_types,
     date_format_kernel, nullptr, true},
    {"epoch_ms", "epoch_ms(TIMESTAMP)", Form::kCall, 1, 1, kOfTimestamp, epoch_ms_kernel, nullptr, false},
    {"to_timestamp", "to_timestamp(seconds since 1970)", Form::kCall, 1, 1, takes<"D", kTimestampType>,
     to_timestamp_kernel, nullptr, true},
    field_row<Unit::kSecond>("second", "second(TIMESTAMP)"),
    field_row<Unit::kMinute>("minute", "minute(TIMESTAMP)"),
    field_row<Unit::kHour>("hour", "hour(TIMESTAMP)"),
    field_row<Unit::kDay>("day", "day(TIMESTAMP)"),
    field_row<Unit::kWeek>("week", "week(TIMESTAMP)"),
    field_row<Unit::kMonth>("month", "month(TIMESTAMP)"),
    field_row<Unit::kQuarter>("quarter", "quarter(TIMESTAMP)"),
    field_row<Unit::kYear>("year", "year(TIMESTAMP)"),
    field_row<Unit::kDayOfYear>("dayofyear", "dayofyear(TIMESTAMP)"),
    {"dayofweek", "dayofweek(TIMESTAMP), 1 is Sunday", Form::kCall, 1, 1, kOfTimestamp, day_of_week_kernel},
};

}  // namespace

std::span<const ScalarFunction> time_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
