// See store.h and state_store.h.
#include "processor/state/store.h"

#include <algorithm>

#include "processor/operators/build.h"
#include "proto/check.h"

namespace kappa::processor {
namespace {

class LayeredSnapshot final : public StateSnapshot {
 public:
  LayeredSnapshot(std::shared_ptr<const Tree> tree, ReadTransaction transaction,
                  std::shared_ptr<const Overlay> frozen, std::shared_ptr<const ActiveImage> image,
                  const Progress& progress)
      : tree_(std::move(tree)),
        transaction_(std::move(transaction)),
        frozen_(std::move(frozen)),
        image_(std::move(image)),
        progress_(progress) {}

  const Progress& progress() const override { return progress_; }

  Expected<std::optional<std::string>> get(TableId table, std::string_view key) override {
    const auto found = std::ranges::partition_point(image_->entries, [&](const ImageEntry& e) {
      return EntryLess{}(EntryLess::Place{e.table, e.key}, EntryLess::Place{table, key});
    });
    if (found != image_->entries.end() && found->table == table && found->key == key) {
      if (!found->exists) return std::nullopt;
      return std::string(found->value);
    }
    if (frozen_) {
      if (const StateEntry* entry = frozen_->find_visible(Overlay::lookup(table, key))) {
        if (!entry->exists) return std::nullopt;
        return std::string(entry->value);
      }
    }
    if (tree_ == nullptr) return std::nullopt;
    return tree_->get(transaction_, table, key);
  }

  std::unique_ptr<StateCursor> scan(TableId table, KeyRange range, bool backward) override {
    std::vector<std::unique_ptr<LayerCursor>> layers;
    layers.push_back(image_layer(image_->entries, table, range, backward));
    if (frozen_) layers.push_back(frozen_layer(*frozen_, table, range, backward));
    if (tree_ != nullptr) layers.push_back(tree_layer(transaction_.pages(), table, range, backward));
    return std::make_unique<MergeCursor>(std::move(layers), backward);
  }

 private:
  std::shared_ptr<const Tree> tree_;  // May be null.
  ReadTransaction transaction_;
  std::shared_ptr<const Overlay> frozen_;
  std::shared_ptr<const ActiveImage> image_;
  Progress progress_;
};

}  // namespace

Expected<std::unique_ptr<StateStore>> StateStore::open(StateOptions options) {
  KAPPA_TRY(std::unique_ptr<Tree> tree, Tree::open(options));
  if (!tree->checked() && tree->file_bytes() <= options.check_bytes_max)
    KAPPA_CHECK_OK(tree->check([](std::uint64_t) { return true; }));
  return std::make_unique<LayeredStore>(std::move(tree));
}

std::unique_ptr<StateStore> make_memory_state() {
  return std::make_unique<LayeredStore>(nullptr);
}

std::uint64_t state_owner(std::string_view log_id, Offset view_id, std::uint32_t version) {
  const std::string text =
      std::string(log_id) + '/' + std::to_string(view_id.value()) + '-' + std::to_string(version);
  return XXH3_64bits(text.data(), text.size()) | 1;
}

LayeredStore::LayeredStore(std::unique_ptr<Tree> tree)
    : tree_(std::move(tree)), active_(std::make_shared<Overlay>()) {
  if (tree_) visible_ = tree_->meta().progress;
  committed_ = visible_.applied.value();
  committed_hash_ = visible_.mark.header_hash;
}
LayeredStore::~LayeredStore() = default;

Status LayeredStore::look_below() {
  if (below_is_current_) return {};
  if (locked_) {
    frozen_seen_ = frozen_;
  } else {
    const std::shared_lock lock(mutex_);
    frozen_seen_ = frozen_;
  }
  // After the frozen overlay was taken: if its commit ends in between, it is in both, never in none.
  if (tree_) {
    KAPPA_TRY(below_, tree_->read());
  }
  below_is_current_ = publishing_;
  return {};
}

StateEntry& LayeredStore::entry_unloaded(TableId table, std::string_view key) {
  const Overlay::Lookup lookup = Overlay::lookup(table, key);
  StateEntry* found = active_->find(lookup);
  return found != nullptr ? *found : active_->add(lookup);
}

Expected<StateEntry*> LayeredStore::entry(TableId table, std::string_view key) {
  const Overlay::Lookup lookup = Overlay::lookup(table, key);
  if (StateEntry* found = active_->find(lookup)) return found;
  KAPPA_CHECK_OK(look_below());
  if (frozen_seen_) {
    if (const StateEntry* below = frozen_seen_->find_visible(lookup)) {
      StateEntry& entry = active_->add(lookup);
      entry.exists = below->exists;
      entry.value = below->value.view();
      return &entry;
    }
  }
  std::optional<std::string> value;
  if (tree_) {
    KAPPA_TRY(value, tree_->get(below_, table, key));
  }
  StateEntry& entry = active_->add(lookup);
  entry.exists = value.has_value();
  if (value) entry.value = *value;
  return &entry;
}

Expected<std::optional<std::string>> LayeredStore::get(TableId table, std::string_view key) {
  KAPPA_TRY(const StateEntry* const found, entry(table, key));
  if (!found->exists) return std::nullopt;
  return std::string(found->value);
}

void LayeredStore::begin_changes() {
  if (!publishing_ || locked_) return;
  mutex_.lock();
  locked_ = true;
}

void LayeredStore::changed(StateEntry& entry) {
  active_->show(entry, ordered_tables_[entry.table]);
}

void LayeredStore::put(TableId table, std::string_view key, std::string_view value) {
  StateEntry& entry = entry_unloaded(table, key);
  begin_changes();
  entry.value.assign(value);
  entry.exists = true;
  changed(entry);
}

void LayeredStore::erase(TableId table, std::string_view key) {
  StateEntry& entry = entry_unloaded(table, key);
  begin_changes();
  entry.value.clear();
  entry.exists = false;
  changed(entry);
}

Expected<std::optional<std::pair<std::string, std::string>>> LayeredStore::first(TableId table,
                                                                                 KeyRange range,
                                                                                 bool backward) {
  KAPPA_TRY(const std::unique_ptr<StateCursor> cursor, scan(table, std::move(range), backward));
  KAPPA_TRY(const std::optional<StateCursor::Entry> found, cursor->next());
  if (!found) return std::nullopt;
  return std::pair(std::string(found->key), std::string(found->value));
}

Expected<std::unique_ptr<StateCursor>> LayeredStore::scan(TableId table, KeyRange range, bool backward) {
  KAPPA_CHECK(ordered_tables_[table], "scan() of a table that is not kept in order");
  KAPPA_CHECK_OK(look_below());
  std::vector<std::unique_ptr<LayerCursor>> layers;
  layers.push_back(ordered_layer(active_->ordered(), table, range, backward));
  // Not frozen_layer(): it would sort all tables here when the committer has not done it yet.
  if (frozen_seen_) layers.push_back(ordered_layer(frozen_seen_->ordered(), table, range, backward));
  if (tree_) layers.push_back(tree_layer(below_.pages(), table, range, backward));
  return std::make_unique<MergeCursor>(std::move(layers), backward);
}

void LayeredStore::begin_publish() {
  KAPPA_CHECK(!publishing_, "begin_publish() twice");
  publishing_ = true;
  below_is_current_ = false;
}

void LayeredStore::end_publish(const Progress& progress) {
  KAPPA_CHECK(publishing_, "end_publish() without begin_publish()");
  begin_changes();
  visible_ = progress;
  ++version_;
  locked_ = false;
  publishing_ = false;
  mutex_.unlock();
  below_is_current_ = false;
  below_.release();  // Pages of old versions are free for reuse again.
  frozen_seen_.reset();
  active_bytes_.store(active_->bytes(), std::memory_order_relaxed);
}

std::size_t LayeredStore::active_bytes() const {
  return publishing_ || !tree_ ? active_->bytes() : active_bytes_.load(std::memory_order_relaxed);
}

bool LayeredStore::freeze() {
  KAPPA_CHECK(!publishing_, "freeze() inside a publish");
  if (!tree_) return true;
  const std::unique_lock lock(mutex_);
  if (frozen_) return false;
  if (active_->visible_count() == 0 && visible_.applied == committed() && visible_.applied != Offset{} &&
      visible_.mark.header_hash == committed_hash_)
    return true;
  frozen_ = std::exchange(active_, std::make_shared<Overlay>());
  frozen_progress_ = visible_;
  ++version_;
  has_frozen_ = true;
  active_bytes_ = 0;
  return true;
}

bool LayeredStore::has_frozen() const {
  return has_frozen_.load(std::memory_order_acquire);
}

Status LayeredStore::commit() {
  std::shared_ptr<const Overlay> frozen;
  Progress progress;
  {
    const std::shared_lock lock(mutex_);
    frozen = frozen_;
    progress = frozen_progress_;
  }
  if (!frozen) return {};
  if (!checked()) return fail(ErrorCode::kBusy, 3305, "the view's state is still being checked");
  KAPPA_CHECK_OK(tree_->write(frozen->sorted(), progress));
  {
    // A cached image would keep the frozen overlay's memory.
    const std::lock_guard lock(image_mutex_);
    if (image_ && image_->overlay == frozen) image_.reset();
  }
  const std::unique_lock lock(mutex_);
  frozen_.reset();
  committed_.store(progress.applied.value(), std::memory_order_release);
  committed_hash_ = progress.mark.header_hash;
  has_frozen_.store(false, std::memory_order_release);
  return {};
}

Status LayeredStore::check(const std::function<bool(std::uint64_t bytes)>& go_on) {
  return tree_ ? tree_->check(go_on) : Status{};
}

Expected<std::shared_ptr<StateSnapshot>> LayeredStore::snapshot() {
  const std::lock_guard image_lock(image_mutex_);
  std::shared_lock lock(mutex_);
  std::shared_ptr<const Overlay> frozen = frozen_;
  const Progress progress = visible_;
  ReadTransaction transaction;
  if (tree_) {
    KAPPA_TRY(transaction, tree_->read());
  }
  if (!image_ || image_->version != version_) {
    auto image = std::make_shared<ActiveImage>();
    image->overlay = active_;
    image->version = version_;
    image->entries.reserve(active_->visible_count());
    std::size_t bytes = 0;
    active_->for_each_visible([&](const StateEntry& e) { bytes += e.value.size(); });
    image->values.reserve(bytes);
    active_->for_each_visible([&](const StateEntry& e) {
      const std::size_t at = image->values.size();
      image->values.append(e.value.view());
      image->entries.push_back({e.table, e.key, {image->values.data() + at, e.value.size()}, e.exists});
    });
    lock.unlock();  // The processor may go on: keys do not change and values are copied.
    std::ranges::sort(image->entries, [](const ImageEntry& a, const ImageEntry& b) {
      return EntryLess{}(EntryLess::Place{a.table, a.key}, EntryLess::Place{b.table, b.key});
    });
    image_ = std::move(image);
  }
  return std::make_shared<LayeredSnapshot>(tree_, std::move(transaction), std::move(frozen), image_,
                                           progress);
}

Expected<StateStore::PointRead> LayeredStore::read(TableId table, std::string_view key) {
  const Overlay::Lookup lookup = Overlay::lookup(table, key);
  PointRead result;
  ReadTransaction transaction;
  {
    const std::shared_lock lock(mutex_);
    result.applied = visible_.applied;
    const StateEntry* entry = active_->find_visible(lookup);
    if (entry == nullptr && frozen_) entry = frozen_->find_visible(lookup);
    if (entry != nullptr) {
      if (entry->exists) result.value.emplace(entry->value);
      return result;
    }
    if (!tree_) return result;
    KAPPA_TRY(transaction, tree_->read());
  }
  KAPPA_TRY(result.value, tree_->get(transaction, table, key));
  return result;
}

Progress LayeredStore::progress() const {
  const std::shared_lock lock(mutex_);
  return visible_;
}

}  // namespace kappa::processor
