// Ordered iteration over layers of one table, the newer hiding the older: active over frozen over tree.
//
// Not thread-safe. Keys and values are valid until the next call. Layers borrow what they iterate.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/state/overlay.h"
#include "processor/state/state_store.h"
#include "processor/state/tree.h"

namespace kappa::processor {

struct LayerEntry {
  std::string_view key;
  std::string_view value;
  bool exists = true;  // False hides the key in the layers below.
};

// One layer, positioned before its first entry in the cursor's direction.
class LayerCursor {
 public:
  virtual ~LayerCursor() = default;
  [[nodiscard]] virtual Expected<std::optional<LayerEntry>> next() = 0;
};

// An entry of the active overlay as it was when a snapshot was taken.
struct ImageEntry {
  TableId table = 0;
  std::string_view key;
  std::string_view value;
  bool exists = true;
};

[[nodiscard]] std::unique_ptr<LayerCursor> image_layer(std::span<const ImageEntry> sorted, TableId table,
                                                       const KeyRange& range, bool backward);
[[nodiscard]] std::unique_ptr<LayerCursor> frozen_layer(const Overlay& overlay, TableId table,
                                                        const KeyRange& range, bool backward);
[[nodiscard]] std::unique_ptr<LayerCursor> ordered_layer(const std::set<StateEntry*, EntryLess>& entries,
                                                         TableId table, const KeyRange& range, bool backward);
// `pages` is borrowed; whoever holds it keeps its version from being used again.
[[nodiscard]] std::unique_ptr<LayerCursor> tree_layer(const Pages& pages, TableId table, const KeyRange& range,
                                                      bool backward);

// Appends what `transaction`, which is borrowed, reads: a tree, or the runs that it has instead (newest first).
void add_tree_layers(const ReadTransaction& transaction, TableId table, const KeyRange& range, bool backward,
                     std::vector<std::unique_ptr<LayerCursor>>& layers);

// Newest layer first.
class MergeCursor final : public StateCursor {
 public:
  MergeCursor(std::vector<std::unique_ptr<LayerCursor>> layers, bool backward)
      : layers_(std::move(layers)), heads_(layers_.size()), backward_(backward) {}
  [[nodiscard]] Expected<std::optional<Entry>> next() override;

 private:
  std::vector<std::unique_ptr<LayerCursor>> layers_;
  std::vector<std::optional<LayerEntry>> heads_;
  std::vector<std::size_t> stale_;  // Layers whose head was given or hidden.
  bool backward_;
  bool begun_ = false;
};

}  // namespace kappa::processor
