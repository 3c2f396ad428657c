// ViewReader of a view that ends in an aggregate kept by pane: windows are merged of their panes when they are read.
// A scan merges each pane about three times (sliding_merge.h), a point read those of one window.
//
// Immutable and thread-safe, as view_reader.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "processor/operators/view_reader.h"
#include "processor/sql/panes.h"

namespace kappa::processor {

class PaneReader final : public ViewReader {
 public:
  // `windows` reads groups by window, of mergeable aggregates; its table has the panes, in the order of the windows.
  PaneReader(Panes panes, std::unique_ptr<AggregateReader> windows);
  [[nodiscard]] const std::vector<Type>& key_types() const override { return windows_->key_types(); }
  [[nodiscard]] Expected<std::string> encode_key(std::span<const Value> values) const override {
    return windows_->encode_key(values);
  }
  [[nodiscard]] TableId table() const override { return windows_->table(); }
  // Of the key and the merged group of a window.
  [[nodiscard]] Expected<std::optional<StoredRow>> decode(std::string_view key, std::string_view value) const override {
    return windows_->decode(key, value);
  }
  // The windows that a pane is in.
  [[nodiscard]] std::optional<KeyRange> decides(std::string_view key) const override;
  [[nodiscard]] std::unique_ptr<Cursor> scan(StateSnapshot& snapshot, KeyRange range) const override;
  [[nodiscard]] Expected<PointRead> get(StateStore& store, std::string_view key) const override;
  [[nodiscard]] bool single_entries() const override { return false; }

 private:
  class WindowCursor;
  // The key's parts up to the window's start, and the start: nullopt for bytes that do not have them whole. What
  // follows them stays in `rest`.
  struct Place {
    std::string_view others;
    std::int64_t start;
    std::string_view rest;
  };
  [[nodiscard]] std::optional<Place> place_of(std::string_view key) const;
  // The key of a window.
  void append_window(std::string& others, std::int64_t start) const;

  const Panes panes_;
  const std::unique_ptr<const AggregateReader> windows_;
  std::size_t others_ = 0;  // Keys before the start.
  std::size_t ends_ = 0;    // Keys behind it.
};

}  // namespace kappa::processor
