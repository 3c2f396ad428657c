// See pane_windows.h.
#include "processor/operators/pane_windows.h"

#include <algorithm>
#include <tuple>

#include "processor/operators/big_endian.h"
#include "processor/operators/copies.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

constexpr char kValueMark = 1;  // key_encoding.h
// So many windows of one key are looked at together, or as many as a pane is in: bounds the panes in memory.
constexpr std::int64_t kPieceWindowsMin = 256;

}  // namespace

void append_pane(std::string& key, std::int64_t start) {
  key += kValueMark;
  append_time(key, start);
}

Expected<std::int64_t> read_pane(std::string_view key) {
  if (key.size() < kPaneBytes || key[key.size() - kPaneBytes] != kValueMark) return damaged_state("a pane");
  return read_time(key.substr(key.size() - kTimeBytes));
}

std::optional<Panes> panes_in_use(const Plan& aggregate, PlanSetting setting) {
  if (setting.aggregates_at_end) return std::nullopt;
  std::optional<Panes> panes = panes_of(aggregate);
  if (!panes || !properties_of(*aggregate.input, setting).append_only) return std::nullopt;
  TableId none = 0;
  const auto set = AggregateSet::make(aggregate, InputKind::kAppendOnly, nullptr, none);
  if (!set || !(*set)->mergeable()) return std::nullopt;
  return panes;
}

PaneWindows::PaneWindows(Panes panes, std::unique_ptr<AggregateSet> aggregates, StateStore& store, TableId table)
    : panes_(std::move(panes)),
      aggregates_(std::move(aggregates)),
      store_(store),
      table_(table),
      old_(*aggregates_),
      new_(*aggregates_) {
  store.keep_ordered(table);
}

Status PaneWindows::collect(std::span<StateEntry* const> groups) {
  touched_.clear();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string_view key = groups[i]->key;
    KAPPA_TRY(const std::int64_t start, read_pane(key));
    touched_.push_back({key.substr(0, key.size() - kPaneBytes), start, i});
  }
  std::ranges::sort(touched_, [](const Touched& a, const Touched& b) {
    return std::tie(a.others, a.start) < std::tie(b.others, b.start);
  });
  return {};
}

std::uint64_t PaneWindows::windows_between(std::optional<std::int64_t> before, std::int64_t pane) const {
  Int128 first = panes_.grid.first_of(pane);
  if (before) first = std::max(first, panes_.grid.first_after(*before));
  const Int128 last = panes_.grid.last_until(pane);
  return last < first ? 0 : static_cast<std::uint64_t>((last - first) / panes_.grid.slide()) + 1;
}

Expected<std::uint64_t> PaneWindows::count_new(std::span<StateEntry* const> groups, std::span<const std::uint8_t> was_there) {
  if (std::ranges::find(was_there, 0) == was_there.end()) return 0;
  KAPPA_CHECK_OK(collect(groups));
  std::erase_if(touched_, [&](const Touched& one) { return was_there[one.group] != 0; });
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < touched_.size();) {
    // New panes between two old ones (or ends): what each adds to the one before it, less what they had between them.
    // Panes that are a size apart share no window.
    const std::string_view others = touched_[i].others;
    const std::int64_t first = touched_[i].start;
    const Int128 reach = std::max(Int128{first} - panes_.grid.size(), Int128{INT64_MIN});
    KeyRange range{std::string(others), std::nullopt};
    append_pane(range.from, static_cast<std::int64_t>(reach));
    std::optional<std::int64_t> before;
    std::optional<std::int64_t> last;
    KAPPA_TRY(const auto cursor, store_.scan(table_, std::move(range), false));
    for (;;) {
      KAPPA_TRY(const auto entry, cursor->next());
      if (!entry) break;
      KAPPA_TRY(const std::int64_t pane, read_pane(entry->key));
      if (entry->key.substr(0, entry->key.size() - kPaneBytes) != others) break;
      if (pane > first && Int128{pane} - *last >= panes_.grid.size()) break;
      if (pane < first) {
        before = last = pane;
        continue;
      }
      count += windows_between(last, pane);
      last = pane;
      const bool is_new = i < touched_.size() && touched_[i].others == others && touched_[i].start == pane;
      if (!is_new) {
        count -= windows_between(before, pane);
        break;
      }
      ++i;
    }
  }
  return count;
}

Status PaneWindows::give_changes(std::span<StateEntry* const> groups,
                                 std::span<const std::optional<std::string>> old_values, BatchBuilder& out,
                                 Operator* next) {
  KAPPA_CHECK_OK(collect(groups));
  const PaneGrid& grid = panes_.grid;
  const Int128 piece = Int128{grid.slide()} * std::max(kPieceWindowsMin, grid.size() / grid.slide());
  for (std::size_t begin = 0; begin < touched_.size();) {
    std::size_t end = begin + 1;
    while (end < touched_.size() && touched_[end].others == touched_[begin].others) ++end;
    const std::span<const Touched> touched = std::span(touched_).subspan(begin, end - begin);
    KAPPA_CHECK_OK(read_others(touched[0].others));
    // Runs of windows, each run in pieces.
    for (std::size_t i = 0; i < touched.size();) {
      const Int128 first = grid.first_of(touched[i].start);
      Int128 last = grid.last_until(touched[i].start);
      for (++i; i < touched.size() && grid.first_of(touched[i].start) <= last + grid.slide(); ++i)
        last = grid.last_until(touched[i].start);
      for (Int128 from = first; from <= last; from += piece) {
        const Int128 to = std::min(last, from + piece - grid.slide());
        KAPPA_CHECK_OK(give_windows(from, to, touched, old_values, out, next));
      }
    }
    begin = end;
  }
  return out.give_to(next);
}

Status PaneWindows::load(std::int64_t from, std::int64_t to, std::span<const Touched> touched,
                         std::span<const std::optional<std::string>> old_values) {
  loaded_.clear();
  KeyRange range{std::string(touched[0].others), std::string(touched[0].others)};
  append_pane(range.from, from);
  append_pane(*range.to, to);
  KAPPA_TRY(const auto cursor, store_.scan(table_, std::move(range), false));
  auto changed = std::ranges::lower_bound(touched, from, {}, &Touched::start);
  for (;;) {
    KAPPA_TRY(const auto entry, cursor->next());
    if (!entry) return {};
    KAPPA_TRY(const std::int64_t start, read_pane(entry->key));
    if (!aggregates_->layout().fits(entry->value)) return damaged_state("a pane");
    while (changed != touched.end() && changed->start < start) ++changed;
    const bool same = changed == touched.end() || changed->start != start;
    loaded_.push_back({start, std::string(entry->value), same ? nullptr : &old_values[changed->group]});
  }
}

Status PaneWindows::give_windows(Int128 first, Int128 last, std::span<const Touched> touched,
                                 std::span<const std::optional<std::string>> old_values, BatchBuilder& out,
                                 Operator* next) {
  const std::int64_t size = panes_.grid.size();
  // Windows whose bounds TIMESTAMP can hold.
  KAPPA_CHECK_OK(load(static_cast<std::int64_t>(first), static_cast<std::int64_t>(last + size), touched, old_values));
  old_.clear();
  new_.clear();
  std::size_t added = 0;
  for (Int128 start = first; start <= last; start += panes_.grid.slide()) {
    for (; added < loaded_.size() && loaded_[added].start < start + size; ++added) {
      const Pane& pane = loaded_[added];
      KAPPA_CHECK_OK(new_.add(pane.start, pane.value));
      if (pane.old_value == nullptr) {
        KAPPA_CHECK_OK(old_.add(pane.start, pane.value));
      } else if (*pane.old_value) {
        KAPPA_CHECK_OK(old_.add(pane.start, **pane.old_value));
      }
    }
    KAPPA_CHECK_OK(new_.drop_before(start));
    KAPPA_CHECK_OK(old_.drop_before(start));
    for (std::size_t i = 0; i < panes_.keys.size(); ++i) {
      if (panes_.keys[i] == Panes::Key::kStart) key_row_[i] = Value::timestamp(static_cast<std::int64_t>(start));
      if (panes_.keys[i] == Panes::Key::kEnd) key_row_[i] = Value::timestamp(static_cast<std::int64_t>(start + size));
    }
    std::optional<Row> old_row;
    std::optional<Row> new_row;
    if (!old_.empty()) {
      KAPPA_TRY(old_row, row_of(old_));
    }
    if (!new_.empty()) {
      KAPPA_TRY(new_row, row_of(new_));
    }
    if (old_row == new_row) continue;
    if (old_row) KAPPA_CHECK_OK(out.add(*old_row, -1, next));
    if (new_row) KAPPA_CHECK_OK(out.add(*new_row, 1, next));
  }
  return {};
}

Expected<Row> PaneWindows::row_of(const SlidingMerge& panes) {
  KAPPA_CHECK_OK(panes.merge_into(merged_));
  Row row;
  row.reserve(key_row_.size() + aggregates_->size());
  row.assign(key_row_.begin(), key_row_.end());
  for (std::size_t i = 0; i < aggregates_->size(); ++i) {
    KAPPA_TRY(Value result, (*aggregates_)[i].result(merged_));
    row.push_back(std::move(result));
  }
  return row;
}

Status PaneWindows::read_others(std::string_view others) {
  key_row_.assign(panes_.keys.size(), Value());
  for (std::size_t i = 0; i < panes_.keys.size(); ++i) {
    if (panes_.keys[i] != Panes::Key::kOther) continue;
    KAPPA_TRY(key_row_[i], read_key(others, aggregates_->key_types()[i]));
  }
  return {};
}

}  // namespace kappa::processor
