// get and scan. select.cc has SELECT.
#include "processor/query.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "processor/key_range.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kRowsAtOnce = 512;  // Rows handed to a sink in one call.

std::unexpected<Error> cancelled_error() { return fail(ErrorCode::kClosed, 4008, "the query was cancelled"); }

void clip(KeyRange& range, std::string from, std::optional<std::string> to) {
  range.from = std::max(range.from, std::move(from));
  if (to && (!range.to || *to < *range.to)) range.to = std::move(to);
}

}  // namespace

std::string key_shape(const ViewPlan& plan) {
  if (plan.key_columns.empty()) return "the view has one row and no key";
  std::string text = "its key is (";
  for (std::size_t i = 0; i < plan.key_columns.size(); ++i) {
    const Column& column = plan.root->output[plan.key_columns[i]];
    text += (i == 0 ? "" : ", ") + column.name + " " + to_string(column.type);
  }
  return text + ")";
}

std::unexpected<Error> wrong_key_count(const std::string& view, const ViewPlan& plan, std::size_t given) {
  const std::size_t wanted = plan.key_columns.size();
  return fail(ErrorCode::kInvalid, 2011,
              "a read of view \"" + view + "\" takes " + std::to_string(wanted) + " key values, not " +
                  std::to_string(given) + ": " + key_shape(plan),
              given < wanted ? "give every key value, or scan with a prefix" : "");
}

std::vector<Column> visible_columns(const ViewPlan& plan) {
  const auto& output = plan.root->output;
  return {output.begin(), output.begin() + static_cast<std::ptrdiff_t>(plan.visible_columns)};
}

std::string build_notice(const LiveView& view) {
  const Offset applied = view.visible();
  const Offset end = view.build_end();
  if (applied >= end) return {};
  const std::uint64_t percent = applied.value() * 100 / std::max<std::uint64_t>(end.value(), 1);
  return "view \"" + view.entry().name + "\" is being built: " + std::to_string(percent) + " % of " +
         std::to_string(end.value()) + " events";
}

Expected<Engine::GetResult> get_row(const LiveView& view, const KeyRequest& key) {
  KAPPA_TRY(const LiveView::Served served, view.served());
  if (key.values.size() != served.reader->key_types().size())
    return wrong_key_count(view.entry().name, view.plan(), key.values.size());
  auto encoded = served.reader->encode_key(key.values);
  if (!encoded) {
    Error error = std::move(encoded).error();
    if (error.hint.empty()) error.hint = key_shape(view.plan());
    return std::unexpected(std::move(error));
  }
  KAPPA_TRY(auto read, served.reader->get(*served.store, *encoded));
  if (const auto error = view.failed()) return std::unexpected(*error);
  Engine::GetResult result;
  result.applied = read.applied;
  if (!read.row) return result;
  read.row->row.resize(view.plan().visible_columns);
  result.row = std::move(read.row->row);
  return result;
}

Expected<StatementResult> scan_rows(const LiveView& view, const ScanRequest& request, RowSink& sink,
                                    const std::atomic<bool>& cancelled) {
  StatementResult result{"SCAN", 0, {}, build_notice(view)};
  if (!sink.columns(visible_columns(view.plan()))) return cancelled_error();
  KAPPA_TRY(const LiveView::Served served, view.served());
  KeyRange range;
  KAPPA_TRY(std::string prefix, served.reader->encode_key(request.prefix));
  auto after = after_prefix(prefix);
  clip(range, std::move(prefix), std::move(after));
  if (!request.from.empty()) {
    KAPPA_TRY(std::string from, served.reader->encode_key(request.from));
    clip(range, std::move(from), {});
  }
  if (!request.to.empty()) {
    KAPPA_TRY(std::string to, served.reader->encode_key(request.to));
    clip(range, {}, std::move(to));
  }
  KAPPA_TRY(const auto snapshot, served.store->snapshot());
  if (const auto error = view.failed()) return std::unexpected(*error);
  result.applied = snapshot->progress().applied;
  if (range.to && *range.to <= range.from) return result;
  const auto emit = [&](std::vector<Row> batch) {
    result.row_count += batch.size();
    return batch.empty() || sink.rows(std::move(batch));
  };
  const auto cursor = served.reader->scan(*snapshot, std::move(range));
  std::vector<Row> rows;
  std::uint64_t left = request.limit;
  while (left > 0) {
    if (cancelled.load(std::memory_order_relaxed)) return cancelled_error();
    KAPPA_TRY(const bool found, cursor->next());
    if (!found) break;
    auto& stored = cursor->row();
    if (!stored) continue;
    stored->row.resize(view.plan().visible_columns);
    for (std::int64_t copy = 0; copy < stored->weight && left > 0; ++copy, --left) rows.push_back(stored->row);
    if (rows.size() >= kRowsAtOnce && !emit(std::exchange(rows, {}))) return cancelled_error();
  }
  if (!emit(std::move(rows))) return cancelled_error();
  return result;
}

}  // namespace kappa::processor
