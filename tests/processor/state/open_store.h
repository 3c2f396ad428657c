// A state in a directory of its own, and what it holds as lists to compare: for the tests of the state store.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "processor/state/state_store.h"
#include "tests/support/temp_dir.h"

namespace kappa::processor {

using Directory = test::TempDir;

inline std::unique_ptr<StateStore> open_store(const std::filesystem::path& path,
                                       std::uint64_t map_bytes = 256 << 20,
                                       std::shared_ptr<MemoryBudget> memory = nullptr) {
  StateOptions options;
  options.directory = path;
  options.map_bytes = map_bytes;
  options.memory = std::move(memory);
  auto store = StateStore::open(options);
  EXPECT_TRUE(store) << to_string(store.error());
  return store ? std::move(*store) : nullptr;
}
inline Progress at(std::uint64_t applied) {
  Progress progress;
  progress.applied = Offset(applied);
  progress.mark = {Offset(applied), WriterEpoch(3), applied * 7};
  progress.rows = applied / 2;
  progress.started = true;
  return progress;
}

using Model = std::map<std::pair<TableId, std::string>, std::string>;

using Pairs = std::vector<std::pair<std::string, std::string>>;
inline Pairs model_range(const Model& model, TableId table, const KeyRange& range, bool backward) {
  Pairs found;
  for (const auto& [place, value] : model) {
    if (place.first == table && place.second >= range.from && (!range.to || place.second < *range.to)) {
      found.emplace_back(place.second, value);
    }
  }
  if (backward) std::reverse(found.begin(), found.end());
  return found;
}
inline Pairs read_all(StateCursor& cursor) {
  Pairs found;
  for (;;) {
    const auto entry = cursor.next();
    EXPECT_TRUE(entry) << to_string(entry.error());
    if (!entry || !*entry) return found;
    found.emplace_back((*entry)->key, (*entry)->value);
  }
}
inline Pairs scan_all(StateSnapshot& snapshot, TableId table, const KeyRange& range, bool backward) {
  return read_all(*snapshot.scan(table, range, backward));
}
inline Pairs scan_all(StateStore& store, TableId table, const KeyRange& range, bool backward) {
  const auto cursor = store.scan(table, range, backward);
  EXPECT_TRUE(cursor) << to_string(cursor.error());
  return cursor ? read_all(**cursor) : Pairs{};
}

}  // namespace kappa::processor
