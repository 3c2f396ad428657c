// See productions.h.
#include "tests/oracle/productions.h"

#include <algorithm>
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
    "agg.avg",
    "agg.avg_double",
    "expr.case",
    "expr.coalesce",
    "expr.nullif",
    "expr.like",
    "expr.like_escape",
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
    "fn.length",
    "fn.abs",
    "fn.round",
    "fn.substr",
    "fn.trim",
    "fn.replace",
    "fn.split_part",
    "fn.concat",
    "fn.cast_to_text",
    "fn.cast_to_bigint",
    "fn.extract",
    "fn.epoch_ms",
    "fn.date_trunc",
    "fn.date_bin",
    "expr.time_arithmetic",
};

}  // namespace

void Productions::compared(const std::set<std::string>& used) {
  for (const std::string& production : used) ++counts_[production].compared;
}

void Productions::refused(const std::set<std::string>& used, const std::string& why) {
  for (const std::string& production : used) ++counts_[production].refused;
  ++reasons_[why];
}

void Productions::add(const Productions& other) {
  for (const auto& [name, count] : other.counts_) {
    counts_[name].compared += count.compared;
    counts_[name].refused += count.refused;
  }
  for (const auto& [why, count] : other.reasons_) reasons_[why] += count;
}

std::vector<std::string> Productions::missing() const {
  std::vector<std::string> names;
  for (const char* name : kLanded) {
    const auto found = counts_.find(name);
    if (found == counts_.end() || found->second.compared == 0) names.emplace_back(name);
  }
  return names;
}

std::string Productions::table() const {
  std::string text;
  char line[200];
  for (const auto& [name, count] : counts_) {
    std::snprintf(line, sizeof line, "  %-28s %10llu compared%s\n", name.c_str(),
                  static_cast<unsigned long long>(count.compared),
                  count.refused == 0 ? "" : (", " + std::to_string(count.refused) + " refused").c_str());
    text += line;
  }
  if (!reasons_.empty()) text += "  refused as not in this version:\n";
  for (const auto& [why, count] : reasons_) text += "    " + std::to_string(count) + " x " + why + "\n";
  return text;
}

}  // namespace kappa::oracle
