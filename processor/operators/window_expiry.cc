// See window_expiry.h.
#include "processor/operators/window_expiry.h"

#include "processor/operators/aggregates/group_layout.h"
#include "processor/operators/big_endian.h"
#include "processor/operators/build.h"
#include "processor/operators/copies.h"

namespace kappa::processor {

WindowExpiry::WindowExpiry(const Plan& plan, StateStore& store, TableId table, TableId groups)
    : store_(store),
      table_(table),
      groups_(groups),
      key_(*plan.window_key),
      after_(plan.emit_on_close ? 0 : *plan.retain_micros),
      counts_late_(plan.emit_on_close),
      session_(plan.window_key->step_micros == 0) {
  store.keep_ordered(table);
}

std::optional<std::int64_t> WindowExpiry::end_of(const std::vector<const Vector*>& keys, std::size_t row) const {
  const Vector& column = *keys[key_.end.value_or(key_.start)];
  if (column.valid()[row] == 0) return std::nullopt;
  const Int128 end = Int128{column.data<std::int64_t>()[row]} + (key_.end ? 0 : key_.size_micros);
  if (end > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(end);
}

Status WindowExpiry::count_late(std::uint64_t rows) {
  if (!counts_late_ || rows == 0) return {};
  const char key = static_cast<char>(groups_);
  KAPPA_TRY(StateEntry* const entry, store_.entry(kLateRowsTable, {&key, 1}));
  store_.begin_changes();
  if (!entry->exists) entry->value.assign(sizeof rows, '\0');
  entry->exists = true;
  store_raw(entry->value.data(), load_raw<std::uint64_t>(entry->value.data()) + rows);
  store_.changed(*entry);
  return {};
}

void WindowExpiry::track(std::string_view group, std::int64_t end, bool there) {
  scratch_.clear();
  append_time(scratch_, end);
  scratch_.append(group);
  if (there)
    store_.put(table_, scratch_, {});
  else
    store_.erase(table_, scratch_);
}

bool WindowExpiry::advance(std::int64_t watermark) {
  if (watermark <= watermark_) return false;
  watermark_ = watermark;
  return true;
}

Expected<std::vector<std::string>> WindowExpiry::take_due() {
  static constexpr std::size_t kPieceGroups = 256;
  std::vector<std::string> due;
  KAPPA_TRY(const auto cursor, store_.scan(table_, {}, false));
  while (due.size() < kPieceGroups) {
    KAPPA_TRY(const auto entry, cursor->next());
    if (!entry) break;
    if (entry->key.size() < kTimeBytes) return damaged_state("the index of windows");
    if (!passed(read_time(entry->key))) break;
    due.emplace_back(entry->key);
  }
  for (std::string& key : due) {
    store_.erase(table_, key);
    key.erase(0, kTimeBytes);
  }
  return due;
}

Expected<std::uint64_t> late_rows(StateStore& store) {
  std::vector<std::string> keys;  // Every table that could have groups.
  for (unsigned table = 1; table < kLateRowsTable; ++table) keys.emplace_back(1, static_cast<char>(table));
  KAPPA_TRY(const StateStore::PointReads read, store.read_many(kLateRowsTable, keys));
  std::uint64_t rows = 0;
  for (const auto& value : read.values) {
    if (!value) continue;
    if (value->size() != sizeof rows) return damaged_state("a counter");
    rows += load_raw<std::uint64_t>(value->data());
  }
  return rows;
}

}  // namespace kappa::processor
