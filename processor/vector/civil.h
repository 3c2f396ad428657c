// Points in time taken apart: UTC, the proleptic Gregorian calendar, floors also before 1970. Every 64-bit
// count of microseconds has a year. Internal to the kernels of time.
#pragma once

#include <chrono>
#include <cstdint>

namespace kappa::processor {

inline constexpr std::int64_t kSecondMicros = 1'000'000;
inline constexpr std::int64_t kMinuteMicros = 60 * kSecondMicros;
inline constexpr std::int64_t kHourMicros = 60 * kMinuteMicros;
inline constexpr std::int64_t kDayMicros = 24 * kHourMicros;

// What is left of `v` above the multiple of `unit` (which is positive) at or below it.
[[nodiscard]] constexpr std::int64_t floor_remainder(std::int64_t v, std::int64_t unit) {
  const std::int64_t rest = v % unit;
  return rest < 0 ? rest + unit : rest;
}

// The quotient rounded down, which stays in range where the multiple below `v` would not.
[[nodiscard]] constexpr std::int64_t floor_divide(std::int64_t v, std::int64_t unit) {
  return v / unit - (v % unit < 0 ? 1 : 0);
}

struct Civil {
  std::int64_t days;
  std::int64_t micros_of_day;
  std::int64_t year;
  int month, day;

  explicit Civil(std::int64_t micros)
      : Civil(floor_divide(micros, kDayMicros), floor_remainder(micros, kDayMicros)) {}
  Civil(std::int64_t days_since_epoch, std::int64_t micros) : days(days_since_epoch), micros_of_day(micros) {
    // Whole 400-year cycles of 146097 days aside: std::chrono's years are -32767..32767.
    const std::int64_t cycle_day = floor_remainder(days, 146'097);
    const std::int64_t cycles = (days - cycle_day) / 146'097;
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{cycle_day}}};
    year = static_cast<int>(date.year()) + cycles * 400;
    month = static_cast<int>(static_cast<unsigned>(date.month()));
    day = static_cast<int>(static_cast<unsigned>(date.day()));
  }
};

// Days since the epoch of the first of a month.
[[nodiscard]] inline std::int64_t first_day(std::int64_t year, int month) {
  const std::int64_t in_cycle = floor_remainder(year, 400);
  const std::int64_t cycles = (year - in_cycle) / 400;
  const std::chrono::sys_days date{std::chrono::year{static_cast<int>(in_cycle)} /
                                   std::chrono::month{static_cast<unsigned>(month)} / std::chrono::day{1}};
  return date.time_since_epoch().count() + cycles * 146'097;
}

// 0: Sunday; the epoch was a Thursday.
[[nodiscard]] constexpr std::int64_t day_of_week(std::int64_t days) {
  return floor_remainder(days + 4, 7);
}
[[nodiscard]] constexpr std::int64_t iso_day_of_week(std::int64_t days) {
  return floor_remainder(days + 3, 7) + 1;
}
[[nodiscard]] inline std::int64_t day_of_year(const Civil& civil) {
  return civil.days - first_day(civil.year, 1) + 1;
}

// ISO 8601 weeks start on Monday and belong to the year of their Thursday.
struct IsoWeek {
  std::int64_t year;
  std::int64_t week;

  explicit IsoWeek(std::int64_t days) {
    const std::int64_t thursday = days - floor_remainder(days + 3, 7) + 3;
    year = Civil(thursday, 0).year;
    week = (thursday - first_day(year, 1)) / 7 + 1;
  }
};

}  // namespace kappa::processor
