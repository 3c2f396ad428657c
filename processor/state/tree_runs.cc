// The runs of a tree that is built from nothing, and its load from them. See tree.h.
#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "processor/state/hash.h"
#include "processor/state/run_set.h"
#include "processor/state/tree.h"
#include "proto/bytes.h"

namespace kappa::processor {
namespace {

// Bytes of entries in one transaction of a load: LMDB keeps its pages in memory until it ends.
constexpr std::size_t kLoadBytes = std::size_t{8} << 20;

MDB_val to_val(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }

// Puts entries at the end of the tree, in one transaction after the other.
class Loader {
 public:
  Loader(MDB_env* environment, MDB_dbi dbi) : environment_(environment), dbi_(dbi) {}
  ~Loader() { abort(); }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Of LMDB, as all below. Empties the tree.
  [[nodiscard]] int begin() {
    if (const int code = open(); code != 0) return code;
    MDB_stat stat{};
    if (const int code = mdb_stat(transaction_, dbi_, &stat); code != 0) return code;
    return stat.ms_entries == 0 ? 0 : empty();
  }
  [[nodiscard]] int put(std::string_view stored, std::string_view value) {
    if (bytes_ >= kLoadBytes) {
      if (const int code = commit(); code != 0) return code;
      if (const int code = open(); code != 0) return code;
    }
    bytes_ += stored.size() + value.size();
    MDB_val key = to_val(stored);
    MDB_val data = to_val(value);
    return mdb_cursor_put(cursor_, &key, &data, MDB_APPEND);
  }
  [[nodiscard]] int commit() {
    mdb_cursor_close(std::exchange(cursor_, nullptr));
    bytes_ = 0;
    return mdb_txn_commit(std::exchange(transaction_, nullptr));
  }

 private:
  [[nodiscard]] int open() {
    if (const int code = mdb_txn_begin(environment_, nullptr, 0, &transaction_); code != 0) {
      transaction_ = nullptr;
      return code;
    }
    const int code = mdb_cursor_open(transaction_, dbi_, &cursor_);
    if (code != 0) cursor_ = nullptr;
    return code;
  }
  [[nodiscard]] int empty() {
    mdb_cursor_close(std::exchange(cursor_, nullptr));
    if (const int code = mdb_drop(transaction_, dbi_, 0); code != 0) return code;
    if (const int code = commit_dropped(); code != 0) return code;
    return open();
  }
  [[nodiscard]] int commit_dropped() { return mdb_txn_commit(std::exchange(transaction_, nullptr)); }
  void abort() {
    if (cursor_ != nullptr) mdb_cursor_close(std::exchange(cursor_, nullptr));
    if (transaction_ != nullptr) mdb_txn_abort(std::exchange(transaction_, nullptr));
  }

  MDB_env* const environment_;
  const MDB_dbi dbi_;
  MDB_txn* transaction_ = nullptr;
  MDB_cursor* cursor_ = nullptr;
  std::size_t bytes_ = 0;
};

// Entries whose long keys share a prefix: in the order of their keys they are not in that of the tree.
struct LongEntries {
  struct One {
    std::string stored;
    std::string key;
    std::string value;
  };
  std::vector<One> all;
  std::string prefix;
};

}  // namespace

Status Tree::open_runs(const StateOptions& options) {
  KAPPA_TRY(RunList runs, processor::open_runs(directory_));
  if (runs.empty()) {
    if (!options.read_only) remove_runs(directory_, {});
    return {};
  }
  // A tree with a progress record was loaded from them, or they from nowhere; one without did not get that far.
  bool loaded = false;
  const std::filesystem::path file = directory_ / "data.mdb";
  KAPPA_TRY(const std::optional<Pages> pages, open_pages(directory_));
  if (pages) {
    KAPPA_TRY(const auto value, pages->get(meta_key()));
    loaded = value.has_value();
  }
  if (loaded) {
    if (!options.read_only) remove_runs(directory_, {});
    return {};
  }
  if (!options.read_only) {
    std::error_code error;
    for (const auto& path : {file, directory_ / "lock.mdb"}) {
      std::filesystem::remove(path, error);
      if (error) return fail_errno(3302, "cannot remove " + path.string(), error.value());
    }
    remove_runs(directory_, runs);
  }
  set_runs(std::move(runs));
  return {};
}

void Tree::set_runs(RunList runs) {
  has_runs_.store(!runs.empty(), std::memory_order_relaxed);
  auto list = runs.empty() ? nullptr : std::make_shared<const RunList>(std::move(runs));
  const std::lock_guard lock(pool_mutex_);
  runs_ = std::move(list);
}

Status Tree::get_many_in_runs(const ReadTransaction& transaction, TableId table,
                              std::span<const std::string_view> keys,
                              std::span<std::optional<std::string_view>> out) const {
  // Below the runs the tree has nothing that they do not have.
  for (std::size_t i = 0; i < keys.size(); ++i) {
    KAPPA_TRY(const auto found, find_in_runs(*transaction.runs(), table, keys[i]));
    out[i] = found && found->exists ? std::optional(found->value) : std::nullopt;
  }
  return {};
}

Status Tree::write_run(std::span<StateEntry* const> entries, const Progress& progress) {
  StateMeta meta;
  meta.progress = progress;
  meta.owner = meta_.owner;
  KAPPA_TRY(RunList runs, add_run(directory_, runs_ ? *runs_ : RunList{}, entries, encode_state_meta(meta)));
  set_runs(std::move(runs));
  meta_ = meta;
  return {};
}

Status Tree::load_runs(std::span<StateEntry* const> entries, const Progress& progress) {
  Loader loader(environment_, dbi_);
  if (const int code = loader.begin(); code != 0) return failed(code, "cannot begin to load");
  StateMeta meta;
  meta.progress = progress;
  meta.owner = meta_.owner;
  std::string stored;
  std::string value;
  LongEntries held;
  const auto count = [&meta](TableId table, std::string_view key, std::string_view bytes) {
    meta.multiset_hash += hash_entry(table, key, bytes);
    ++meta.entries;
  };
  const auto put = [&](std::string_view at) -> Status {
    seal_record(at, value);
    if (const int code = loader.put(at, value); code != 0) return failed(code, "cannot load");
    return {};
  };
  const auto put_held = [&]() -> Status {
    std::ranges::sort(held.all, [](const auto& a, const auto& b) {
      return std::tie(a.stored, a.key) < std::tie(b.stored, b.key);
    });
    for (std::size_t i = 0; i < held.all.size();) {
      const std::string& at = held.all[i].stored;
      value.clear();
      for (; i < held.all.size() && held.all[i].stored == at; ++i) {
        ByteWriter out(value);
        out.u32(static_cast<std::uint32_t>(held.all[i].key.size()));
        out.u32(static_cast<std::uint32_t>(held.all[i].value.size()));
        out.text(held.all[i].key);
        out.text(held.all[i].value);
      }
      KAPPA_CHECK_OK(put(at));
    }
    held.all.clear();
    return {};
  };
  const auto take = [&](const RunEntry& entry) -> Status {
    if (!entry.exists) return {};
    count(entry.table, entry.key, entry.value);
    make_stored_key(entry.table, entry.key, stored);
    const bool is_long = stored.size() == kHashedKeyBytes;
    if (!held.all.empty() && (!is_long || !stored.starts_with(held.prefix))) KAPPA_CHECK_OK(put_held());
    if (is_long) {
      held.prefix = stored.substr(0, kPlainKeyMax);
      held.all.push_back({stored, std::string(entry.key), std::string(entry.value)});
      return {};
    }
    value.assign(entry.value);
    return put(stored);
  };
  KAPPA_CHECK_OK(merge_runs(entries, *runs_, take));
  KAPPA_CHECK_OK(put_held());
  value = encode_state_meta(meta);
  KAPPA_CHECK_OK(put(meta_key()));
  if (const int code = loader.commit(); code != 0) return failed(code, "cannot commit");
  // The meta page too, before the runs go.
  if (const int code = mdb_env_sync(environment_, 1); code != 0) return failed(code, "cannot sync");
  KAPPA_CHECK_OK(extend_file());
  meta_ = meta;
  fresh_ = false;
  set_runs({});
  remove_runs(directory_, {});
  return {};
}

}  // namespace kappa::processor
