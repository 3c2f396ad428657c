// See asof_join.h.
#include "processor/operators/asof_join.h"

#include <algorithm>

namespace kappa::processor {

AsOfJoinOperator::AsOfJoinOperator(const Plan& plan, StateStore& store, Tables tables)
    : store_(store),
      left_outer_(plan.join.left_outer),
      strict_(plan.join.strict),
      left_columns_(plan.input->output.size()),
      right_columns_(plan.right->output.size()),
      left_keys_(plan.join.left_keys),
      right_keys_(plan.join.right_keys),
      left_time_(plan.join.left_time),
      right_time_(plan.join.right_time),
      right_order_(plan.join.right_order),
      left_codec_(plan.input->output),
      right_codec_(plan.right->output),
      left_(store, tables.left),
      right_(store, tables.right),
      right_input_(*this),
      out_(plan.output) {
  if (plan.join.right_deleted) right_deleted_.emplace(plan.join.right_deleted);
}

Status AsOfJoinOperator::push(const ChangeBatch& batch) {
  left_keys_.prepare(batch);
  const Vector& times = left_time_.evaluate(batch);
  std::vector<Change> changes;
  Status status;
  for_each_row(batch, [&](std::uint32_t row) {
    if (!status || batch.weight(row) == 0) return;
    Change change;
    left_codec_.encode(batch, row, change.bytes);
    change.weight = batch.weight(row);
    if (left_keys_.has_null(row) || times.valid()[row] == 0) {
      if (left_outer_) status = give_pair(change.bytes, {}, change.weight);
      return;
    }
    left_keys_.append(row, change.key);
    change.time = times.data<std::int64_t>()[row];
    const auto entry = left_.entry(change.key, change.time, TimedRows::suffix_of(change.bytes));
    if (!entry) {
      status = std::unexpected(entry.error());
      return;
    }
    change.entry = *entry;
    changes.push_back(std::move(change));
  });
  KAPPA_CHECK_OK(status);
  std::vector<std::string> matches;
  for (const Change& change : changes) {
    KAPPA_TRY(std::string match, match_at(change.key, change.time));
    matches.push_back(std::move(match));
  }
  store_.begin_changes();
  for (std::size_t i = 0; i < changes.size(); ++i) {
    KAPPA_CHECK_OK(left_.add(*changes[i].entry, changes[i].bytes, changes[i].weight));
    KAPPA_CHECK_OK(give_pair(changes[i].bytes, matches[i], changes[i].weight));
  }
  return out_.give_to(next());
}

Status AsOfJoinOperator::push_right(const ChangeBatch& batch) {
  right_keys_.prepare(batch);
  right_order_.prepare(batch);
  const Vector& times = right_time_.evaluate(batch);
  const Vector* const deleted = right_deleted_ ? &right_deleted_->evaluate(batch) : nullptr;
  std::vector<Change> changes;
  std::map<std::string, std::vector<std::int64_t>> touched;
  std::string order;
  Status status;
  for_each_row(batch, [&](std::uint32_t row) {
    if (!status || batch.weight(row) == 0 || right_keys_.has_null(row) || times.valid()[row] == 0) return;
    Change change;
    change.weight = batch.weight(row);
    change.time = times.data<std::int64_t>()[row];
    right_keys_.append(row, change.key);
    const bool gone = deleted != nullptr && deleted->valid()[row] != 0 && deleted->data<std::uint8_t>()[row] != 0;
    change.bytes.push_back(gone ? '\1' : '\0');
    right_codec_.encode(batch, row, change.bytes);
    order.clear();
    right_order_.append(row, order);
    const auto entry = right_.entry(change.key, change.time, order);
    if (!entry) {
      status = std::unexpected(entry.error());
      return;
    }
    change.entry = *entry;
    touched[change.key].push_back(change.time);
    changes.push_back(std::move(change));
  });
  KAPPA_CHECK_OK(status);
  std::vector<Stretch> stretches;
  for (auto& [key, key_times] : touched) {
    std::ranges::sort(key_times);
    for (std::size_t at = 0; at < key_times.size();) {
      KAPPA_TRY(auto stretch, stretch_of(key, key_times, at));
      if (stretch) stretches.push_back(std::move(*stretch));
    }
  }
  store_.begin_changes();
  for (const Change& change : changes) KAPPA_CHECK_OK(right_.add(*change.entry, change.bytes, change.weight));
  for (const Stretch& stretch : stretches) KAPPA_CHECK_OK(give_stretch(stretch));
  return out_.give_to(next());
}

Expected<std::string_view> AsOfJoinOperator::live_row(std::string_view value) {
  std::string_view last;
  ByteReader in(as_bytes(value));
  while (in.remaining() > 0) {
    const StoredCopy copy = next_copy(in);
    if (copy.weight == 0 || copy.row.empty()) return damaged_state("a row in the order of time");
    if (copy.weight > 0) last = copy.row;
  }
  return last;
}

Expected<std::string> AsOfJoinOperator::match_at(const std::string& key, std::int64_t left_time) {
  if (strict_ && left_time == INT64_MIN) return std::string();
  KAPPA_TRY(auto cursor, right_.scan(key, INT64_MIN, strict_ ? left_time - 1 : left_time, true));
  for (;;) {
    KAPPA_TRY(const auto item, cursor.next());
    if (!item) return std::string();
    KAPPA_TRY(const std::string_view row, live_row(item->value));
    if (!row.empty()) return std::string(row);
  }
}

Expected<std::optional<AsOfJoinOperator::Stretch>> AsOfJoinOperator::stretch_of(
    const std::string& key, const std::vector<std::int64_t>& times, std::size_t& at) {
  const std::int64_t first = times[at];
  // Up to the next right time that was there before: it answers for what is behind it, or is touched itself.
  std::optional<std::int64_t> next_time;
  if (first < INT64_MAX) {
    KAPPA_TRY(auto cursor, right_.scan(key, first + 1, INT64_MAX, false));
    for (;;) {
      KAPPA_TRY(const auto item, cursor.next());
      if (!item) break;
      KAPPA_TRY(const std::string_view row, live_row(item->value));
      if (row.empty()) continue;
      next_time = item->time;
      break;
    }
  }
  while (at < times.size() && (!next_time || times[at] < *next_time)) ++at;
  Stretch stretch{key, first, next_time.value_or(INT64_MAX), {}};
  if (strict_) {
    if (first == INT64_MAX) return std::nullopt;
    ++stretch.from;
  } else if (next_time) {
    --stretch.to;
  }
  KAPPA_TRY(stretch.before, match_at(key, stretch.from));
  return stretch;
}

Status AsOfJoinOperator::give_stretch(const Stretch& stretch) {
  static constexpr std::size_t kPieceRows = 256;
  std::int64_t from = stretch.from;
  std::string suffix;  // Of the last row that was given; none yet at first.
  bool begun = false;
  std::vector<LeftRow> rows;
  std::deque<std::string> matches;
  for (bool more = true; more;) {
    rows.clear();
    matches.clear();
    {
      // What is given changes the store, which ends cursors: so in pieces.
      KAPPA_TRY(auto lefts, begun ? left_.scan_behind(stretch.key, from, suffix, stretch.to)
                                  : left_.scan(stretch.key, from, stretch.to, false));
      KAPPA_TRY(std::string match, match_at(stretch.key, from));
      matches.push_back(std::move(match));
      // Right rows that begin to answer behind `from`.
      const std::int64_t first = strict_ ? from : (from == INT64_MAX ? INT64_MAX : from + 1);
      KAPPA_TRY(auto rights, right_.scan(stretch.key, first, strict_ || from < INT64_MAX ? stretch.to : INT64_MIN, false));
      KAPPA_TRY(auto right, rights.next());
      more = false;
      for (;;) {
        KAPPA_TRY(const auto left, lefts.next());
        if (!left) break;
        while (right && (strict_ ? right->time < left->time : right->time <= left->time)) {
          KAPPA_TRY(const std::string_view row, live_row(right->value));
          if (!row.empty()) matches.emplace_back(row);
          KAPPA_TRY(right, rights.next());
        }
        ByteReader in(as_bytes(left->value));
        while (in.remaining() > 0) {
          const StoredCopy copy = next_copy(in);
          if (copy.weight == 0) return damaged_state("a row in the order of time");
          rows.push_back({std::string(copy.row), copy.weight, matches.size() - 1});
        }
        if (rows.size() < kPieceRows) continue;
        begun = more = true;
        from = left->time;
        suffix = left->suffix;
        break;
      }
    }
    for (const LeftRow& row : rows) {
      const std::string& match = matches[row.match];
      if (match == stretch.before || (stands_for_none(match) && stands_for_none(stretch.before))) continue;
      KAPPA_CHECK_OK(give_pair(row.bytes, stretch.before, -row.weight));
      KAPPA_CHECK_OK(give_pair(row.bytes, match, row.weight));
    }
  }
  return {};
}

Status AsOfJoinOperator::give_pair(std::string_view left_row, std::string_view right_row, std::int64_t weight) {
  const bool none = stands_for_none(right_row);
  if (none && !left_outer_) return {};
  KAPPA_CHECK_OK(left_codec_.decode(left_row, out_, 0));
  if (none) {
    for (std::size_t i = 0; i < right_columns_; ++i) out_.set_null(left_columns_ + i);
  } else {
    KAPPA_CHECK_OK(right_codec_.decode(right_row.substr(1), out_, left_columns_));
  }
  return out_.end_row(weight, next());
}

}  // namespace kappa::processor
