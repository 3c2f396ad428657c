// The durable part of a view's state: one LMDB environment, one B-tree; while it is built from nothing, sorted runs
// (run_set.h) that are loaded into it at the end.
//
// Stored key   = table byte, key                       if that is at most 500 bytes
//              = its first 500 bytes, XXH3 of all      otherwise: 508 bytes, so the length tells
// Stored value = value, 4 bytes checksum               of a short key
//              = per entry u32 key length, u32 value length, key, value, and 4 bytes checksum, for
//                the entries whose long keys share prefix and hash, in key order
// Checksum     = low half of XXH3(value, seed XXH3(key, seed table)); for a long key, of the stored
//                value under the stored key
// Meta record  = progress, entry count and multiset hash under 509 bytes ff, the greatest key of all
//                and of a length that no entry has
//
// Reads go through page_tree.h, which survives any bytes; LMDB pins the version that is read and
// writes. It may write only after check() has walked the whole tree, because LMDB trusts what it finds.
// Entries with long keys and one prefix are put in order when they are scanned, in memory: that is as
// many as share their first 499 bytes.
// Runs: while set_bulk() holds, write() to a tree without a progress record makes a run, which readers see instead of
// the tree. The first write() after that puts everything into the tree, in the order of its keys, in transactions of some
// MiB; only the last of them has a progress record, so a tree without one, beside runs, is a load that did not end: it
// is begun anew.
// Threads: any for reads, each with its own ReadTransaction; one for write().
#pragma once

#include <lmdb.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/state/page_tree.h"
#include "processor/state/run_list.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

inline constexpr std::size_t kPlainKeyMax = 500;
inline constexpr std::size_t kHashedKeyBytes = kPlainKeyMax + 8;
// Format 1 had no owner; it is read, and becomes 2 with the next commit.
inline constexpr std::uint32_t kStateFormat = 2;

// What one transaction leaves behind beside the entries.
struct StateMeta {
  Progress progress;
  std::uint64_t entries = 0;
  std::uint64_t multiset_hash = 0;  // Sum of hash_entry over all entries, modulo 2^64.
  std::uint64_t owner = 0;          // StateOptions::owner; 0: not known.
};

// Asked now and then with the bytes looked at since; false ends a check with kClosed 4007.
using CheckGoesOn = std::function<bool(std::uint64_t bytes)>;

// What the version that `pages` shows says of itself; nullopt if nothing was ever committed to it.
// kCorrupt 3301, kUnsupported 3103.
[[nodiscard]] Expected<std::optional<StateMeta>> load_state_meta(const Pages& pages);
// The newest version of the data file in a directory, which nobody else may write; nullopt: missing or empty.
// kCorrupt 3301, kIo 3302.
[[nodiscard]] Expected<std::optional<Pages>> open_pages(const std::filesystem::path& directory);
// Walks every page and every record, and compares count and multiset hash with `meta`. kCorrupt 3301.
[[nodiscard]] Status check_state(const Pages& pages, const StateMeta& meta, const CheckGoesOn& go_on);

class Tree;

// A read transaction, taken from the tree's pool and given back.
class ReadTransaction {
 public:
  ReadTransaction() = default;
  ReadTransaction(Tree& tree, MDB_txn* transaction, Pages pages, std::shared_ptr<const RunList> runs)
      : tree_(&tree), transaction_(transaction), pages_(std::move(pages)), runs_(std::move(runs)) {}
  ~ReadTransaction() { release(); }
  ReadTransaction(ReadTransaction&& other) noexcept
      : tree_(other.tree_),
        transaction_(std::exchange(other.transaction_, nullptr)),
        pages_(std::move(other.pages_)),
        runs_(std::move(other.runs_)) {}
  ReadTransaction& operator=(ReadTransaction&& other) noexcept {
    release();
    tree_ = other.tree_;
    transaction_ = std::exchange(other.transaction_, nullptr);
    pages_ = std::move(other.pages_);
    runs_ = std::move(other.runs_);
    return *this;
  }
  [[nodiscard]] const Pages& pages() const { return pages_; }
  // What is read instead of the pages, newest first; null: the pages.
  [[nodiscard]] const RunList* runs() const { return runs_.get(); }
  void release();

 private:
  Tree* tree_ = nullptr;
  MDB_txn* transaction_ = nullptr;  // Keeps the version's pages from being used again.
  Pages pages_;
  std::shared_ptr<const RunList> runs_;  // Shared by all who read it.
};

class Tree {
 public:
  // See StateStore::open for the errors.
  [[nodiscard]] static Expected<std::unique_ptr<Tree>> open(const StateOptions& options);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  [[nodiscard]] Expected<ReadTransaction> read();
  [[nodiscard]] Expected<std::optional<std::string>> get(const ReadTransaction& transaction, TableId table,
                                                         std::string_view key) const;
  // The same for many keys; the values are views that live as long as the transaction.
  [[nodiscard]] Status get_many(const ReadTransaction& transaction, TableId table,
                                std::span<const std::string_view> keys,
                                std::span<std::optional<std::string_view>> out) const;
  // Puts (or deletes, where !exists) the entries, which must be in order, and the meta record in one
  // transaction. kFull leaves the tree as it was. Only after check().
  [[nodiscard]] Status write(std::span<StateEntry* const> entries, const Progress& progress);
  // Whether write() makes runs, where it may. Any thread.
  void set_bulk(bool bulk) { bulk_.store(bulk, std::memory_order_relaxed); }
  // Nothing was put into the tree yet. Any thread.
  [[nodiscard]] bool fresh() const { return fresh_.load(std::memory_order_relaxed); }
  // There are runs that the next write() without set_bulk() loads.
  [[nodiscard]] bool has_runs() const { return has_runs_.load(std::memory_order_relaxed); }
  // As of the last write() or open().
  [[nodiscard]] const StateMeta& meta() const { return meta_; }
  [[nodiscard]] std::uint64_t bytes_on_disk() const;
  // Checks what was committed before opening, once. Any one thread. kCorrupt 3301.
  [[nodiscard]] Status check(const CheckGoesOn& go_on);
  // Whether write() is allowed.
  [[nodiscard]] bool checked() const { return checked_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t file_bytes() const { return opened_bytes_; }

 private:
  friend class ReadTransaction;
  Tree() = default;
  [[nodiscard]] Status look_at_files() const;
  [[nodiscard]] Status load_meta(std::uint64_t owner);
  // Pages as of a transaction that a reader holds. nullopt: its meta page was used again, take another.
  [[nodiscard]] Expected<std::optional<Pages>> pages_of(std::uint64_t transaction);  // Needs pool_mutex_.
  // Error of an LMDB call.
  [[nodiscard]] std::unexpected<Error> failed(int code, const char* what) const;
  [[nodiscard]] Status write_once(std::span<StateEntry* const> entries, const Progress& progress);
  // After a commit: the file is as long as its pages.
  [[nodiscard]] Status extend_file();
  // tree_runs.cc:
  [[nodiscard]] Status get_many_in_runs(const ReadTransaction& transaction, TableId table,
                                        std::span<const std::string_view> keys,
                                        std::span<std::optional<std::string_view>> out) const;
  // Takes the runs that are there; a tree that is not loaded whole is begun anew.
  [[nodiscard]] Status open_runs(const StateOptions& options);
  [[nodiscard]] Status write_run(std::span<StateEntry* const> entries, const Progress& progress);
  // Everything into the tree. May be tried again after any error.
  [[nodiscard]] Status load_runs(std::span<StateEntry* const> entries, const Progress& progress);
  void set_runs(RunList runs);
  // Doubles the map, up to its greatest size. False if it cannot grow.
  [[nodiscard]] bool grow();
  // After LMDB has mapped the file: what it cannot be given of it is zeros, not the end of the process.
  void guard_map();

  std::filesystem::path directory_;
  MDB_env* environment_ = nullptr;
  MDB_dbi dbi_ = 0;
  StateMeta meta_;
  std::uint64_t opened_bytes_ = 0;
  std::atomic<bool> checked_{false};
  std::uint64_t map_bytes_ = 0;
  std::uint64_t map_bytes_max_ = 0;
  // LMDB's map moves when it grows. Readers have one of their own (map_); they share this while they ask
  // LMDB for a transaction.
  std::shared_mutex map_mutex_;
  std::atomic<bool> map_lost_{false};  // It could not be mapped again.
  std::optional<log::GuardedRange> guard_;  // Of LMDB's map. With map_mutex_; gone before the map moves.
  std::uint64_t committed_bytes_ = 0;       // The file is at least as long.
  std::atomic<bool> fresh_{false};          // It has no progress record.
  std::atomic<bool> bulk_{false};
  std::atomic<bool> has_runs_{false};
  mutable std::mutex pool_mutex_;  // Guards the next four.
  std::shared_ptr<const RunList> runs_;  // Null: none. Changed by the thread of write(), which reads it without.
  std::vector<MDB_txn*> pool_;  // Reset read transactions.
  std::shared_ptr<const PageMap> map_;
  PageImage image_;  // The newest that a reader has asked for.
};

// The meta record's value, without its checksum. kCorrupt 3301, kUnsupported 3103.
[[nodiscard]] std::string encode_state_meta(const StateMeta& meta);
[[nodiscard]] Expected<StateMeta> decode_state_meta(std::string_view payload);
// How entries lie in the tree.
void make_stored_key(TableId table, std::string_view key, std::string& out);
// Appends the checksum of a record to its value.
void seal_record(std::string_view stored_key, std::string& value);

// Stored key of the meta record.
[[nodiscard]] std::string_view meta_key();

// One entry of a stored record, keys and checksums already undone.
struct StoredEntry {
  TableId table = 0;
  std::string_view key;
  std::string_view value;
};
// Takes a stored record apart, verifying it. kCorrupt 3301. Views point into the arguments.
[[nodiscard]] Expected<std::vector<StoredEntry>> open_record(std::string_view stored_key,
                                                             std::string_view stored_value);
// The same for the common case of a short key.
[[nodiscard]] Expected<std::string_view> open_plain_value(std::string_view stored_key,
                                                          std::string_view stored_value);

}  // namespace kappa::processor
