// Opening, applying, freezing and committing one view version.
#include "processor/live_view.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "processor/plan_identity.h"
#include "processor/watch/view_feed.h"

namespace kappa::processor {
namespace {

// Conversion failures by column live beside the view's own tables, so that they are as exact and as
// durable as the rows. Operators number their tables from 1 upwards. Key: the column's name if the view reads
// one stream, else the stream's name, a zero byte, the column's name.
constexpr TableId kFailuresTable = 255;
// Greatest event time by stream, where Progress::watermark alone does not say it.
constexpr TableId kTimesTable = 254;
constexpr std::size_t kNotCounted = SIZE_MAX;
// An applied offset that moved over other topics only is committed this rarely: it saves reading.
constexpr std::chrono::seconds kOffsetOnlyInterval{30};
// From one freeze to the next passes at least so many times what the last commit took, but at most so many intervals.
constexpr int kPausesOfACommit = 3;
constexpr int kIntervalGrowthMax = 10;
// After the log could not be looked at.
constexpr std::chrono::seconds kMarkRetryInterval{1};
// Address space of a state to begin with; it grows on demand up to EngineOptions.state_bytes_max.
constexpr std::uint64_t kMapBytesFirst = std::uint64_t{1} << 34;

std::string encode_number(std::uint64_t number) {
  std::string out(sizeof number, '\0');
  std::memcpy(out.data(), &number, sizeof number);
  return out;
}

std::uint64_t decode_number(const std::optional<std::string>& value) {
  std::uint64_t number = 0;
  if (value && value->size() == sizeof number) std::memcpy(&number, value->data(), sizeof number);
  return number;
}

// Whether the watermark of the whole view does not tell the event times of its streams.
bool keeps_times(const std::vector<Feeder::StreamTime>& times) {
  return times.size() > 1 || (times.size() == 1 && times[0].stream->delay_micros != 0);
}

Status remove_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);  // Also a file that stands in its place.
  if (error) return fail_errno(3302, "cannot remove " + directory.string(), error.value());
  return {};
}

// Whether a view's state can be made again from the log: everything but trouble with the disk.
bool rebuildable(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kUnsupported;
}

// A view by itself has a budget of its own; the engine gives all of its views one.
EngineOptions with_budget(EngineOptions options) {
  if (!options.memory)
    options.memory = std::make_shared<MemoryBudget>(std::max<std::size_t>(options.memory_bytes, 1));
  return options;
}

}  // namespace

LiveView::LiveView(CatalogEntryPtr entry, const EngineOptions& options)
    : entry_(std::move(entry)),
      options_(with_budget(options)),
      directory_(options.directory / state_directory_name(*entry_)),
      feeder_(*entry_->view),
      output_(entry_->derived() ? std::make_unique<DerivedOutput>(*entry_) : nullptr) {
  find_counted_columns();
}

void LiveView::find_counted_columns() {
  const auto& scans = feeder_.scans();
  const bool one_stream =
      std::ranges::all_of(scans, [&](const Plan* scan) { return scan->stream->name == scans[0]->stream->name; });
  for (const Plan* scan : scans) {
    std::vector<std::size_t>& at = counted_at_.emplace_back();
    for (const std::size_t column : scan->stream_columns) {
      at.push_back(kNotCounted);
      const StreamColumn* place = event_column(*scan->stream, column);
      const bool letters = scan->dead_letters && column == letter_column(*scan->stream, LetterColumn::kReason);
      if (place == nullptr && !letters) continue;
      const std::string& stream = scan->stream->name;
      const std::string name = letters ? "reason" : place->name;  // The letters are all that their view counts.
      const bool known = std::ranges::any_of(
          counted_, [&](const CountedColumn& c) { return c.stream == stream && c.column == name; });
      if (known) continue;  // Of another scan of the stream, which sees the same failures.
      at.back() = counted_.size();
      std::string key = one_stream ? name : stream + '\0' + name;
      counted_.push_back({stream, name, std::move(key)});
    }
  }
}

Status LiveView::load_side_tables() {
  failures_.clear();
  for (const CountedColumn& counted : counted_) {
    KAPPA_TRY(const auto stored, store_->get(kFailuresTable, counted.key));
    failures_.push_back(decode_number(stored));
  }
  // The expressions' failures beside those of columns, whose keys are not empty.
  KAPPA_TRY(const auto stored_failures, store_->get(kFailuresTable, {}));
  expression_failures_.store(decode_number(stored_failures), std::memory_order_relaxed);
  seen_failures_ = flow_.failures();
  stored_times_.clear();
  const auto& times = feeder_.times();
  for (std::size_t i = 0; i < times.size(); ++i) {
    std::int64_t latest = times.size() == 1 ? progress_.watermark : INT64_MIN;
    if (keeps_times(times)) {
      KAPPA_TRY(const auto stored, store_->get(kTimesTable, times[i].stream->name));
      if (stored) latest = static_cast<std::int64_t>(decode_number(stored));
    }
    feeder_.set_time(i, latest);
    stored_times_.push_back(latest);
  }
  return {};
}

Status LiveView::open_state(log::Log& log, std::uint64_t check_bytes) {
  StateOptions options;
  options.directory = directory_;
  options.map_bytes = std::min(kMapBytesFirst, options_.state_bytes_max);
  options.map_bytes_max = options_.state_bytes_max;
  options.read_only = options_.read_only;
  options.memory = options_.memory;
  options.owner = state_owner(log.status().log_id, entry_->id, entry_->version);
  options.check_bytes_max = check_bytes;
  KAPPA_TRY(store_, StateStore::open(std::move(options)));
  progress_ = store_->progress();
  row_count_ = progress_.rows;
  Operator* const sink = output_ ? &output_->begin(row_count_) : nullptr;
  KAPPA_TRY(BuiltView built, build_view(*entry_->view, InputKind::kAppendOnly, *store_, row_count_, sink));
  flow_ = std::move(built.flow);
  KAPPA_CHECK_OK(load_side_tables());
  if (progress_.started && !options_.read_only && feeder_.watermark() != INT64_MIN) {
    // Operators learn the time again; nothing follows from it that did not before.
    store_->begin_publish();
    const Status advanced = flow_.advance(feeder_.watermark());
    store_->end_publish(progress_);
    KAPPA_CHECK_OK(advanced);
  }
  state_changed_ = false;
  offset_changed_ = false;
  last_freeze_ = Clock::now();
  changed_until_.store(progress_.applied.value(), std::memory_order_relaxed);
  std::shared_ptr<ViewFeed> feed;
  {
    const std::lock_guard lock(mutex_);
    served_ = Served{store_, std::move(built.reader)};
    feed = feed_;
    store_->observe(feed != nullptr);
  }
  if (feed) feed->made_anew();
  return {};
}

void LiveView::set_feed(std::shared_ptr<ViewFeed> feed) {
  const std::lock_guard lock(mutex_);
  feed_ = std::move(feed);
  if (served_.store) served_.store->observe(feed_ != nullptr);
}

Status LiveView::start_over(log::Log& log) {
  if (!progress_.started) {
    if (auto error = lost(log, entry_->from)) return std::unexpected(std::move(*error));
    progress_ = Progress{};
    progress_.applied = entry_->from;
    KAPPA_TRY(progress_.mark, log.mark(progress_.applied));
    store_->begin_publish();
    const Status started = flow_.start();
    store_plan(*store_, *entry_->view);
    progress_.started = started.has_value();
    progress_.rows = row_count_;
    store_->end_publish(progress_);
    if (!started) return started;
    state_changed_ = true;
    build_end_.store(std::max(entry_->id + 1, log.durable_end()).value(), std::memory_order_relaxed);
    if (output_) static_cast<void>(output_->accept(0, progress_.applied));
  }
  publish_visible();
  return {};
}

std::optional<Error> LiveView::lost(const log::Log& log, Offset needed) const {
  const Offset start = log.start();
  if (needed >= start) return std::nullopt;
  const std::string first = std::to_string(start.value());
  return Error{ErrorCode::kNotFound, 2017,
               "view \"" + entry_->name + "\" cannot be rebuilt before offset " + first + ": it needs offset " +
                   std::to_string(needed.value()) + ", and the log has nothing below " + first,
               "DROP it and CREATE it again: it is then made from offset " + first + " on", 0, {}};
}

bool LiveView::failed_full() const {
  const std::lock_guard lock(mutex_);
  return error_ && error_->code == ErrorCode::kFull;
}

Status LiveView::reopen(log::Log& log) {
  {
    const std::lock_guard lock(mutex_);
    served_ = {};
    error_.reset();
    ++generation_;
  }
  flow_ = {};
  store_.reset();
  std::uint64_t check_bytes = UINT64_MAX;  // What found no room to be opened is small, or rare.
  return open(log, check_bytes);
}

Status LiveView::open(log::Log& log, std::uint64_t& check_bytes) {
  const bool read_only = options_.read_only;
  {
    auto hold = log.hold("view \"" + entry_->name + "\"", entry_->from);
    const std::lock_guard lock(mutex_);
    hold_ = std::move(hold);
  }
  // A view's first build covers at least the events before its own record in the log.
  build_end_.store((entry_->id + 1).value(), std::memory_order_relaxed);
  std::string why;
  Status opened;
  if (output_ && !read_only) {
    if (const Status found = output_->open(log); !found) {
      mark_failed(found.error());
      return found;
    }
  }
  if (read_only && !std::filesystem::exists(directory_)) {
    opened = fail(ErrorCode::kReadOnly, 2014, "view \"" + entry_->name + "\" has no state yet",
                  "start without --read-only once, so that it is built");
  } else {
    opened = open_state(log, check_bytes);
    if (opened && progress_.started) {
      auto other = other_plan(*store_, *entry_->view);
      if (other) why = std::move(*other);
      if (!other) opened = std::unexpected(std::move(other).error());
    }
    if (opened && store_->checked()) check_bytes -= std::min(check_bytes, store_->opened_bytes());
    if (!opened && rebuildable(opened.error())) {
      why = to_string(opened.error());
    } else if (opened && progress_.started && why.empty()) {
      // The state must stand for a prefix of this very log.
      if (progress_.applied > log.durable_end()) {
        why = "it is ahead of the log";
      } else if (output_ && !output_->accept(progress_.rows, progress_.applied)) {
        why = "it has made events that its topic does not have";
      } else if (auto error = lost(log, progress_.applied)) {
        opened = std::unexpected(std::move(*error));
      } else if (const auto mark = log.mark(progress_.applied); !mark) {
        // Damaged, missing, not readable now: the log cannot say which prefix this is, and that proves nothing
        // against it. Making the view anew would lose what it has, so it keeps its state and goes on from there.
        spdlog::warn("view \"{}\" keeps its state, its place in the log cannot be read: {}", entry_->name,
                     to_string(mark.error()));
      } else {
        switch (log::compare_prefix(*mark, progress_.mark)) {
          case log::PrefixMatch::kSame: break;
          case log::PrefixMatch::kOther: why = "it was made from another log"; break;
          case log::PrefixMatch::kUnknown:
            spdlog::warn("view \"{}\" keeps its state, also what it has of events before offset {} that a repair of "
                         "the log gave up", entry_->name, progress_.applied.value());
            state_changed_ = !read_only;  // Commits its place by the name that it has now.
        }
      }
    } else if (opened && read_only) {
      opened = fail(ErrorCode::kReadOnly, 2014, "view \"" + entry_->name + "\" has no state yet",
                    "start without --read-only once, so that it is built");
    }
  }
  if (!why.empty()) {
    if (read_only) {
      opened = fail(ErrorCode::kCorrupt, 2016, "view \"" + entry_->name + "\" must be rebuilt: " + why,
                    log.status().damage ? "it is rebuilt when the log is repaired: kappa repair"
                                        : "start without --read-only");
    } else {
      spdlog::warn("view \"{}\" is rebuilt from the log: {}", entry_->name, why);
      return make_new(log, why);
    }
  }
  if (opened && !read_only) opened = start_over(log);
  if (opened) {
    publish_visible();
    hold_from(progress_.applied);
    return {};
  }
  mark_failed(opened.error());
  return opened;
}

void LiveView::hold_from(Offset committed) {
  const std::lock_guard lock(mutex_);
  // Its mark is that of the event before.
  if (committed != Offset(0)) hold_.advance(committed - 1);
}

Status LiveView::rebuild(log::Log& log, const std::string& why) {
  rebuilt_ = true;
  return make_new(log, why);
}

Status LiveView::make_new(log::Log& log, const std::string& why) {
  auto hold = log.hold("view \"" + entry_->name + "\"", entry_->from);
  if (auto error = lost(log, entry_->from)) {
    mark_failed(*error);
    return std::unexpected(std::move(*error));
  }
  visible_.store(0);  // First: who sees that it is made anew waits until it is as far as before.
  {
    const std::lock_guard lock(mutex_);
    served_ = {};
    error_.reset();
    rebuilt_why_ = why;
    ++generation_;
    hold_ = std::move(hold);
  }
  flow_ = {};
  store_.reset();
  progress_ = Progress{};
  Status status = remove_directory(directory_);
  if (status) status = open_state(log, 0);
  if (status) status = start_over(log);
  if (!status) mark_failed(status.error());
  return status;
}

// Feeds this view's operators, and remembers whether anything came.
class LiveView::Receiver final : public Feeder::Receiver {
 public:
  explicit Receiver(LiveView& view) : view_(view) {}
  Status begin_cut(Offset source) override {
    return view_.output_ ? view_.output_->begin_cut(source) : Status{};
  }
  Status push(std::size_t head, const ChangeBatch& batch) override {
    fed_ = true;
    return view_.flow_.heads()[head].in->push(batch);
  }
  Status advance(std::int64_t watermark) override {
    moved_ = true;
    return view_.flow_.advance(watermark);
  }
  [[nodiscard]] bool fed() const { return fed_; }
  // Something that may change a row came.
  [[nodiscard]] bool moved() const { return fed_ || moved_; }

 private:
  LiveView& view_;
  bool fed_ = false;
  bool moved_ = false;
};

void LiveView::count_failures(const EventSource& source, std::size_t first) {
  for (std::size_t scan = 0; scan < counted_at_.size(); ++scan) {
    for (const ScanChunk::Failures& failed : source.chunk(first + scan).failures) {
      const std::size_t at = counted_at_[scan][failed.column];
      if (at == kNotCounted) continue;
      failures_[at] += failed.count;
      store_->put(kFailuresTable, counted_[at].key, encode_number(failures_[at]));
      progress_.conversion_failures += failed.count;
      state_changed_ = true;
    }
  }
}

void LiveView::count_expression_failures() {
  const std::uint64_t now = flow_.failures();
  if (now == seen_failures_) return;
  const std::uint64_t all = expression_failures_.load(std::memory_order_relaxed) + now - seen_failures_;
  seen_failures_ = now;
  expression_failures_.store(all, std::memory_order_relaxed);
  store_->put(kFailuresTable, {}, encode_number(all));
}

void LiveView::store_times() {
  const auto& times = feeder_.times();
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (times[i].latest == stored_times_[i]) continue;
    stored_times_[i] = times[i].latest;
    if (!keeps_times(times)) continue;
    store_->put(kTimesTable, times[i].stream->name, encode_number(static_cast<std::uint64_t>(times[i].latest)));
  }
  progress_.watermark = feeder_.watermark();
}

Status LiveView::apply(const EventSource& source, std::size_t first) {
  store_->begin_publish();
  Receiver receiver(*this);
  Status status = feeder_.feed(source, first, receiver);
  if (output_ && status) status = output_->end_cut();
  if (receiver.fed()) {
    if (status) status = source.intact();
    state_changed_ = true;
  }
  if (!status) {
    mark_failed(status.error());  // Before the half-applied state becomes visible.
    if (output_) output_->discard();
    store_->end_publish(progress_);
    return status;
  }
  if (output_) row_count_ = output_->made();
  count_failures(source, first);
  count_expression_failures();
  store_times();
  if (source.poison() > 0) state_changed_ = true;
  offset_changed_ = true;
  progress_.poison += source.poison();
  progress_.applied = source.position();
  progress_.rows = row_count_;
  store_->end_publish(progress_);
  if (receiver.moved()) changed_until_.store(progress_.applied.value(), std::memory_order_relaxed);
  if (output_) output_->applied(progress_.applied);
  publish_visible();
  // Changes only while no view moves, and this one does.
  if (feed_) feed_->published(progress_.applied, store_->take_changes());
  const std::size_t bytes = store_->active_bytes();
  over_budget_.store(options_.memory->wait_now(store_->uncommitted_bytes()), std::memory_order_relaxed);
  if (checking()) {
    waits_for_check_.store(options_.memory->freeze_now(bytes), std::memory_order_relaxed);
  }
  events_applied_.fetch_add(source.events(), std::memory_order_relaxed);
  return {};
}

void LiveView::mark_failed(const Error& error) {
  std::shared_ptr<ViewFeed> feed;
  {
    const std::lock_guard lock(mutex_);
    error_ = error;
    feed = feed_;
  }
  if (feed) feed->failed();
}

bool LiveView::mark_failed(const Error& error, std::uint64_t generation) {
  std::shared_ptr<ViewFeed> feed;
  {
    const std::lock_guard lock(mutex_);
    if (error_ || generation_ != generation) return false;
    error_ = error;
    feed = feed_;
  }
  if (feed) feed->failed();
  return true;
}

std::uint64_t LiveView::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

// A commit writes each page that it touches once, however many of its entries changed. Where one takes long, fewer
// and larger ones cost less, and leave the disk to the log; what a crash then repeats is bounded.
LiveView::Clock::duration LiveView::commit_pause() const {
  const Clock::duration interval = std::chrono::milliseconds(options_.commit_interval_ms);
  return std::clamp<Clock::duration>(Clock::duration(commit_took_.load(std::memory_order_relaxed)) * kPausesOfACommit,
                                     interval, interval * kIntervalGrowthMax);
}

std::optional<LiveView::Clock::time_point> LiveView::freeze_due(Clock::duration pause) const {
  if (!store_) return std::nullopt;
  if (state_changed_) {
    const std::size_t bytes = store_->active_bytes();
    const bool now = store_->makes_runs() ? options_.memory->freeze_built_now(bytes) : options_.memory->freeze_now(bytes);
    if (now) return std::max(last_freeze_, freeze_not_before_);
    return std::max(last_freeze_ + std::max(commit_pause(), pause), freeze_not_before_);
  }
  if (offset_changed_) return last_freeze_ + kOffsetOnlyInterval;
  return std::nullopt;
}

void LiveView::send() {
  if (output_) output_->send();
}

Expected<LiveView::Writing> LiveView::go_on(Clock::time_point now) {
  Writing writing;
  if (!output_ || !store_) return writing;
  KAPPA_TRY(writing.next, output_->go_on(now));
  const std::uint64_t before = visible_.load();
  publish_visible();
  writing.moved = visible_.load() != before;
  return writing;
}

void LiveView::finish_writing() {
  if (!output_) return;
  output_->wait();
  publish_visible();
}

void LiveView::set_wake(std::function<void()> wake) {
  if (output_) output_->set_wake(std::move(wake));
}

bool LiveView::over_part() const { return options_.memory->wait_now(store_->uncommitted_bytes()); }

bool LiveView::over_budget() const {
  if (output_ && output_->should_wait()) return true;
  return over_part() && (store_->has_frozen() || !store_->checked());
}

Expected<bool> LiveView::freeze(log::Log& log) {
  if (store_->has_frozen()) return false;
  if (output_ && !output_->settled()) {
    output_->hurry();  // Its events first: the acknowledgement brings us here again.
    return false;
  }
  auto mark = log.mark(progress_.applied);
  if (!mark) {
    if (auto error = lost(log, progress_.applied)) return std::unexpected(std::move(*error));
    const bool damaged = mark.error().code == ErrorCode::kCorrupt;
    if (damaged || options_.memory->wait_now(store_->uncommitted_bytes()))
      return std::unexpected(std::move(mark).error());
    // No handle or memory to look at the log with: later, or at another place.
    spdlog::warn("view \"{}\" waits with its commit: {}", entry_->name, to_string(mark.error()));
    freeze_not_before_ = Clock::now() + kMarkRetryInterval;
    return false;
  }
  progress_.mark = *mark;
  store_->begin_publish();
  store_->end_publish(progress_);
  if (!store_->freeze()) return false;
  // What is frozen counts until it is committed.
  over_budget_.store(options_.memory->wait_now(store_->uncommitted_bytes()), std::memory_order_relaxed);
  state_changed_ = false;
  offset_changed_ = false;
  last_freeze_ = Clock::now();
  return true;
}

Status LiveView::commit() {
  std::shared_ptr<StateStore> store;
  {
    const std::lock_guard lock(mutex_);
    store = served_.store;
  }
  if (!store || !store->has_frozen()) return {};
  const Clock::time_point start = Clock::now();
  Status status = store->commit();
  commit_took_.store((Clock::now() - start).count(), std::memory_order_relaxed);
  if (status) hold_from(store->committed());
  const std::lock_guard lock(mutex_);
  commit_note_ = status ? std::string() : to_string(status.error());
  commits_fail_.store(!status, std::memory_order_relaxed);
  if (status) commits_.fetch_add(1, std::memory_order_relaxed);
  return status;
}

Status LiveView::check_state(const std::function<bool(std::uint64_t)>& go_on) const {
  std::shared_ptr<StateStore> store;
  {
    const std::lock_guard lock(mutex_);
    if (!error_) store = served_.store;
  }
  return store ? store->check(go_on) : Status{};
}

Expected<LiveView::Served> LiveView::served() const {
  const std::lock_guard lock(mutex_);
  if (error_) return std::unexpected(*error_);
  if (!served_.store) {
    return fail(ErrorCode::kBusy, 2015, "view \"" + entry_->name + "\" is being reopened", "try again");
  }
  return served_;
}

std::optional<Error> LiveView::failed() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

std::map<std::string, std::map<std::string, std::uint64_t>> LiveView::conversion_failures() const {
  std::map<std::string, std::map<std::string, std::uint64_t>> counts;
  const auto serving = served();
  if (!serving) return counts;
  for (const CountedColumn& counted : counted_) {
    const auto read = serving->store->read(kFailuresTable, counted.key);
    if (read && read->value) counts[counted.stream][counted.column] = decode_number(read->value);
  }
  return counts;
}

}  // namespace kappa::processor
