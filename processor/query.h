// Running SELECT: over a view's snapshot, over a stream (a bounded replay of the log with the same
// decode path as views), or over nothing. Each call runs on the caller's thread and touches no state
// of the pipeline. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "log/log.h"
#include "processor/engine.h"
#include "processor/live_view.h"
#include "processor/sql/compile.h"
#include "proto/error.h"

namespace kappa::processor {

// What a sort or an in-memory aggregate of one query may hold; above it the query fails (4010).
inline constexpr std::size_t kQueryBytesMax = std::size_t{256} << 20;

// Errors of all three: kClosed 4008 (cancelled), kTooLarge 4010, and those of the state or the log.
[[nodiscard]] Expected<StatementResult> query_view(const Select& select, const LiveView& view, RowSink& sink,
                                                   const std::atomic<bool>& cancelled);
// `end`: events below it are read; at most the durable end.
[[nodiscard]] Expected<StatementResult> query_stream(const Select& select, log::Log& log, Offset end, RowSink& sink,
                                                     const std::atomic<bool>& cancelled);
[[nodiscard]] Expected<StatementResult> query_values(const Select& select, RowSink& sink);

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
