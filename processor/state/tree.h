// The durable part of a view's state: one LMDB environment, one B-tree.
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
// Entries with long keys and one prefix are put in order when they are scanned, in memory: that is as
// many as share their first 499 bytes.
// Threads: any for reads, each with its own ReadTransaction; one for write().
#pragma once

#include <lmdb.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

inline constexpr std::size_t kPlainKeyMax = 500;
inline constexpr std::size_t kHashedKeyBytes = kPlainKeyMax + 8;
inline constexpr std::uint32_t kStateFormat = 1;

// What one transaction leaves behind beside the entries.
struct StateMeta {
  Progress progress;
  std::uint64_t entries = 0;
  std::uint64_t multiset_hash = 0;  // Sum of hash_entry over all entries, modulo 2^64.
};

class Tree;

// A read transaction, taken from the tree's pool and given back.
class ReadTransaction {
 public:
  ReadTransaction() = default;
  ReadTransaction(Tree& tree, MDB_txn* transaction) : tree_(&tree), transaction_(transaction) {}
  ~ReadTransaction() { release(); }
  ReadTransaction(ReadTransaction&& other) noexcept
      : tree_(other.tree_), transaction_(std::exchange(other.transaction_, nullptr)) {}
  ReadTransaction& operator=(ReadTransaction&& other) noexcept {
    release();
    tree_ = other.tree_;
    transaction_ = std::exchange(other.transaction_, nullptr);
    return *this;
  }
  [[nodiscard]] MDB_txn* get() const { return transaction_; }
  void release();

 private:
  Tree* tree_ = nullptr;
  MDB_txn* transaction_ = nullptr;
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
  // Puts (or deletes, where !exists) the entries, which must be in order, and the meta record in one
  // transaction. kFull leaves the tree as it was.
  [[nodiscard]] Status write(std::span<const StateEntry* const> entries, const Progress& progress);
  // As of the last write() or open().
  [[nodiscard]] const StateMeta& meta() const { return meta_; }
  [[nodiscard]] std::uint64_t bytes_on_disk() const;
  // Recomputes count and hash of everything.
  [[nodiscard]] Expected<StateMeta> recompute();
  [[nodiscard]] MDB_dbi dbi() const { return dbi_; }
  // Error of an LMDB call.
  [[nodiscard]] std::unexpected<Error> failed(int code, const char* what) const;

 private:
  friend class ReadTransaction;
  Tree() = default;
  [[nodiscard]] Status load_meta();

  std::filesystem::path directory_;
  MDB_env* environment_ = nullptr;
  MDB_dbi dbi_ = 0;
  StateMeta meta_;
  std::mutex pool_mutex_;
  std::vector<MDB_txn*> pool_;  // Reset read transactions.
};

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
