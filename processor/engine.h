// The processor's face to the serving layer: SQL in, rows out; views kept up to date from the log.
//
// Owns the data directory's views/ folder, the catalog, one processor thread and one committer
// thread. Thread-safe. A read answers from one applied offset and says which.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "processor/keyed_view.h"
#include "processor/replay/replay_options.h"
#include "processor/sql/plan.h"
#include "processor/state/memory_budget.h"
#include "processor/watch.h"
#include "proto/error.h"
#include "proto/ids.h"
#include "proto/value.h"

namespace kappa::processor {

struct EngineOptions {
  std::filesystem::path directory;            // views/; created if missing.
  std::uint32_t commit_interval_ms = 500;     // Between LMDB commits of a view, 10..60000.
  // Of the entries of all views' states together that are in memory: those not committed yet, at most half of it,
  // and a cache. Views commit early when the former come near. At least 1.
  std::size_t memory_bytes = std::size_t{256} << 20;
  std::shared_ptr<MemoryBudget> memory;       // Made by open().
  // Address space of one view's state: its greatest size. Together they must fit 47 bits, so the
  // default allows about 500 views.
  std::uint64_t state_bytes_max = std::uint64_t{1} << 38;
  // States of at most so many bytes together are checked whole before the engine is open; larger ones
  // beside the work, at check_bytes_per_second, and nothing is committed to them until then.
  std::uint64_t check_at_open_bytes = std::uint64_t{64} << 20;
  std::uint64_t check_bytes_per_second = std::uint64_t{256} << 20;
  ReplayOptions replay;                       // How views that are far behind are built.
  bool read_only = false;                     // Views answer from what they have; nothing is applied.
};

// What a read waits for before it answers.
struct Freshness {
  // The event with this offset is applied: applied offset > at_least.
  std::optional<Offset> at_least;
  // Everything durable when the request came is applied.
  bool fresh = false;
  std::chrono::milliseconds timeout{10'000};
};

// Receives a result. Calls come in order from one thread: columns once, rows any number of times
// (bounded batches, some of them empty: time has passed), then the call that produced them returns. A false return cancels the query.
class RowSink {
 public:
  virtual ~RowSink() = default;
  [[nodiscard]] virtual bool columns(const std::vector<Column>& columns) = 0;
  [[nodiscard]] virtual bool rows(std::vector<Row> rows) = 0;
  // The call begins (ends) to wait until views are as far as it was asked to: its thread has nothing to do.
  virtual void waiting(bool begins) { static_cast<void>(begins); }
};
class SinkWaiting {
 public:
  explicit SinkWaiting(RowSink& sink) : sink_(sink) { sink_.waiting(true); }
  ~SinkWaiting() { sink_.waiting(false); }
  SinkWaiting(const SinkWaiting&) = delete;
  SinkWaiting& operator=(const SinkWaiting&) = delete;

 private:
  RowSink& sink_;
};

// What a statement did, beside its rows.
struct StatementResult {
  std::string tag;                   // "SELECT", "CREATE STREAM", "DROP VIEW", ...
  std::uint64_t row_count = 0;
  std::optional<Offset> applied;     // Of the views read; the lowest if several.
  std::string notice;                // For people: "view \"v\" is being built: 43 % of 1200000 events".
};

struct ViewStatus {
  std::string name;
  std::uint32_t version = 1;
  std::string role = "serving";      // "next": it will replace the one that serves; "kept": for a rollback.
  // "live", "building", "failed"; "full": it waits for disk space and is not brought further meanwhile, but
  // answers (unless it could not even be opened).
  std::string state;
  std::string error;                 // When failed or full, or why commits do not succeed at the moment.
  std::string rebuilt;               // Why the state was made anew since opening; empty: it was not.
  bool checked = true;               // False: the state that was opened is still being checked.
  Offset from;                       // Made from the events from here on.
  bool rebuildable = true;           // The log still has everything it is made from.
  Offset applied;
  Offset committed;
  std::uint64_t lag_events = 0;      // Durable end minus applied.
  double lag_seconds = 0;            // Age of the oldest event not applied; 0 when caught up.
  std::uint64_t rows = 0;
  std::uint64_t poison = 0;
  std::uint64_t conversion_failures = 0;
  // Values of expressions straight over streams that could not be computed: x / 0, overflow, casts.
  std::uint64_t expression_failures = 0;
  std::uint64_t late = 0;            // Rows of EMIT ON WINDOW CLOSE that came for a window that was closed.
  std::uint64_t bytes_on_disk = 0;
  std::uint64_t bytes_in_memory = 0;
  ReplayProgress replay;             // Of its first build, or of catching up when it was far behind at opening.
  std::uint64_t events_applied = 0;  // Since opening.
  std::uint64_t commits = 0;         // Since opening.
};

// What went wrong with the events of a stream, as the view that is furthest knows it.
struct StreamStatus {
  std::string name;
  std::string topic;
  std::uint64_t columns = 0;
  std::map<std::string, std::uint64_t> conversion_failures;  // Above zero, by column.
  std::uint64_t poison = 0;                                  // Events of the topic that are not JSON objects.
  // With on_error = 'dead_letter': how many were set aside, and how far that is known.
  std::optional<std::uint64_t> dead_letters;
  std::optional<std::uint64_t> late;  // A derived stream that EMITs ON WINDOW CLOSE: rows that came too late.
  ViewStatus letters;
};

// Key of a view as a client gives it: text for each key column, converted by the view's types, or
// typed values.
struct KeyRequest {
  std::vector<Value> values;  // TEXT values are converted to the key column's type.
};

struct ScanRequest {
  std::string view;
  std::vector<Value> prefix;          // Equal on the first key columns.
  std::vector<Value> from;            // Inclusive lower bound (key prefix); empty: none.
  std::vector<Value> to;              // Exclusive upper bound (key prefix); empty: none.
  std::uint64_t limit = UINT64_MAX;
  Freshness freshness;
};

class Engine {
 public:
  [[nodiscard]] static Expected<std::unique_ptr<Engine>> open(EngineOptions options, log::Log& log);
  virtual ~Engine() = default;  // Stops the threads; commits what is applied.

  // Runs one statement (without a trailing semicolon or with one). Blocks: for the log (DDL) or the
  // freshness asked for. `cancelled` is polled. Errors carry a SourcePlace into `sql`.
  [[nodiscard]] virtual Expected<StatementResult> execute(std::string_view sql, const Freshness& freshness,
                                                          RowSink& sink, const std::atomic<bool>& cancelled) = 0;

  // The columns a client of get/scan sees. kNotFound 2003.
  [[nodiscard]] virtual Expected<std::vector<Column>> view_columns(std::string_view view) = 0;

  struct GetResult {
    std::optional<Row> row;  // nullopt: no such key.
    Offset applied;
  };
  // Point read; never blocks (freshness is for wait()). kNotFound 2003 view, kInvalid 2011 key shape, kBusy 2016 if
  // it must_wait().
  [[nodiscard]] virtual Expected<GetResult> get(std::string_view view, const KeyRequest& key) = 0;

  // For who reads by key often. kNotFound 2003, and the error of a view that failed.
  [[nodiscard]] virtual Expected<std::shared_ptr<KeyedView>> open_view(std::string_view view) = 0;

  [[nodiscard]] virtual Expected<StatementResult> scan(const ScanRequest& request, RowSink& sink,
                                                       const std::atomic<bool>& cancelled) = 0;

  // Whether a read of `view` must wait() first, whatever freshness it wants: after a restart a version that serves
  // since a cutover is not yet as far as that. It is rare; answered without the lock of anything.
  [[nodiscard]] virtual bool must_wait(std::string_view view) const = 0;

  // Calls `ready` once, from any thread, possibly before returning: when `view` satisfies the
  // freshness, with kTimeout 4005 when it does not in time, or kNotFound. Bounded number of waiters
  // (kBusy).
  virtual void wait(std::string_view view, const Freshness& freshness, std::function<void(Status)> ready) = 0;

  // Follows a view from now on. `news` is called, from any thread and with locks held, so it must only take note:
  // at most once for each kind between two steps. Blocks for moments. Watches end before the engine.
  // kNotFound 2003, kInvalid 2011 key shape, the view's error when it failed.
  [[nodiscard]] virtual Expected<std::unique_ptr<Watch>> watch(WatchRequest request,
                                                               std::function<void(WatchNews)> news) = 0;

  // The building of a view stops where it is, or goes on. A pause is a record of the log and outlives the process.
  // kNotFound 2003: no such view; kNotFound 2018: it is not being built; the log's errors.
  [[nodiscard]] virtual Status pause_replay(std::string_view view) = 0;
  [[nodiscard]] virtual Status resume_replay(std::string_view view) = 0;

  [[nodiscard]] virtual std::vector<ViewStatus> views() const = 0;
  // By name.
  [[nodiscard]] virtual std::vector<StreamStatus> streams() const = 0;
};

}  // namespace kappa::processor
