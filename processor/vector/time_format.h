// Patterns that print a TIMESTAMP: PostgreSQL's of to_char and Java's of DATE_FORMAT, compiled to one list
// of fields. English names; the zone is always UTC. Immutable once compiled: thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"

namespace kappa::processor {

class TimeFormat {
 public:
  // to_char: YYYY, YYY, YY, Y, IYYY, Q, MM, MON, MONTH, WW, IW, DDD, DD, D, ID, DAY, DY, HH24, HH12, HH, MI,
  // SSSS, SS, MS, US, AM/PM and A.M./P.M., TZ, OF, J; FM in front of one takes its padding away. Names are
  // written in the case of the pattern. Other characters, and text in double quotes, stand for themselves.
  [[nodiscard]] static TimeFormat postgres(std::string_view pattern);
  // DATE_FORMAT: y u Y Q M L w D d e E a H h K k m s S X Z z, repeated for width (MMM is a short name, MMMM
  // the whole one; S are digits of the fraction), 'text' in quotes, '' one quote. kInvalid 2002 for
  // other letters and for a quote that does not end.
  [[nodiscard]] static Expected<TimeFormat> java(std::string_view pattern);

  // Appends the text of a time, in microseconds since 1970.
  void append(std::int64_t micros, std::string& out) const;

 private:
  enum class Field : std::uint8_t {
    kLiteral,  // `text`
    kYear,
    kYearDigits,  // The last `width` digits.
    kIsoYear,
    kQuarter,
    kMonth,
    kMonthName,
    kWeek,  // Of the year, from its first day.
    kIsoWeek,
    kDayOfYear,
    kDay,
    kDayOfWeek,     // 1: Sunday.
    kIsoDayOfWeek,  // 1: Monday.
    kDayName,
    kHour24,       // 0-23
    kHour24From1,  // 1-24
    kHour12,       // 12, 1-11
    kHour12From0,  // 0-11
    kMinute,
    kSecond,
    kSecondOfDay,
    kFraction,  // width: digits of the fraction, cut, at most 9.
    kHalfDay,   // AM, PM
    kJulianDay,
  };
  enum class Letters : std::uint8_t { kCapitalised, kUpper, kLower };
  struct Piece {
    Field field = Field::kLiteral;
    int width = 0;  // Of numbers: zeros in front. Of names: 3 for the short one, 9 blank-padded.
    Letters letters = Letters::kCapitalised;
    std::string text;
  };
  void literal(std::string_view text);
  [[nodiscard]] static Expected<Piece> java_piece(char letter, int count);

  std::vector<Piece> pieces_;
};

}  // namespace kappa::processor
