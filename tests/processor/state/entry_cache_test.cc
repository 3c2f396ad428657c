// The index of entries in memory while entries come and go.
//
// Method: random keys come, and eviction holds the cache at a fixed number of bytes, for many turns of its hand.
// Beside it a list of what must be there. Searches must stay as short as in an index from which nothing left.
#include "processor/state/entry_cache.h"
#include "tests/support/seed.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

namespace kappa::processor {
namespace {

class EntryCacheTest : public ::testing::Test {
 protected:
  static constexpr TableId kTable = 3;

  void add(const std::string& key) {
    if (!cache_.has_room(1)) cache_.grow(1);
    cache_.add(EntryCache::lookup(kTable, key), true, key, 0);
    present_.insert(key);
  }
  template <class MayGo>
  void evict(std::size_t bytes, MayGo&& may_go) {
    std::vector<StateEntry*> gone;
    cache_.evict(bytes, may_go, gone);
    for (StateEntry* const entry : gone) {
      EXPECT_EQ(present_.erase(std::string(entry->key)), 1U) << "an entry that was not there left";
      cache_.free_entry(entry);
    }
  }
  // Every entry is found, and nothing else is counted.
  void expect_all_found() const {
    EXPECT_EQ(cache_.count(), present_.size());
    for (const std::string& key : present_) {
      const StateEntry* const entry = cache_.find(EntryCache::lookup(kTable, key));
      ASSERT_NE(entry, nullptr) << key;
      EXPECT_EQ(entry->value.view(), key);
    }
  }

  std::mt19937_64 random_{kappa::test::new_seed()};
  EntryCache cache_;
  std::unordered_set<std::string> present_;
};

TEST_F(EntryCacheTest, SearchesStayShortWhileEntriesComeAndGo) {
  static constexpr std::size_t kSlots = 1 << 15;
  static constexpr std::size_t kEntries = kSlots / 4 * 3 - 64;  // As many as it takes without growing.
  static constexpr std::size_t kTurns = 8;
  cache_.grow(kSlots / 2);
  while (present_.size() < kEntries) add(std::to_string(random_()));
  const std::size_t bytes_max = cache_.bytes();
  for (std::size_t i = 0; i < kEntries * kTurns; ++i) {
    add(std::to_string(random_()));
    while (cache_.bytes() > bytes_max) evict(cache_.bytes() - bytes_max, [](const StateEntry&) { return true; });
  }
  expect_all_found();
  ASSERT_GT(cache_.count(), kSlots / 2) << "the test must fill the index to be one";
  std::size_t found = 0;
  for (const std::string& key : present_) found += cache_.probes(EntryCache::lookup(kTable, key));
  std::size_t missed = 0;
  for (std::size_t i = 0; i < kEntries; ++i)
    missed += cache_.probes(EntryCache::lookup(kTable, "not there " + std::to_string(i)));
  // Linear probing at 3/4: 2.5 and 8.5 (Knuth, 6.4).
  EXPECT_LT(static_cast<double>(found) / static_cast<double>(cache_.count()), 4);
  EXPECT_LT(static_cast<double>(missed) / static_cast<double>(kEntries), 14);
}

TEST_F(EntryCacheTest, OnlyWhatMayGoLeavesAndAllOfItDoes) {
  static constexpr std::size_t kEntries = 20'000;
  while (present_.size() < kEntries) add(std::to_string(random_()));
  const auto may_go = [](const StateEntry& entry) { return entry.hash % 3 != 0; };
  const std::size_t stay = static_cast<std::size_t>(std::ranges::count_if(present_, [&](const std::string& key) {
    return !may_go(*cache_.find(EntryCache::lookup(kTable, key)));
  }));
  for (std::size_t call = 0; call < 64; ++call) evict(SIZE_MAX, may_go);
  EXPECT_EQ(present_.size(), stay);
  expect_all_found();
}

TEST_F(EntryCacheTest, WhatWasTouchedSinceTheHandPassedStaysOneTurn) {
  while (present_.size() < 500) add(std::to_string(random_()));  // The least index: one call is many turns.
  std::vector<StateEntry*> gone;
  const std::string kept = *present_.begin();
  std::size_t calls = 0;
  evict(1, [&](const StateEntry& entry) {
    ++calls;
    return entry.key != kept;
  });
  EXPECT_GE(calls, 1U);
  EXPECT_EQ(present_.size(), 499U) << "one was enough";
  // All have been passed once. What is touched now survives those that were not.
  const std::string touched = *std::ranges::find_if(present_, [&](const std::string& key) { return key != kept; });
  StateEntry* const entry = cache_.find(EntryCache::lookup(kTable, touched));
  for (std::size_t i = 0; i < 490; ++i) {
    entry->touched = true;
    evict(1, [](const StateEntry&) { return true; });
  }
  EXPECT_TRUE(present_.contains(touched));
  expect_all_found();
}

}  // namespace
}  // namespace kappa::processor
