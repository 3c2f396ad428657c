// A snapshot as it was before some changes: the entries that they changed are what they were.
//
// So what a watcher has is known exactly without keeping an old state for it. Borrows both; one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "processor/state/state_store.h"
#include "processor/watch/pending.h"

namespace kappa::processor {

class PatchedSnapshot final : public StateSnapshot {
 public:
  // `entries` are of kRowsTable.
  PatchedSnapshot(StateSnapshot& base, const Pending::Entries& entries) : base_(base), entries_(entries) {}
  // Of the base.
  [[nodiscard]] const Progress& progress() const override { return base_.progress(); }
  [[nodiscard]] Expected<std::optional<std::string>> get(TableId table, std::string_view key) override;
  [[nodiscard]] std::unique_ptr<StateCursor> scan(TableId table, KeyRange range, bool backward) override;

 private:
  StateSnapshot& base_;
  const Pending::Entries& entries_;
};

}  // namespace kappa::processor
