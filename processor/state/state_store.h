// The state of one view version: ordered tables of bytes in one LMDB environment, behind two layers
// of memory, committed with the applied offset in one transaction.
//
//   active overlay  <- changed since the last freeze, by the processor (one thread)
//   frozen overlay  <- being written to LMDB by the committer
//   LMDB            <- durable; never ahead of the log, because only durable events are applied
//
// Invariants: get() and snapshots see active over frozen over LMDB. A Snapshot is one applied offset,
// never half a batch: the processor applies under publish(), readers open snapshots between.
// LMDB flags: MDB_NOMETASYNC | MDB_NOTLS; never MDB_NOSYNC, never MDB_WRITEMAP.
// Keys longer than LMDB's 511 bytes become prefix + hash with the full key in the value; callers see
// full keys, in order. Values carry a checksum; a multiset hash of all (key, value) commits with the
// offset. A read of damaged bytes is an error (page_tree.h); what a read cannot notice, a lost entry or
// an older copy of a page, check() does. LMDB writes only to a state that was checked.
// Layers in the files: entry_cache.h (entries in memory), overlay.h (which of them are not committed), tree.h
// (LMDB), merge_cursor.h (the three seen as one).
// Threads: Writer calls (get, put, erase, publish, freeze) from the one processor thread; commit()
// from the committer thread; snapshot() and point reads from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "processor/state/entry_value.h"
#include "processor/state/memory_budget.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

// What commits beside the state.
struct Progress {
  Offset applied;                      // Every event below has been applied, none at or above.
  log::PrefixMark mark;                // Identity of the log prefix that ends at `applied`.
  std::int64_t watermark = INT64_MIN;  // Greatest event time seen, microseconds; INT64_MIN: none.
  std::uint64_t rows = 0;              // Rows of the view.
  std::uint64_t poison = 0;            // Events that were not valid JSON objects.
  std::uint64_t conversion_failures = 0;
  bool started = false;  // Operator::start() has run on this state.
};

// Which of a view's tables: operators number theirs from 1; 0 is the view's rows.
using TableId = std::uint8_t;

// The table that readers' rows are made of.
inline constexpr TableId kRowsTable = 0;

// What a publish did to an entry of it; nullopt: there was (is) none.
struct EntryChange {
  std::string key;
  std::optional<std::string> before;
  std::optional<std::string> after;
};

// Ordered iteration over one table of a snapshot. Views are valid until the next call.
class StateCursor {
 public:
  virtual ~StateCursor() = default;
  // Moves to the next entry (the first, on the first call); nullopt at the end of the range.
  struct Entry {
    std::string_view key;
    std::string_view value;
  };
  [[nodiscard]] virtual Expected<std::optional<Entry>> next() = 0;
};

struct KeyRange {
  std::string from;               // Inclusive.
  std::optional<std::string> to;  // Exclusive; nullopt: to the end of the table.
};

// One consistent state. Holds an LMDB read transaction: do not keep it across a slow client's wait. It
// also keeps the environment open, and LMDB must not open one twice in a process: drop every snapshot
// before the same directory is opened again.
class StateSnapshot {
 public:
  virtual ~StateSnapshot() = default;
  [[nodiscard]] virtual const Progress& progress() const = 0;
  [[nodiscard]] virtual Expected<std::optional<std::string>> get(TableId table, std::string_view key) = 0;
  [[nodiscard]] virtual std::unique_ptr<StateCursor> scan(TableId table, KeyRange range, bool backward) = 0;
};

struct StateOptions {
  std::filesystem::path directory;                   // Of the environment; created if missing.
  std::uint64_t map_bytes = std::uint64_t{1} << 40;  // Address space, not memory or disk.
  bool read_only = false;
  // Whose state it is (view, version and log), so that another's is not taken for it; 0: not compared.
  std::uint64_t owner = 0;
  // A file of at most so many bytes is checked whole at opening; a larger one when check() is called.
  std::uint64_t check_bytes_max = UINT64_MAX;
  // It grows up to this when it is used up; less than map_bytes: it does not grow.
  std::uint64_t map_bytes_max = 0;
  // Shared by all states of the process; null: what is read and written stays in memory.
  std::shared_ptr<MemoryBudget> memory = nullptr;
};

// An entry as the processor changes it in place: the fast path of operators that update many groups a
// batch. Ask for it anew in each batch: it lives until end_publish().
struct StateEntry {
  StateEntry(std::string_view whole_key, char* room, std::size_t room_bytes)
      : key(whole_key), value(room, room_bytes) {}

  const std::string_view key;      // Without the table.
  EntryValue value;                // Change only after begin_changes(), then call changed().
  std::uint64_t hash = 0;          // Of table and key.
  std::uint32_t mark = 0;          // Scratch of the operator that owns the table; zero between batches.
  std::uint32_t heap_counted = 0;  // The store's, as all that follows but `exists`: of the value, on the heap.
  std::uint32_t stamp = 0;         // overlay.h
  TableId table = 0;
  std::uint8_t size_class = 0;     // entry_slabs.h
  bool exists = false;             // False: there is no such entry (yet, or any more).
  bool touched = false;            // Since eviction looked at it last.
};

// Keys and values that one publish may leave behind for those who watch the view.
inline constexpr std::size_t kChangesBytesMax = std::size_t{64} << 20;
// What one read_many() gives at most, unless it is of one key.
inline constexpr std::size_t kPointBytesMax = std::size_t{8} << 20;

// What read_many() found, in memory that is used again. One thread.
class PointBatch {
 public:
  [[nodiscard]] Offset applied() const { return applied_; }
  // Of key `i`: nullopt if there is none. Valid until the next read.
  [[nodiscard]] std::optional<std::string_view> value(std::size_t i) const {
    const Place& place = places_[i];
    if (!place.found) return std::nullopt;
    return std::string_view(bytes_).substr(place.begin, place.size);
  }

 private:
  friend class LayeredStore;
  static constexpr std::size_t kBytesKept = std::size_t{1} << 20;
  struct Place {
    std::size_t begin = 0;
    std::size_t size = 0;
    bool found = false;
  };
  void begin(std::size_t count) {
    bytes_.clear();
    if (bytes_.capacity() > kBytesKept) bytes_.shrink_to_fit();
    places_.assign(count, {});
  }
  // False: it is too much.
  [[nodiscard]] bool keep(std::size_t i, std::string_view value) {
    if (!bytes_.empty() && bytes_.size() + value.size() > kPointBytesMax) return false;
    places_[i] = {bytes_.size(), value.size(), true};
    bytes_.append(value);
    return true;
  }

  Offset applied_;
  std::string bytes_;
  std::vector<Place> places_;
  // Scratch of a read.
  std::vector<std::uint64_t> hashes_;
  std::vector<std::size_t> below_;
  std::vector<std::string_view> below_keys_;
  std::vector<std::optional<std::string_view>> below_values_;
};

class StateStore {
 public:
  // kCorrupt 3301 (checksum, hash or LMDB structure), kIo, kUnsupported 3103. The caller deletes the
  // directory and rebuilds from the log.
  [[nodiscard]] static Expected<std::unique_ptr<StateStore>> open(StateOptions options);
  virtual ~StateStore() = default;

  // --- processor thread ---
  [[nodiscard]] virtual Expected<std::optional<std::string>> get(TableId table, std::string_view key) = 0;
  virtual void put(TableId table, std::string_view key, std::string_view value) = 0;
  virtual void erase(TableId table, std::string_view key) = 0;
  // The entry of a key, loaded from the layers below if need be, `exists` false if it is nowhere.
  // Expression evaluation and entry() belong before begin_changes(), which shuts readers out.
  [[nodiscard]] virtual Expected<StateEntry*> entry(TableId table, std::string_view key) = 0;
  // The same for many keys of one table at once, several times as fast as one by one. `out` is as long as `keys`;
  // equal keys give the same entry.
  [[nodiscard]] virtual Status entries(TableId table, std::span<const std::string_view> keys,
                                       std::span<StateEntry*> out) = 0;
  // Waits for readers and keeps them out until end_publish(); any number of times. Outside
  // begin_publish() .. end_publish() it does nothing: nobody else may use the store then.
  virtual void begin_changes() = 0;
  // After `entry` was changed (value, exists): makes the change part of the active overlay.
  virtual void changed(StateEntry& entry) = 0;
  virtual void changed(std::span<StateEntry* const> entries) = 0;
  // Declares that first() and scan() will be asked of this table: its entries in memory are kept in order. Before
  // the first change of it.
  virtual void keep_ordered(TableId table) = 0;
  // First entry of the range as the processor sees it (for the min of a multiset).
  [[nodiscard]] virtual Expected<std::optional<std::pair<std::string, std::string>>> first(TableId table,
                                                                                           KeyRange range,
                                                                                           bool backward) = 0;
  // Ordered iteration over a table of keep_ordered() as the processor sees it, with what it changed earlier in
  // the same batch; legal before and after begin_changes(). A step costs some hundred nanoseconds, however large
  // the layers are. The cursor must not be used after the next changed(), put(), erase() or end_publish(): gather
  // what is to be changed first. Outside a publish the next call of any kind ends it.
  [[nodiscard]] virtual Expected<std::unique_ptr<StateCursor>> scan(TableId table, KeyRange range,
                                                                    bool backward) = 0;
  // Everything between these two calls becomes visible to readers at once, with `progress`.
  virtual void begin_publish() = 0;
  virtual void end_publish(const Progress& progress) = 0;
  // Whether what publishes do to kRowsTable is remembered; it costs nothing where it is not. Not during a publish;
  // any thread that keeps those from happening.
  virtual void observe(bool on) = 0;
  // What the last publish did there, in the order of the keys. `complete` is false where that would have taken too
  // much memory (kChangesBytesMax) or could not be read.
  struct Changes {
    std::vector<EntryChange> entries;
    bool complete = true;
  };
  [[nodiscard]] virtual Changes take_changes() = 0;
  // Bytes of the active overlay; the processor freezes at its budget or its interval.
  [[nodiscard]] virtual std::size_t active_bytes() const = 0;
  // The same with the frozen overlay's.
  [[nodiscard]] virtual std::size_t uncommitted_bytes() const = 0;
  // Gives cached entries back while the memory of all states together is over its budget. Between publishes; each
  // publish does it too.
  virtual void shrink() = 0;
  // While it holds, commits of a state to which none was made before are sorted runs in files, which cost the changed
  // entries alone; everything reads as ever. The next commit after that loads the tree with all of them. Not of states with tables of
  // keep_ordered(): each of their scans would have to look into every run.
  virtual void set_bulk(bool bulk) = 0;
  // The next commit makes a run.
  [[nodiscard]] virtual bool makes_runs() const = 0;
  // There are runs to load.
  [[nodiscard]] virtual bool has_runs() const = 0;
  // Moves active to frozen. False if a frozen overlay is still being committed (then wait or go on).
  [[nodiscard]] virtual bool freeze() = 0;

  // --- committer thread ---
  // Writes the frozen overlay and its progress in one transaction, then drops it. No-op if none.
  // kFull on MDB_MAP_FULL or ENOSPC (the frozen overlay stays and a later commit() retries), kIo.
  // kBusy 3305 while checked() is false: what was not checked is not written to.
  [[nodiscard]] virtual Status commit() = 0;
  [[nodiscard]] virtual bool has_frozen() const = 0;

  // --- any one thread ---
  // Walks all that was committed before opening: pages, checksums, count, multiset hash; kCorrupt 3301.
  // `go_on` is asked now and then with the bytes looked at since; false ends it with kClosed 4007.
  [[nodiscard]] virtual Status check(const std::function<bool(std::uint64_t bytes)>& go_on) = 0;

  // --- any thread ---
  [[nodiscard]] virtual bool checked() const = 0;
  // Bytes of what was committed before opening.
  [[nodiscard]] virtual std::uint64_t opened_bytes() const = 0;
  [[nodiscard]] virtual Expected<std::shared_ptr<StateSnapshot>> snapshot() = 0;
  // Point read at the current applied offset, without a snapshot's cost.
  struct PointRead {
    std::optional<std::string> value;
    Offset applied;
  };
  [[nodiscard]] virtual Expected<PointRead> read(TableId table, std::string_view key) = 0;
  // Several keys of a table at one applied offset.
  struct PointReads {
    std::vector<std::optional<std::string>> values;  // In the order of the keys.
    Offset applied;
  };
  [[nodiscard]] virtual Expected<PointReads> read_many(TableId table, std::span<const std::string> keys) = 0;
  // The same for who reads all the time: nothing is allocated once `out` has grown, and the reads of a call go on
  // side by side, so that a key costs a fraction of what it costs alone. kTooLarge 2021 for more than
  // kPointBytesMax. An error leaves `out` without meaning.
  [[nodiscard]] virtual Status read_many(TableId table, std::span<const std::string_view> keys, PointBatch& out) = 0;
  [[nodiscard]] virtual Progress progress() const = 0;  // Visible.
  [[nodiscard]] virtual Offset committed() const = 0;   // Applied offset of the last commit.
  [[nodiscard]] virtual std::uint64_t bytes_on_disk() const = 0;
  // Of its entries in memory, committed or not, as of the last publish.
  [[nodiscard]] virtual std::uint64_t bytes_in_memory() const = 0;
};

// StateOptions::owner of a view's version in one log. Never 0.
[[nodiscard]] std::uint64_t state_owner(std::string_view log_id, Offset view_id, std::uint32_t version);

// What a whole check of a state found.
struct StateCheck {
  Progress progress;  // Not started: nothing was committed yet.
  std::uint64_t entries = 0;
  std::uint64_t owner = 0;
};
// Reads every page and entry of the state in `directory`, recomputes checksums, count and multiset hash,
// and compares with what was committed (for `kappa verify`). Nobody may have it open. Writes nothing.
// kCorrupt 3301 with details, kIo 3302.
[[nodiscard]] Expected<StateCheck> verify_state(const std::filesystem::path& directory);
// Calls `visit` for every entry of the state committed in `directory`, by table and full key, whatever LMDB
// pages they lie in; progress is left out. An error of `visit` ends the walk. Nobody may have it open; writes
// nothing. Two states of one view at one applied offset must have the same entries, byte for byte.
// kCorrupt 3301, kIo 3302.
using StateVisit = std::function<Status(TableId table, std::string_view key, std::string_view value)>;
[[nodiscard]] Status walk_state(const std::filesystem::path& directory, const StateVisit& visit);
// The same entries as one hash, for comparing states; `applied` is what they stand for.
struct StateDigest {
  std::uint64_t hash = 0;
  std::uint64_t entries = 0;
  Offset applied;
};
[[nodiscard]] Expected<StateDigest> state_digest(const std::filesystem::path& directory);
// Its owner alone (0: not known), without reading the rest; nullopt if nothing was ever committed to it. The
// same errors.
[[nodiscard]] Expected<std::optional<std::uint64_t>> committed_owner(const std::filesystem::path& directory);

}  // namespace kappa::processor
