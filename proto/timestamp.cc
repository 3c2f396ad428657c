// Timestamps and intervals as text. Days are converted with the civil calendar algorithms of Howard
// Hinnant ("chrono-Compatible Low-Level Date Algorithms", 2013), as std::chrono implements them;
// seconds floor also before 1970. Pure functions, no locale, no time zone data.
#include <array>
#include <chrono>
#include <cstdio>

#include "proto/value.h"

namespace kappa {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;

// A cursor over text that never reads past the end.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  [[nodiscard]] bool done() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // Exactly `count` digits.
  std::optional<int> digits(int count) {
    int number = 0;
    for (int i = 0; i < count; ++i) {
      if (peek() < '0' || peek() > '9') return std::nullopt;
      number = number * 10 + (text_[at_++] - '0');
    }
    return number;
  }
  // One or more digits, at most 18.
  std::optional<std::int64_t> number() {
    std::int64_t value = 0;
    const std::size_t start = at_;
    while (peek() >= '0' && peek() <= '9' && at_ - start < 18) value = value * 10 + (text_[at_++] - '0');
    if (at_ == start || (peek() >= '0' && peek() <= '9')) return std::nullopt;
    return value;
  }
  // Digits after a point, cut to microseconds.
  std::optional<std::int64_t> fraction() {
    std::int64_t value = 0;
    int count = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_, ++count) {
      if (count < 6) value = value * 10 + (text_[at_] - '0');
    }
    if (count == 0) return std::nullopt;
    for (; count < 6; ++count) value *= 10;
    return value;
  }
  std::string_view word() {
    const std::size_t start = at_;
    while ((peek() >= 'a' && peek() <= 'z') || (peek() >= 'A' && peek() <= 'Z')) ++at_;
    return text_.substr(start, at_ - start);
  }
  void skip_space() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// Days since 1970 of a date in the proleptic Gregorian calendar, whatever the year.
std::optional<std::int64_t> days_of(int year, int month, int day) {
  // Of the same month in a year of one 400-year cycle, which std::chrono has.
  const int in_cycle = ((year % 400) + 400) % 400;
  const std::chrono::year_month_day date{std::chrono::year{2000 + in_cycle},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return std::nullopt;
  const std::int64_t cycles = (std::int64_t{year} - in_cycle - 2000) / 400;
  return std::chrono::sys_days{date}.time_since_epoch().count() + cycles * 146'097;
}

// Minutes east of UTC.
std::optional<int> parse_zone(Scanner& in) {
  if (in.take('Z') || in.take('z')) return 0;
  int sign = 1;
  if (in.take('-')) {
    sign = -1;
  } else if (!in.take('+')) {
    return std::nullopt;
  }
  const auto hours = in.digits(2);
  if (!hours || *hours > 23 || !in.take(':')) return std::nullopt;
  const auto minutes = in.digits(2);
  if (!minutes || *minutes > 59) return std::nullopt;
  return sign * (*hours * 60 + *minutes);
}

std::optional<std::int64_t> unit_micros(std::string_view word) {
  std::string lower;
  for (const char c : word) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  struct Unit {
    std::string_view name;
    std::int64_t micros;
  };
  static constexpr std::array kUnits{Unit{"us", 1},
                                     Unit{"microsecond", 1},
                                     Unit{"microseconds", 1},
                                     Unit{"ms", 1000},
                                     Unit{"millisecond", 1000},
                                     Unit{"milliseconds", 1000},
                                     Unit{"s", kSecond},
                                     Unit{"sec", kSecond},
                                     Unit{"secs", kSecond},
                                     Unit{"second", kSecond},
                                     Unit{"seconds", kSecond},
                                     Unit{"m", kMinute},
                                     Unit{"min", kMinute},
                                     Unit{"mins", kMinute},
                                     Unit{"minute", kMinute},
                                     Unit{"minutes", kMinute},
                                     Unit{"h", kHour},
                                     Unit{"hour", kHour},
                                     Unit{"hours", kHour},
                                     Unit{"d", kDay},
                                     Unit{"day", kDay},
                                     Unit{"days", kDay},
                                     Unit{"w", 7 * kDay},
                                     Unit{"week", 7 * kDay},
                                     Unit{"weeks", 7 * kDay}};
  for (const Unit& unit : kUnits) {
    if (unit.name == lower) return unit.micros;
  }
  return std::nullopt;
}

}  // namespace

std::string format_timestamp(std::int64_t micros) {
  std::int64_t days = micros / kDay;
  std::int64_t rest = micros % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  // Civil date from days, eras of 400 years; std::chrono::year would end at 32767.
  const std::int64_t z = days + 719'468;
  const std::int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
  const std::int64_t doe = z - era * 146'097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  const auto day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  const auto month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  const std::int64_t year = yoe + era * 400 + (month <= 2 ? 1 : 0);
  char date[64];
  const char* sign = year < 0 ? "-" : year > 9999 ? "+" : "";
  std::snprintf(date, sizeof date, "%s%04lld-%02d-%02dT%02d:%02d:%02d", sign,
                static_cast<long long>(year < 0 ? -year : year), month, day, static_cast<int>(rest / kHour),
                static_cast<int>(rest / kMinute % 60), static_cast<int>(rest / kSecond % 60));
  std::string text = date;
  const auto fraction = static_cast<int>(rest % kSecond);
  if (fraction != 0) {
    if (fraction % 1000 == 0) {
      std::snprintf(date, sizeof date, ".%03d", fraction / 1000);
    } else {
      std::snprintf(date, sizeof date, ".%06d", fraction);
    }
    text += date;
  }
  return text + "Z";
}

std::optional<std::int64_t> parse_timestamp(std::string_view text, bool zone_required) {
  Scanner in(text);
  int sign = 1;
  int year_digits = 4;
  // The signed years that format_timestamp prints are not RFC 3339, but what was printed is read again.
  if (in.peek() == '-' || in.peek() == '+') {
    sign = in.take('-') ? -1 : 1;
    if (sign == 1) in.take('+');
    const std::size_t dash = text.find('-', 1);
    if (dash == std::string_view::npos || dash < 5 || dash > 7) return std::nullopt;
    year_digits = static_cast<int>(dash) - 1;
  }
  const auto year = in.digits(year_digits);
  if (!year || !in.take('-')) return std::nullopt;
  const auto month = in.digits(2);
  if (!month || !in.take('-')) return std::nullopt;
  const auto day = in.digits(2);
  if (!day) return std::nullopt;
  const auto days = days_of(sign * *year, *month, *day);
  if (!days) return std::nullopt;
  const auto moment = [&](std::int64_t of_day) -> std::optional<std::int64_t> {
    const Int128 micros = Int128{*days} * kDay + of_day;
    if (micros > INT64_MAX || micros < INT64_MIN) return std::nullopt;
    return static_cast<std::int64_t>(micros);
  };
  if (in.done()) return zone_required ? std::nullopt : moment(0);
  if (!in.take('T') && !in.take('t') && !in.take(' ')) return std::nullopt;
  const auto hour = in.digits(2);
  if (!hour || *hour > 23 || !in.take(':')) return std::nullopt;
  const auto minute = in.digits(2);
  if (!minute || *minute > 59) return std::nullopt;
  int second = 0;
  std::int64_t fraction = 0;
  if (in.take(':')) {
    const auto seconds = in.digits(2);
    if (!seconds || *seconds > 60) return std::nullopt;  // 60: a leap second, the next minute's start.
    second = *seconds;
    if (in.take('.')) {
      const auto digits = in.fraction();
      if (!digits) return std::nullopt;
      fraction = *digits;
    }
  } else if (zone_required) {
    return std::nullopt;
  }
  int zone = 0;
  if (!in.done() || zone_required) {
    const auto offset = parse_zone(in);
    if (!offset) return std::nullopt;
    zone = *offset;
  }
  if (!in.done()) return std::nullopt;
  return moment(*hour * kHour + (*minute - zone) * kMinute + second * kSecond + fraction);
}

std::string format_interval(std::int64_t micros) {
  const bool negative = micros < 0;
  const std::uint64_t all =
      negative ? std::uint64_t{0} - static_cast<std::uint64_t>(micros) : static_cast<std::uint64_t>(micros);
  const auto day = static_cast<std::uint64_t>(kDay);
  // As PostgreSQL prints it: each part has its own sign.
  const std::string sign = negative ? "-" : "";
  std::string text;
  if (all >= day) text = sign + std::to_string(all / day) + (all / day == 1 && !negative ? " day " : " days ");
  const auto rest = static_cast<std::int64_t>(all % day);
  if (rest != 0) text += sign;
  char time[48];
  std::snprintf(time, sizeof time, "%02d:%02d:%02d", static_cast<int>(rest / kHour),
                static_cast<int>(rest / kMinute % 60), static_cast<int>(rest / kSecond % 60));
  text += time;
  if (rest % kSecond != 0) {
    std::snprintf(time, sizeof time, ".%06d", static_cast<int>(rest % kSecond));
    text += time;
    while (text.back() == '0') text.pop_back();
  }
  return text;
}

std::optional<std::int64_t> parse_interval(std::string_view text) {
  Scanner in(text);
  in.skip_space();
  Int128 total = 0;
  bool any = false;
  for (;;) {
    in.skip_space();
    if (in.done()) break;
    // A sign counts for its number alone, as in PostgreSQL: '-1 day 04:00:00' are -20 hours.
    const bool minus = in.take('-');
    if (!minus) in.take('+');
    const auto number = in.number();
    if (!number) return std::nullopt;
    Int128 piece = 0;
    if (in.take(':')) {
      const auto minute = in.digits(2);
      if (!minute || *minute > 59) return std::nullopt;
      piece = Int128{*number} * kHour + *minute * kMinute;
      if (in.take(':')) {
        const auto second = in.digits(2);
        if (!second || *second > 59) return std::nullopt;
        piece += *second * kSecond;
        if (in.take('.')) {
          const auto fraction = in.fraction();
          if (!fraction) return std::nullopt;
          piece += *fraction;
        }
      }
    } else {
      std::int64_t fraction = 0;
      if (in.take('.')) {
        const auto digits = in.fraction();
        if (!digits) return std::nullopt;
        fraction = *digits;
      }
      in.skip_space();
      const auto unit = unit_micros(in.word());
      if (!unit) return std::nullopt;
      piece = Int128{*number} * *unit + Int128{fraction} * *unit / kSecond;
    }
    total += minus ? -piece : piece;
    any = true;
    // Text is bounded by the statement, but one value must not wrap even 128 bits.
    if (total > Int128{INT64_MAX} * 4 || total < Int128{INT64_MIN} * 4) return std::nullopt;
  }
  if (!any) return std::nullopt;
  if (total > INT64_MAX || total < INT64_MIN) return std::nullopt;
  return static_cast<std::int64_t>(total);
}

}  // namespace kappa
