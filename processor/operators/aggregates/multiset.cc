// See multiset.h.
#include "processor/operators/aggregates/multiset.h"

#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

std::int64_t multiplicity(std::string_view value) {
  return value.size() == 8 ? load_raw<std::int64_t>(value.data()) : 0;
}

}  // namespace

Status MultisetTable::prepare(const AggregateRows& rows) {
  const Vector& argument = *rows.arguments[0];
  entries_.resize(rows.rows.size());
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const std::uint32_t row = rows.rows[i];
    if (!argument.valid()[row]) {
      entries_[i] = nullptr;
      continue;
    }
    key_.assign(rows.group(row).key);
    append_key(argument, row, key_);
    KAPPA_TRY(entries_[i], store_->entry(table_, key_));
  }
  return {};
}

MultisetTable::Change MultisetTable::add(StateEntry& entry, std::int64_t weight) {
  if (input_ == InputKind::kAppendOnly) {
    if (entry.exists) return Change::kNone;
    entry.exists = true;
    store_->changed(entry);
    return Change::kCame;
  }
  const std::int64_t before = entry.exists ? multiplicity(entry.value) : 0;
  const std::int64_t after = before + weight;
  entry.exists = after != 0;
  if (entry.exists) {
    entry.value.resize(8);
    store_raw(entry.value.data(), after);
  } else {
    entry.value.clear();
  }
  store_->changed(entry);
  if ((before > 0) == (after > 0)) return Change::kNone;
  return after > 0 ? Change::kCame : Change::kWent;
}

Expected<std::string> MultisetTable::extremum(std::string_view group_key, bool greatest) {
  KeyRange range{std::string(group_key), std::nullopt};
  if (!group_key.empty()) range.to = key_after_prefix(group_key);
  for (;;) {
    KAPPA_TRY(auto found, store_->first(table_, range, greatest));
    if (!found) return std::string();
    if (multiplicity(found->second) > 0) return found->first.substr(group_key.size());
    // Taken back before it came: not a member; look beyond it.
    if (greatest)
      range.to = std::move(found->first);
    else
      range.from = std::move(found->first) + '\0';
  }
}

}  // namespace kappa::processor
