// Goal: the memory of all states together is bounded by one budget, and what leaves memory or changes in it is
// never missed by a reader.
// Method: two states over one small budget, read, changed and committed in turns; snapshots held while their
// entries change, are committed and leave.
#include <gtest/gtest.h>

#include "tests/processor/state/open_store.h"

namespace kappa::processor {
namespace {

// Entries that were read, committed, or copied while a commit was under way, in two states: all of it leaves when
// the budget wants it back, and nothing that is not committed does.
TEST(StateMemory, MemoryOfAllStatesStaysWithinOneBudget) {
  constexpr std::size_t kBudget = 256 << 10;
  const auto budget = std::make_shared<MemoryBudget>(kBudget);
  Directory directories[2];
  std::unique_ptr<StateStore> stores[2] = {open_store(directories[0].path(), 256 << 20, budget),
                                           open_store(directories[1].path(), 256 << 20, budget)};
  const auto key = [](int i) { return "key" + std::to_string(i); };
  std::uint64_t applied = 0;
  // The index never shrinks and is a small part; a publish may exceed the rest by what it brought itself.
  constexpr std::size_t kSlack = 192 << 10;
  for (int round = 0; round < 60; ++round) {
    for (const auto& store : stores) {
      store->begin_publish();
      for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(store->get(1, key((round * 7919 + i * 31) % 20'000)));       // Read.
        store->put(1, key((round * 200 + i) % 10'000), std::string(30, 'v'));  // Changed.
      }
      store->end_publish(at(++applied));
      EXPECT_LE(store->active_bytes(), store->uncommitted_bytes());
      if (budget->freeze_now(store->active_bytes())) {
        if (store->has_frozen()) {
          ASSERT_TRUE(store->commit());
        }
        ASSERT_TRUE(store->freeze());
        EXPECT_FALSE(budget->freeze_now(store->active_bytes()));
        EXPECT_GT(store->uncommitted_bytes(), 0U);
      }
    }
    EXPECT_LE(budget->used(), kBudget + kSlack) << "round " << round;
  }
  for (const auto& store : stores) {
    for (int n = 0; n < 2; ++n) {
      ASSERT_TRUE(store->commit());
      ASSERT_TRUE(store->freeze());
    }
    ASSERT_TRUE(store->commit());
    EXPECT_EQ(store->uncommitted_bytes(), 0U);
  }
  EXPECT_FALSE(budget->wait_now(1));
  for (const auto& store : stores)
    for (int n = 0; n < 10; ++n) store->shrink();
  EXPECT_LE(budget->used(), kBudget);
  for (const auto& store : stores) {
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(store->read(1, key(i))->value, std::string(30, 'v')) << i;
  }
  stores[0].reset();
  stores[1].reset();
  EXPECT_EQ(budget->used(), 0U);
}

// A snapshot reads the frozen overlay after its commit, while the processor changes the same entries.
TEST(StateMemory, SnapshotOfAFrozenOverlayStaysWhenItsEntriesChange) {
  Directory directory;
  auto store = open_store(directory.path(), 256 << 20, std::make_shared<MemoryBudget>(1));
  const auto put_all = [&](const std::string& value) {
    store->begin_publish();
    for (int i = 0; i < 100; ++i) {
      const auto entry = store->entry(1, std::to_string(i));
      ASSERT_TRUE(entry);
      store->begin_changes();
      (*entry)->value = value;
      (*entry)->exists = true;
      store->changed(**entry);
    }
    store->end_publish(at(1));
  };
  put_all("first");
  ASSERT_TRUE(store->freeze());
  auto before = *store->snapshot();  // Of the frozen overlay.
  put_all("second");
  auto during = *store->snapshot();  // Of both.
  ASSERT_TRUE(store->commit());
  put_all("third");  // Evicts what it can.
  ASSERT_TRUE(store->freeze());
  ASSERT_TRUE(store->commit());
  put_all("fourth");
  store->shrink();
  const auto all_are = [](StateSnapshot& snapshot, const std::string& value) {
    const Pairs found = scan_all(snapshot, 1, {}, false);
    EXPECT_EQ(found.size(), 100U);
    for (const auto& [key, held] : found) EXPECT_EQ(held, value) << key;
    EXPECT_EQ(*snapshot.get(1, "42"), value);
  };
  all_are(*before, "first");
  all_are(*during, "second");
  all_are(**store->snapshot(), "fourth");
  store.reset();  // Snapshots may live longer than the store.
  all_are(*before, "first");
  before.reset();
  all_are(*during, "second");
}

}  // namespace
}  // namespace kappa::processor
