// See store.h and state_store.h.
#include "processor/state/store.h"

#include <algorithm>

#include "processor/operators/build.h"
#include "processor/state/hash.h"
#include "proto/check.h"

namespace kappa::processor {
namespace {

class LayeredSnapshot final : public StateSnapshot {
 public:
  LayeredSnapshot(std::shared_ptr<const Tree> tree, ReadTransaction transaction,
                  std::shared_ptr<const EntryCache> cache, OverlayPin frozen,
                  std::shared_ptr<const ActiveImage> image, const Progress& progress)
      : tree_(std::move(tree)),
        transaction_(std::move(transaction)),
        cache_(std::move(cache)),
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
    if (frozen_.get() != nullptr) {
      if (const StateEntry* entry = frozen_.get()->find(table, key)) {
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
    if (frozen_.get() != nullptr) layers.push_back(frozen_layer(*frozen_.get(), table, range, backward));
    if (tree_ != nullptr) add_tree_layers(transaction_, table, range, backward, layers);
    return std::make_unique<MergeCursor>(std::move(layers), backward);
  }

 private:
  std::shared_ptr<const Tree> tree_;  // May be null.
  ReadTransaction transaction_;
  std::shared_ptr<const EntryCache> cache_;  // Owns what the overlay points to.
  OverlayPin frozen_;
  std::shared_ptr<const ActiveImage> image_;
  Progress progress_;
};

std::unexpected<Error> too_many_bytes() {
  return fail(ErrorCode::kTooLarge, 2021, "the rows of so many keys are over the limit of " +
                                              std::to_string(kPointBytesMax) + " bytes",
              "ask for fewer keys at once");
}

}  // namespace

Expected<std::unique_ptr<StateStore>> StateStore::open(StateOptions options) {
  KAPPA_TRY(std::unique_ptr<Tree> tree, Tree::open(options));
  if (!tree->checked() && tree->file_bytes() <= options.check_bytes_max)
    KAPPA_CHECK_OK(tree->check([](std::uint64_t) { return true; }));
  return std::make_unique<LayeredStore>(std::move(tree), std::move(options.memory));
}

std::unique_ptr<StateStore> make_memory_state() {
  return std::make_unique<LayeredStore>(nullptr, nullptr);
}

std::uint64_t state_owner(std::string_view log_id, Offset view_id, std::uint32_t version) {
  const std::string text =
      std::string(log_id) + '/' + std::to_string(view_id.value()) + '-' + std::to_string(version);
  return XXH3_64bits(text.data(), text.size()) | 1;
}

LayeredStore::LayeredStore(std::unique_ptr<Tree> tree, std::shared_ptr<MemoryBudget> memory)
    : tree_(std::move(tree)),
      cache_(std::make_shared<EntryCache>()),
      share_(std::move(memory)),
      active_(std::make_shared<Overlay>(1)) {
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

void LayeredStore::make_room(std::size_t count) {
  if (cache_->has_room(count)) return;
  if (locked_) {
    cache_->grow(count);
  } else {
    const std::unique_lock lock(mutex_);
    cache_->grow(count);
  }
}

StateEntry& LayeredStore::add(const EntryCache::Lookup& lookup, const std::optional<std::string_view>& value) {
  return cache_->add(lookup, value.has_value(), value.value_or(std::string_view()), rooms_[lookup.table]);
}

inline StateEntry& LayeredStore::writable(StateEntry& entry) {
  entry.touched = true;
  return Overlay::number_of(entry) == active_->number() ? entry : writable_of_older(entry);
}

StateEntry& LayeredStore::writable_of_older(StateEntry& entry) {
  for (const std::shared_ptr<Overlay>& overlay : kept_) {
    if (!overlay->has(entry)) continue;
    StateEntry& copy = cache_->replace(entry);
    active_->keep(copy);
    overlay->replaced.push_back(&entry);
    return copy;
  }
  return entry;
}

StateEntry& LayeredStore::entry_unloaded(TableId table, std::string_view key) {
  if (observed_.load(std::memory_order_relaxed) && table == kRowsTable) {
    // Here it does matter.
    if (const auto loaded = entry(table, key)) return **loaded;
    before_complete_ = false;
  }
  const EntryCache::Lookup lookup = EntryCache::lookup(table, key);
  if (StateEntry* found = cache_->find(lookup)) return writable(*found);
  make_room(1);
  return add(lookup, std::nullopt);
}

Expected<StateEntry*> LayeredStore::entry(TableId table, std::string_view key) {
  const EntryCache::Lookup lookup = EntryCache::lookup(table, key);
  if (StateEntry* found = cache_->find(lookup)) {
    StateEntry& entry = writable(*found);
    if (table == kRowsTable) remember(entry);
    return &entry;
  }
  std::optional<std::string> value;
  if (tree_) {
    KAPPA_CHECK_OK(look_below());
    KAPPA_TRY(value, tree_->get(below_, table, key));
  }
  make_room(1);
  StateEntry& entry = add(lookup, value);
  if (table == kRowsTable) remember(entry);
  return &entry;
}

Status LayeredStore::entries(TableId table, std::span<const std::string_view> keys, std::span<StateEntry*> out) {
  static constexpr std::size_t kAtOnce = 256;  // What is asked for ahead stays in the nearest cache.
  make_room(keys.size());
  hashes_.resize(keys.size());
  missing_.clear();
  for (std::size_t begin = 0; begin < keys.size(); begin += kAtOnce) {
    const std::size_t end = std::min(begin + kAtOnce, keys.size());
    for (std::size_t i = begin; i < end; ++i) {
      hashes_[i] = hash_key(table, keys[i]);
      cache_->prefetch_slot(hashes_[i]);
    }
    for (std::size_t i = begin; i < end; ++i) out[i] = cache_->prefetch_entry(hashes_[i]);
    bool replaced = false;  // The same key may come again.
    for (std::size_t i = begin; i < end; ++i) {
      const EntryCache::Lookup lookup{table, keys[i], hashes_[i]};
      StateEntry* const found = replaced ? cache_->find(lookup) : cache_->find(lookup, out[i]);
      out[i] = found != nullptr ? &writable(*found) : nullptr;
      replaced |= out[i] != found;
      if (found == nullptr) missing_.push_back(i);
    }
  }
  const auto remember_all = [&] {
    if (table != kRowsTable || !observed_.load(std::memory_order_relaxed)) return;
    for (const StateEntry* const entry : out) remember_before(*entry);
  };
  if (missing_.empty()) {
    remember_all();
    return {};
  }
  missing_values_.assign(missing_.size(), std::nullopt);
  if (tree_) {
    KAPPA_CHECK_OK(look_below());
    missing_keys_.clear();
    for (const std::size_t i : missing_) missing_keys_.push_back(keys[i]);
    KAPPA_CHECK_OK(tree_->get_many(below_, table, missing_keys_, missing_values_));
  }
  for (std::size_t m = 0; m < missing_.size(); ++m) {
    const std::size_t i = missing_[m];
    const EntryCache::Lookup lookup{table, keys[i], hashes_[i]};
    StateEntry* const found = cache_->find(lookup);  // The same key came before.
    out[i] = found != nullptr ? found : &add(lookup, missing_values_[m]);
  }
  remember_all();
  return {};
}

void LayeredStore::remember_before(const StateEntry& entry) {
  if (!publishing_ || !before_complete_) return;
  const auto [at, first] = before_.try_emplace(std::string(entry.key));
  if (!first) return;
  static constexpr std::size_t kEntryBytes = 128;
  before_bytes_ += entry.key.size() + entry.value.size() + kEntryBytes;
  if (before_bytes_ > kChangesBytesMax) {
    before_complete_ = false;
    before_ = {};
    return;
  }
  if (entry.exists) at->second.emplace(std::string_view(entry.value));
}

void LayeredStore::compare_with_before() {
  changes_ = {};
  changes_.complete = std::exchange(before_complete_, true);
  before_bytes_ = 0;
  auto all = std::exchange(before_, {});
  if (!changes_.complete) return;
  for (auto& [key, before] : all) {
    // What was looked at in this publish is in memory.
    const StateEntry* const now = cache_->find(EntryCache::lookup(kRowsTable, key));
    const bool exists = now != nullptr && now->exists;
    if (exists == before.has_value() && (!exists || std::string_view(now->value) == *before)) continue;
    EntryChange change{key, std::move(before), std::nullopt};
    if (exists) change.after.emplace(std::string_view(now->value));
    changes_.entries.push_back(std::move(change));
  }
  std::ranges::sort(changes_.entries, {}, &EntryChange::key);
}

Expected<std::optional<std::string>> LayeredStore::get(TableId table, std::string_view key) {
  const EntryCache::Lookup lookup = EntryCache::lookup(table, key);
  const StateEntry* found = cache_->find(lookup);
  if (found == nullptr) {
    KAPPA_TRY(found, entry(table, key));
  }
  if (!found->exists) return std::nullopt;
  return std::string(found->value);
}

void LayeredStore::begin_changes() {
  if (!publishing_ || locked_) return;
  mutex_.lock();
  locked_ = true;
}

inline void LayeredStore::note_change(StateEntry& entry) {
  const std::size_t heap = entry.heap_counted;
  cache_->recount(entry);
  if (active_->has(entry)) {
    active_->count(entry.heap_counted - heap);  // May wrap, and does so back.
  } else {
    active_->add(entry, ordered_tables_[entry.table]);
    active_->count(EntryCache::bytes_of(entry));
  }
  std::size_t& room = rooms_[entry.table];
  const std::size_t bytes = entry.value.size();
  if (bytes > room || bytes < room / 2) room = bytes;
}

void LayeredStore::changed(StateEntry& entry) {
  note_change(entry);
}

void LayeredStore::changed(std::span<StateEntry* const> entries) {
  for (StateEntry* const entry : entries) note_change(*entry);
}

void LayeredStore::put(TableId table, std::string_view key, std::string_view value) {
  begin_changes();
  StateEntry& entry = entry_unloaded(table, key);
  entry.value.assign(value);
  entry.exists = true;
  changed(entry);
}

void LayeredStore::erase(TableId table, std::string_view key) {
  begin_changes();
  StateEntry& entry = entry_unloaded(table, key);
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
  if (tree_) add_tree_layers(below_, table, range, backward, layers);
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
  if (observed_.load(std::memory_order_relaxed) || !before_.empty()) [[unlikely]]
    compare_with_before();
  retire_overlays();
  evict();
  locked_ = false;
  publishing_ = false;
  mutex_.unlock();
  free_garbage();
  below_is_current_ = false;
  below_.release();  // Pages of old versions are free for reuse again.
  frozen_seen_.reset();
  active_bytes_.store(active_->bytes(), std::memory_order_relaxed);
  share_.set_active(active_->bytes());
}

void LayeredStore::retire_overlays() {
  std::erase_if(kept_, [this](const std::shared_ptr<Overlay>& overlay) {
    if (!overlay->retired()) return false;
    garbage_.insert(garbage_.end(), overlay->replaced.begin(), overlay->replaced.end());
    overlay->replaced.clear();
    return true;
  });
}

void LayeredStore::evict() {
  if (share_.budget() == nullptr || !tree_) return;
  share_.set_used(cache_->bytes());
  const std::size_t excess = share_.budget()->excess();
  if (excess == 0) return;
  // What an overlay that is not committed has, or had at the time of the copy, the tree cannot give. What a
  // committed one has, a snapshot may be reading.
  const std::uint32_t uncommitted = frozen_ ? frozen_->number() : active_->number();
  const auto may_go = [&](const StateEntry& entry) {
    if (Overlay::number_of(entry) >= uncommitted) return false;
    return std::ranges::none_of(kept_, [&](const auto& overlay) { return overlay->has(entry); });
  };
  cache_->evict(excess, may_go, garbage_);
}

void LayeredStore::free_garbage() {
  for (StateEntry* entry : garbage_) cache_->free_entry(entry);
  garbage_.clear();
  share_.set_used(cache_->bytes());
  cached_bytes_.store(cache_->bytes(), std::memory_order_relaxed);
}

void LayeredStore::shrink() {
  KAPPA_CHECK(!publishing_, "shrink() inside a publish");
  if (share_.budget() == nullptr || share_.budget()->excess() == 0) return;
  {
    const std::unique_lock lock(mutex_);
    retire_overlays();
    evict();
  }
  free_garbage();
}

std::size_t LayeredStore::active_bytes() const {
  return publishing_ || !tree_ ? active_->bytes() : active_bytes_.load(std::memory_order_relaxed);
}

bool LayeredStore::freeze() {
  KAPPA_CHECK(!publishing_, "freeze() inside a publish");
  if (!tree_) return true;
  const std::unique_lock lock(mutex_);
  if (frozen_) return false;
  const bool to_load = tree_->has_runs() && !makes_runs();
  if (!to_load && active_->entries().empty() && visible_.applied == committed() && visible_.applied != Offset{} &&
      visible_.mark.header_hash == committed_hash_)
    return true;
  const std::uint32_t number = active_->number();
  frozen_ = std::exchange(active_, std::make_shared<Overlay>(number + 1));
  kept_.push_back(frozen_);
  frozen_progress_ = visible_;
  ++version_;
  has_frozen_ = true;
  frozen_bytes_ = frozen_->bytes();
  active_bytes_ = 0;
  share_.set_frozen(frozen_->bytes());
  share_.set_active(0);
  return true;
}

bool LayeredStore::has_frozen() const {
  return has_frozen_.load(std::memory_order_acquire);
}

Status LayeredStore::commit() {
  std::shared_ptr<Overlay> frozen;
  Progress progress;
  {
    const std::shared_lock lock(mutex_);
    frozen = frozen_;
    progress = frozen_progress_;
  }
  if (!frozen) return {};
  if (!checked()) return fail(ErrorCode::kBusy, 3305, "the view's state is still being checked");
  KAPPA_CHECK_OK(tree_->write(frozen->sorted(), progress));
  const std::unique_lock lock(mutex_);
  frozen_.reset();
  frozen->set_committed();
  frozen_bytes_ = 0;
  share_.set_frozen(0);
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
  OverlayPin frozen(frozen_);
  const Progress progress = visible_;
  ReadTransaction transaction;
  if (tree_) {
    KAPPA_TRY(transaction, tree_->read());
  }
  if (!image_ || image_->version != version_) {
    auto image = std::make_shared<ActiveImage>();
    image->version = version_;
    image->entries.reserve(active_->entries().size());
    std::size_t bytes = 0;
    for (const StateEntry* e : active_->entries()) bytes += e->key.size() + e->value.size();
    image->bytes.reserve(bytes);  // Views of it stay.
    const auto keep = [&](std::string_view text) {
      image->bytes.append(text);
      return std::string_view(image->bytes).substr(image->bytes.size() - text.size());
    };
    for (const StateEntry* e : active_->entries()) image->entries.push_back({e->table, keep(e->key), keep(e->value), e->exists});
    lock.unlock();  // The processor may go on.
    std::ranges::sort(image->entries, [](const ImageEntry& a, const ImageEntry& b) {
      return EntryLess{}(EntryLess::Place{a.table, a.key}, EntryLess::Place{b.table, b.key});
    });
    image_ = std::move(image);
  }
  return std::make_shared<LayeredSnapshot>(tree_, std::move(transaction), cache_, std::move(frozen), image_, progress);
}

Expected<StateStore::PointRead> LayeredStore::read(TableId table, std::string_view key) {
  const EntryCache::Lookup lookup = EntryCache::lookup(table, key);
  PointRead result;
  ReadTransaction transaction;
  {
    const std::shared_lock lock(mutex_);
    result.applied = visible_.applied;
    if (const StateEntry* entry = cache_->find(lookup)) {
      if (entry->exists) result.value.emplace(entry->value);
      return result;
    }
    if (!tree_) return result;
    KAPPA_TRY(transaction, tree_->read());
  }
  KAPPA_TRY(result.value, tree_->get(transaction, table, key));
  return result;
}

Expected<StateStore::PointReads> LayeredStore::read_many(TableId table, std::span<const std::string> keys) {
  PointReads result;
  result.values.resize(keys.size());
  std::vector<std::size_t> below;
  ReadTransaction transaction;
  {
    const std::shared_lock lock(mutex_);
    result.applied = visible_.applied;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const StateEntry* const entry = cache_->find(EntryCache::lookup(table, keys[i]));
      if (entry == nullptr)
        below.push_back(i);
      else if (entry->exists)
        result.values[i].emplace(entry->value);
    }
    if (!tree_ || below.empty()) return result;
    KAPPA_TRY(transaction, tree_->read());
  }
  for (const std::size_t i : below) {
    KAPPA_TRY(result.values[i], tree_->get(transaction, table, keys[i]));
  }
  return result;
}

Status LayeredStore::read_many(TableId table, std::span<const std::string_view> keys, PointBatch& out) {
  static constexpr std::size_t kAtOnce = 64;  // What is asked for ahead stays in the nearest cache.
  out.begin(keys.size());
  out.hashes_.resize(keys.size());
  out.below_.clear();
  for (std::size_t i = 0; i < keys.size(); ++i) out.hashes_[i] = hash_key(table, keys[i]);
  ReadTransaction transaction;
  {
    const std::shared_lock lock(mutex_);
    out.applied_ = visible_.applied;
    for (std::size_t begin = 0; begin < keys.size(); begin += kAtOnce) {
      const std::size_t end = std::min(begin + kAtOnce, keys.size());
      if (end - begin > 1) {
        for (std::size_t i = begin; i < end; ++i) cache_->prefetch_slot(out.hashes_[i]);
        for (std::size_t i = begin; i < end; ++i) cache_->prefetch_block(out.hashes_[i]);
      }
      for (std::size_t i = begin; i < end; ++i) {
        const StateEntry* const entry = cache_->find({table, keys[i], out.hashes_[i]});
        if (entry == nullptr)
          out.below_.push_back(i);
        else if (entry->exists && !out.keep(i, entry->value))
          return too_many_bytes();
      }
    }
    if (!tree_ || out.below_.empty()) return {};
    KAPPA_TRY(transaction, tree_->read());
  }
  out.below_keys_.clear();
  for (const std::size_t i : out.below_) out.below_keys_.push_back(keys[i]);
  out.below_values_.resize(out.below_.size());
  KAPPA_CHECK_OK(tree_->get_many(transaction, table, out.below_keys_, out.below_values_));
  for (std::size_t m = 0; m < out.below_.size(); ++m) {
    if (out.below_values_[m] && !out.keep(out.below_[m], *out.below_values_[m])) return too_many_bytes();
  }
  return {};
}

Progress LayeredStore::progress() const {
  const std::shared_lock lock(mutex_);
  return visible_;
}

}  // namespace kappa::processor
