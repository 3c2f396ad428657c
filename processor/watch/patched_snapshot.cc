// See patched_snapshot.h.
#include "processor/watch/patched_snapshot.h"

#include <utility>

#include "proto/check.h"

namespace kappa::processor {
namespace {

// Forward only: nobody reads a watched view backwards.
class PatchedCursor final : public StateCursor {
 public:
  PatchedCursor(std::unique_ptr<StateCursor> base, const Pending::Entries& entries, const KeyRange& range)
      : base_(std::move(base)),
        at_(entries.lower_bound(range.from)),
        end_(range.to ? entries.lower_bound(*range.to) : entries.end()) {}

  [[nodiscard]] Expected<std::optional<Entry>> next() override {
    for (;;) {
      if (!ahead_known_) {
        KAPPA_TRY(ahead_, base_->next());
        ahead_known_ = true;
      }
      const bool patch = at_ != end_ && (!ahead_ || at_->first <= ahead_->key);
      if (!patch) {
        ahead_known_ = false;
        return ahead_;
      }
      // Hides what the base has.
      if (ahead_ && at_->first == ahead_->key) ahead_known_ = false;
      const auto& [key, entry] = *at_++;
      if (entry.before) return Entry{key, *entry.before};
    }
  }

 private:
  const std::unique_ptr<StateCursor> base_;
  Pending::Entries::const_iterator at_;
  const Pending::Entries::const_iterator end_;
  std::optional<Entry> ahead_;  // Of the base; valid until its next step.
  bool ahead_known_ = false;
};

}  // namespace

Expected<std::optional<std::string>> PatchedSnapshot::get(TableId table, std::string_view key) {
  if (table == kRowsTable) {
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second.before;
  }
  return base_.get(table, key);
}

std::unique_ptr<StateCursor> PatchedSnapshot::scan(TableId table, KeyRange range, bool backward) {
  KAPPA_CHECK(!backward, "a patched snapshot is read forward");
  auto base = base_.scan(table, range, backward);
  if (table != kRowsTable) return base;
  // An empty range, as its from may lie behind its to.
  if (range.to && *range.to <= range.from) return base;
  return std::make_unique<PatchedCursor>(std::move(base), entries_, range);
}

}  // namespace kappa::processor
