// Running SELECT, get and scan. Each call runs on the caller's thread and touches no state of the pipeline.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "log/log.h"
#include "processor/engine.h"
#include "processor/live_view.h"
#include "processor/pipeline.h"
#include "processor/sql/compile.h"
#include "proto/error.h"

namespace kappa::processor {

// What a sort or an in-memory aggregate of one query may hold; above it the query fails (4010).
inline constexpr std::size_t kQueryBytesMax = std::size_t{256} << 20;

// What a SELECT reads beside its plan.
struct SelectInputs {
  log::Log& log;
  Offset end;  // Events below it are read; at most the durable end.
  // The view of each kViewScan, in the order of scans_of(plan).
  std::vector<std::shared_ptr<LiveView>> views;
  ReplayOptions replay;  // How streams are read.
  // Keeps the views from moving for as long as it lives; empty: nothing moves them.
  std::function<Pipeline::Still()> hold_still;
  // A read of a view failed with `error`; `generation` is that of the state that was read.
  std::function<void(LiveView&, std::uint64_t generation, const Error& error)> failed;
};
// Any SELECT: streams are replayed, views read from snapshots of one moment; where both are read, events below
// the views' (lowest) applied offset only. Errors: kClosed 4008 (cancelled), kTooLarge 4010, kUnsupported 2008,
// and those of the state or the log.
[[nodiscard]] Expected<StatementResult> run_select(const Select& select, const SelectInputs& inputs, RowSink& sink,
                                                   const std::atomic<bool>& cancelled);

// "its key is (name TEXT, ...)".
[[nodiscard]] std::string key_shape(const ViewPlan& plan);
// kInvalid 2011 of a read by `given` key values where the view takes others.
[[nodiscard]] std::unexpected<Error> wrong_key_count(const std::string& view, const ViewPlan& plan, std::size_t given);
// Point read by the full key. kInvalid 2011 names the key columns when the key's shape is wrong.
[[nodiscard]] Expected<Engine::GetResult> get_row(const LiveView& view, const KeyRequest& key);
// Rows in key order.
[[nodiscard]] Expected<StatementResult> scan_rows(const LiveView& view, const ScanRequest& request, RowSink& sink,
                                                  const std::atomic<bool>& cancelled);
// The view's own columns, without hidden key columns.
[[nodiscard]] std::vector<Column> visible_columns(const ViewPlan& plan);
// "view "x" is being built: 43 % of 1200000 events", or empty.
[[nodiscard]] std::string build_notice(const LiveView& view);

}  // namespace kappa::processor
