// Goal: the state of two disjoint row sets, merged, has the bytes of one group that all rows came to, for
// every aggregate that says it can be merged, in any order of merging. Method: random rows are split at
// random into parts, each part goes through an operator of its own, and the groups of the parts are merged in
// random order; the same rows go through one operator.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "processor/operators/aggregate.h"
#include "tests/processor/operators/all_aggregates.h"
#include "tests/processor/operators/change_source.h"
#include "tests/support/seed.h"

namespace kappa::processor {
namespace {

using namespace testing;
using Groups = std::map<std::string, std::string>;

std::unique_ptr<AggregateSet> make_set(const Plan& plan, InputKind input, StateStore* store) {
  TableId next_table = 1;
  auto set = AggregateSet::make(plan, input, store, next_table);
  EXPECT_TRUE(set) << to_string(set.error());
  return std::move(*set);
}

Groups groups_of(const Plan& plan, InputKind input, const std::vector<Change>& changes,
                 std::mt19937_64& random) {
  const auto store = make_memory_state();
  AggregateOperator group_by(plan, make_set(plan, input, store.get()), *store, {});
  for (std::size_t at = 0; at < changes.size();) {
    const std::size_t size = std::min<std::size_t>(changes.size() - at, 1 + random() % 300);
    const auto begin = changes.begin() + static_cast<std::ptrdiff_t>(at);
    const Status status = push_changes(group_by, {begin, begin + static_cast<std::ptrdiff_t>(size)}, random);
    EXPECT_TRUE(status) << to_string(status.error());
    at += size;
  }
  Groups groups;
  const auto snapshot = *store->snapshot();
  const auto cursor = snapshot->scan(0, {}, false);
  for (auto entry = cursor->next(); entry && *entry; entry = cursor->next()) {
    groups.emplace((*entry)->key, (*entry)->value);
  }
  return groups;
}

// Only the aggregates that can be merged on this input.
PlanPtr mergeable_plan(InputKind input, const std::vector<Aggregate>& aggregates) {
  const std::vector<Column> columns = source_columns();
  std::vector<Aggregate> kept;
  for (const Aggregate& one : aggregates) {
    const PlanPtr alone = aggregate_plan(scan_plan(), {}, {one});
    if (make_set(*alone, input, nullptr)->mergeable()) kept.push_back(one);
  }
  return aggregate_plan(scan_plan(), {col(columns, kKeyInt)}, std::move(kept));
}

void expect_merged(InputKind input, const std::vector<Aggregate>& aggregates, std::uint64_t seed) {
  const PlanPtr plan = mergeable_plan(input, aggregates);
  ASSERT_FALSE(plan->aggregates.empty());
  const auto set = make_set(*plan, input, nullptr);
  ASSERT_TRUE(set->mergeable());
  ChangeSource source(seed, input == InputKind::kRetracting);
  std::mt19937_64& random = source.random();
  for (int round = 0; round < 12; ++round) {
    std::vector<Change> changes;
    const std::size_t count = random() % 1200;
    while (changes.size() < count) changes.push_back(source.next());
    const Groups whole = groups_of(*plan, input, changes, random);
    std::vector<std::vector<Change>> parts(2 + random() % 4);
    for (const Change& change : changes) parts[random() % parts.size()].push_back(change);
    Groups merged;
    std::ranges::shuffle(parts, random);
    for (const std::vector<Change>& part : parts) {
      Groups of_part = groups_of(*plan, input, part, random);
      for (auto& [key, value] : of_part) {
        std::string& held = merged[key];
        // From a group without rows, from the one of before or from the new one.
        EntryValue into;
        into.assign(set->layout().fixed_bytes(), '\0');
        if (random() % 2 == 0) held.swap(value);
        if (!held.empty() && random() % 2 == 0) {
          into = held;
        } else if (!held.empty()) {
          ASSERT_TRUE(set->merge(into, held));
        }
        if (!value.empty()) {
          ASSERT_TRUE(set->merge(into, value));
        }
        held = into.view();
      }
    }
    // What one part took back of another part's rows leaves nothing: such a group is gone from the whole.
    std::erase_if(
        merged, [](const auto& group) { return group.second.find_first_not_of('\0') == std::string::npos; });
    ASSERT_EQ(merged.size(), whole.size());
    for (const auto& [key, value] : whole) {
      ASSERT_TRUE(merged[key] == value) << "round " << round << ", group of " << GroupLayout::weight(value);
    }
  }
}

TEST(Merge, EqualsOneGroupOverAllRows) {
  std::vector<Aggregate> aggregates = all_aggregates();
  for (const Col c : {kInt, kText, kReal})
    aggregates.push_back(aggregate("approx_count_distinct", col(source_columns(), c)));
  expect_merged(InputKind::kAppendOnly, aggregates, test::new_seed());
}

TEST(Merge, SumsMergeWhereRowsAreTakenBack) {
  const std::vector<Column> columns = source_columns();
  std::vector<Aggregate> sums;
  for (const Aggregate& one : all_aggregates()) {
    if (one.function != "min" && one.function != "max" && !one.distinct) sums.push_back(one);
  }
  expect_merged(InputKind::kRetracting, sums, test::new_seed());
}

TEST(Merge, WhatHasSideTablesSaysSo) {
  const std::vector<Column> columns = source_columns();
  const PlanPtr distinct = aggregate_plan(scan_plan(), {}, {aggregate("count", col(columns, kInt), true)});
  EXPECT_FALSE(make_set(*distinct, InputKind::kAppendOnly, nullptr)->mergeable());
  const PlanPtr least = aggregate_plan(scan_plan(), {}, {aggregate("min", col(columns, kInt))});
  EXPECT_TRUE(make_set(*least, InputKind::kAppendOnly, nullptr)->mergeable());
  EXPECT_FALSE(make_set(*least, InputKind::kRetracting, nullptr)->mergeable());
}

TEST(Merge, ForeignBytesAreRefused) {
  const std::vector<Column> columns = source_columns();
  const PlanPtr plan = aggregate_plan(scan_plan(), {}, {aggregate("sum", col(columns, kReal))});
  const auto set = make_set(*plan, InputKind::kAppendOnly, nullptr);
  EntryValue group;
  group.assign(set->layout().fixed_bytes(), '\0');
  EXPECT_EQ(set->merge(group, "short").error().number, 3301);
  EntryValue shorter;
  shorter = "x";
  EXPECT_EQ(set->merge(shorter, group).error().number, 3301);
}

}  // namespace
}  // namespace kappa::processor
