// See multiset.h.
#include "processor/operators/aggregates/multiset.h"

#include <algorithm>

#include "processor/sql/expression_tools.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

bool same_or_none(const ExpressionPtr& a, const ExpressionPtr& b) {
  return a == nullptr || b == nullptr ? a == b : sql::equal(*a, *b);
}

bool same_key(const std::vector<SortKey>& a, const std::vector<SortKey>& b) {
  return std::ranges::equal(a, b, [](const SortKey& x, const SortKey& y) { return sql::equal(x, y); });
}

bool all_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

MultisetTable::MultisetTable(StateStore* store, TableId table, Spec spec)
    : store_(store), table_(table), spec_(std::move(spec)) {
  if (spec_.ordered && store_ != nullptr) store_->keep_ordered(table_);
}

void MultisetTable::begin_batch(std::size_t rows) {
  if (seen_in_.size() < rows) {
    seen_in_.resize(rows, batch_);
    entries_.resize(rows);
  }
  if (++batch_ == 0) {  // Once in 2^32 batches.
    std::ranges::fill(seen_in_, 0U);
    batch_ = 1;
  }
}

Status MultisetTable::look_up() {
  views_.clear();
  for (std::size_t i = 0, begin = 0; i < ends_.size(); begin = ends_[i++])
    views_.push_back(std::string_view(keys_).substr(begin, ends_[i] - begin));
  found_.resize(views_.size());
  KAPPA_CHECK_OK(store_->entries(table_, views_, found_));
  for (std::size_t i = 0; i < found_.size(); ++i) entries_[looked_up_[i]] = found_[i];
  return {};
}

void MultisetTable::update(std::size_t slot, const AggregateRows& rows) {
  std::vector<Step>& steps = slots_[slot].steps;
  steps.resize(rows.rows.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Step& step = steps[i];
    const std::uint32_t row = rows.rows[i];
    step = {entries_[row], 0, 0};
    if (step.entry == nullptr) continue;
    if (spec_.counted)
      add_counted(slot, step, rows.weight(row));
    else
      add_seen(slot, step);
  }
}

void MultisetTable::add_seen(std::size_t slot, Step& step) {
  StateEntry& entry = *step.entry;
  step.after = 1;
  if (slots_.size() == 1) {
    step.before = entry.exists ? 1 : 0;
    if (entry.exists) return;
  } else {
    if (!entry.exists) entry.value.assign((slots_.size() + 7) / 8, '\0');
    char& bits = entry.value[slot / 8];
    const auto bit = static_cast<char>(1U << (slot % 8));
    step.before = (bits & bit) != 0 ? 1 : 0;
    if (step.before != 0) return;
    bits = static_cast<char>(bits | bit);
  }
  entry.exists = true;
  store_->changed(entry);
}

void MultisetTable::add_counted(std::size_t slot, Step& step, std::int64_t weight) {
  StateEntry& entry = *step.entry;
  if (!entry.exists) entry.value.assign(slots_.size() * 8, '\0');
  char* const at = entry.value.data() + slot * 8;
  step.before = load_raw<std::int64_t>(at);
  step.after = step.before + weight;
  store_raw(at, step.after);
  entry.exists = step.after != 0 || (slots_.size() > 1 && !all_zero(entry.value));
  if (!entry.exists) entry.value.clear();
  store_->changed(entry);
}

Expected<std::optional<MultisetTable::Member>> MultisetTable::Walk::next() {
  for (;;) {
    KAPPA_TRY(const std::optional<StateCursor::Entry> found, cursor_->next());
    if (!found) return std::nullopt;
    // Taken back before it came: not a member; look beyond it.
    const std::int64_t count = found->value.size() == 8 ? load_raw<std::int64_t>(found->value.data()) : 0;
    if (count > 0) return Member{std::string(found->key.substr(prefix_)), count};
  }
}

Expected<MultisetTable::Walk> MultisetTable::walk(std::string_view group_key, std::string_view after,
                                                  std::string_view before, bool backward) {
  KeyRange range{std::string(group_key), std::nullopt};
  if (!after.empty()) {
    range.from += after;
    range.from += '\0';
  }
  if (!before.empty()) {
    range.to = std::string(group_key);
    *range.to += before;
  } else if (!group_key.empty()) {
    range.to = key_after_prefix(group_key);
  }
  KAPPA_TRY(std::unique_ptr<StateCursor> cursor, store_->scan(table_, std::move(range), backward));
  return Walk(std::move(cursor), group_key.size());
}

Expected<std::optional<MultisetTable::Member>> MultisetTable::first(std::string_view group_key,
                                                                    std::string_view after,
                                                                    std::string_view before, bool backward) {
  KAPPA_TRY(Walk one, walk(group_key, after, before, backward));
  return one.next();
}

MultisetTable::Use MultisetPool::use(const AggregateContext& context, MultisetTable::Spec spec) {
  const ExpressionPtr& filter = context.aggregate.filter;
  for (const auto& table : tables_) {
    if (table->spec_.counted != spec.counted || !same_key(table->spec_.key, spec.key) ||
        !same_or_none(table->spec_.left_out, spec.left_out)) {
      continue;
    }
    for (std::size_t slot = 0; slot < table->slots_.size(); ++slot) {
      if (!same_or_none(table->slots_[slot].filter, filter)) continue;
      if (spec.ordered && !table->spec_.ordered) {
        if (table->slots_.size() > 1) break;
        table->spec_.ordered = true;
        if (context.store != nullptr) context.store->keep_ordered(table->table_);
      }
      return {table.get(), slot, false};
    }
    if (spec.ordered || table->spec_.ordered) continue;
    table->slots_.push_back({filter, {}});
    return {table.get(), table->slots_.size() - 1, true};
  }
  tables_.push_back(std::make_unique<MultisetTable>(context.store, context.next_table++, std::move(spec)));
  tables_.back()->slots_.push_back({filter, {}});
  return {tables_.back().get(), 0, true};
}

}  // namespace kappa::processor
