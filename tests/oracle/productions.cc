// See productions.h.
#include "tests/oracle/productions.h"

#include <cstdio>

namespace kappa::oracle {
namespace {

// What Kappa has: a run that compares none of one of these fails. A feature that lands is added here.
constexpr const char* kLanded[] = {
    "select",
    "select.offset",
    "where",
    "distinct",
    "group_by",
    "group_by.no_aggregates",
    "group_by.not_selected",
    "aggregate.global",
    "having",
    "agg.count_star",
    "agg.count",
    "agg.count_distinct",
    "agg.filter",
    "agg.min_max",
    "agg.sum",
    "agg.sum_double",
    "agg.sum_of_sums",
    "agg.avg",
    "agg.avg_double",
    "agg.bool",
    "agg.first_last",
    "agg.arg_min_max",
    "agg.variance",
    "agg.string_agg",
    "agg.array_agg",
    "agg.approx_count_distinct",
    "agg.approx_quantile",
    "agg.percentile_disc",
    "agg.percentile_cont",
    "expr.case",
    "expr.case_simple",
    "expr.coalesce",
    "expr.nullif",
    "expr.greatest_least",
    "expr.like",
    "expr.like_escape",
    "expr.ilike",
    "expr.in",
    "expr.between",
    "expr.not",
    "expr.and_or",
    "expr.is_null",
    "expr.is_true",
    "expr.distinct_from",
    "expr.comparison",
    "expr.integer_arithmetic",
    "expr.integer_division",
    "expr.real_arithmetic",
    "expr.concatenation",
    "expr.json_part",
    "expr.json_text",
    "expr.numeric_arithmetic",
    "expr.numeric_comparison",
    "expr.numeric_division",
    "fn.cast_numeric",
    "fn.cast_to_numeric",
    "fn.round_numeric",
    "agg.avg_numeric",
    "agg.sum_numeric",
    "expr.time_arithmetic",
    "fn.length",
    "fn.regexp_like",
    "fn.regexp_extract",
    "fn.regexp_count",
    "fn.regexp_replace",
    "fn.abs",
    "fn.round",
    "fn.sqrt",
    "fn.substr",
    "fn.trim",
    "fn.replace",
    "fn.split_part",
    "fn.concat",
    "fn.upper_lower",
    "fn.starts_with",
    "fn.cast_to_text",
    "fn.cast_to_bigint",
    "fn.cast_to_double",
    "fn.extract",
    "fn.extract_second",
    "fn.epoch_ms",
    "fn.date_trunc",
    "fn.date_trunc_calendar",
    "fn.date_bin",
    "from.table",
    "from.subquery",
    "view_over_view",
    "union_all",
    "union",
    "join.right",
    "fn.left",
    "fn.right",
    "fn.strpos",
    "fn.octet_length",
    "fn.sign",
    "tumble",
    "tumble.table_function",
    "hop",
    "hop.table_function",
    "session",
    "retain",
    "window.over_any",
    "join.inner",
    "join.left",
    "join.table",
    "join.view",
    "join.two_keys",
    "join.inequality",
    "join.streams",
    "join.streams_bounded",
    "join.streams_left",
    "as_of.inner",
    "as_of.left",
    "system_time.inner",
    "system_time.left",
    "top_k.row_number",
    "top_k.rank",
    "top_k.dense_rank",
    "top_k.partition",
    "top_k.over_groups",
    "top_k.and_more",
    "order_by_limit",
    "order_by_limit_offset",
    "as_of_offset",
    "read.by_key",
    "derived.changes",
    "derived.changes_hidden",
    "derived.on_close",
};

}  // namespace

void Productions::compared(const std::set<std::string>& used) {
  for (const std::string& production : used) ++counts_[production];
}

void Productions::add(const Productions& other) {
  for (const auto& [name, count] : other.counts_) counts_[name] += count;
}

std::vector<std::string> Productions::missing() const {
  std::vector<std::string> names;
  for (const char* name : kLanded) {
    if (!counts_.contains(name)) names.emplace_back(name);
  }
  return names;
}

std::string Productions::table() const {
  std::string text;
  char line[200];
  for (const auto& [name, count] : counts_) {
    std::snprintf(line, sizeof line, "  %-28s %10llu compared\n", name.c_str(),
                  static_cast<unsigned long long>(count));
    text += line;
  }
  return text;
}

}  // namespace kappa::oracle
