// SELECT, get and scan. Rows of a view are turned back into vectors, so that one set of operators
// serves both directions.
#include "processor/query.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "processor/event_source.h"
#include "processor/key_range.h"
#include "processor/operators/build.h"
#include "processor/vector/vector.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kRowsAtOnce = 512;  // Rows handed to a sink in one call.

std::unexpected<Error> cancelled_error() { return fail(ErrorCode::kClosed, 4008, "the query was cancelled"); }

// Passes results on and remembers whether the reader lost interest.
class Output {
 public:
  Output(RowSink& sink, std::uint64_t& count) : sink_(sink), count_(count) {}
  bool emit(std::vector<Row> rows) {
    if (rows.empty()) return !stopped_;
    count_ += rows.size();
    if (!sink_.rows(std::move(rows))) stopped_ = true;
    return !stopped_;
  }
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  RowSink& sink_;
  std::uint64_t& count_;
  bool stopped_ = false;
};

// Collects rows into vectors and pushes them, a batch at a time, into a query.
class RowFeed {
 public:
  RowFeed(QueryRun& run, const std::vector<Column>& columns, std::vector<std::size_t> indexes)
      : run_(run), indexes_(std::move(indexes)) {
    for (const Column& column : columns) vectors_.emplace_back(column.type);
    for (Vector& vector : vectors_) batch_.columns.push_back(&vector);
    batch_.arena = &arena_;
    clear();
  }
  // False once the query needs no more.
  [[nodiscard]] Expected<bool> add(const Row& row, std::int64_t weight) {
    for (std::size_t i = 0; i < vectors_.size(); ++i) vectors_[i].set(batch_.count, row[indexes_[i]], arena_);
    weights_[batch_.count++] = weight;
    return batch_.count < kVectorRows ? true : flush();
  }
  [[nodiscard]] Expected<bool> flush() {
    if (batch_.count == 0) return true;
    batch_.weights = std::span(weights_).first(batch_.count);
    auto more = run_.push(0, batch_);
    clear();
    return more;
  }

 private:
  void clear() {
    arena_.reset();
    for (Vector& vector : vectors_) vector.reset(vector.type(), kVectorRows);
    batch_.count = 0;
  }
  QueryRun& run_;
  std::vector<std::size_t> indexes_;
  std::vector<Vector> vectors_;
  std::vector<std::int64_t> weights_ = std::vector<std::int64_t>(kVectorRows);
  Arena arena_;
  ChangeBatch batch_;
};

std::string key_shape(const ViewPlan& plan) {
  if (plan.key_columns.empty()) return "the view has one row and no key";
  std::string text = "its key is (";
  for (std::size_t i = 0; i < plan.key_columns.size(); ++i) {
    const Column& column = plan.root->output[plan.key_columns[i]];
    text += (i == 0 ? "" : ", ") + column.name + " " + to_string(column.type);
  }
  return text + ")";
}

void clip(KeyRange& range, std::string from, std::optional<std::string> to) {
  range.from = std::max(range.from, std::move(from));
  if (to && (!range.to || *to < *range.to)) range.to = std::move(to);
}

}  // namespace

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

Expected<StatementResult> query_view(const Select& select, const LiveView& view, RowSink& sink,
                                     const std::atomic<bool>& cancelled) {
  StatementResult result{"SELECT", 0, {}, build_notice(view)};
  if (!sink.columns(select.plan->output)) return cancelled_error();
  Output output(sink, result.row_count);
  KAPPA_TRY(const auto run, build_query(select.plan, InputKind::kAppendOnly, kQueryBytesMax,
                                        [&](std::vector<Row> rows) { return output.emit(std::move(rows)); }));
  const Plan& scan = scan_of(*select.plan);
  std::vector<std::size_t> indexes = view_scan_columns(scan);
  KAPPA_TRY(const LiveView::Served served, view.served());
  KAPPA_TRY(KeyPart part, derive_key_part(*select.plan, view.plan(), indexes, *served.reader));
  RowFeed feed(*run, scan.output, std::move(indexes));
  bool more = true;
  const auto give = [&](std::string_view key, std::string_view value) -> Status {
    KAPPA_TRY(const auto stored, served.reader->decode(key, value));
    if (!stored) return {};
    KAPPA_TRY(more, feed.add(stored->row, stored->weight));
    more = more && !output.stopped();
    return {};
  };
  if (part.point) {
    // One key needs no snapshot, which costs a copy of what is not committed yet.
    KAPPA_TRY(const auto read, served.store->read(served.reader->table(), *part.point));
    result.applied = read.applied;
    if (read.value) KAPPA_CHECK_OK(give(*part.point, *read.value));
  } else {
    KAPPA_TRY(const auto snapshot, served.store->snapshot());
    result.applied = snapshot->progress().applied;
    const auto cursor = snapshot->scan(served.reader->table(), std::move(part.range), false);
    while (more) {
      if (cancelled.load(std::memory_order_relaxed)) return cancelled_error();
      KAPPA_TRY(const auto entry, cursor->next());
      if (!entry) break;
      KAPPA_CHECK_OK(give(entry->key, entry->value));
    }
  }
  // A view that failed meanwhile may have shown half a chunk.
  if (const auto error = view.failed()) return std::unexpected(*error);
  if (more) {
    KAPPA_TRY(more, feed.flush());
  }
  if (output.stopped()) return cancelled_error();
  KAPPA_CHECK_OK(run->finish());
  if (output.stopped()) return cancelled_error();
  return result;
}

Expected<StatementResult> query_stream(const Select& select, log::Log& log, Offset end, RowSink& sink,
                                       const std::atomic<bool>& cancelled) {
  StatementResult result{"SELECT", 0, {}, {}};
  if (!sink.columns(select.plan->output)) return cancelled_error();
  Output output(sink, result.row_count);
  KAPPA_TRY(const auto run, build_query(select.plan, InputKind::kAppendOnly, kQueryBytesMax,
                                        [&](std::vector<Row> rows) { return output.emit(std::move(rows)); }));
  const Plan& scan = scan_of(*select.plan);
  const log::Hold hold = log.hold("a query of stream \"" + scan.stream->name + "\"", Offset(0));
  if (const Offset start = hold.offset(); start != Offset(0)) {
    // As of then is a question about events that are gone.
    if (end < start) return log::below_log_start(end, start);
    result.notice = "the log begins at offset " + std::to_string(start.value()) + ": it has nothing below";
  }
  if (log.find_topic(scan.stream->topic)) {
    EventSource source(log, hold.offset(), {&scan});
    bool more = true;
    while (more && source.position() < end) {
      if (cancelled.load(std::memory_order_relaxed)) return cancelled_error();
      KAPPA_TRY(const bool moved, source.next(end));
      if (!moved) break;
      const ChangeBatch& changes = source.chunk(0).changes;
      if (changes.selected() == 0) continue;
      KAPPA_TRY(more, run->push(0, changes));
      KAPPA_CHECK_OK(source.intact());
      more = more && !output.stopped();
    }
  }
  if (output.stopped()) return cancelled_error();
  KAPPA_CHECK_OK(run->finish());
  if (output.stopped()) return cancelled_error();
  return result;
}

Expected<StatementResult> query_values(const Select& select, RowSink& sink) {
  StatementResult result{"SELECT", 0, {}, {}};
  if (!sink.columns(select.plan->output)) return cancelled_error();
  Output output(sink, result.row_count);
  KAPPA_TRY(const auto run, build_query(select.plan, InputKind::kAppendOnly, kQueryBytesMax,
                                        [&](std::vector<Row> rows) { return output.emit(std::move(rows)); }));
  Arena arena;
  ChangeBatch one;
  one.count = 1;
  one.arena = &arena;
  KAPPA_CHECK_OK(run->push(0, one));
  KAPPA_CHECK_OK(run->finish());
  return result;
}

Expected<Engine::GetResult> get_row(const LiveView& view, const KeyRequest& key) {
  KAPPA_TRY(const LiveView::Served served, view.served());
  const std::size_t wanted = served.reader->key_types().size();
  if (key.values.size() != wanted) {
    return fail(ErrorCode::kInvalid, 2011,
                "a read of view \"" + view.entry().name + "\" takes " + std::to_string(wanted) +
                    " key values, not " + std::to_string(key.values.size()) + ": " + key_shape(view.plan()),
                key.values.size() < wanted ? "give every key value, or scan with a prefix" : "");
  }
  auto encoded = served.reader->encode_key(key.values);
  if (!encoded) {
    Error error = std::move(encoded).error();
    if (error.hint.empty()) error.hint = key_shape(view.plan());
    return std::unexpected(std::move(error));
  }
  KAPPA_TRY(const auto read, served.store->read(served.reader->table(), *encoded));
  Engine::GetResult result;
  result.applied = read.applied;
  if (!read.value) return result;
  KAPPA_TRY(auto stored, served.reader->decode(*encoded, *read.value));
  if (const auto error = view.failed()) return std::unexpected(*error);
  if (!stored) return result;
  stored->row.resize(view.plan().visible_columns);
  result.row = std::move(stored->row);
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
  Output output(sink, result.row_count);
  const auto cursor = snapshot->scan(served.reader->table(), std::move(range), false);
  std::vector<Row> rows;
  std::uint64_t left = request.limit;
  while (left > 0) {
    if (cancelled.load(std::memory_order_relaxed)) return cancelled_error();
    KAPPA_TRY(const auto entry, cursor->next());
    if (!entry) break;
    KAPPA_TRY(auto stored, served.reader->decode(entry->key, entry->value));
    if (!stored) continue;
    stored->row.resize(view.plan().visible_columns);
    for (std::int64_t copy = 0; copy < stored->weight && left > 0; ++copy, --left) rows.push_back(stored->row);
    if (rows.size() >= kRowsAtOnce && !output.emit(std::exchange(rows, {}))) return cancelled_error();
  }
  if (!output.emit(std::move(rows))) return cancelled_error();
  return result;
}

}  // namespace kappa::processor
