#include "processor/vector/time_format.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "processor/vector/civil.h"
#include "processor/vector/like.h"

namespace kappa::processor {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr int kShortName = 3;
constexpr int kJavaWidthMax = 19;
constexpr int kPaddedName = 9;  // "September", "Wednesday".
constexpr std::int64_t kJulianDayOfEpoch = 2'440'588;

void append_number(std::int64_t number, int width, std::string& out) {
  char digits[24];
  const bool negative = number < 0;
  const auto size =
      negative ? std::uint64_t{0} - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  const auto end = std::to_chars(digits, digits + sizeof digits, size).ptr;
  if (negative) out += '-';
  for (auto have = end - digits; have < width; ++have) out += '0';
  out.append(digits, end);
}

std::int64_t last_digits(std::int64_t number, int digits) {
  std::int64_t unit = 1;
  for (; digits > 0; --digits) unit *= 10;
  return floor_remainder(number, unit);
}

}  // namespace

void TimeFormat::literal(std::string_view text) {
  if (pieces_.empty() || pieces_.back().field != Field::kLiteral) pieces_.emplace_back();
  pieces_.back().text += text;
}

TimeFormat TimeFormat::postgres(std::string_view pattern) {
  struct Word {
    std::string_view name;
    Field field;
    int width;
    std::string_view text = {};  // Of a literal.
  };
  // Longer words in front of their beginnings.
  static constexpr Word kWords[] = {
      {"YYYY", Field::kYear, 4},         {"YYY", Field::kYearDigits, 3},
      {"YY", Field::kYearDigits, 2},     {"Y", Field::kYearDigits, 1},
      {"IYYY", Field::kIsoYear, 4},      {"MONTH", Field::kMonthName, kPaddedName},
      {"MON", Field::kMonthName, 3},     {"MM", Field::kMonth, 2},
      {"MI", Field::kMinute, 2},         {"MS", Field::kFraction, 3},
      {"Q", Field::kQuarter, 1},         {"WW", Field::kWeek, 2},
      {"IW", Field::kIsoWeek, 2},        {"ID", Field::kIsoDayOfWeek, 1},
      {"DDD", Field::kDayOfYear, 3},     {"DD", Field::kDay, 2},
      {"DAY", Field::kDayName, 9},       {"DY", Field::kDayName, 3},
      {"D", Field::kDayOfWeek, 1},       {"HH24", Field::kHour24, 2},
      {"HH12", Field::kHour12, 2},       {"HH", Field::kHour12, 2},
      {"SSSSS", Field::kSecondOfDay, 1}, {"SSSS", Field::kSecondOfDay, 1},
      {"SS", Field::kSecond, 2},         {"US", Field::kFraction, 6},
      {"AM", Field::kHalfDay, 2},        {"PM", Field::kHalfDay, 2},
      {"A.M.", Field::kHalfDay, 4},      {"P.M.", Field::kHalfDay, 4},
      {"TZ", Field::kLiteral, 0, "UTC"}, {"OF", Field::kLiteral, 0, "+00"},
      {"J", Field::kJulianDay, 1}};
  TimeFormat format;
  std::size_t at = 0;
  const auto starts = [&](std::string_view word, std::size_t from) {
    const std::string_view piece = pattern.substr(from, word.size());
    return std::equal(piece.begin(), piece.end(), word.begin(), word.end(),
                      [](char a, char b) { return ascii_upper(a) == b; });
  };
  while (at < pattern.size()) {
    if (pattern[at] == '"') {
      const std::size_t end = std::min(pattern.find('"', at + 1), pattern.size());
      format.literal(pattern.substr(at + 1, end - at - 1));
      at = end + 1;
      continue;
    }
    const bool fill = starts("FM", at);
    const std::size_t from = fill ? at + 2 : at;
    const auto* const word = std::find_if(std::begin(kWords), std::end(kWords),
                                          [&](const Word& w) { return starts(w.name, from); });
    if (word == std::end(kWords)) {
      if (!fill) format.literal(pattern.substr(at, 1));
      at = fill ? from : at + 1;
      continue;
    }
    const std::string_view written = pattern.substr(from, word->name.size());
    if (word->field == Field::kLiteral) {
      format.literal(word->text);
    } else {
      Piece piece{word->field, word->width, Letters::kCapitalised, {}};
      const bool name = piece.field == Field::kMonthName || piece.field == Field::kDayName;
      // FM: no blanks after names, no zeros before numbers that are not cut to their width.
      if (fill && name && piece.width == kPaddedName) piece.width = 0;
      const bool cut = piece.field == Field::kYearDigits || piece.field == Field::kFraction;
      if (fill && !name && !cut && piece.field != Field::kHalfDay) piece.width = 1;
      if (written[0] != ascii_upper(written[0])) {
        piece.letters = Letters::kLower;
      } else if (piece.field == Field::kHalfDay || (name && written[1] == ascii_upper(written[1]))) {
        piece.letters = Letters::kUpper;
      }
      format.pieces_.push_back(std::move(piece));
    }
    at = from + word->name.size();
  }
  return format;
}

Expected<TimeFormat::Piece> TimeFormat::java_piece(char letter, int count) {
  const auto number = [count](Field field) { return Piece{field, count, Letters::kCapitalised, {}}; };
  const auto text = [](std::string_view literal) {
    return Piece{Field::kLiteral, 0, Letters::kCapitalised, std::string(literal)};
  };
  switch (count <= kJavaWidthMax ? letter : '\0') {
    case 'y':
    case 'u': return number(count == 2 ? Field::kYearDigits : Field::kYear);
    case 'Y': return number(Field::kIsoYear);
    case 'Q': return number(Field::kQuarter);
    case 'M':
    case 'L':
      if (count < 3) return number(Field::kMonth);
      return Piece{Field::kMonthName, count == 3 ? kShortName : 0, Letters::kCapitalised, {}};
    case 'w': return number(Field::kIsoWeek);
    case 'D': return number(Field::kDayOfYear);
    case 'd': return number(Field::kDay);
    case 'e': return number(Field::kIsoDayOfWeek);
    case 'E': return Piece{Field::kDayName, count <= 3 ? kShortName : 0, Letters::kCapitalised, {}};
    case 'a': return Piece{Field::kHalfDay, 2, Letters::kUpper, {}};
    case 'H': return number(Field::kHour24);
    case 'k': return number(Field::kHour24From1);
    case 'h': return number(Field::kHour12);
    case 'K': return number(Field::kHour12From0);
    case 'm': return number(Field::kMinute);
    case 's': return number(Field::kSecond);
    case 'S':
      if (count > 9) break;
      return number(Field::kFraction);
    case 'X': return text("Z");
    case 'Z': return text("+0000");
    case 'z': return text("UTC");
    default: break;
  }
  return fail(
      ErrorCode::kInvalid, 2002,
      "\"" + std::string(static_cast<std::size_t>(count), letter) + "\" is not a field of a time pattern",
      "for example 'yyyy-MM-dd HH:mm:ss.SSS'; other text stands in quotes: 'yyyy''T''HH'");
}

Expected<TimeFormat> TimeFormat::java(std::string_view pattern) {
  TimeFormat format;
  std::size_t at = 0;
  while (at < pattern.size()) {
    const char c = pattern[at];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter) {
      const std::size_t end = std::min(pattern.find_first_not_of(c, at), pattern.size());
      KAPPA_TRY(Piece piece,
                java_piece(c, static_cast<int>(std::min<std::size_t>(end - at, kJavaWidthMax + 1))));
      format.pieces_.push_back(std::move(piece));
      at = end;
    } else if (c != '\'') {
      format.literal(pattern.substr(at++, 1));
    } else if (pattern.substr(at).starts_with("''")) {
      format.literal("'");
      at += 2;
    } else {
      for (++at;; ++at) {
        if (at >= pattern.size())
          return fail(ErrorCode::kInvalid, 2002, "a quote of the time pattern does not end");
        if (pattern[at] == '\'') {
          if (!pattern.substr(at + 1).starts_with('\'')) break;
          ++at;
        }
        format.literal(pattern.substr(at, 1));
      }
      ++at;
    }
  }
  return format;
}

void TimeFormat::append(std::int64_t micros, std::string& out) const {
  const Civil civil(micros);
  const std::int64_t hour = civil.micros_of_day / kHourMicros;
  const auto name = [&out](std::string_view text, const Piece& piece) {
    const std::size_t start = out.size();
    out += piece.width == kShortName ? text.substr(0, 3) : text;
    if (piece.letters != Letters::kCapitalised) {
      const bool upper = piece.letters == Letters::kUpper;
      std::transform(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(),
                     out.begin() + static_cast<std::ptrdiff_t>(start), upper ? ascii_upper : ascii_lower);
    }
    if (piece.width == kPaddedName) out.append(kPaddedName - text.size(), ' ');
  };
  for (const Piece& piece : pieces_) {
    switch (piece.field) {
      case Field::kLiteral: out += piece.text; break;
      case Field::kYear: append_number(civil.year, piece.width, out); break;
      case Field::kYearDigits: append_number(last_digits(civil.year, piece.width), piece.width, out); break;
      case Field::kIsoYear: append_number(IsoWeek(civil.days).year, piece.width, out); break;
      case Field::kQuarter: append_number((civil.month + 2) / 3, piece.width, out); break;
      case Field::kMonth: append_number(civil.month, piece.width, out); break;
      case Field::kMonthName: name(kMonths[static_cast<std::size_t>(civil.month - 1)], piece); break;
      case Field::kWeek: append_number((day_of_year(civil) - 1) / 7 + 1, piece.width, out); break;
      case Field::kIsoWeek: append_number(IsoWeek(civil.days).week, piece.width, out); break;
      case Field::kDayOfYear: append_number(day_of_year(civil), piece.width, out); break;
      case Field::kDay: append_number(civil.day, piece.width, out); break;
      case Field::kDayOfWeek: append_number(day_of_week(civil.days) + 1, piece.width, out); break;
      case Field::kIsoDayOfWeek: append_number(iso_day_of_week(civil.days), piece.width, out); break;
      case Field::kDayName: name(kDays[static_cast<std::size_t>(day_of_week(civil.days))], piece); break;
      case Field::kHour24: append_number(hour, piece.width, out); break;
      case Field::kHour24From1: append_number(hour == 0 ? 24 : hour, piece.width, out); break;
      case Field::kHour12: append_number(hour % 12 == 0 ? 12 : hour % 12, piece.width, out); break;
      case Field::kHour12From0: append_number(hour % 12, piece.width, out); break;
      case Field::kMinute: append_number(civil.micros_of_day / kMinuteMicros % 60, piece.width, out); break;
      case Field::kSecond: append_number(civil.micros_of_day / kSecondMicros % 60, piece.width, out); break;
      case Field::kSecondOfDay: append_number(civil.micros_of_day / kSecondMicros, piece.width, out); break;
      case Field::kFraction: {
        const std::size_t start = out.size();
        append_number(civil.micros_of_day % kSecondMicros, 6, out);
        out.resize(start + static_cast<std::size_t>(std::min(piece.width, 6)));
        if (piece.width > 6) out.append(static_cast<std::size_t>(piece.width - 6), '0');
        break;
      }
      case Field::kHalfDay: {
        const char* const dotted = hour < 12 ? "A.M." : "P.M.";
        const char* const plain = hour < 12 ? "AM" : "PM";
        Piece whole = {piece.field, 0, piece.letters, {}};
        name(piece.width == 4 ? dotted : plain, whole);
        break;
      }
      case Field::kJulianDay: append_number(civil.days + kJulianDayOfEpoch, piece.width, out); break;
    }
  }
}

}  // namespace kappa::processor
