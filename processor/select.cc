// SELECT: the heads of its plan are fed from the log with the same decode path and the same cuts as views, and
// from snapshots of views, whose rows are turned back into vectors, so that one set of operators serves both
// directions.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "processor/event_source.h"
#include "processor/feeder.h"
#include "processor/key_range.h"
#include "processor/operators/build.h"
#include "processor/query.h"
#include "processor/replay/parallel_read.h"
#include "processor/sql/plan_properties.h"
#include "processor/stream_range.h"
#include "processor/vector/vector.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> cancelled_error() { return fail(ErrorCode::kClosed, 4008, "the query was cancelled"); }

// Collects rows into vectors and pushes them, a batch at a time, into a head of a query.
class RowFeed {
 public:
  RowFeed(QueryRun& run, std::size_t head, const std::vector<Column>& columns, std::vector<std::size_t> indexes)
      : run_(run), head_(head), indexes_(std::move(indexes)) {
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
    auto more = run_.push(head_, batch_);
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
  const std::size_t head_;
  std::vector<std::size_t> indexes_;
  std::vector<Vector> vectors_;
  std::vector<std::int64_t> weights_ = std::vector<std::int64_t>(kVectorRows);
  Arena arena_;
  ChangeBatch batch_;
};

// Gives the events of the streams to a query.
class EventFeed final : public Feeder::Receiver {
 public:
  explicit EventFeed(QueryRun& run) : run_(run) {}
  Status push(std::size_t head, const ChangeBatch& batch) override {
    if (!more_) return {};
    KAPPA_TRY(more_, run_.push(head, batch));
    return {};
  }
  // Nothing in a SELECT ends by the watermark.
  Status advance(std::int64_t) override { return {}; }
  [[nodiscard]] bool more() const { return more_; }

 private:
  QueryRun& run_;
  bool more_ = true;
};

// A view as the query reads it, however many of its scans do.
struct Reading {
  LiveView* view = nullptr;
  std::uint64_t generation = 0;
  LiveView::Served served;
  std::shared_ptr<StateSnapshot> snapshot;  // Null for a point read.
};

bool reads_view(const Plan& plan) {
  return plan.kind == PlanKind::kViewScan || (plan.input && reads_view(*plan.input)) ||
         (plan.right && reads_view(*plan.right));
}

// A view is kept as it is now, so what it was at an event's offset is not to be had from it.
bool needs_history(const Plan& plan) {
  if (plan.kind == PlanKind::kJoin && plan.join.match == Join::Match::kAsOfOffset && reads_view(*plan.right))
    return true;
  return (plan.input && needs_history(*plan.input)) || (plan.right && needs_history(*plan.right));
}

class SelectRun {
 public:
  SelectRun(const Select& select, const SelectInputs& inputs, RowSink& sink, const std::atomic<bool>& cancelled)
      : select_(select), inputs_(inputs), sink_(sink), cancelled_(cancelled), end_(inputs.end) {}

  [[nodiscard]] Expected<StatementResult> run() {
    if (needs_history(*select_.plan)) {
      return fail(ErrorCode::kUnsupported, 2008, "a SELECT cannot read a view or table as it was at an offset",
                  "make it a materialized view, or join with the stream that the table is made from");
    }
    if (!sink_.columns(select_.plan->output)) return cancelled_error();
    KAPPA_TRY(run_, build_query(select_.plan, InputKind::kAppendOnly, kQueryBytesMax,
                                [this](std::vector<Row> rows) { return emit(std::move(rows)); }));
    scans_ = scans_of(*select_.plan);
    KAPPA_CHECK_OK(open_views());
    for (std::size_t head = 0, view = 0; head < scans_.size() && more_; ++head) {
      if (scans_[head]->kind == PlanKind::kViewScan) KAPPA_CHECK_OK(feed_view(head, readings_[reading_of_[view++]]));
      if (scans_[head]->kind == PlanKind::kValues) KAPPA_CHECK_OK(feed_one_row(head));
    }
    if (more_) KAPPA_CHECK_OK(feed_streams());
    if (stopped_) return cancelled_error();
    KAPPA_CHECK_OK(run_->finish());
    if (stopped_) return cancelled_error();
    return std::move(result_);
  }

 private:
  bool emit(std::vector<Row> rows) {
    result_.row_count += rows.size();
    if (!rows.empty() && !sink_.rows(std::move(rows))) stopped_ = true;
    return !stopped_;
  }

  void add_notice(std::string text) { result_.notice += (result_.notice.empty() ? "" : "; ") + std::move(text); }

  // Whoever read it first: its error says that the state is damaged, perhaps.
  std::unexpected<Error> failed(const Reading& reading, Error error) const {
    if (inputs_.failed) inputs_.failed(*reading.view, reading.generation, error);
    return std::unexpected(std::move(error));
  }

  // Snapshots of all views at one moment between two chunks, so that those that are as far read the same events.
  [[nodiscard]] Status open_views() {
    for (const auto& view : inputs_.views) {
      const auto known = std::ranges::find(readings_, view.get(), &Reading::view);
      reading_of_.push_back(static_cast<std::size_t>(known - readings_.begin()));
      if (known == readings_.end()) readings_.push_back({view.get(), view->generation(), {}, {}});
    }
    for (Reading& reading : readings_) {
      KAPPA_TRY(reading.served, reading.view->served());
      if (auto notice = build_notice(*reading.view); !notice.empty()) add_notice(std::move(notice));
    }
    if (scans_.size() == 1 && readings_.size() == 1) return {};  // Perhaps one key, see feed_view().
    Pipeline::Still still;
    if (readings_.size() > 1 && inputs_.hold_still) still = inputs_.hold_still();
    for (Reading& reading : readings_) KAPPA_CHECK_OK(take_snapshot(reading));
    return {};
  }

  [[nodiscard]] Status take_snapshot(Reading& reading) {
    auto snapshot = reading.served.store->snapshot();
    if (!snapshot) return failed(reading, std::move(snapshot).error());
    reading.snapshot = std::move(*snapshot);
    note_applied(reading.snapshot->progress().applied);
    return {};
  }

  void note_applied(Offset applied) {
    if (result_.applied && *result_.applied != applied && !differ_) {
      differ_ = true;
      add_notice("the views are not equally far: the lowest applied offset is given");
    }
    result_.applied = result_.applied ? std::min(*result_.applied, applied) : applied;
    end_ = std::min(end_, *result_.applied);
  }

  [[nodiscard]] Status feed_view(std::size_t head, Reading& reading) {
    Status fed = read_view(head, reading);
    // A view that failed meanwhile may have shown half a chunk.
    if (const auto error = reading.view->failed(); fed && error) fed = std::unexpected(*error);
    if (!fed) return failed(reading, std::move(fed).error());
    return {};
  }

  [[nodiscard]] Status read_view(std::size_t head, Reading& reading) {
    const Plan& scan = *scans_[head];
    std::vector<std::size_t> indexes = view_scan_columns(scan);
    const ViewReader& reader = *reading.served.reader;
    KAPPA_TRY(KeyPart part, derive_key_part(*select_.plan, scan, reading.view->plan(), indexes, reader));
    RowFeed feed(*run_, head, scan.output, std::move(indexes));
    const auto give = [&](const std::optional<ViewReader::StoredRow>& stored) -> Status {
      if (!stored) return {};
      KAPPA_TRY(const bool more, feed.add(stored->row, stored->weight));
      more_ = more && !stopped_;
      return {};
    };
    if (part.point && !reading.snapshot) {
      // One key needs no snapshot, which costs a copy of what is not committed yet.
      KAPPA_TRY(const auto read, reader.get(*reading.served.store, *part.point));
      note_applied(read.applied);
      KAPPA_CHECK_OK(give(read.row));
    } else {
      if (!reading.snapshot) KAPPA_CHECK_OK(take_snapshot(reading));
      const auto cursor = reader.scan(*reading.snapshot, std::move(part.range));
      while (more_) {
        if (cancelled_.load(std::memory_order_relaxed)) return cancelled_error();
        KAPPA_TRY(const bool found, cursor->next());
        if (!found) break;
        KAPPA_CHECK_OK(give(cursor->row()));
      }
    }
    if (!more_) return {};
    KAPPA_TRY(const bool more, feed.flush());
    more_ = more && !stopped_;
    return {};
  }

  // SELECT without FROM.
  [[nodiscard]] Status feed_one_row(std::size_t head) {
    Arena arena;
    ChangeBatch one;
    one.count = 1;
    one.arena = &arena;
    KAPPA_TRY(const bool more, run_->push(head, one));
    more_ = more && !stopped_;
    return {};
  }

  [[nodiscard]] Status feed_streams() {
    const ViewPlan plan{select_.plan, 0, {}};
    Feeder feeder(plan);
    if (feeder.scans().empty()) return {};
    const log::Hold hold = inputs_.log.hold("a query of stream \"" + feeder.scans()[0]->stream->name + "\"", Offset(0));
    if (const Offset start = hold.offset(); start != Offset(0)) {
      // As of then is a question about events that are gone.
      if (end_ < start) return log::below_log_start(end_, start);
      add_notice("the log begins at offset " + std::to_string(start.value()) + ": it has nothing below");
    }
    KAPPA_TRY(const StreamRange range, stream_range(*select_.plan, {hold.offset(), end_}, inputs_.log));
    EventFeed feed(*run_);
    const auto take = [&](const EventSource& chunk) -> Expected<bool> {
      KAPPA_CHECK_OK(feeder.feed(chunk, 0, feed));
      KAPPA_CHECK_OK(chunk.intact());
      // Rows that wait for others do not wait for long, however rare they are.
      if (!sink_.rows({})) stopped_ = true;
      more_ = feed.more() && !stopped_;
      return more_;
    };
    KAPPA_CHECK_OK(
        read_in_order(inputs_.log, range.from, range.end, feeder.scans(), inputs_.replay, cancelled_, take));
    return {};
  }

  const Select& select_;
  const SelectInputs& inputs_;
  RowSink& sink_;
  const std::atomic<bool>& cancelled_;
  Offset end_;  // Of the streams.
  StatementResult result_{"SELECT", 0, {}, {}};
  std::unique_ptr<QueryRun> run_;
  std::vector<const Plan*> scans_;
  std::vector<Reading> readings_;
  std::vector<std::size_t> reading_of_;  // Per kViewScan: index into readings_.
  bool more_ = true;                     // The query wants rows.
  bool stopped_ = false;                 // The reader lost interest.
  bool differ_ = false;
};

}  // namespace

Expected<StatementResult> run_select(const Select& select, const SelectInputs& inputs, RowSink& sink,
                                     const std::atomic<bool>& cancelled) {
  return SelectRun(select, inputs, sink, cancelled).run();
}

}  // namespace kappa::processor
