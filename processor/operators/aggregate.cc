// See aggregate.h.
#include "processor/operators/aggregate.h"

#include <numeric>

#include "processor/state/key_encoding.h"

namespace kappa::processor {

AggregateOperator::AggregateOperator(const Plan& plan, std::unique_ptr<AggregateSet> aggregates,
                                     StateStore& store, Options options, std::unique_ptr<PaneWindows> windows)
    : aggregates_(std::move(aggregates)),
      store_(store),
      options_(options),
      emits_on_close_(plan.emit_on_close),
      windows_(std::move(windows)),
      out_(plan.output) {
  for (const ExpressionPtr& key : plan.group_keys) keys_.emplace_back(key);
  for (const Aggregate& aggregate : plan.aggregates) {
    Input& input = inputs_.emplace_back();
    for (const ExpressionPtr& argument : aggregate.arguments) input.arguments.emplace_back(argument);
    for (const SortKey& key : aggregate.order_by) input.order.emplace_back(key.expression);
    if (aggregate.filter) input.filter.emplace(aggregate.filter);
  }
  if (options_.expiry_table) {
    expiry_.emplace(plan, store, *options_.expiry_table, options_.table);
    for (TableId table = options_.side_tables_begin; table < options_.side_tables_end; ++table)
      store.keep_ordered(table);
  }
}

Status AggregateOperator::start() {
  if (aggregates_->global()) {
    KAPPA_TRY(StateEntry* const group, store_.entry(options_.table, {}));
    if (!group->exists) {
      store_.begin_changes();
      group->value.assign(aggregates_->layout().fixed_bytes(), '\0');
      group->exists = true;
      store_.changed(*group);
      if (options_.row_count != nullptr) ++*options_.row_count;
      if (options_.gives_changes && next() != nullptr) {
        KAPPA_TRY(const Row row, aggregates_->row({}, group->value));
        KAPPA_CHECK_OK(out_.add(row, 1, next()));
        return out_.give_to(next());
      }
    }
  }
  return {};
}

Status AggregateOperator::push(const ChangeBatch& batch) {
  if (!expiry_) return take(batch);
  KAPPA_CHECK_OK(leave_out_late(batch));
  ChangeBatch in_time = batch;
  in_time.selection = &in_time_;
  return take(in_time);
}

Status AggregateOperator::leave_out_late(const ChangeBatch& batch) {
  in_time_.clear();
  key_columns_.clear();
  for (ExpressionEvaluator& key : keys_) key_columns_.push_back(&key.evaluate(batch));
  std::uint64_t late = 0;
  for_each_row(batch, [&](std::uint32_t row) {
    if (!expiry_->passed(expiry_->end_of(key_columns_, row)))
      in_time_.push_back(row);
    else if (const std::int64_t weight = batch.weight(row); weight > 0)
      late += static_cast<std::uint64_t>(weight);
  });
  return expiry_->count_late(late);
}

Status AggregateOperator::take(const ChangeBatch& batch) {
  if (batch.selected() == 0) return {};
  if (batch.selection != nullptr) {
    rows_ = batch.selection;
  } else {
    all_rows_.resize(batch.count);
    std::iota(all_rows_.begin(), all_rows_.end(), 0U);
    rows_ = &all_rows_;
  }
  KAPPA_CHECK_OK(assign_groups(batch));
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Input& input = inputs_[i];
    if (input.filter) input.filter->filter(batch, input.rows);
    input.values.clear();
    for (ExpressionEvaluator& argument : input.arguments) input.values.push_back(&argument.evaluate(batch));
    input.keys.clear();
    for (ExpressionEvaluator& key : input.order) input.keys.push_back(&key.evaluate(batch));
    input.view.rows = input.filter ? input.rows : *rows_;
    input.view.group_of = group_of_;
    input.view.groups = groups_;
    input.view.arguments = input.values;
    input.view.order = input.keys;
    input.view.weights = batch.weights;
    KAPPA_CHECK_OK((*aggregates_)[i].prepare(input.view));
  }
  store_.begin_changes();
  add_weights(batch);
  for (std::size_t i = 0; i < inputs_.size(); ++i) KAPPA_CHECK_OK((*aggregates_)[i].update(inputs_[i].view));
  settle();
  if (windows_ && options_.row_count != nullptr) {
    KAPPA_TRY(const std::uint64_t windows, windows_->count_new(groups_, was_there_));
    *options_.row_count += windows;
  }
  if (!options_.gives_changes || next() == nullptr) return {};
  return windows_ ? windows_->give_changes(groups_, old_values_, out_, next()) : give_changes();
}

Status AggregateOperator::assign_groups(const ChangeBatch& batch) {
  const bool keep_old = options_.gives_changes && next() != nullptr;
  groups_.clear();
  old_values_.clear();
  was_there_.clear();
  existed_.clear();
  ends_.clear();
  group_of_.resize(batch.count);
  key_columns_.clear();
  for (ExpressionEvaluator& key : keys_) key_columns_.push_back(&key.evaluate(batch));
  row_keys_.find(key_columns_, *rows_);
  const std::span<const std::string_view> keys = row_keys_.keys();
  key_entries_.resize(keys.size());
  group_of_key_.resize(keys.size());
  KAPPA_CHECK_OK(store_.entries(options_.table, keys, key_entries_));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    StateEntry* const entry = key_entries_[i];
    if (entry->mark == 0) {
      groups_.push_back(entry);
      entry->mark = static_cast<std::uint32_t>(groups_.size());
      was_there_.push_back(entry->exists && aggregates_->has_row(entry->value) ? 1 : 0);
      if (expiry_) {
        existed_.push_back(entry->exists);
        ends_.push_back(expiry_->end_of(key_columns_, row_keys_.first_rows()[i]));
      }
      if (keep_old) old_values_.push_back(entry->exists ? std::optional(std::string(entry->value)) : std::nullopt);
    }
    group_of_key_[i] = entry->mark - 1;
  }
  for (StateEntry* const entry : groups_) entry->mark = 0;
  const std::span<const std::uint32_t> key_of = row_keys_.key_of();
  for (std::size_t i = 0; i < key_of.size(); ++i) group_of_[(*rows_)[i]] = group_of_key_[key_of[i]];
  return {};
}

void AggregateOperator::add_weights(const ChangeBatch& batch) {
  for (StateEntry* const group : groups_) {
    if (!group->exists) group->value.assign(aggregates_->layout().fixed_bytes(), '\0');
  }
  weight_of_.assign(groups_.size(), 0);
  for (const std::uint32_t row : *rows_) weight_of_[group_of_[row]] += batch.weight(row);
  for (std::size_t i = 0; i < groups_.size(); ++i) add_raw(groups_[i]->value.data(), weight_of_[i]);
}

void AggregateOperator::settle() {
  const bool global = aggregates_->global();
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    StateEntry& group = *groups_[i];
    // Rows may be taken back before they come: a weight of zero alone does not say that nothing is left.
    group.exists = global || GroupLayout::weight(group.value) != 0 ||
                   group.value.view().find_first_not_of('\0') != std::string_view::npos;
    const bool there = group.exists && aggregates_->has_row(group.value);
    if (!group.exists) group.value.clear();
    if (expiry_ && ends_[i] && existed_[i] != group.exists) expiry_->track(group.key, *ends_[i], group.exists);
    if (options_.row_count != nullptr && !windows_) {
      if (there && was_there_[i] == 0) ++*options_.row_count;
      if (!there && was_there_[i] != 0) --*options_.row_count;
    }
  }
  store_.changed(groups_);
}

Status AggregateOperator::give_changes() {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const StateEntry& group = *groups_[i];
    const bool there = group.exists && aggregates_->has_row(group.value);
    std::optional<Row> old_row;
    std::optional<Row> new_row;
    if (was_there_[i] != 0) {
      KAPPA_TRY(old_row, aggregates_->row(group.key, *old_values_[i]));
    }
    if (there) {
      KAPPA_TRY(new_row, aggregates_->row(group.key, group.value));
    }
    if (old_row == new_row) continue;
    if (old_row) KAPPA_CHECK_OK(out_.add(*old_row, -1, next()));
    if (new_row) KAPPA_CHECK_OK(out_.add(*new_row, 1, next()));
  }
  return out_.give_to(next());
}

Status AggregateOperator::advance(std::int64_t watermark) {
  if (!expiry_ || !expiry_->advance(watermark)) return {};
  for (;;) {
    KAPPA_TRY(const std::vector<std::string> due, expiry_->take_due());
    if (due.empty()) break;
    store_.begin_changes();
    for (const std::string& group : due) KAPPA_CHECK_OK(drop(group));
  }
  return out_.give_to(next());
}

Status AggregateOperator::drop(std::string_view group) {
  KAPPA_TRY(StateEntry* const entry, store_.entry(options_.table, group));
  if (!entry->exists) return {};
  if (aggregates_->has_row(entry->value)) {
    if (options_.row_count != nullptr) --*options_.row_count;
    if (emits_on_close_ || options_.gives_changes) {
      KAPPA_TRY(const Row row, aggregates_->row(entry->key, entry->value));
      KAPPA_CHECK_OK(out_.add(row, emits_on_close_ ? 1 : -1, next()));
    }
  }
  entry->value.clear();
  entry->exists = false;
  store_.changed(*entry);
  for (TableId table = options_.side_tables_begin; table < options_.side_tables_end; ++table) {
    KeyRange range{std::string(group), std::nullopt};
    if (std::string after = key_after_prefix(group); !after.empty()) range.to = std::move(after);
    std::vector<std::string> keys;
    {
      KAPPA_TRY(const auto cursor, store_.scan(table, std::move(range), false));
      for (;;) {
        KAPPA_TRY(const auto side, cursor->next());
        if (!side) break;
        keys.emplace_back(side->key);
      }
    }
    for (const std::string& key : keys) store_.erase(table, key);
  }
  return {};
}

Status AggregateOperator::give_groups() {
  KAPPA_TRY(const std::shared_ptr<StateSnapshot> snapshot, store_.snapshot());
  const std::unique_ptr<StateCursor> cursor = snapshot->scan(options_.table, {}, false);
  for (;;) {
    KAPPA_TRY(const auto entry, cursor->next());
    if (!entry) break;
    if (!aggregates_->has_row(entry->value)) continue;
    KAPPA_TRY(const Row row, aggregates_->row(entry->key, entry->value));
    KAPPA_CHECK_OK(out_.add(row, 1, next()));
  }
  return out_.give_to(next());
}

std::uint64_t AggregateOperator::failures() const {
  std::uint64_t failures = failures_of(keys_);
  for (const Input& input : inputs_) {
    failures += failures_of(input.arguments) + failures_of(input.order) + (input.filter ? input.filter->failures() : 0);
  }
  return failures;
}

}  // namespace kappa::processor
