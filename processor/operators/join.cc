// See join.h.
#include "processor/operators/join.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include "processor/operators/aggregates/group_layout.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kMatchesBytes = 2 * sizeof(std::int64_t);

// from <= time <= to, cut to what a time can be; from > to: none.
JoinSide::Times clamp(Int128 from, Int128 to) {
  if (from > INT64_MAX || to < INT64_MIN) return {INT64_MAX, INT64_MIN};
  return {from < INT64_MIN ? INT64_MIN : static_cast<std::int64_t>(from),
          to > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(to)};
}

}  // namespace

JoinOperator::Side::Side(const std::vector<ExpressionPtr>& key_expressions, const ExpressionPtr& time_expression,
                         const std::vector<Column>& columns, JoinSide::Form form, bool timed, StateStore& store,
                         TableId table)
    : keys(key_expressions), codec(columns), state(form, timed, store, table) {
  if (timed) time.emplace(time_expression);
}

JoinOperator::JoinOperator(const Plan& plan, Forms forms, StateStore& store, Tables tables)
    : join_(plan.join),
      store_(store),
      matches_table_(tables.matches),
      keeps_left_(plan.join.match != Join::Match::kAsOfOffset),
      timed_(is_timed(plan)),
      counted_(plan.join.left_outer && keeps_left_ && (timed_ || plan.join.residual != nullptr)),
      left_columns_(plan.input->output.size()),
      right_columns_(plan.right->output.size()),
      left_(join_.left_keys, join_.left_time, plan.input->output, forms.left, timed_, store, tables.left),
      right_(join_.right_keys, join_.right_time, plan.right->output, forms.right, timed_, store, tables.right),
      right_input_(*this),
      pairs_(plan.output) {
  if (join_.residual) residual_.emplace(join_.residual);
}

void JoinOperator::take(Side& side, const ChangeBatch& batch, bool keep) {
  incoming_.clear();
  lone_.clear();
  arena_.reset();
  side.keys.prepare(batch);
  const Vector* const times = side.time ? &side.time->evaluate(batch) : nullptr;
  for_each_row(batch, [&](std::uint32_t row) {
    const std::int64_t weight = batch.weight(row);
    if (weight == 0) return;
    if (side.keys.has_null(row) || (times != nullptr && times->valid()[row] == 0)) {
      lone_.push_back(row);
      return;
    }
    Incoming& one = incoming_.emplace_back();
    one.row = row;
    one.weight = weight;
    if (times != nullptr) one.time = times->data<std::int64_t>()[row];
    scratch_.clear();
    side.keys.append(row, scratch_);
    one.key = arena_.copy(scratch_);
    if (!keep) return;
    scratch_.clear();
    side.codec.encode(batch, row, scratch_);
    one.bytes = arena_.copy(scratch_);
  });
}

JoinSide::Times JoinOperator::right_times(std::int64_t left_time) const {
  if (!timed_) return {};
  return clamp(join_.lower ? Int128{left_time} + *join_.lower : Int128{INT64_MIN},
               join_.upper ? Int128{left_time} + *join_.upper : Int128{INT64_MAX});
}

JoinSide::Times JoinOperator::left_times(std::int64_t right_time) const {
  if (!timed_) return {};
  return clamp(join_.upper ? Int128{right_time} - *join_.upper : Int128{INT64_MIN},
               join_.lower ? Int128{right_time} - *join_.lower : Int128{INT64_MAX});
}

Status JoinOperator::push(const ChangeBatch& batch) {
  take(left_, batch, keeps_left_);
  for (Incoming& one : incoming_) {
    if (keeps_left_) KAPPA_CHECK_OK(left_.state.load(one.key, one.time, one.bytes));
    KAPPA_CHECK_OK(right_.state.load(one.key, one.time, std::nullopt));
    if (counted_) {
      KAPPA_TRY(one.matches, store_.entry(matches_table_, one.bytes));
    }
  }
  store_.begin_changes();
  if (keeps_left_) {
    for (const Incoming& one : incoming_)
      KAPPA_CHECK_OK(left_.state.add(one.key, one.time, one.bytes, one.weight));
  }
  found_.assign(incoming_.size(), 0);
  for (std::size_t i = 0; i < incoming_.size(); ++i) {
    const Incoming& one = incoming_[i];
    const auto pair = [&](std::string_view row, std::int64_t weight) -> Status {
      pairs_.copy(0, batch, one.row);
      KAPPA_CHECK_OK(right_.codec.decode(row, pairs_, left_columns_));
      return end_pair(one.weight * weight, i, weight);
    };
    KAPPA_CHECK_OK(right_.state.for_each(one.key, right_times(one.time), pair));
  }
  KAPPA_CHECK_OK(flush_pairs());
  if (!join_.left_outer) return {};
  for (std::size_t i = 0; i < incoming_.size(); ++i) {
    const Incoming& one = incoming_[i];
    if (found_[i] <= 0) KAPPA_CHECK_OK(give_alone(batch, one.row, one.weight));
    if (!counted_) continue;
    StateEntry& entry = *one.matches;
    if (!entry.exists) entry.value.assign(kMatchesBytes, '\0');
    const std::int64_t weight = load_raw<std::int64_t>(entry.value.data()) + one.weight;
    store_raw(entry.value.data(), weight);
    store_raw(entry.value.data() + sizeof weight, found_[i]);
    entry.exists = weight != 0;
    if (!entry.exists) entry.value.clear();
    store_.changed(entry);
  }
  for (const std::uint32_t row : lone_) KAPPA_CHECK_OK(give_alone(batch, row, batch.weight(row)));
  return pairs_.give_to(next());
}

Status JoinOperator::push_right(const ChangeBatch& batch) {
  take(right_, batch, true);
  // The keys of a left outer join for which the answer is by key: whether they had a row before.
  const bool by_key = join_.left_outer && keeps_left_ && !counted_;
  boost::unordered_flat_map<std::string_view, bool> before;
  for (const Incoming& one : incoming_) {
    KAPPA_CHECK_OK(right_.state.load(one.key, one.time, one.bytes));
    if (keeps_left_) KAPPA_CHECK_OK(left_.state.load(one.key, one.time, std::nullopt));
    if (by_key && !before.contains(one.key)) {
      KAPPA_TRY(before[one.key], right_.state.any(one.key));
    }
  }
  store_.begin_changes();
  for (const Incoming& one : incoming_)
    KAPPA_CHECK_OK(right_.state.add(one.key, one.time, one.bytes, one.weight));
  if (!keeps_left_) return {};
  KAPPA_CHECK_OK(join_right(batch));
  if (counted_) KAPPA_CHECK_OK(settle_counted());
  for (const Incoming& one : incoming_) {
    const auto known = before.find(one.key);
    if (known == before.end()) continue;
    KAPPA_TRY(const bool after, right_.state.any(one.key));
    const bool had = known->second;
    before.erase(known);  // Each key once.
    if (had == after) continue;
    const auto alone = [&](std::string_view row, std::int64_t weight) -> Status {
      return give_alone(row, had ? weight : -weight);
    };
    KAPPA_CHECK_OK(left_.state.for_each(one.key, {}, alone));
  }
  return pairs_.give_to(next());
}

Status JoinOperator::join_right(const ChangeBatch& batch) {
  touched_.clear();
  found_.clear();
  for (std::size_t i = 0; i < incoming_.size(); ++i) {
    const Incoming& one = incoming_[i];
    const auto pair = [&](std::string_view row, std::int64_t weight) -> Status {
      std::size_t tag = 0;
      bool counts = true;
      if (counted_) {
        KAPPA_TRY(tag, touch(row));
        // A list has equal left rows one by one; they have one count of matches.
        counts = touched_[tag].counted != i;
        touched_[tag].counted = i;
      }
      KAPPA_CHECK_OK(left_.codec.decode(row, pairs_, 0));
      pairs_.copy(left_columns_, batch, one.row);
      return end_pair(one.weight * weight, tag, counts ? one.weight : 0);
    };
    KAPPA_CHECK_OK(left_.state.for_each(one.key, left_times(one.time), pair));
  }
  return flush_pairs();
}

Expected<std::size_t> JoinOperator::touch(std::string_view left_row) {
  KAPPA_TRY(StateEntry* const entry, store_.entry(matches_table_, left_row));
  if (!entry->exists || entry->value.size() != kMatchesBytes) return damaged_state("a row of a join");
  if (entry->mark == 0) {
    touched_.push_back({entry, load_raw<std::int64_t>(entry->value.data() + sizeof(std::int64_t))});
    found_.push_back(0);
    entry->mark = static_cast<std::uint32_t>(touched_.size());
  }
  return entry->mark - 1;
}

Status JoinOperator::settle_counted() {
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    StateEntry& entry = *touched_[i].entry;
    entry.mark = 0;
    if (found_[i] == 0) continue;
    const std::int64_t before = touched_[i].before;
    const std::int64_t after = before + found_[i];
    store_raw(entry.value.data() + sizeof after, after);
    store_.changed(entry);
    if ((before > 0) == (after > 0)) continue;
    const auto weight = load_raw<std::int64_t>(entry.value.data());
    KAPPA_CHECK_OK(give_alone(entry.key, before > 0 ? weight : -weight));
  }
  return {};
}

Status JoinOperator::end_pair(std::int64_t weight, std::size_t tag, std::int64_t other) {
  if (join_.left_outer) tags_.push_back({tag, other});
  return pairs_.keep_row(weight) ? flush_pairs() : Status{};
}

Status JoinOperator::flush_pairs() {
  if (pairs_.empty()) return {};
  ChangeBatch batch = pairs_.batch();
  if (residual_) {
    residual_->filter(batch, selection_);
    batch.selection = &selection_;
  }
  if (join_.left_outer && (counted_ || !found_.empty())) {
    for_each_row(batch, [&](std::uint32_t at) {
      const Tag& tag = tags_[at];
      found_[tag.number] += counted_ ? tag.other : (tag.other > 0 ? 1 : 0);
    });
  }
  tags_.clear();
  Status status;
  if (batch.selected() > 0) status = give(batch);
  pairs_.clear();
  return status;
}

Status JoinOperator::give_alone(const ChangeBatch& batch, std::uint32_t row, std::int64_t weight) {
  pairs_.copy(0, batch, row);
  return end_alone(weight);
}

Status JoinOperator::give_alone(std::string_view left_row, std::int64_t weight) {
  KAPPA_CHECK_OK(left_.codec.decode(left_row, pairs_, 0));
  return end_alone(weight);
}

Status JoinOperator::end_alone(std::int64_t weight) {
  for (std::size_t i = 0; i < right_columns_; ++i) pairs_.set_null(left_columns_ + i);
  return pairs_.end_row(weight, next());
}

}  // namespace kappa::processor
