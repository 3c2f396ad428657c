// See session.h.
#include "processor/operators/session.h"

#include <algorithm>

namespace kappa::processor {

SessionOperator::SessionOperator(const Plan& plan, StateStore& store, TableId table)
    : gap_(plan.window.gap_micros),
      time_(plan.window.time),
      partition_(plan.window.partition),
      codec_(plan.input->output),
      rows_(store, table),
      out_(plan.output),
      store_(store) {}

Status SessionOperator::push(const ChangeBatch& batch) {
  partition_.prepare(batch);
  const Vector& times = time_.evaluate(batch);
  times_.clear();
  changes_.clear();
  stretches_.clear();
  std::string partition;
  Status status;
  for_each_row(batch, [&](std::uint32_t row) {
    if (!status || times.valid()[row] == 0 || batch.weight(row) == 0) return;
    const std::int64_t time = times.data<std::int64_t>()[row];
    partition.clear();
    partition_.append(row, partition);
    Change change{nullptr, {}, batch.weight(row)};
    codec_.encode(batch, row, change.row);
    const auto entry = rows_.entry(partition, time, TimedRows::suffix_of(change.row));
    if (!entry) {
      status = std::unexpected(entry.error());
      return;
    }
    change.entry = *entry;
    changes_.push_back(std::move(change));
    times_[partition].push_back(time);
  });
  KAPPA_CHECK_OK(status);
  for (auto& [key, touched] : times_) {
    std::ranges::sort(touched);
    for (std::size_t at = 0; at < touched.size();) {
      KAPPA_TRY(Stretch stretch, stretch_of(key, touched, at));
      KAPPA_TRY(stretch.before, place(stretch));
      stretches_.push_back(std::move(stretch));
    }
  }
  store_.begin_changes();
  for (const Change& change : changes_) KAPPA_CHECK_OK(rows_.add(*change.entry, change.row, change.weight));
  for (const Stretch& stretch : stretches_) {
    KAPPA_TRY(const std::vector<Placed> after, place(stretch));
    KAPPA_CHECK_OK(give_difference(stretch.before, after));
  }
  return out_.give_to(next());
}

Expected<SessionOperator::Stretch> SessionOperator::stretch_of(const std::string& partition,
                                                               const std::vector<std::int64_t>& times,
                                                               std::size_t& at) {
  Stretch stretch{partition, times[at], times[at], {}};
  if (stretch.from > INT64_MIN) {
    KAPPA_TRY(auto back, rows_.scan(partition, INT64_MIN, stretch.from - 1, true));
    for (;;) {
      KAPPA_TRY(const auto item, back.next());
      if (!item || !close(item->time, stretch.from)) break;
      stretch.from = item->time;
    }
  }
  KAPPA_TRY(auto on, rows_.scan(partition, times[at], INT64_MAX, false));
  KAPPA_TRY(auto item, on.next());
  for (;;) {
    // Times that the batch touches link as rows do: before it or after it there may be one.
    if (at < times.size() && close(stretch.to, times[at])) {
      stretch.to = std::max(stretch.to, times[at++]);
    } else if (item && close(stretch.to, item->time)) {
      stretch.to = std::max(stretch.to, item->time);
      KAPPA_TRY(item, on.next());
    } else {
      return stretch;
    }
  }
}

Expected<std::vector<SessionOperator::Placed>> SessionOperator::place(const Stretch& stretch) {
  std::vector<Placed> placed;
  KAPPA_TRY(auto cursor, rows_.scan(stretch.partition, stretch.from, stretch.to, false));
  std::size_t first = 0;  // Of the session at hand.
  const auto end_session = [&] {
    for (std::size_t i = first; i < placed.size(); ++i) {
      placed[i].start = placed[first].time;
      placed[i].end = placed.back().time;
    }
    first = placed.size();
  };
  for (;;) {
    KAPPA_TRY(const auto item, cursor.next());
    if (!item) break;
    ByteReader in(as_bytes(item->value));
    while (in.remaining() > 0) {
      const StoredCopy copy = next_copy(in);
      if (copy.weight == 0) return damaged_state("a row in the order of time");
      if (copy.weight < 0) continue;
      if (first < placed.size() && !close(placed.back().time, item->time)) end_session();
      placed.push_back({item->time, std::string(copy.row), copy.weight, 0, 0});
    }
  }
  end_session();
  return placed;
}

Status SessionOperator::give_difference(const std::vector<Placed>& before, const std::vector<Placed>& after) {
  // Both in the order of the table: by time, hash of the row, row. The hash is not at hand, so rows of one time are
  // looked for among each other.
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < before.size() || j < after.size()) {
    const std::int64_t time = i == before.size()  ? after[j].time
                              : j == after.size() ? before[i].time
                                                  : std::min(before[i].time, after[j].time);
    std::size_t i_end = i;
    std::size_t j_end = j;
    while (i_end < before.size() && before[i_end].time == time) ++i_end;
    while (j_end < after.size() && after[j_end].time == time) ++j_end;
    const bool same_bounds = i < i_end && j < j_end && before[i].start == after[j].start && before[i].end == after[j].end;
    std::size_t k = j;  // Both are in one order, so one walk finds the pairs.
    for (; i < i_end; ++i) {
      std::size_t at = k;
      while (at < j_end && after[at].row != before[i].row) ++at;
      if (same_bounds && at < j_end) {
        for (; k < at; ++k) KAPPA_CHECK_OK(give_row(after[k], after[k].weight));
        if (after[at].weight != before[i].weight)
          KAPPA_CHECK_OK(give_row(after[at], after[at].weight - before[i].weight));
        k = at + 1;
      } else {
        KAPPA_CHECK_OK(give_row(before[i], -before[i].weight));
      }
    }
    for (; k < j_end; ++k) KAPPA_CHECK_OK(give_row(after[k], after[k].weight));
    j = j_end;
  }
  return {};
}

Status SessionOperator::give_row(const Placed& placed, std::int64_t weight) {
  if (Int128{placed.end} + gap_ > INT64_MAX) return {};
  KAPPA_CHECK_OK(codec_.decode(placed.row, out_, 0));
  out_.set_int64(codec_.columns(), placed.start);
  out_.set_int64(codec_.columns() + 1, placed.end + gap_);
  return out_.end_row(weight, next());
}

}  // namespace kappa::processor
