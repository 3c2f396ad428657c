// A source that takes rows back, for testing operators: rows of a small mixed schema, inserted and
// retracted at random, cut into batches of any size, and what is live after each of them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "processor/operators/operator.h"
#include "processor/sql/plan.h"
#include "processor/vector/functions.h"
#include "processor/vector/vector.h"

namespace kappa::processor::testing {

inline constexpr Type kDecimal{TypeId::kNumeric, 20, 4};

// Columns of every test row.
enum Col : std::size_t {
  kKeyText,
  kKeyInt,
  kFlag,
  kInt,
  kReal,
  kDec,
  kText,
  kTime,
  kSpan,
  kId,
  kColumnCount
};

inline std::vector<Column> source_columns() {
  return {{"kt", kTextType},     {"ki", kBigintType},     {"flag", kBooleanType}, {"i", kBigintType},
          {"d", kDoubleType},    {"n", kDecimal},         {"t", kTextType},       {"ts", kTimestampType},
          {"iv", kIntervalType}, {"_offset", kBigintType}};
}

struct Change {
  Row row;
  std::int64_t weight = 1;
};

// Random rows with few distinct keys and values, so that groups come, go and share values. Doubles are
// multiples of 2^-20 below 2^40, so that the test can sum them exactly in integers.
class ChangeSource {
 public:
  explicit ChangeSource(std::uint64_t seed, bool retracting) : random_(seed), retracting_(retracting) {}

  Change next() {
    if (retracting_ && !live_.empty() && random_() % 100 < retract_percent_) {
      const std::size_t at = random_() % live_.size();
      Change change{live_[at], -1};
      live_[at] = live_.back();
      live_.pop_back();
      return change;
    }
    live_.push_back(random_row());
    return {live_.back(), 1};
  }
  // Rows inserted and not taken back.
  [[nodiscard]] const std::vector<Row>& live() const { return live_; }
  void set_retract_percent(std::uint64_t percent) { retract_percent_ = percent; }
  std::mt19937_64& random() { return random_; }

 private:
  Row random_row() {
    const auto small = [&](int range) {
      return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(range)) - range / 2;
    };
    const auto maybe = [&](Value value) { return random_() % 6 == 0 ? Value::null(value.type()) : value; };
    static const std::vector<std::string> kTexts = {
        "", "a", std::string("a\0b", 3), "b", "zebra", std::string(600, 'u'), std::string(600, 'u') + "v"};
    const auto text = [&] { return Value::text(kTexts[random_() % kTexts.size()]); };
    const std::int64_t huge = random_() % 4 == 0 ? static_cast<std::int64_t>(random_()) : small(10);
    const double real =
        static_cast<double>(random_() % 3 == 0 ? static_cast<std::int64_t>(random_()) >> 4 : small(9)) /
        (1 << 20);
    return {maybe(text()),
            maybe(Value::bigint(small(4))),
            maybe(Value::boolean(random_() % 2 == 0)),
            maybe(Value::bigint(huge)),
            maybe(Value::real(real)),
            maybe(Value::numeric(Int128{small(5)} * 1'000'000'007, 20, 4)),
            maybe(text()),
            maybe(Value::timestamp(small(20) * 1'000'000)),
            maybe(Value::interval(small(7) * 1'000)),
            Value::bigint(next_id_++)};
  }

  std::mt19937_64 random_;
  bool retracting_;
  std::uint64_t retract_percent_ = 45;
  std::vector<Row> live_;
  std::int64_t next_id_ = 0;
};

// Pushes changes in one batch of at most kVectorRows rows; now and then with rows in between that a
// selection leaves out, and with neighbouring changes of one row merged into a weight.
inline Status push_changes(Operator& head, const std::vector<Change>& changes, std::mt19937_64& random) {
  std::vector<Vector> columns;
  for (const Column& column : source_columns()) {
    columns.emplace_back(column.type);
    columns.back().resize(kVectorRows);
  }
  Arena arena;
  std::vector<std::int64_t> weights;
  Selection selection;
  bool plain = true;
  std::uint32_t at = 0;
  for (const Change& change : changes) {
    if (random() % 8 == 0 && at + changes.size() < kVectorRows / 2) {
      for (std::size_t i = 0; i < columns.size(); ++i) columns[i].set(at, changes[0].row[i], arena);
      weights.push_back(7);
      ++at;
    }
    for (std::size_t i = 0; i < columns.size(); ++i) columns[i].set(at, change.row[i], arena);
    weights.push_back(change.weight);
    plain = plain && change.weight == 1;
    selection.push_back(at++);
  }
  ChangeBatch batch;
  batch.count = at;
  for (Vector& column : columns) batch.columns.push_back(&column);
  batch.arena = &arena;
  const bool all = selection.size() == at;
  if (!all) batch.selection = &selection;
  if (!plain || !all) batch.weights = weights;
  return head.push(batch);
}

// --- plans by hand ---
inline ExpressionPtr call(const char* name, std::vector<ExpressionPtr> arguments) {
  auto made = make_call(name, std::move(arguments));
  EXPECT_TRUE(made) << to_string(made.error());
  return *made;
}
inline ExpressionPtr col(const std::vector<Column>& columns, std::size_t i) {
  return make_column(i, columns[i].type);
}
inline PlanPtr scan_plan() {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kStreamScan;
  plan->output = source_columns();
  return plan;
}
inline PlanPtr filter_plan(PlanPtr input, ExpressionPtr predicate) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kFilter;
  plan->output = input->output;
  plan->input = std::move(input);
  plan->predicate = std::move(predicate);
  return plan;
}
inline PlanPtr project_plan(PlanPtr input, std::vector<std::pair<std::string, ExpressionPtr>> expressions) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kProject;
  for (auto& [name, expression] : expressions) {
    plan->output.push_back({name, expression->type});
    plan->expressions.push_back(std::move(expression));
  }
  plan->input = std::move(input);
  return plan;
}
inline PlanPtr aggregate_plan(PlanPtr input, std::vector<ExpressionPtr> keys,
                              std::vector<Aggregate> aggregates) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kAggregate;
  for (const ExpressionPtr& key : keys)
    plan->output.push_back({"key" + std::to_string(plan->output.size()), key->type});
  for (const Aggregate& a : aggregates) plan->output.push_back({a.function, a.type});
  plan->group_keys = std::move(keys);
  plan->aggregates = std::move(aggregates);
  plan->input = std::move(input);
  return plan;
}
inline PlanPtr sort_plan(PlanPtr input, std::vector<SortKey> keys, std::optional<std::uint64_t> limit,
                         std::uint64_t offset = 0) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kSort;
  plan->output = input->output;
  plan->input = std::move(input);
  plan->sort_keys = std::move(keys);
  plan->limit = limit;
  plan->offset = offset;
  return plan;
}
inline PlanPtr union_plan(PlanPtr left, PlanPtr right) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kUnion;
  plan->output = left->output;
  plan->input = std::move(left);
  plan->right = std::move(right);
  return plan;
}
inline PlanPtr window_plan(PlanPtr input, Window window) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kWindow;
  plan->output = input->output;
  plan->output.push_back({"window_start", kTimestampType});
  plan->output.push_back({"window_end", kTimestampType});
  plan->input = std::move(input);
  plan->window = std::move(window);
  return plan;
}
inline PlanPtr top_k_plan(PlanPtr input, TopK top_k) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kTopK;
  plan->output = input->output;
  if (top_k.gives_rank) plan->output.push_back({"rank", kBigintType});
  plan->input = std::move(input);
  plan->top_k = std::move(top_k);
  return plan;
}
inline PlanPtr join_plan(PlanPtr left, PlanPtr right, Join join) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kJoin;
  plan->output = left->output;
  plan->output.insert(plan->output.end(), right->output.begin(), right->output.end());
  plan->input = std::move(left);
  plan->right = std::move(right);
  plan->join = std::move(join);
  return plan;
}
inline Type aggregate_type(const std::string& function, const ExpressionPtr& argument) {
  if (function == "count" || function == "approx_count_distinct") return kBigintType;
  if (function == "array_agg") return kJsonType;
  if (function == "approx_quantile") return kDoubleType;
  if (function == "avg" || function.starts_with("var_") || function.starts_with("stddev_")) return kDoubleType;
  if (function == "sum") {
    if (argument->type.id == TypeId::kBigint) return kHugeintType;
    if (argument->type.id == TypeId::kNumeric) return {TypeId::kNumeric, 38, argument->type.scale};
  }
  return argument->type;
}
inline Aggregate aggregate(std::string function, ExpressionPtr argument, bool distinct = false,
                           ExpressionPtr filter = nullptr) {
  Aggregate a;
  a.function = std::move(function);
  a.type = argument ? aggregate_type(a.function, argument) : kBigintType;
  if (argument) a.arguments.push_back(std::move(argument));
  a.distinct = distinct;
  a.filter = std::move(filter);
  return a;
}

}  // namespace kappa::processor::testing
