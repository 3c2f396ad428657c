// Aggregates of the oracle that depend on an order: each keeps all rows of its group and sorts at the end.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "proto/value.h"
#include "tests/oracle/dual.h"
#include "tests/oracle/sqlite_functions.h"

namespace kappa::oracle {
namespace {

using Values = sqlite3_value**;

struct Item {
  Cell value;
  Cell by;
  std::int64_t offset = 0;
};
struct Items {
  std::vector<Item> all;
  std::string delimiter;
  double share = 0;
};

Items* items(sqlite3_context* context, bool make) {
  auto** slot = static_cast<Items**>(sqlite3_aggregate_context(context, make ? sizeof(Items*) : 0));
  if (slot == nullptr) return nullptr;
  if (*slot == nullptr && make) *slot = new Items();
  return *slot;
}

Cell cell(sqlite3_value* v) {
  switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER: return std::int64_t{sqlite3_value_int64(v)};
    case SQLITE_FLOAT: return sqlite3_value_double(v);
    case SQLITE_NULL: return {};
    default:
      return std::string(reinterpret_cast<const char*>(sqlite3_value_text(v)),
                         static_cast<std::size_t>(sqlite3_value_bytes(v)));
  }
}
void give(sqlite3_context* context, const Cell& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return sqlite3_result_int64(context, *integer);
  if (const auto* real = std::get_if<double>(&value)) return sqlite3_result_double(context, *real);
  if (const auto* text = std::get_if<std::string>(&value)) {
    sqlite3_result_text(context, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
  }
}

// Far from the 64 KiB that Kappa's lists may have, whatever the elements.
constexpr std::size_t kListMax = 500;
thread_local bool long_list = false;

template <class Finish>
void finish(sqlite3_context* context, Finish&& finish_items) {
  Items* state = items(context, false);
  if (state == nullptr) return;
  if (!state->all.empty()) finish_items(state->all, *state);
  delete state;
}
// NULL keys sort last ascending, as everywhere.
bool before(const Item& a, const Item& b) {
  const bool a_null = a.by.index() == 0, b_null = b.by.index() == 0;
  if (a_null != b_null) return b_null;
  if (a.by != b.by) return a.by < b.by;
  return a.offset < b.offset;
}
void sort(std::vector<Item>& all) {
  std::ranges::sort(all, before);
}

// value, by, offset. first and last take rows whose value is NULL too.
void step(sqlite3_context* context, int, Values v) {
  items(context, true)->all.push_back({cell(v[0]), cell(v[1]), sqlite3_value_int64(v[2])});
}
void first(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items&) {
    sort(all);
    give(context, all.front().value);
  });
}
void last(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items&) {
    sort(all);
    give(context, all.back().value);
  });
}
// arg_min and arg_max leave rows out where `by` is NULL; ties go to the lowest offset.
void step_with_key(sqlite3_context* context, int n, Values v) {
  if (sqlite3_value_type(v[1]) != SQLITE_NULL) step(context, n, v);
}
template <bool kLow>
void arg(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items&) {
    const Item* best = nullptr;
    for (const Item& item : all) {
      if (best == nullptr || (kLow ? item.by < best->by : best->by < item.by) ||
          (item.by == best->by && item.offset < best->offset))
        best = &item;
    }
    give(context, best->value);
  });
}

// text, delimiter, offset.
void text_step(sqlite3_context* context, int, Values v) {
  if (sqlite3_value_type(v[0]) == SQLITE_NULL) return;
  Items& state = *items(context, true);
  state.all.push_back({cell(v[0]), cell(v[2]), 0});
  state.delimiter = std::get<std::string>(cell(v[1]));
}
void join_texts(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items& state) {
    sort(all);
    long_list |= all.size() > kListMax;
    std::string text = std::get<std::string>(all.front().value);
    for (std::size_t i = 1; i < all.size(); ++i)
      text += state.delimiter + std::get<std::string>(all[i].value);
    give(context, Cell(text));
  });
}

// value, the name of its type, by, offset. NULLs stay.
void array_step(sqlite3_context* context, int, Values v) {
  Items& state = *items(context, true);
  state.all.push_back({cell(v[0]), cell(v[2]), sqlite3_value_int64(v[3])});
  state.delimiter = std::get<std::string>(cell(v[1]));
}
std::string element(const Cell& value, const std::string& type) {
  std::string text;
  if (const auto* words = std::get_if<std::string>(&value)) {
    append_json_string(*words, text);
    return text;
  }
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number == nullptr) return "null";
  if (type == "BOOLEAN") return *number != 0 ? "true" : "false";
  if (type == "TIMESTAMP") return "\"" + format_timestamp(*number) + "\"";
  return type == "BIGINT" ? std::to_string(*number) : format_numeric(*number, 2);
}
void join_elements(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items& state) {
    sort(all);
    long_list |= all.size() > kListMax;
    std::string text = "[";
    for (const Item& item : all) text += (text.size() > 1 ? "," : "") + element(item.value, state.delimiter);
    give(context, Cell(text + "]"));
  });
}

// value, share.
void share_step(sqlite3_context* context, int, Values v) {
  if (sqlite3_value_type(v[0]) == SQLITE_NULL) return;
  Items& state = *items(context, true);
  state.all.push_back({{}, cell(v[0]), 0});
  state.share = sqlite3_value_double(v[1]);
}
void discrete(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items& state) {
    sort(all);
    const auto n = static_cast<double>(all.size());
    // The grammar's shares are hundredths: in integers, ceil(p * n) is exact.
    const auto hundredths = static_cast<std::size_t>(std::lround(state.share * 100));
    const std::size_t place = (hundredths * static_cast<std::size_t>(n) + 99) / 100;
    give(context, all[place == 0 ? 0 : place - 1].by);
  });
}
// The value at p (n - 1), rounded down.
void quantile(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items& state) {
    sort(all);
    const auto hundredths = static_cast<std::size_t>(std::lround(state.share * 100));
    const Cell& value = all[hundredths * (all.size() - 1) / 100].by;
    // What is less than every normal double counts as zero.
    const auto* real = std::get_if<double>(&value);
    give(context,
         real != nullptr && std::fabs(*real) < std::numeric_limits<double>::min() ? Cell(0.0) : value);
  });
}
void continuous(sqlite3_context* context) {
  finish(context, [&](std::vector<Item>& all, const Items& state) {
    sort(all);
    const auto number = [](const Cell& c) {
      const auto* integer = std::get_if<std::int64_t>(&c);
      return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(c);
    };
    const double place = state.share * static_cast<double>(all.size() - 1);
    const auto low = static_cast<std::size_t>(std::floor(place));
    const std::size_t high = std::min(low + 1, all.size() - 1);
    const double part = place - std::floor(place);
    give(context, Cell(number(all[low].by) * (1 - part) + number(all[high].by) * part));
  });
}

}  // namespace

bool had_long_list() {
  return std::exchange(long_list, false);
}

void register_ordered_functions(sqlite3* db) {
  const auto aggregate = [&](const char* name, int arguments, void (*each)(sqlite3_context*, int, Values),
                             void (*end)(sqlite3_context*)) {
    sqlite3_create_function(db, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr, nullptr, each,
                            end);
  };
  aggregate("k_first", 3, step, first);
  aggregate("k_last", 3, step, last);
  aggregate("k_arg_min", 3, step_with_key, arg<true>);
  aggregate("k_arg_max", 3, step_with_key, arg<false>);
  aggregate("k_string_agg", 3, text_step, join_texts);
  aggregate("p_disc", 2, share_step, discrete);
  aggregate("k_array_agg", 4, array_step, join_elements);
  aggregate("k_quantile", 2, share_step, quantile);
  aggregate("p_cont", 2, share_step, continuous);
}

}  // namespace kappa::oracle
