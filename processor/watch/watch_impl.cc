// A watcher: what it takes from its view, and the steps it gives. See watch_impl.h.
#include "processor/watch/watch_impl.h"

#include <algorithm>
#include <utility>

#include "processor/key_range.h"
#include "processor/query.h"
#include "processor/watch/patched_snapshot.h"

namespace kappa::processor {
namespace {

bool meets(const KeyRange& a, const KeyRange& b) {
  return (!a.to || *a.to > b.from) && (!b.to || *b.to > a.from);
}

KeyRange common(KeyRange a, const KeyRange& b) {
  a.from = std::max(a.from, b.from);
  if (b.to && (!a.to || *b.to < *a.to)) a.to = b.to;
  return a;
}

}  // namespace

WatchImpl::WatchImpl(std::shared_ptr<WatchHub> hub, WatchRequest request, News news)
    : hub_(std::move(hub)), request_(std::move(request)), news_(std::move(news)), pending_(hub_->bytes_) {}

WatchImpl::~WatchImpl() {
  const auto still = hub_->hold_still();
  const std::lock_guard lock(hub_->mutex_);
  std::erase(hub_->watches_, this);
  detach();
}

// --- what happens to it ---

Expected<WatchImpl::Source> WatchImpl::source_of(const ViewPtr& view) const {
  Source source{view, {}, {}};
  KAPPA_TRY(source.served, view->served());
  if (!request_.prefix.empty()) {
    KAPPA_TRY(source.range.from, source.served.reader->encode_key(request_.prefix));
    source.range.to = after_prefix(source.range.from);
  }
  return source;
}

Status WatchImpl::attach(const ViewPtr& view) {
  KAPPA_TRY(Source source, source_of(view));
  feed_ = hub_->feed_of(view);
  feed_->add(*this);
  const std::lock_guard lock(mutex_);
  source_ = std::move(source);
  applied_ = view->visible();
  pending_.clear();
  return {};
}

void WatchImpl::detach() {
  if (feed_) hub_->unfollow(source_.view, std::exchange(feed_, nullptr), *this);
}

void WatchImpl::switch_to(const ViewPtr& view, const std::shared_ptr<StateSnapshot>& before,
                          const std::shared_ptr<StateSnapshot>& after) {
  detach();
  Source from;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (request_.reset_at_cutover || !after || (!before && !switch_)) miss(WatchReset::kReplaced);
    if (!missed_) {
      if (!switch_) switch_.emplace(Switch{source_, std::move(pending_), before, {}, nullptr});
    }
  }
  const Status attached = attach(view);
  const std::lock_guard lock(mutex_);
  if (!attached) ended_ = attached.error();
  if (switch_) {
    switch_->to = source_;
    switch_->after = after;
  }
  tell(WatchNews::kChange);
}

void WatchImpl::end(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!ended_) ended_ = error;
  switch_.reset();
  pending_.clear();
  tell(WatchNews::kChange);
}

void WatchImpl::published(Offset applied, const StateStore::Changes& changes) {
  const std::lock_guard lock(mutex_);
  applied_ = applied;
  if (!changes.complete) miss(WatchReset::kBehind);
  if (!missed_ && !changes.entries.empty()) {
    const ViewReader& reader = *source_.served.reader;
    const KeyRange& range = source_.range;
    if (!reader.decides(changes.entries.front().key)) {
      auto at = std::ranges::lower_bound(changes.entries, range.from, {}, &EntryChange::key);
      for (; at != changes.entries.end() && (!range.to || at->key < *range.to) && !missed_; ++at) take(*at);
    } else {
      for (const EntryChange& change : changes.entries) {
        if (missed_) break;
        if (const auto decided = reader.decides(change.key); !decided || meets(*decided, range)) take(change);
      }
    }
  }
  tell(missed_ || switch_ || !pending_.empty() ? WatchNews::kChange : WatchNews::kProgress);
}

void WatchImpl::take(const EntryChange& change) {
  pending_.add(change);
  if (pending_.bytes() > request_.bytes_max || pending_.all_bytes() > kWatchesBytesMax) miss(WatchReset::kBehind);
}

void WatchImpl::miss(WatchReset why) {
  if (!missed_) missed_ = why;
  pending_.clear();
  switch_.reset();
}

void WatchImpl::made_anew() {
  const std::lock_guard lock(mutex_);
  miss(WatchReset::kRebuilt);
  tell(WatchNews::kChange);
}

void WatchImpl::failed() {
  const std::lock_guard lock(mutex_);
  tell(WatchNews::kChange);
}

void WatchImpl::tell(WatchNews news) {
  if (news <= told_) return;
  told_ = news;
  news_(news);
}

void WatchImpl::let_go() {
  const std::lock_guard lock(mutex_);
  if (switch_) miss(WatchReset::kBehind);
}

// --- what it gives ---

std::unexpected<Error> WatchImpl::stopped(const std::atomic<bool>& cancelled) {
  {
    const std::lock_guard lock(mutex_);
    miss(WatchReset::kBehind);
  }
  if (cancelled.load(std::memory_order_relaxed)) return fail(ErrorCode::kClosed, 4008, "the watch was cancelled");
  return fail(ErrorCode::kBusy, 4011, "the watcher does not take what it is given");
}

bool WatchImpl::announce(const Source& source, WatchSink& sink) {
  std::vector<Column> columns = visible_columns(source.view->plan());
  const bool same = announced_ && std::ranges::equal(columns, columns_, [](const Column& a, const Column& b) {
    return a.name == b.name && a.type == b.type;
  });
  if (same) return true;
  announced_ = true;
  columns_ = std::move(columns);
  return sink.columns(columns_);
}

Status WatchImpl::step(WatchSink& sink, const std::atomic<bool>& cancelled) {
  for (;;) {
    std::unique_lock lock(mutex_);
    told_ = WatchNews::kNothing;
    if (ended_) return std::unexpected(*ended_);
    if (const auto error = source_.view->failed()) return std::unexpected(*error);
    if (missed_) {
      lock.unlock();
      return give_snapshot(sink, cancelled);
    }
    if (switch_) {
      Switch switched = *std::exchange(switch_, std::nullopt);
      if (!pending_.empty()) tell(WatchNews::kChange);  // What came after is for the next step.
      lock.unlock();
      return give_switch(std::move(switched), sink, cancelled);
    }
    if (pending_.empty() || !source_.served.reader->decides(pending_.entries().begin()->first)) {
      const Source source = source_;
      const Pending pending = std::move(pending_);
      const Offset applied = applied_;
      lock.unlock();
      return give_changes(source, pending, applied, sink, cancelled);
    }
    lock.unlock();
    KAPPA_TRY(const bool given, give_windows(sink, cancelled));
    if (given) return {};
  }
}

Status WatchImpl::give_snapshot(WatchSink& sink, const std::atomic<bool>& cancelled) {
  Source source;
  std::shared_ptr<StateSnapshot> snapshot;
  WatchSink::Step step;
  step.pinned = true;
  {
    const auto still = hub_->hold_still();
    const std::lock_guard lock(mutex_);
    if (ended_) return std::unexpected(*ended_);
    KAPPA_TRY(source, source_of(source_.view));
    KAPPA_TRY(snapshot, source.served.store->snapshot());
    source_ = source;
    step.reset = std::exchange(missed_, std::nullopt);
    pending_.clear();
    applied_ = snapshot->progress().applied;
    step.applied = applied_;
    step.version = source.view->entry().version;
  }
  const RowsOf rows{*snapshot, *source.served.reader, source.view->plan(), source.range};
  const auto emit = [&](bool added, const Row& row) { return !cancelled.load(std::memory_order_relaxed) && sink.change(added, row); };
  if (!announce(source, sink) || !sink.begin(step)) return stopped(cancelled);
  if (request_.snapshot) {
    KAPPA_TRY(const bool whole, give_rows(rows, true, emit));
    if (!whole) return stopped(cancelled);
  }
  if (!sink.end(step)) return stopped(cancelled);
  return {};
}

Status WatchImpl::give_switch(Switch switched, WatchSink& sink, const std::atomic<bool>& cancelled) {
  PatchedSnapshot had(*switched.before, switched.pending.entries());
  const RowsOf before{had, *switched.from.served.reader, switched.from.view->plan(), switched.from.range};
  const RowsOf after{*switched.after, *switched.to.served.reader, switched.to.view->plan(), switched.to.range};
  WatchSink::Step step;
  step.applied = switched.after->progress().applied;
  step.version = switched.to.view->entry().version;
  step.pinned = true;
  const auto emit = [&](bool added, const Row& row) { return !cancelled.load(std::memory_order_relaxed) && sink.change(added, row); };
  if (!announce(switched.from, sink) || !sink.begin(step)) return stopped(cancelled);
  bool whole = false;
  if (same_shape(before.plan, after.plan)) {
    KAPPA_TRY(whole, give_difference(before, after, emit));
  } else {
    KAPPA_TRY(whole, give_rows(before, false, emit));
    if (whole) whole = announce(switched.to, sink);
    if (whole) {
      KAPPA_TRY(whole, give_rows(after, true, emit));
    }
  }
  if (!whole || !sink.end(step)) return stopped(cancelled);
  return {};
}

Status WatchImpl::give_changes(const Source& source, const Pending& pending, Offset applied, WatchSink& sink,
                               const std::atomic<bool>& cancelled) {
  const std::size_t visible = source.view->plan().visible_columns;
  const WatchSink::Step step{applied, source.view->entry().version, std::nullopt, false};
  if (!announce(source, sink) || !sink.begin(step)) return stopped(cancelled);
  const auto decode = [&](const std::string& key, const std::optional<std::string>& value)
      -> Expected<std::optional<ViewReader::StoredRow>> {
    if (!value) return std::nullopt;
    KAPPA_TRY(auto row, source.served.reader->decode(key, *value));
    if (row) row->row.resize(visible);
    return row;
  };
  for (const auto& [key, entry] : pending.entries()) {
    KAPPA_TRY(const auto before, decode(key, entry.before));
    KAPPA_TRY(const auto after, decode(key, entry.after));
    if (!give_change(before, after, [&](bool added, const Row& row) { return sink.change(added, row); }))
      return stopped(cancelled);
  }
  if (!sink.end(step)) return stopped(cancelled);
  return {};
}

Expected<bool> WatchImpl::give_windows(WatchSink& sink, const std::atomic<bool>& cancelled) {
  Source source;
  std::shared_ptr<StateSnapshot> snapshot;
  std::optional<Pending> pending;
  WatchSink::Step step;
  step.pinned = true;
  {
    const auto still = hub_->hold_still();
    const std::lock_guard lock(mutex_);
    if (ended_ || missed_ || switch_) return false;
    source = source_;
    KAPPA_TRY(snapshot, source.served.store->snapshot());
    pending.emplace(std::move(pending_));
    applied_ = snapshot->progress().applied;
    step.applied = applied_;
    step.version = source.view->entry().version;
  }
  if (!announce(source, sink) || !sink.begin(step)) return stopped(cancelled);
  // What several entries decide is given once.
  std::vector<KeyRange> ranges;
  for (const auto& [key, entry] : pending->entries()) {
    const auto decided = source.served.reader->decides(key);
    if (!decided) continue;
    KeyRange range = common(*decided, source.range);
    if (range.to && *range.to <= range.from) continue;
    if (!ranges.empty() && (!ranges.back().to || range.from <= *ranges.back().to)) {
      KeyRange& last = ranges.back();
      if (last.to && (!range.to || *range.to > *last.to)) last.to = range.to;
    } else {
      ranges.push_back(std::move(range));
    }
  }
  PatchedSnapshot had(*snapshot, pending->entries());
  const auto emit = [&](bool added, const Row& row) { return !cancelled.load(std::memory_order_relaxed) && sink.change(added, row); };
  for (const KeyRange& range : ranges) {
    const ViewReader& reader = *source.served.reader;
    KAPPA_TRY(const bool whole, give_difference({had, reader, source.view->plan(), range},
                                                {*snapshot, reader, source.view->plan(), range}, emit));
    if (!whole) return stopped(cancelled);
  }
  if (!sink.end(step)) return stopped(cancelled);
  return true;
}

}  // namespace kappa::processor
