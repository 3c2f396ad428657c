// Functions of TIMESTAMP, all in UTC and the proleptic Gregorian calendar: date_trunc, extract and the
// functions of single fields, date_bin, epoch_ms, to_char. Floors also before 1970.
#include <array>
#include <chrono>
#include <cstdio>

#include "processor/vector/kernel.h"
#include "processor/vector/like.h"

namespace kappa::processor {
namespace {

constexpr std::int64_t kSecondMicros = 1'000'000;
constexpr std::int64_t kMinuteMicros = 60 * kSecondMicros;
constexpr std::int64_t kHourMicros = 60 * kMinuteMicros;
constexpr std::int64_t kDayMicros = 24 * kHourMicros;

std::int64_t floor_to(std::int64_t v, std::int64_t unit) {
  std::int64_t rest = v % unit;
  if (rest < 0) rest += unit;
  return rest;
}

// The quotient rounded down, which stays in range where the multiple below `v` would not.
std::int64_t floor_divide(std::int64_t v, std::int64_t unit) {
  return v / unit - (v % unit < 0 ? 1 : 0);
}

// A point in time taken apart; every 64-bit timestamp has a year.
struct Civil {
  std::int64_t days;
  std::int64_t micros_of_day;
  std::int64_t year;
  int month, day;

  explicit Civil(std::int64_t micros)
      : Civil(floor_divide(micros, kDayMicros), floor_to(micros, kDayMicros)) {}
  Civil(std::int64_t days_since_epoch, std::int64_t micros)
      : days(days_since_epoch), micros_of_day(micros) {
    // Whole 400-year cycles of 146097 days aside: std::chrono's years are -32767..32767.
    const std::int64_t cycle_day = floor_to(days, 146'097);
    const std::int64_t cycles = (days - cycle_day) / 146'097;
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{cycle_day}}};
    year = static_cast<int>(date.year()) + cycles * 400;
    month = static_cast<int>(static_cast<unsigned>(date.month()));
    day = static_cast<int>(static_cast<unsigned>(date.day()));
  }
};

// Days since the epoch of the first of a month of a timestamp's year.
std::int64_t days_of(std::int64_t year, int month) {
  const std::int64_t in_cycle = floor_to(year, 400);
  const std::int64_t cycles = (year - in_cycle) / 400;
  const std::chrono::sys_days date{std::chrono::year{static_cast<int>(in_cycle)} /
                                   std::chrono::month{static_cast<unsigned>(month)} / std::chrono::day{1}};
  return date.time_since_epoch().count() + cycles * 146'097;
}
bool micros_of(std::int64_t year, int month, std::int64_t& out) {
  return !__builtin_mul_overflow(days_of(year, month), kDayMicros, &out);
}

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
                               {"month", Unit::kMonth},
                               {"quarter", Unit::kQuarter},
                               {"year", Unit::kYear},
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

std::int64_t day_of_week(std::int64_t days) {
  return floor_to(days + 4, 7);
}  // 0: Sunday.

// ISO 8601 week of the year: that of the week's Thursday.
std::int64_t iso_week(std::int64_t days) {
  const std::int64_t thursday = days - floor_to(days + 3, 7) + 3;
  return (thursday - days_of(Civil(thursday, 0).year, 1)) / 7 + 1;
}

std::int64_t field(Unit unit, std::int64_t ts) {
  switch (unit) {
    case Unit::kMicrosecond: return floor_to(ts, kMinuteMicros);
    case Unit::kMillisecond: return floor_to(ts, kMinuteMicros) / 1000;
    case Unit::kSecond: return floor_to(ts, kMinuteMicros) / kSecondMicros;
    case Unit::kMinute: return floor_to(ts, kHourMicros) / kMinuteMicros;
    case Unit::kHour: return floor_to(ts, kDayMicros) / kHourMicros;
    default: break;
  }
  const Civil civil(ts);
  switch (unit) {
    case Unit::kDay: return civil.day;
    case Unit::kWeek: return iso_week(civil.days);
    case Unit::kMonth: return civil.month;
    case Unit::kQuarter: return (civil.month + 2) / 3;
    case Unit::kYear: return civil.year;
    case Unit::kDayOfWeek: return day_of_week(civil.days);
    case Unit::kIsoDayOfWeek: return day_of_week(civil.days) == 0 ? 7 : day_of_week(civil.days);
    case Unit::kDayOfYear: return civil.days - days_of(civil.year, 1) + 1;
    default: return floor_divide(ts, kSecondMicros);
  }
}

bool truncate(Unit unit, std::int64_t ts, std::int64_t& out) {
  const auto down = [&](std::int64_t size) { return !__builtin_sub_overflow(ts, floor_to(ts, size), &out); };
  switch (unit) {
    case Unit::kMicrosecond: out = ts; return true;
    case Unit::kMillisecond: return down(1000);
    case Unit::kSecond: return down(kSecondMicros);
    case Unit::kMinute: return down(kMinuteMicros);
    case Unit::kHour: return down(kHourMicros);
    case Unit::kDay: return down(kDayMicros);
    case Unit::kWeek:  // Weeks start on Monday; the epoch was a Thursday.
      return !__builtin_sub_overflow(
          ts, floor_to(floor_to(ts, 7 * kDayMicros) + 3 * kDayMicros, 7 * kDayMicros), &out);
    default: break;
  }
  const Civil civil(ts);
  switch (unit) {
    case Unit::kMonth: return micros_of(civil.year, civil.month, out);
    case Unit::kQuarter: return micros_of(civil.year, (civil.month - 1) / 3 * 3 + 1, out);
    case Unit::kYear: return micros_of(civil.year, 1, out);
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
  if (call.expression.type.id == TypeId::kDouble) {
    return binary_or_null<double, std::string_view, std::int64_t>(
        call, [unit](std::string_view, std::int64_t ts, double& out) {
          const std::int64_t micros = unit == Unit::kEpoch ? ts : floor_to(ts, kMinuteMicros);
          out = static_cast<double>(micros) / (unit == Unit::kMillisecond ? 1e3 : 1e6);
          return true;
        });
  }
  binary_or_null<std::int64_t, std::string_view, std::int64_t>(
      call, [unit](std::string_view, std::int64_t ts, std::int64_t& out) {
        out = field(unit, ts);
        return true;
      });
}

template <Unit unit>
void field_kernel(KernelCall& call) {
  unary_or_null<std::int64_t, std::int64_t>(call, [](std::int64_t ts, std::int64_t& out) {
    out = field(unit, ts);
    return true;
  });
}

void epoch_ms_kernel(KernelCall& call) {
  unary<std::int64_t, std::int64_t>(call, [](std::int64_t ts) { return floor_divide(ts, 1000); });
}

// date_bin(size, ts[, origin]): the start of the bin of that size that holds ts.
void date_bin_kernel(KernelCall& call) {
  const bool has_origin = call.arguments.size() == 3;
  for_each_row(call.batch, [&](std::uint32_t row) {
    std::int64_t& out = call.result.data<std::int64_t>()[row];
    out = 0;
    std::uint8_t& valid = call.result.valid()[row];
    valid = static_cast<std::uint8_t>(valid_of(call, 0)[row] & valid_of(call, 1)[row]);
    if (has_origin) valid = static_cast<std::uint8_t>(valid & valid_of(call, 2)[row]);
    if (valid == 0) return;
    const std::int64_t size = data_of<std::int64_t>(call, 0)[row];
    const std::int64_t ts = data_of<std::int64_t>(call, 1)[row];
    const std::int64_t origin = has_origin ? data_of<std::int64_t>(call, 2)[row] : 0;
    std::int64_t distance = 0;
    valid = size > 0 && !__builtin_sub_overflow(ts, origin, &distance) &&
                    !__builtin_sub_overflow(ts, floor_to(distance, size), &out)
                ? 1
                : 0;
  });
}

// The patterns YYYY MM DD HH24 HH12 HH MI SS MS US, any letter case; other characters are themselves,
// text in double quotes too.
std::string format_pattern(std::string_view pattern, std::int64_t ts) {
  const Civil civil(ts);
  const auto hour = static_cast<int>(civil.micros_of_day / kHourMicros);
  struct Field {
    std::string_view name;
    int width;
    std::int64_t value;
  };
  const std::array fields{Field{"YYYY", 4, civil.year},
                          Field{"HH24", 2, hour},
                          Field{"HH12", 2, hour % 12 == 0 ? 12 : hour % 12},
                          Field{"HH", 2, hour % 12 == 0 ? 12 : hour % 12},
                          Field{"MM", 2, civil.month},
                          Field{"DD", 2, civil.day},
                          Field{"MI", 2, civil.micros_of_day / kMinuteMicros % 60},
                          Field{"SS", 2, civil.micros_of_day / kSecondMicros % 60},
                          Field{"MS", 3, civil.micros_of_day / 1000 % 1000},
                          Field{"US", 6, civil.micros_of_day % kSecondMicros}};
  std::string out;
  std::size_t at = 0;
  while (at < pattern.size()) {
    if (pattern[at] == '"') {
      const std::size_t end = std::min(pattern.find('"', at + 1), pattern.size());
      out += pattern.substr(at + 1, end - at - 1);
      at = end + 1;
      continue;
    }
    bool found = false;
    for (const Field& f : fields) {
      const std::string_view piece = pattern.substr(at, f.name.size());
      if (piece.size() != f.name.size()) continue;
      bool same = true;
      for (std::size_t i = 0; i < piece.size(); ++i) same = same && ascii_upper(piece[i]) == f.name[i];
      if (!same) continue;
      char digits[32];
      std::snprintf(digits, sizeof digits, "%0*lld", f.width, static_cast<long long>(f.value));
      out += digits;
      at += f.name.size();
      found = true;
      break;
    }
    if (!found) out += pattern[at++];
  }
  return out;
}

void to_char_kernel(KernelCall& call) {
  binary_or_null<std::string_view, std::int64_t, std::string_view>(
      call, [&](std::int64_t ts, std::string_view pattern, std::string_view& out) {
        out = call.arena.copy(format_pattern(pattern, ts));
        return true;
      });
}

// --- types ---

Expected<Signature> time_signature(std::span<const ExpressionPtr> arguments, std::vector<Type> types,
                                   Type result) {
  types.resize(arguments.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (arguments[i]->type.id != types[i].id && arguments[i]->type.id != TypeId::kNull &&
        !is_text_constant(*arguments[i])) {
      return fail(ErrorCode::kInvalid, 2002,
                  "argument " + std::to_string(i + 1) + " must be " + to_string(types[i]) + ", found " +
                      to_string(arguments[i]->type));
    }
  }
  return Signature{std::move(types), result};
}
Expected<Signature> date_trunc_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(const Unit unit, unit_of(*a[0]));
  if (unit >= Unit::kDayOfWeek) {
    return fail(ErrorCode::kInvalid, 2002, "date_trunc cannot cut to '" + a[0]->constant.as_text() + "'");
  }
  return time_signature(a, {kTextType, kTimestampType}, kTimestampType);
}
Expected<Signature> extract_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(const Unit unit, unit_of(*a[0]));
  const bool fraction = unit == Unit::kSecond || unit == Unit::kEpoch || unit == Unit::kMillisecond;
  return time_signature(a, {kTextType, kTimestampType}, fraction ? kDoubleType : kBigintType);
}
Expected<Signature> field_types(std::span<const ExpressionPtr> a) {
  return time_signature(a, {kTimestampType}, kBigintType);
}
Expected<Signature> date_bin_types(std::span<const ExpressionPtr> a) {
  return time_signature(a, {kIntervalType, kTimestampType, kTimestampType}, kTimestampType);
}
Expected<Signature> to_char_types(std::span<const ExpressionPtr> a) {
  return time_signature(a, {kTimestampType, kTextType}, kTextType);
}

using Form = ScalarFunction::Form;
template <Unit unit>
constexpr ScalarFunction field_row(std::string_view name, std::string_view usage) {
  return {name, usage, Form::kCall, 1, 1, field_types, field_kernel<unit>, nullptr, false};
}
constexpr ScalarFunction kFunctions[] = {
    {"date_trunc", "date_trunc('unit', TIMESTAMP)", Form::kCall, 2, 2, date_trunc_types, date_trunc_kernel,
     prepare_unit, true},
    {"extract", "extract(unit FROM TIMESTAMP)", Form::kCall, 2, 2, extract_types, extract_kernel,
     prepare_unit, false},
    {"date_bin", "date_bin(INTERVAL, TIMESTAMP[, origin])", Form::kCall, 2, 3, date_bin_types,
     date_bin_kernel, nullptr, true},
    {"to_char", "to_char(TIMESTAMP, 'YYYY-MM-DD HH24:MI:SS')", Form::kCall, 2, 2, to_char_types,
     to_char_kernel, nullptr, false},
    {"epoch_ms", "epoch_ms(TIMESTAMP)", Form::kCall, 1, 1, field_types, epoch_ms_kernel, nullptr, false},
    field_row<Unit::kSecond>("second", "second(TIMESTAMP)"),
    field_row<Unit::kMinute>("minute", "minute(TIMESTAMP)"),
    field_row<Unit::kHour>("hour", "hour(TIMESTAMP)"),
    field_row<Unit::kDay>("day", "day(TIMESTAMP)"),
    field_row<Unit::kWeek>("week", "week(TIMESTAMP)"),
    field_row<Unit::kMonth>("month", "month(TIMESTAMP)"),
    field_row<Unit::kQuarter>("quarter", "quarter(TIMESTAMP)"),
    field_row<Unit::kYear>("year", "year(TIMESTAMP)"),
};

}  // namespace

std::span<const ScalarFunction> time_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
