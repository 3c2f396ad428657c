// See sqlite_functions.h.
#include "tests/oracle/sqlite_functions.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "proto/value.h"
#include "tests/oracle/exact_sum.h"

namespace kappa::oracle {
namespace {

using Values = sqlite3_value**;

bool is_null(sqlite3_value* v) {
  return sqlite3_value_type(v) == SQLITE_NULL;
}
std::string text_of(sqlite3_value* v) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(v));
  return {text == nullptr ? "" : text, static_cast<std::size_t>(sqlite3_value_bytes(v))};
}
void give(sqlite3_context* context, const std::string& text) {
  sqlite3_result_text(context, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

// --- scalars ---

template <class Compute>
void integers(sqlite3_context* context, Values v, Compute&& compute) {
  std::int64_t out = 0;
  if (is_null(v[0]) || is_null(v[1]) || !compute(sqlite3_value_int64(v[0]), sqlite3_value_int64(v[1]), out))
    return;
  sqlite3_result_int64(context, out);
}
void iadd(sqlite3_context* c, int, Values v) {
  integers(c, v, [](std::int64_t a, std::int64_t b, std::int64_t& out) {
    return !__builtin_add_overflow(a, b, &out);
  });
}
void isub(sqlite3_context* c, int, Values v) {
  integers(c, v, [](std::int64_t a, std::int64_t b, std::int64_t& out) {
    return !__builtin_sub_overflow(a, b, &out);
  });
}
void imul(sqlite3_context* c, int, Values v) {
  integers(c, v, [](std::int64_t a, std::int64_t b, std::int64_t& out) {
    return !__builtin_mul_overflow(a, b, &out);
  });
}
void idiv(sqlite3_context* c, int, Values v) {
  integers(c, v, [](std::int64_t a, std::int64_t b, std::int64_t& out) {
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    out = a / b;
    return true;
  });
}
void imod(sqlite3_context* c, int, Values v) {
  integers(c, v, [](std::int64_t a, std::int64_t b, std::int64_t& out) {
    if (b == 0) return false;
    out = b == -1 ? 0 : a % b;
    return true;
  });
}
void finite(sqlite3_context* c, int, Values v) {
  if (!is_null(v[0]) && std::isfinite(sqlite3_value_double(v[0])))
    sqlite3_result_double(c, sqlite3_value_double(v[0]));
}
template <double (*kRound)(double)>
void rounding(sqlite3_context* c, int, Values v) {
  if (sqlite3_value_type(v[0]) == SQLITE_INTEGER) return sqlite3_result_int64(c, sqlite3_value_int64(v[0]));
  if (!is_null(v[0])) sqlite3_result_double(c, kRound(sqlite3_value_double(v[0])));
}
void to_int(sqlite3_context* c, int, Values v) {
  if (is_null(v[0])) return;
  const double whole = std::nearbyint(sqlite3_value_double(v[0]));
  if (whole >= -0x1p63 && whole < 0x1p63) sqlite3_result_int64(c, static_cast<std::int64_t>(whole));
}
void text_to_int(sqlite3_context* c, int, Values v) {
  if (is_null(v[0])) return;
  std::string text = text_of(v[0]);
  const std::size_t first = text.find_first_not_of(" \t\n\r");
  if (first == std::string::npos) return;
  text = text.substr(first, text.find_last_not_of(" \t\n\r") + 1 - first);
  if (text[0] == '+' && text.size() > 1 && text[1] != '-') text.erase(0, 1);
  std::int64_t out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (result.ec == std::errc{} && result.ptr == text.data() + text.size()) sqlite3_result_int64(c, out);
}
void double_text(sqlite3_context* c, int, Values v) {
  if (is_null(v[0])) return;
  char digits[32];
  const auto result = std::to_chars(digits, digits + sizeof digits, sqlite3_value_double(v[0]));
  give(c, {digits, result.ptr});
}
void timestamp_text(sqlite3_context* c, int, Values v) {
  if (!is_null(v[0])) give(c, format_timestamp(sqlite3_value_int64(v[0])));
}
void boolean_text(sqlite3_context* c, int, Values v) {
  if (!is_null(v[0])) give(c, sqlite3_value_int(v[0]) != 0 ? "true" : "false");
}
// Numbers by value, text by bytes; the grammar gives one type at a time.
int order(sqlite3_value* a, sqlite3_value* b) {
  if (sqlite3_value_type(a) == SQLITE_TEXT) {
    const int by_bytes = text_of(a).compare(text_of(b));
    return by_bytes;
  }
  if (sqlite3_value_type(a) == SQLITE_INTEGER) {
    const std::int64_t x = sqlite3_value_int64(a), y = sqlite3_value_int64(b);
    return x < y ? -1 : x > y;
  }
  const double x = sqlite3_value_double(a), y = sqlite3_value_double(b);
  return x < y ? -1 : x > y;
}
template <int kSign>
void extreme(sqlite3_context* c, int n, Values v) {
  sqlite3_value* best = nullptr;
  for (int i = 0; i < n; ++i) {
    if (is_null(v[i])) continue;
    if (best == nullptr || order(v[i], best) * kSign > 0) best = v[i];
  }
  if (best != nullptr) sqlite3_result_value(c, best);
}
// n / d rounded half away from zero, d > 0.
__extension__ using Whole = __int128;
Whole rounded(Whole n, Whole d) {
  return (n < 0 ? -1 : 1) * (((n < 0 ? -n : n) * 2 + d) / (2 * d));
}
void numeric_round(sqlite3_context* c, int, Values v) {
  if (!is_null(v[0])) {
    sqlite3_result_int64(
        c, static_cast<std::int64_t>(rounded(sqlite3_value_int64(v[0]), sqlite3_value_int64(v[1]))));
  }
}
// A quotient has six digits; two are kept of these.
void numeric_divide(sqlite3_context* c, int, Values v) {
  if (is_null(v[0]) || is_null(v[1]) || sqlite3_value_int64(v[1]) == 0) return;
  Whole a = sqlite3_value_int64(v[0]), b = sqlite3_value_int64(v[1]);
  if (b < 0) a = -a, b = -b;
  sqlite3_result_int64(c, static_cast<std::int64_t>(rounded(rounded(a * 1'000'000, b), 10'000)));
}
void numeric_text(sqlite3_context* c, int, Values v) {
  if (is_null(v[0])) return;
  const std::int64_t hundredths = sqlite3_value_int64(v[0]);
  const auto size = static_cast<std::uint64_t>(hundredths < 0 ? -hundredths : hundredths);
  char text[40];
  std::snprintf(text, sizeof text, "%s%llu.%02llu", hundredths < 0 ? "-" : "",
                static_cast<unsigned long long>(size / 100), static_cast<unsigned long long>(size % 100));
  give(c, text);
}
// Part n from 1; empty where there is none.
void split(sqlite3_context* c, int, Values v) {
  if (is_null(v[0]) || is_null(v[1]) || is_null(v[2])) return;
  std::string rest = text_of(v[0]);
  const std::string delimiter = text_of(v[1]);
  for (std::int64_t n = sqlite3_value_int64(v[2]); n > 1; --n) {
    const std::size_t at = rest.find(delimiter);
    if (at == std::string::npos) return give(c, "");
    rest.erase(0, at + delimiter.size());
  }
  give(c, rest.substr(0, rest.find(delimiter)));
}

// Days from 1970 to the first of a year, by the rule of leap years.
std::int64_t days_before_year(std::int64_t year) {
  const std::int64_t y = year - 1;
  const auto floor_div = [](std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); };
  return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 719162;
}
// unit, timestamp: the start of its week (Monday), month or year.
void truncate(sqlite3_context* c, int, Values v) {
  if (is_null(v[1])) return;
  constexpr std::int64_t kDay = 86'400'000'000;
  const std::int64_t ts = sqlite3_value_int64(v[1]);
  std::int64_t day = ts / kDay - (ts % kDay < 0 ? 1 : 0);
  const std::string unit = text_of(v[0]);
  if (unit == "week") {
    day -= ((day + 3) % 7 + 7) % 7;
    return sqlite3_result_int64(c, day * kDay);
  }
  auto year = static_cast<std::int64_t>(std::floor(static_cast<double>(day) / 365.2425)) + 1970;
  while (days_before_year(year) > day) --year;
  while (days_before_year(year + 1) <= day) ++year;
  std::int64_t start = days_before_year(year);
  if (unit == "month") {
    const bool leap = days_before_year(year + 1) - start == 366;
    for (const int length : {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}) {
      if (day < start + length) break;
      start += length;
    }
  }
  sqlite3_result_int64(c, start * kDay);
}

// --- aggregates; the state is on the heap, its pointer in SQLite's context ---

__extension__ typedef __int128 Wide;

template <class State>
State* state_of(sqlite3_context* context, bool make) {
  auto** slot = static_cast<State**>(sqlite3_aggregate_context(context, make ? sizeof(State*) : 0));
  if (slot == nullptr) return nullptr;
  if (*slot == nullptr && make) *slot = new State();
  return *slot;
}
template <class State, class Finish>
void finish(sqlite3_context* context, Finish&& finish_state) {
  State* state = state_of<State>(context, false);
  if (state == nullptr) return;
  finish_state(*state);
  delete state;
}

struct IntegerSum {
  Wide sum = 0;
  std::int64_t count = 0;
};
void integer_step(sqlite3_context* c, int, Values v) {
  if (is_null(v[0])) return;
  IntegerSum& state = *state_of<IntegerSum>(c, true);
  if (sqlite3_value_type(v[0]) == SQLITE_TEXT) {
    state.sum += parse_numeric(text_of(v[0]), 38, 0).value_or(0);
  } else {
    state.sum += sqlite3_value_int64(v[0]);
  }
  ++state.count;
}
void give_wide(sqlite3_context* c, Wide v) {
  if (v >= INT64_MIN && v <= INT64_MAX) return sqlite3_result_int64(c, static_cast<std::int64_t>(v));
  give(c, format_int128(v));
}
void integer_sum(sqlite3_context* c) {
  finish<IntegerSum>(c, [&](IntegerSum& state) { give_wide(c, state.sum); });
}
void integer_average(sqlite3_context* c) {
  finish<IntegerSum>(c, [&](IntegerSum& state) {
    sqlite3_result_double(c, static_cast<double>(state.sum) / static_cast<double>(state.count));
  });
}

struct RealSum {
  ExactSum sum;
  std::int64_t count = 0;
  long double wide = 0;  // For the average of a sum that no double holds.
};
void real_step(sqlite3_context* c, int, Values v) {
  if (is_null(v[0])) return;
  RealSum& state = *state_of<RealSum>(c, true);
  state.sum.add(sqlite3_value_double(v[0]));
  state.wide += sqlite3_value_double(v[0]);
  ++state.count;
}
void real_sum(sqlite3_context* c) {
  finish<RealSum>(c, [&](RealSum& state) {
    const double sum = state.sum.rounded();
    if (std::isfinite(sum)) sqlite3_result_double(c, sum);
  });
}
void real_average(sqlite3_context* c) {
  finish<RealSum>(c, [&](RealSum& state) {
    const double sum = state.sum.rounded();
    const auto count = static_cast<double>(state.count);
    sqlite3_result_double(c, std::isfinite(sum) ? sum / count : static_cast<double>(state.wide / count));
  });
}

// Two passes over all values in 113 bits, and a last correction: nothing is lost where values are close.
struct Spread {
  std::vector<double> values;
  bool sample = false;
};
void spread_step(sqlite3_context* c, int, Values v) {
  if (is_null(v[0])) return;
  Spread& state = *state_of<Spread>(c, true);
  state.values.push_back(sqlite3_value_double(v[0]));
  state.sample = sqlite3_value_int(v[1]) != 0;
}
void spread(sqlite3_context* c) {
  finish<Spread>(c, [&](Spread& state) {
    const auto n = static_cast<std::int64_t>(state.values.size());
    if (state.sample && n < 2) return;
    __extension__ using Quad = __float128;
    Quad sum = 0, squares = 0, rest = 0;
    for (const double v : state.values) sum += v;
    const Quad mean = sum / static_cast<Quad>(n);
    for (const double v : state.values) {
      squares += (v - mean) * (v - mean);
      rest += v - mean;
    }
    squares -= rest * rest / static_cast<Quad>(n);
    const auto variance = static_cast<double>(squares / static_cast<Quad>(state.sample ? n - 1 : n));
    sqlite3_result_double(c, variance < 0 ? 0 : variance);
  });
}

}  // namespace

void register_functions(sqlite3* db) {
  const auto scalar = [&](const char* name, int arguments, void (*function)(sqlite3_context*, int, Values)) {
    sqlite3_create_function(db, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr, function,
                            nullptr, nullptr);
  };
  scalar("iadd", 2, iadd);
  scalar("isub", 2, isub);
  scalar("imul", 2, imul);
  scalar("idiv", 2, idiv);
  scalar("imod", 2, imod);
  scalar("finite", 1, finite);
  scalar("k_round", 1, rounding<std::round>);
  scalar("k_floor", 1, rounding<std::floor>);
  scalar("k_ceil", 1, rounding<std::ceil>);
  scalar("k_to_int", 1, to_int);
  scalar("k_int", 1, text_to_int);
  scalar("k_text", 1, double_text);
  scalar("k_ts_text", 1, timestamp_text);
  scalar("k_bool_text", 1, boolean_text);
  scalar("k_greatest", -1, extreme<1>);
  scalar("k_least", -1, extreme<-1>);
  scalar("k_split", 3, split);
  scalar("k_trunc", 2, truncate);
  scalar("k_num_round", 2, numeric_round);
  scalar("k_num_div", 2, numeric_divide);
  scalar("k_num_text", 1, numeric_text);
  scalar("k_sqrt", 1, [](sqlite3_context* c, int, Values v) {
    if (!is_null(v[0]) && sqlite3_value_double(v[0]) >= 0)
      sqlite3_result_double(c, std::sqrt(sqlite3_value_double(v[0])));
  });
  const auto aggregate = [&](const char* name, int arguments, void (*step)(sqlite3_context*, int, Values),
                             void (*end)(sqlite3_context*)) {
    sqlite3_create_function(db, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr, nullptr, step,
                            end);
  };
  aggregate("ksum", 1, integer_step, integer_sum);
  aggregate("kavg", 1, integer_step, integer_average);
  aggregate("dsum", 1, real_step, real_sum);
  aggregate("davg", 1, real_step, real_average);
  aggregate("kvar", 2, spread_step, spread);
}

}  // namespace kappa::oracle
