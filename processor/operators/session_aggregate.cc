// See session_aggregate.h.
#include "processor/operators/session_aggregate.h"

#include <algorithm>
#include <tuple>

#include "processor/operators/aggregates/group_layout.h"
#include "processor/operators/big_endian.h"
#include "processor/operators/copies.h"
#include "processor/sql/expression_tools.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kLastBytes = sizeof(std::int64_t);
// Partitions whose last session is remembered: some MiB.
constexpr std::size_t kRememberedMax = std::size_t{1} << 16;

bool is_column(const ExpressionPtr& expression, std::size_t column) {
  return expression->kind == ExpressionKind::kColumn && expression->column == column;
}

// The group keys that are not the bounds.
std::vector<ExpressionPtr> partition_keys(const Plan& aggregate) {
  const std::size_t start = aggregate.input->output.size() - 2;
  std::vector<ExpressionPtr> keys;
  for (const ExpressionPtr& key : aggregate.group_keys) {
    if (!is_column(key, start) && !is_column(key, start + 1)) keys.push_back(key);
  }
  return keys;
}

}  // namespace

bool SessionAggregateOperator::fits(const Plan& aggregate, bool append_only) {
  const Plan& window = *aggregate.input;
  if (window.kind != PlanKind::kWindow || window.window.kind != Window::Kind::kSession) return false;
  if (!append_only || aggregate.retain_micros) return false;
  const std::size_t start = window.output.size() - 2;
  const auto has = [](const std::vector<ExpressionPtr>& all, const auto& test) { return std::ranges::any_of(all, test); };
  if (!has(aggregate.group_keys, [&](const ExpressionPtr& key) { return is_column(key, start); })) return false;
  if (!has(aggregate.group_keys, [&](const ExpressionPtr& key) { return is_column(key, start + 1); })) return false;
  // Exactly the partition besides, so that a session has one group; nothing else may look at the bounds.
  const std::vector<ExpressionPtr> keys = partition_keys(aggregate);
  const auto same = [](const ExpressionPtr& a) { return [&a](const ExpressionPtr& b) { return sql::equal(*a, *b); }; };
  for (const ExpressionPtr& key : keys) {
    if (!has(window.window.partition, same(key))) return false;
  }
  for (const ExpressionPtr& key : window.window.partition) {
    if (!has(keys, same(key))) return false;
  }
  bool bounds = false;
  const auto look = [&](std::size_t column) { bounds = bounds || column >= start; };
  for (const Aggregate& one : aggregate.aggregates) {
    for (const ExpressionPtr& argument : one.arguments) sql::for_each_column(*argument, look);
    for (const SortKey& key : one.order_by) sql::for_each_column(*key.expression, look);
    if (one.filter) sql::for_each_column(*one.filter, look);
  }
  return !bounds;
}

SessionAggregateOperator::SessionAggregateOperator(const Plan& aggregate, std::unique_ptr<AggregateSet> aggregates,
                                                   StateStore& store, Tables tables)
    : aggregates_(std::move(aggregates)),
      store_(store),
      table_(tables.sessions),
      gap_(aggregate.input->window.gap_micros),
      partition_(partition_keys(aggregate)),
      time_(aggregate.input->window.time),
      out_(aggregate.output) {
  store.keep_ordered(table_);
  const std::size_t start = aggregate.input->output.size() - 2;
  for (const ExpressionPtr& key : aggregate.group_keys)
    keys_.push_back(is_column(key, start) ? Key::kStart : is_column(key, start + 1) ? Key::kEnd : Key::kPartition);
  for (const Aggregate& one : aggregate.aggregates) {
    Input& input = inputs_.emplace_back();
    for (const ExpressionPtr& argument : one.arguments) input.arguments.emplace_back(argument);
    for (const SortKey& key : one.order_by) input.order.emplace_back(key.expression);
    if (one.filter) input.filter.emplace(one.filter);
  }
  if (aggregate.emit_on_close) expiry_.emplace(aggregate, store, tables.expiry, table_);
}

Status SessionAggregateOperator::push(const ChangeBatch& batch) {
  KAPPA_CHECK_OK(gather(batch));
  if (runs_.empty()) return {};
  KAPPA_CHECK_OK(aggregate(batch));
  store_.begin_changes();
  touched_.clear();
  for (Run& run : runs_) KAPPA_CHECK_OK(place(run));
  return expiry_ ? Status{} : give_changes();
}

Status SessionAggregateOperator::gather(const ChangeBatch& batch) {
  timed_.clear();
  runs_.clear();
  groups_.clear();
  rows_.clear();
  group_of_.resize(batch.count);
  partition_.prepare(batch);
  const Vector& times = time_.evaluate(batch);
  std::string partition;
  for_each_row(batch, [&](std::uint32_t row) {
    if (times.valid()[row] == 0) return;
    partition.clear();
    partition_.append(row, partition);
    timed_.push_back({partition, times.data<std::int64_t>()[row], row});
    rows_.push_back(row);
  });
  if (!expiry_) {
    std::ranges::sort(timed_, [](const Timed& a, const Timed& b) {
      return std::tie(a.partition, a.time) < std::tie(b.partition, b.time);
    });
  }
  for (Timed& one : timed_) {
    const bool joins = !expiry_ && !runs_.empty() && runs_.back().partition == one.partition &&
                       Int128{one.time} - runs_.back().last <= gap_;
    if (!joins) {
      Run& run = runs_.emplace_back();
      run.partition = std::move(one.partition);
      run.first = one.time;
      run.group.value.assign(aggregates_->layout().fixed_bytes(), '\0');
      groups_.push_back(&run.group);
    }
    runs_.back().last = one.time;
    runs_.back().weight += batch.weight(one.row);
    group_of_[one.row] = static_cast<std::uint32_t>(runs_.size() - 1);
  }
  return {};
}

Status SessionAggregateOperator::aggregate(const ChangeBatch& batch) {
  ChangeBatch timed = batch;
  timed.selection = &rows_;
  for (Run& run : runs_) store_raw(run.group.value.data(), run.weight);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Input& input = inputs_[i];
    if (input.filter) input.filter->filter(timed, input.rows);
    input.values.clear();
    for (ExpressionEvaluator& argument : input.arguments) input.values.push_back(&argument.evaluate(timed));
    input.order_values.clear();
    for (ExpressionEvaluator& key : input.order) input.order_values.push_back(&key.evaluate(timed));
    AggregateRows view;
    view.rows = input.filter ? input.rows : rows_;
    view.group_of = group_of_;
    view.groups = groups_;
    view.arguments = input.values;
    view.order = input.order_values;
    view.weights = batch.weights;
    KAPPA_CHECK_OK((*aggregates_)[i].prepare(view));
    KAPPA_CHECK_OK((*aggregates_)[i].update(view));
  }
  return {};
}

Status SessionAggregateOperator::place(Run& run) {
  struct Found {
    std::string key;
    std::string value;
  };
  std::vector<Found> reached;
  std::int64_t first = run.first;
  std::int64_t last = run.last;
  Last* newest = nullptr;
  if (!expiry_) {
    KAPPA_TRY(newest, last_of(run.partition));
  }
  if (newest != nullptr && (!newest->any || run.first >= newest->first)) {
    // It reaches the last session or none: those before it end more than a gap before that begins.
    if (newest->any && end_of(newest->last) >= run.first) {
      Found found{run.partition, {}};
      append_time(found.key, newest->first);
      KAPPA_TRY(const StateEntry* const entry, store_.entry(table_, found.key));
      if (!entry->exists || entry->value.size() < kLastBytes) return damaged_state("a session");
      found.value = std::string(entry->value);
      reached.push_back(std::move(found));
      first = newest->first;
      last = std::max(last, newest->last);
    }
  } else {
    // Sessions that begin at most a gap behind the run, backward, as long as they end at most a gap before it.
    KeyRange range{run.partition, std::nullopt};
    std::string to = run.partition;
    append_time(to, end_of(run.last) > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(end_of(run.last)));
    if (to = key_after_prefix(to); !to.empty()) range.to = std::move(to);
    KAPPA_TRY(const auto cursor, store_.scan(table_, std::move(range), true));
    for (;;) {
      KAPPA_TRY(const auto entry, cursor->next());
      if (!entry) break;
      if (entry->key.size() != run.partition.size() + kTimeBytes || entry->value.size() < kLastBytes)
        return damaged_state("a session");
      const auto end = load_raw<std::int64_t>(entry->value.data());
      if (end_of(end) < run.first) break;
      reached.push_back({std::string(entry->key), std::string(entry->value)});
      first = std::min(first, read_time(entry->key.substr(run.partition.size())));
      last = std::max(last, end);
    }
  }
  const auto window_end = [&](std::int64_t time) -> std::optional<std::int64_t> {
    if (end_of(time) > INT64_MAX) return std::nullopt;
    return static_cast<std::int64_t>(end_of(time));
  };
  if (expiry_ && expiry_->passed(window_end(last)))
    return expiry_->count_late(static_cast<std::uint64_t>(std::max<std::int64_t>(run.weight, 0)));
  if (newest != nullptr && (!newest->any || last >= newest->last)) *newest = {true, first, last};
  std::string key = run.partition;
  append_time(key, first);
  for (const Found& found : reached) {
    KAPPA_CHECK_OK(aggregates_->merge(run.group.value, std::string_view(found.value).substr(kLastBytes)));
    KAPPA_TRY(StateEntry* const entry, touch(found.key));
    if (expiry_) {
      if (const auto end = window_end(load_raw<std::int64_t>(found.value.data())))
        expiry_->track(found.key, *end, false);
    }
    if (found.key != key) store(*entry, {});
  }
  std::string value(kLastBytes, '\0');
  store_raw(value.data(), last);
  value.append(run.group.value);
  KAPPA_TRY(StateEntry* const entry, touch(key));
  store(*entry, value);
  if (expiry_) {
    if (const auto end = window_end(last)) expiry_->track(key, *end, true);
  }
  return {};
}

Expected<SessionAggregateOperator::Last*> SessionAggregateOperator::last_of(const std::string& partition) {
  if (const auto known = last_.find(partition); known != last_.end()) return &known->second;
  if (last_.size() >= kRememberedMax) last_.clear();
  KeyRange range{partition, std::nullopt};
  if (std::string to = key_after_prefix(partition); !to.empty()) range.to = std::move(to);
  KAPPA_TRY(const auto found, store_.first(table_, std::move(range), true));
  Last last;
  if (found) {
    if (found->first.size() != partition.size() + kTimeBytes || found->second.size() < kLastBytes)
      return damaged_state("a session");
    last = {true, read_time(std::string_view(found->first).substr(partition.size())),
            load_raw<std::int64_t>(found->second.data())};
  }
  return &last_.emplace(partition, last).first->second;
}

Expected<StateEntry*> SessionAggregateOperator::touch(const std::string& key) {
  KAPPA_TRY(StateEntry* const entry, store_.entry(table_, key));
  if (!expiry_) {
    const auto [place, is_new] = touched_.try_emplace(key);
    if (is_new && entry->exists) place->second = std::string(entry->value);
  }
  return entry;
}

void SessionAggregateOperator::store(StateEntry& entry, std::string_view value) {
  entry.value.assign(value);
  entry.exists = !value.empty();
  store_.changed(entry);
}

Status SessionAggregateOperator::give_changes() {
  for (const auto& [key, before] : touched_) {
    KAPPA_TRY(const StateEntry* const entry, store_.entry(table_, key));
    std::optional<Row> old_row;
    std::optional<Row> new_row;
    if (before) {
      KAPPA_TRY(old_row, row_of(key, *before));
    }
    if (entry->exists) {
      KAPPA_TRY(new_row, row_of(key, entry->value));
    }
    if (old_row == new_row) continue;
    if (old_row) KAPPA_CHECK_OK(out_.add(*old_row, -1, next()));
    if (new_row) KAPPA_CHECK_OK(out_.add(*new_row, 1, next()));
  }
  return out_.give_to(next());
}

Expected<std::optional<Row>> SessionAggregateOperator::row_of(std::string_view key, std::string_view value) const {
  if (value.size() < kLastBytes || key.size() < kTimeBytes || !aggregates_->layout().fits(value.substr(kLastBytes)))
    return damaged_state("a session");
  const Int128 end = end_of(load_raw<std::int64_t>(value.data()));
  if (end > INT64_MAX) return std::nullopt;
  const std::int64_t start = read_time(key.substr(key.size() - kTimeBytes));
  std::string_view partition = key.substr(0, key.size() - kTimeBytes);
  Row row;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    switch (keys_[i]) {
      case Key::kStart: row.push_back(Value::timestamp(start)); break;
      case Key::kEnd: row.push_back(Value::timestamp(static_cast<std::int64_t>(end))); break;
      case Key::kPartition: {
        KAPPA_TRY(Value column, read_key(partition, aggregates_->key_types()[i]));
        row.push_back(std::move(column));
        break;
      }
    }
  }
  for (std::size_t i = 0; i < aggregates_->size(); ++i) {
    KAPPA_TRY(Value result, (*aggregates_)[i].result(value.substr(kLastBytes)));
    row.push_back(std::move(result));
  }
  return row;
}

Status SessionAggregateOperator::advance(std::int64_t watermark) {
  if (!expiry_ || !expiry_->advance(watermark)) return {};
  for (;;) {
    KAPPA_TRY(const std::vector<std::string> due, expiry_->take_due());
    if (due.empty()) break;
    store_.begin_changes();
    for (const std::string& key : due) {
      KAPPA_TRY(StateEntry* const entry, store_.entry(table_, key));
      if (!entry->exists) continue;
      KAPPA_TRY(const auto row, row_of(key, entry->value));
      store(*entry, {});
      if (row) KAPPA_CHECK_OK(out_.add(*row, 1, next()));
    }
  }
  return out_.give_to(next());
}

}  // namespace kappa::processor
