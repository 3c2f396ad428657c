// See merge_cursor.h.
#include "processor/state/merge_cursor.h"

#include <algorithm>

#include "processor/state/run.h"

namespace kappa::processor {
namespace {

LayerEntry to_entry(const ImageEntry& e) {
  return {e.key, e.value, e.exists};
}
LayerEntry to_entry(const StateEntry* e) {
  return {e->key, e->value, e->exists};
}

EntryLess::Place place_of(const ImageEntry& e) {
  return {e.table, e.key};
}
EntryLess::Place place_of(const StateEntry* e) {
  return {e->table, e->key};
}

// A sorted array of either kind.
template <class T>
class ArrayLayer final : public LayerCursor {
 public:
  ArrayLayer(std::span<const T> sorted, TableId table, const KeyRange& range, bool backward)
      : backward_(backward) {
    const auto bound = [&](EntryLess::Place place) {
      return std::partition_point(sorted.begin(), sorted.end(),
                                  [&](const T& e) { return EntryLess{}(place_of(e), place); });
    };
    begin_ = bound({table, range.from});
    if (range.to)
      end_ = bound({table, *range.to});
    else
      end_ = std::partition_point(sorted.begin(), sorted.end(),
                                  [&](const T& e) { return place_of(e).table <= table; });
    if (end_ < begin_) end_ = begin_;
  }
  Expected<std::optional<LayerEntry>> next() override {
    if (begin_ == end_) return std::nullopt;
    return to_entry(backward_ ? *--end_ : *begin_++);
  }

 private:
  typename std::span<const T>::iterator begin_;
  typename std::span<const T>::iterator end_;
  bool backward_;
};

class OrderedLayer final : public LayerCursor {
 public:
  OrderedLayer(const std::set<StateEntry*, EntryLess>& entries, TableId table, const KeyRange& range,
               bool backward)
      : backward_(backward) {
    begin_ = entries.lower_bound(EntryLess::Place{table, range.from});
    end_ = range.to             ? entries.lower_bound(EntryLess::Place{table, *range.to})
           : table == UINT8_MAX ? entries.end()
                                : entries.lower_bound(EntryLess::Place{static_cast<TableId>(table + 1), {}});
    if (range.to && *range.to < range.from) end_ = begin_;
  }
  Expected<std::optional<LayerEntry>> next() override {
    if (begin_ == end_) return std::nullopt;
    return to_entry(backward_ ? *--end_ : *begin_++);
  }

 private:
  std::set<StateEntry*, EntryLess>::const_iterator begin_;
  std::set<StateEntry*, EntryLess>::const_iterator end_;
  bool backward_;
};

// The B-tree, long keys put back in order. Entries that share a long key's prefix are gathered.
class TreeLayer final : public LayerCursor {
 public:
  TreeLayer(const Pages& pages, TableId table, const KeyRange& range, bool backward)
      : cursor_(pages), table_(table), range_(range), backward_(backward) {}

  Expected<std::optional<LayerEntry>> next() override {
    if (!begun_) {
      begun_ = true;
      KAPPA_CHECK_OK(seek());
    }
    for (;;) {
      while (gathered_at_ < gathered_.size()) {
        const StoredEntry& e = gathered_[gathered_at_++];
        if (in_range(e.key)) return LayerEntry{e.key, e.value, true};
      }
      gathered_.clear();
      gathered_at_ = 0;
      if (!there_) return std::nullopt;
      const std::string_view stored = stored_key();
      if (stored.empty() || static_cast<TableId>(stored[0]) != table_) return std::nullopt;
      if (stored.size() == kHashedKeyBytes) {
        KAPPA_CHECK_OK(gather());
        continue;
      }
      const std::string_view key = stored.substr(1);
      if (backward_ ? key < range_.from : range_.to && key >= *range_.to) return std::nullopt;
      KAPPA_TRY(const std::string_view value,
                open_plain_value(stored, cursor_.value()));
      KAPPA_CHECK_OK(step());
      if (in_range(key)) return LayerEntry{key, value, true};
    }
  }

 private:
  [[nodiscard]] std::string_view stored_key() const { return cursor_.key(); }
  [[nodiscard]] bool in_range(std::string_view key) const {
    return key >= range_.from && (!range_.to || key < *range_.to);
  }
  // The progress record is the last of all.
  [[nodiscard]] Status stand(Expected<bool> moved) {
    there_ = false;
    KAPPA_TRY(there_, moved);
    if (there_ && stored_key() == meta_key()) there_ = false;
    return {};
  }
  [[nodiscard]] Status step() { return stand(backward_ ? cursor_.previous() : cursor_.next()); }

  [[nodiscard]] Status seek() {
    std::string target(1, static_cast<char>(table_));
    if (!backward_) {
      target.append(range_.from);
      // A long bound lies among the entries of its prefix; those before it are skipped one by one.
      if (target.size() > kPlainKeyMax) target.resize(kPlainKeyMax);
      return stand(cursor_.seek(target));
    }
    if (!range_.to && table_ == UINT8_MAX) {
      target = meta_key();
    } else if (!range_.to) {
      target[0] = static_cast<char>(table_ + 1);
    } else {
      target.append(*range_.to);
      if (target.size() > kPlainKeyMax) {
        target.resize(kPlainKeyMax);
        target.append(9, '\xff');  // After every record of that prefix.
      }
    }
    KAPPA_TRY(const bool after, cursor_.seek(target));
    return stand(after ? cursor_.previous() : cursor_.last());
  }

  // Reads all records of long keys with the prefix at hand and sorts their entries.
  [[nodiscard]] Status gather() {
    const std::string prefix(stored_key().substr(0, kPlainKeyMax));
    while (there_ && stored_key().size() == kHashedKeyBytes && stored_key().starts_with(prefix)) {
      KAPPA_TRY(const std::vector<StoredEntry> entries,
                open_record(stored_key(), cursor_.value()));
      gathered_.insert(gathered_.end(), entries.begin(), entries.end());
      KAPPA_CHECK_OK(step());
    }
    std::ranges::sort(gathered_, {}, &StoredEntry::key);
    if (backward_) std::ranges::reverse(gathered_);
    return {};
  }

  PageCursor cursor_;
  TableId table_;
  KeyRange range_;
  bool backward_;
  bool begun_ = false;
  bool there_ = false;
  std::vector<StoredEntry> gathered_;
  std::size_t gathered_at_ = 0;
};

}  // namespace

std::unique_ptr<LayerCursor> image_layer(std::span<const ImageEntry> sorted, TableId table,
                                         const KeyRange& range, bool backward) {
  return std::make_unique<ArrayLayer<ImageEntry>>(sorted, table, range, backward);
}
std::unique_ptr<LayerCursor> frozen_layer(const Overlay& overlay, TableId table, const KeyRange& range,
                                          bool backward) {
  return std::make_unique<ArrayLayer<StateEntry*>>(overlay.sorted(), table, range, backward);
}
std::unique_ptr<LayerCursor> ordered_layer(const std::set<StateEntry*, EntryLess>& entries, TableId table,
                                           const KeyRange& range, bool backward) {
  return std::make_unique<OrderedLayer>(entries, table, range, backward);
}
std::unique_ptr<LayerCursor> tree_layer(const Pages& pages, TableId table, const KeyRange& range, bool backward) {
  return std::make_unique<TreeLayer>(pages, table, range, backward);
}

void add_tree_layers(const ReadTransaction& transaction, TableId table, const KeyRange& range, bool backward,
                     std::vector<std::unique_ptr<LayerCursor>>& layers) {
  if (transaction.runs() != nullptr) {
    for (const auto& run : *transaction.runs()) layers.push_back(run_layer(*run, table, range, backward));
    return;
  }
  layers.push_back(tree_layer(transaction.pages(), table, range, backward));
}

Expected<std::optional<StateCursor::Entry>> MergeCursor::next() {
  if (!begun_) {
    begun_ = true;
    for (std::size_t i = 0; i < layers_.size(); ++i) stale_.push_back(i);
  }
  for (;;) {
    for (const std::size_t i : stale_) {
      KAPPA_TRY(heads_[i], layers_[i]->next());
    }
    stale_.clear();
    const LayerEntry* best = nullptr;
    for (const std::optional<LayerEntry>& head : heads_) {
      if (head && (best == nullptr || (backward_ ? head->key > best->key : head->key < best->key)))
        best = &*head;
    }
    if (best == nullptr) return std::nullopt;
    // The newest layer that has the key is the first found; the same key below is hidden.
    for (std::size_t i = 0; i < heads_.size(); ++i) {
      if (heads_[i] && heads_[i]->key == best->key) stale_.push_back(i);
    }
    if (best->exists) return Entry{best->key, best->value};
  }
}

}  // namespace kappa::processor
