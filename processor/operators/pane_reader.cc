// See pane_reader.h.
#include "processor/operators/pane_reader.h"

#include <algorithm>

#include "processor/operators/copies.h"
#include "processor/operators/pane_windows.h"
#include "processor/operators/sliding_merge.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {

PaneReader::PaneReader(Panes panes, std::unique_ptr<AggregateReader> windows)
    : panes_(std::move(panes)), windows_(std::move(windows)) {
  for (const Panes::Key key : panes_.keys) {
    if (key == Panes::Key::kOther) ++others_;
    if (key == Panes::Key::kEnd) ++ends_;
  }
}

std::optional<PaneReader::Place> PaneReader::place_of(std::string_view key) const {
  Place place{key, 0, key};
  for (std::size_t i = 0; i < others_; ++i) {
    if (!read_key(place.rest, key_types()[i])) return std::nullopt;
  }
  place.others = key.substr(0, key.size() - place.rest.size());
  const auto start = read_key(place.rest, kTimestampType);
  if (!start || start->is_null()) return std::nullopt;
  place.start = start->as_int64();
  return place;
}

void PaneReader::append_window(std::string& others, std::int64_t start) const {
  append_pane(others, start);
  for (std::size_t i = 0; i < ends_; ++i) append_pane(others, start + panes_.grid.size());
}

std::optional<KeyRange> PaneReader::decides(std::string_view key) const {
  KeyRange range;
  const auto pane = read_pane(key);
  if (!pane) return range;  // Damage, which reading it says.
  const std::string others(key.substr(0, key.size() - kPaneBytes));
  const auto clamped = [](Int128 time) { return static_cast<std::int64_t>(std::clamp<Int128>(time, INT64_MIN, INT64_MAX)); };
  range.from = others;
  append_pane(range.from, clamped(panes_.grid.first_of(*pane)));
  range.to = others;
  append_pane(*range.to, clamped(panes_.grid.last_until(*pane)));
  // Behind whatever says where that window ends.
  range.to->push_back('\xff');
  return range;
}

// Goes over the panes; windows of one combination of the other keys after those of another.
class PaneReader::WindowCursor final : public ViewReader::Cursor {
 public:
  WindowCursor(const PaneReader& reader, StateSnapshot& snapshot, KeyRange range)
      : reader_(reader), range_(std::move(range)), merge_(reader.windows_->aggregates()) {
    // A pane is not before the first window that it is in. What a bound says of the window's end is not in its key.
    KeyRange panes{range_.from, std::nullopt};
    if (const auto place = reader_.place_of(range_.from)) panes.from.resize(panes.from.size() - place->rest.size());
    panes_ = snapshot.scan(reader_.table(), std::move(panes), false);
  }

  [[nodiscard]] Expected<bool> next() override {
    const PaneGrid& grid = reader_.panes_.grid;
    if (!begun_) KAPPA_CHECK_OK(read_pane_ahead());
    begun_ = true;
    for (;;) {
      if (!in_group_) {
        if (!ahead_) return false;
        others_.assign(ahead_->others);
        in_group_ = true;
        merge_.clear();
        window_ = grid.first_of(ahead_->start);
      }
      while (ahead_of_group() && ahead_->start < window_ + grid.size()) {
        KAPPA_CHECK_OK(merge_.add(ahead_->start, ahead_->value));
        KAPPA_CHECK_OK(read_pane_ahead());
      }
      KAPPA_CHECK_OK(merge_.drop_before(window_));
      if (merge_.empty()) {
        in_group_ = ahead_of_group();
        if (in_group_) window_ = std::max(window_ + grid.slide(), grid.first_of(ahead_->start));
        continue;
      }
      if (window_ + grid.size() > INT64_MAX) {
        merge_.clear();  // No window from here on.
        while (ahead_of_group()) KAPPA_CHECK_OK(read_pane_ahead());
        in_group_ = false;
        continue;
      }
      key_ = others_;
      reader_.append_window(key_, static_cast<std::int64_t>(window_));
      window_ += grid.slide();
      if (key_ < range_.from) continue;
      if (range_.to && key_ >= *range_.to) {
        ahead_.reset();
        in_group_ = false;
        return false;
      }
      KAPPA_CHECK_OK(merge_.merge_into(merged_));
      KAPPA_TRY(row_, reader_.decode(key_, merged_));
      return true;
    }
  }
  [[nodiscard]] std::optional<StoredRow>& row() override { return row_; }

 private:
  struct Pane {
    std::string_view others;  // Until the next one is read.
    std::int64_t start;
    std::string_view value;
  };
  [[nodiscard]] bool ahead_of_group() const { return ahead_ && ahead_->others == others_; }
  [[nodiscard]] Status read_pane_ahead() {
    ahead_.reset();
    KAPPA_TRY(const auto entry, panes_->next());
    if (!entry) return {};
    KAPPA_TRY(const std::int64_t start, read_pane(entry->key));
    ahead_ = Pane{entry->key.substr(0, entry->key.size() - kPaneBytes), start, entry->value};
    return {};
  }

  const PaneReader& reader_;
  const KeyRange range_;
  std::unique_ptr<StateCursor> panes_;
  SlidingMerge merge_;
  bool begun_ = false;
  std::optional<Pane> ahead_;  // The next pane that is not in merge_.
  bool in_group_ = false;
  std::string others_;  // Of the windows at hand.
  Int128 window_ = 0;   // Where the next one begins.
  std::string key_;
  EntryValue merged_;
  std::optional<StoredRow> row_;
};

std::unique_ptr<ViewReader::Cursor> PaneReader::scan(StateSnapshot& snapshot, KeyRange range) const {
  return std::make_unique<WindowCursor>(*this, snapshot, std::move(range));
}

Expected<ViewReader::PointRead> PaneReader::get(StateStore& store, std::string_view key) const {
  // More panes than that are cheaper to find by a scan.
  static constexpr std::int64_t kReadsMax = 1024;
  const PaneGrid& grid = panes_.grid;
  PointRead result;
  const std::optional<Place> place = place_of(key);
  bool is_window = place && place->start >= grid.first_after(Int128{place->start} - 1) &&
                   place->start <= grid.last_until(place->start);
  if (is_window) {
    std::string whole(place->others);
    append_window(whole, place->start);
    is_window = whole == key;
  }
  if (!is_window) {
    result.applied = store.progress().applied;
    return result;
  }
  if (2 * (grid.size() / grid.slide()) > kReadsMax) {
    KAPPA_TRY(const auto snapshot, store.snapshot());
    result.applied = snapshot->progress().applied;
    const auto cursor = scan(*snapshot, {std::string(key), std::string(key) + '\0'});
    KAPPA_TRY(const bool found, cursor->next());
    if (found) result.row = std::move(cursor->row());
    return result;
  }
  std::vector<std::string> keys;
  for (Int128 pane = place->start; pane < Int128{place->start} + grid.size();
       pane = grid.next_pane(static_cast<std::int64_t>(pane))) {
    append_pane(keys.emplace_back(place->others), static_cast<std::int64_t>(pane));
  }
  KAPPA_TRY(const auto read, store.read_many(table(), keys));
  result.applied = read.applied;
  EntryValue merged;
  for (const auto& value : read.values) {
    if (!value) continue;
    if (merged.empty()) merged.assign(windows_->aggregates().layout().fixed_bytes(), '\0');
    KAPPA_CHECK_OK(windows_->aggregates().merge(merged, *value));
  }
  if (merged.empty()) return result;
  KAPPA_TRY(result.row, decode(key, merged));
  return result;
}

}  // namespace kappa::processor
