// Names of types, with every alias that the language accepts.
#include "processor/sql/parser.h"

namespace kappa::processor::sql {

Expected<Type> Parser::type_name() {
  const SourcePlace place = peek().place;
  KAPPA_TRY(const Name word, name("a type"));
  struct Spelling {
    std::string_view name;
    Type type;
  };
  static constexpr Spelling kSpellings[] = {{"boolean", kBooleanType},     {"bool", kBooleanType},
                                            {"bigint", kBigintType},       {"int", kBigintType},
                                            {"integer", kBigintType},      {"smallint", kBigintType},
                                            {"tinyint", kBigintType},      {"int2", kBigintType},
                                            {"int4", kBigintType},         {"int8", kBigintType},
                                            {"double", kDoubleType},       {"float", kDoubleType},
                                            {"float4", kDoubleType},       {"float8", kDoubleType},
                                            {"real", kDoubleType},         {"text", kTextType},
                                            {"varchar", kTextType},        {"char", kTextType},
                                            {"character", kTextType},      {"string", kTextType},
                                            {"timestamp", kTimestampType}, {"timestamptz", kTimestampType},
                                            {"datetime", kTimestampType},  {"timestamp_ltz", kTimestampType},
                                            {"interval", kIntervalType},   {"json", kJsonType},
                                            {"jsonb", kJsonType}};
  if (word.text == "numeric" || word.text == "decimal" || word.text == "dec") {
    std::uint64_t precision = 38;
    std::uint64_t scale = 0;
    if (take("(")) {
      KAPPA_TRY(precision, count_literal("the number of digits"));
      if (take(",")) {
        KAPPA_TRY(scale, count_literal("the number of digits after the point"));
      }
      KAPPA_CHECK_OK(expect(")"));
    } else {
      scale = 9;  // Without arguments: room on both sides of the point.
    }
    if (precision < 1 || precision > 38 || scale > precision) {
      return fail_at(place, ErrorCode::kInvalid, 2002,
                     "NUMERIC takes 1 to 38 digits, of which at most all are after the point");
    }
    return Type{TypeId::kNumeric, static_cast<std::uint8_t>(precision), static_cast<std::uint8_t>(scale)};
  }
  for (const Spelling& spelling : kSpellings) {
    if (word.text != spelling.name) continue;
    if (word.text == "double") take("precision");
    if (word.text == "character") take("varying");
    // Lengths of text and digits of seconds are read and not enforced.
    const bool sized = spelling.type.id == TypeId::kText || spelling.type.id == TypeId::kTimestamp;
    if (sized && take("(")) {
      KAPPA_TRY([[maybe_unused]] const std::uint64_t size, count_literal("a length"));
      KAPPA_CHECK_OK(expect(")"));
    }
    if (word.text == "timestamp" && !take_words({"with", "time", "zone"})) {
      if (!take_words({"without", "time", "zone"})) take_words({"with", "local", "time", "zone"});
    }
    return spelling.type;
  }
  return fail_at(place, ErrorCode::kInvalid, 2002, "there is no type \"" + word.written + "\"",
                 "types: BOOLEAN, BIGINT, DOUBLE, NUMERIC(p,s), TEXT, TIMESTAMP, INTERVAL, JSON");
}

}  // namespace kappa::processor::sql
