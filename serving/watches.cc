#include "serving/watches.h"

#include <algorithm>
#include <deque>
#include <vector>

#include "proto/messages.h"
#include "serving/names_read.h"
#include "serving/core.h"

namespace kappa::serving {
namespace {

using Clock = std::chrono::steady_clock;
using processor::WatchNews;
using std::chrono::milliseconds;

constexpr std::size_t kChangesFrameBytes = std::size_t{64} << 10;
// A mark that says only how far the view is comes at most so often ...
constexpr milliseconds kMarkPause{200};
// ... and one at least so often, so that a client knows that it is still served.
constexpr milliseconds kMarkEvery{10'000};
// How long a step that keeps an old state of the view waits for its reader.
constexpr milliseconds kPinnedWait{10'000};
constexpr milliseconds kRetryPause{200};
constexpr milliseconds kOpenTimeout{30'000};
// A large snapshot takes seconds; steps of others go on beside some of them.
constexpr unsigned kThreads = 4;
constexpr unsigned kThreadsMax = 16;

// Encodes a step and hands it over; on a thread of the pool.
class StepFrames final : public processor::WatchSink {
 public:
  using Send = std::function<void(std::string frame)>;
  StepFrames(std::uint64_t request_id, QueryControl& control, WorkerPool& pool, Send send)
      : request_id_(request_id), control_(control), pool_(pool), send_(std::move(send)) {}

  [[nodiscard]] bool columns(const std::vector<processor::Column>& columns) override {
    if (!flush()) return false;
    ColumnsMessage message;
    message.columns.reserve(columns.size());
    for (const processor::Column& column : columns) message.columns.push_back({column.name, column.type});
    std::string frame;
    encode(message, request_id_, frame);
    return hand_over(std::move(frame));
  }
  [[nodiscard]] bool begin(const Step& step) override {
    step_ = step;
    begun_ = false;
    return !step.reset || say_step();
  }
  [[nodiscard]] bool change(bool added, const Row& row) override {
    if (!say_step()) return false;
    const std::size_t before = encoded_.size();
    encode_change(added, row, encoded_);
    if (encoded_.size() - before > kPayloadBytesMax - sizeof(std::uint32_t)) {
      too_large_ = true;
      return false;
    }
    if (encoded_.size() > kPayloadBytesMax - sizeof(std::uint32_t)) {
      std::string last = encoded_.substr(before);
      encoded_.resize(before);
      if (!flush()) return false;
      encoded_ = std::move(last);
    }
    ++count_;
    return encoded_.size() < kChangesFrameBytes || flush();
  }
  [[nodiscard]] bool end(const Step& step) override {
    if (!flush()) return false;
    std::string frame;
    encode(MarkMessage{step.applied, step.version}, request_id_, frame);
    return hand_over(std::move(frame));
  }
  [[nodiscard]] bool too_large() const { return too_large_; }

 private:
  [[nodiscard]] bool say_step() {
    if (std::exchange(begun_, true)) return true;
    StepMessage message{step_.applied, step_.version, std::nullopt};
    if (step_.reset) message.reset = static_cast<std::uint8_t>(*step_.reset);
    std::string frame;
    encode(message, request_id_, frame);
    return hand_over(std::move(frame));
  }
  [[nodiscard]] bool flush() {
    if (count_ == 0) return true;
    std::string frame;
    frame.reserve(encoded_.size() + kFrameHeaderBytes + sizeof(std::uint32_t));
    encode_changes(count_, encoded_, request_id_, frame);
    encoded_.clear();
    count_ = 0;
    return hand_over(std::move(frame));
  }
  [[nodiscard]] bool hand_over(std::string frame) {
    if (!step_.pinned || control_.has_room()) {
      if (!control_.reserve_now(frame.size())) return false;
    } else {
      // Others run meanwhile.
      const WorkerPool::Waiting waiting(pool_);
      if (!control_.reserve_until(frame.size(), Clock::now() + kPinnedWait)) return false;
    }
    send_(std::move(frame));
    return true;
  }

  const std::uint64_t request_id_;
  QueryControl& control_;
  WorkerPool& pool_;
  const Send send_;
  Step step_;
  bool begun_ = false;  // The step was said to the client.
  std::string encoded_;
  std::uint32_t count_ = 0;
  bool too_large_ = false;
};

Error cancelled_error() { return fail(ErrorCode::kClosed, 1012, "cancelled").error(); }
Error shutting_down() {
  return fail(ErrorCode::kClosed, 4007, "the server is shutting down", "watch again from the last mark").error();
}

}  // namespace

struct Watches::Run {
  Key key;
  std::shared_ptr<QueryControl> control = std::make_shared<QueryControl>();
  std::shared_ptr<processor::Watch> watch;  // Shared with the step under way.
  bool running = false;
  bool ended = false;
  WatchNews waiting = WatchNews::kNothing;  // To be said.
  Deadline last_step{};
  Deadline not_before{};
  Deadline no_room_since = kNever;
  std::deque<std::string> held;  // Frames of a step that had more of them than credit; no other step begins meanwhile.
};

Watches::Watches(Core& core, processor::Engine& engine)
    : core_(core), engine_(engine), mailbox_(core.mailbox()), pool_("kappa-watch", kThreads, 2 * kWatchesMax, kThreadsMax) {}

Watches::~Watches() { stop(); }

void Watches::stop() {
  if (std::exchange(stopped_, true)) return;
  for (const auto& [key, run] : runs_) run->control->cancel();
  pool_.stop();
  runs_.clear();
}

void Watches::handle(Connection& connection, std::uint64_t request_id, Bytes payload) {
  auto message = decode_watch(payload);
  if (!message) return connection.reply(request_id, message.error());
  if (!connection.may_read(without_version(message->view)))
    return connection.reply(request_id, core_.denied_read(message->view));
  if (runs_.size() >= kWatchesMax) {
    return connection.reply(request_id,
                            fail(ErrorCode::kBusy, 4008, "too many watches", "try again later").error());
  }
  processor::WatchRequest request;
  request.view = message->view;
  request.prefix = std::move(message->prefix);
  request.snapshot = message->snapshot;
  request.reset_at_cutover = message->reset_at_cutover;
  if (message->resume) request.resume = {message->resume->applied, message->resume->version};
  auto run = std::make_shared<Run>();
  run->key = {connection.id(), request_id};
  if (message->credit != 0) run->control->limit_credit(message->credit);
  run->control->set_on_room([this, weak = std::weak_ptr(run)] {
    if (const RunPtr there = weak.lock()) consider(there);
  });
  static_cast<void>(connection.begin(request_id, run->control));
  runs_.emplace(run->key, run);
  // A view that is not yet where the client saw it, after a restart, is waited for.
  processor::Freshness freshness;
  freshness.timeout = kOpenTimeout;
  if (request.resume && request.resume->applied > Offset(0)) freshness.at_least = request.resume->applied - 1;
  const std::string view = request.view;
  engine_.wait(view, freshness, [this, mailbox = mailbox_, run, request = std::move(request)](Status ready) {
    mailbox->task([this, run, request, ready = std::move(ready)] {
      if (run->ended) return;
      if (!ready) return finish(run, ready.error());
      open(run, request);
    });
  });
}

void Watches::open(const RunPtr& run, processor::WatchRequest request) {
  const bool queued = pool_.submit([this, run, request = std::move(request)] {
    auto watch = engine_.watch(request, [this, mailbox = mailbox_, weak = std::weak_ptr(run)](WatchNews told) {
      mailbox->task([this, weak, told] {
        if (const RunPtr there = weak.lock()) news(there, told);
      });
    });
    Expected<std::shared_ptr<processor::Watch>> made =
        watch ? Expected<std::shared_ptr<processor::Watch>>(std::shared_ptr<processor::Watch>(std::move(*watch)))
              : std::unexpected(watch.error());
    mailbox_->task([this, run, made = std::move(made)]() mutable { opened(run, std::move(made)); });
  });
  if (!queued) finish(run, fail(ErrorCode::kBusy, 4008, "too many watches are waiting", "try again").error());
}

void Watches::opened(const RunPtr& run, Expected<std::shared_ptr<processor::Watch>> watch) {
  if (!watch) {
    if (!run->ended) finish(run, watch.error());
    return;
  }
  run->watch = std::move(*watch);
  if (run->ended) return dispose(run);
  run->waiting = WatchNews::kChange;  // At least where it stands.
  consider(run);
}

void Watches::news(const RunPtr& run, WatchNews news) {
  run->waiting = std::max(run->waiting, news);
  consider(run);
}

void Watches::consider(const RunPtr& run) {
  if (run->ended || run->running || !run->watch) return;
  if (run->control->cancelled()) return finish(run, core_.draining() ? shutting_down() : cancelled_error());
  const Deadline now = Clock::now();
  if (run->waiting == WatchNews::kNothing) return core_.arm(run->last_step + kMarkEvery);
  if (!run->control->has_room()) {
    // It keeps nothing of the view's past meanwhile.
    if (run->no_room_since == kNever) run->no_room_since = now;
    return core_.arm(run->no_room_since + kPinnedWait);
  }
  run->no_room_since = kNever;
  if (run->not_before > now) return core_.arm(run->not_before);
  if (run->waiting == WatchNews::kProgress && run->last_step + kMarkPause > now)
    return core_.arm(run->last_step + kMarkPause);
  run->running = true;
  run->waiting = WatchNews::kNothing;
  const bool queued = pool_.submit([this, run] {
    StepFrames frames(run->key.second, *run->control, pool_, [this, run](std::string frame) {
      mailbox_->task([this, run, frame = std::move(frame)]() mutable {
        run->held.push_back(std::move(frame));
        deliver(run);
      });
    });
    Status status = run->watch->step(frames, run->control->cancelled());
    if (frames.too_large()) status = fail(ErrorCode::kTooLarge, 1007, "a row does not fit into a frame");
    mailbox_->task([this, run, status = std::move(status)]() mutable { stepped(run, std::move(status)); });
  });
  if (queued) return;
  run->running = false;
  finish(run, fail(ErrorCode::kBusy, 4008, "too many watches are waiting", "try again").error());
}

// A step of changes is taken from the engine whole; its frames wait here for credit.
void Watches::deliver(const RunPtr& run) {
  const auto client = run->ended ? nullptr : core_.find(run->key.first);
  while (!run->held.empty()) {
    std::string& frame = run->held.front();
    if (!client) {
      run->control->sent(frame.size());
    } else if (run->control->take_credit(frame.size())) {
      client->reply_part(run->control, std::move(frame));
    } else {
      return;
    }
    run->held.pop_front();
  }
}

void Watches::stepped(const RunPtr& run, Status status) {
  run->running = false;
  run->last_step = Clock::now();
  if (run->ended) return dispose(run);
  if (run->control->cancelled()) return finish(run, core_.draining() ? shutting_down() : cancelled_error());
  if (!status && status.error().code != ErrorCode::kBusy) return finish(run, status.error());
  if (!status) {
    // It did not take a step in time, or its view is being opened again: once more, from the beginning.
    run->waiting = WatchNews::kChange;
    run->not_before = run->last_step + kRetryPause;
  }
  consider(run);
}

void Watches::finish(const RunPtr& run, const Error& error) {
  run->ended = true;
  runs_.erase(run->key);
  if (const auto client = core_.find(run->key.first)) {
    std::string frame;
    encode(error, run->key.second, frame);
    client->end(run->key.second);
    client->reply_part(nullptr, std::move(frame));
  }
  dispose(run);
}

void Watches::dispose(const RunPtr& run) {
  if (run->running || !run->watch) return;
  // If no thread is left for it, it ends here.
  static_cast<void>(pool_.submit([watch = std::exchange(run->watch, nullptr)] {}));
}

void Watches::credit(Connection& connection, Bytes payload) {
  const auto message = decode_credit(payload);
  if (!message) return connection.reply(0, message.error());
  const auto found = runs_.find({connection.id(), message->request_id});
  if (found == runs_.end()) return;  // It has ended meanwhile.
  const RunPtr run = found->second;
  run->control->grant(message->bytes);
  deliver(run);
}

void Watches::cancelled(std::uint64_t connection, std::uint64_t request_id) {
  const auto found = runs_.find({connection, request_id});
  if (found == runs_.end()) return;
  const RunPtr run = found->second;
  if (run->watch) return consider(run);
  finish(run, cancelled_error());  // It is still being opened.
}

void Watches::forget(std::uint64_t connection) {
  const auto from = runs_.lower_bound({connection, 0});
  const auto to = runs_.upper_bound({connection, UINT64_MAX});
  std::vector<RunPtr> gone;
  for (auto at = from; at != to; ++at) gone.push_back(at->second);
  for (const RunPtr& run : gone) {
    run->control->cancel();
    run->control->set_on_room({});
    finish(run, cancelled_error());
  }
}

Deadline Watches::due(Deadline now) {
  Deadline next = kNever;
  std::vector<RunPtr> all;
  all.reserve(runs_.size());
  for (const auto& [key, run] : runs_) all.push_back(run);
  for (const RunPtr& run : all) {
    if (run->ended || run->running || !run->watch) continue;
    if (run->no_room_since != kNever) {
      if (run->no_room_since + kPinnedWait <= now) run->watch->let_go();
      else next = std::min(next, run->no_room_since + kPinnedWait);
      continue;
    }
    if (run->waiting == WatchNews::kNothing) {
      if (run->last_step + kMarkEvery > now) {
        next = std::min(next, run->last_step + kMarkEvery);
        continue;
      }
      run->waiting = WatchNews::kProgress;
    }
    Deadline when = std::max(run->not_before, now);
    if (run->waiting == WatchNews::kProgress) when = std::max(when, run->last_step + kMarkPause);
    if (when > now) {
      next = std::min(next, when);
      continue;
    }
    consider(run);
  }
  return next;
}

void Watches::drain() {
  std::vector<RunPtr> all;
  for (const auto& [key, run] : runs_) all.push_back(run);
  for (const RunPtr& run : all) {
    run->control->cancel();
    if (run->running) continue;  // stepped() ends it.
    finish(run, shutting_down());
  }
}

}  // namespace kappa::serving
