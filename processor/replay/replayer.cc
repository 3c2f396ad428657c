// Jobs, the turn, and the threads.
#include "processor/replay/replayer.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "processor/replay/parallel_read.h"

namespace kappa::processor {
namespace {

// Chunks per thread beside the unit that is being applied: a unit of usual events has about eight.
constexpr std::size_t kSourcesPerThread = 8;
constexpr std::size_t kSourcesFirst = 8;
// More only if every thread needs them: a source with usual events is a few hundred KiB.
constexpr std::size_t kSourcesMax = 64;
// A job that is nearer to the log's end than this is for the processor thread: some milliseconds of its time.
constexpr std::uint64_t kHandOverEvents = 32'768;
constexpr std::chrono::milliseconds kProgressInterval{200};
constexpr double kRateWeight = 0.3;  // Of the last interval in the rate shown.
constexpr std::chrono::milliseconds kBlockedPoll{20};  // Other views may have made room.
constexpr std::chrono::minutes kNothingToDo{1};
constexpr std::chrono::milliseconds kRestMin{5};       // Shorter rests are saved up.

std::vector<std::string> topics_of(const LiveView& view) {
  std::vector<std::string> topics;
  for (const Plan* scan : view.scans()) topics.push_back(scan->stream->topic);
  std::ranges::sort(topics);
  topics.erase(std::ranges::unique(topics).begin(), topics.end());
  return topics;
}

}  // namespace

struct Replayer::Job {
  // One decode. What threads still decode when it is replaced needs the plans.
  struct Run {
    std::vector<CatalogEntryPtr> plans;
    OrderedScan scan;
  };
  std::vector<std::string> topics;
  std::atomic<std::uint64_t> position{0};       // Written under the turn.
  std::atomic<bool> blocked{false};             // A view is over its memory.
  std::vector<std::shared_ptr<LiveView>> views; // Of the turn.
  std::shared_ptr<Run> run;                     // Changed under the turn and mutex_. Null: to be made.
  // Of the turn:
  Clock::time_point sampled = Clock::now();
  std::uint64_t sampled_position = 0;
  double rate = 0;
};

// Applies the chunks of one job's scan.
class Replayer::Turn final : public OrderedScan::Consumer {
 public:
  Turn(Replayer& replayer, Job& job, const OrderedScan& scan) : replayer_(replayer), job_(job), scan_(scan) {}
  bool ready() override { return !job_.blocked.load(std::memory_order_relaxed); }
  bool take(const EventSource& chunk) override {
    std::vector<std::shared_ptr<LiveView>> moved;
    {
      const Lock turn = replayer_.hold_still();
      if (!replayer_.apply(job_, scan_, chunk)) return false;
      moved = job_.views;
    }
    // Who waits for it may come back to the engine.
    for (const auto& view : moved) replayer_.host_.replayed(*view);
    return true;
  }

 private:
  Replayer& replayer_;
  Job& job_;
  const OrderedScan& scan_;
};

Replayer::Replayer(log::Log& log, const ReplayOptions& options, Host& host)
    : log_(log), options_(options), host_(host) {}

void Replayer::stop() {
  stopping_.store(true);
  bell_.ring();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::unique_lock<std::mutex> Replayer::hold_still() {
  const std::lock_guard next(gate_);
  return std::unique_lock(turn_);
}

bool Replayer::takes(const LiveView& view) const {
  if (view.entry().derived()) return false;  // What it writes to the log is paced by the log.
  const Offset end = log_.durable_end();
  return end > view.applied() && end - view.applied() >= std::max<std::uint64_t>(options_.events_min, 1);
}

void Replayer::add(std::shared_ptr<LiveView> view) {
  {
    const Lock turn = hold_still();
    insert(std::move(view));
  }
  bell_.ring();
}

void Replayer::add_paused(std::shared_ptr<LiveView> view) {
  const Lock turn = hold_still();
  view->begin_replay(log_.durable_end());
  view->note_replay("paused", 0);
  paused_.push_back(std::move(view));
}

void Replayer::insert(std::shared_ptr<LiveView> view) {
  if (threads_.empty()) {
    for (unsigned i = 0; i < replay_threads(options_); ++i) threads_.emplace_back([this, i] { work(i); });
  }
  view->begin_replay(log_.durable_end());
  auto topics = topics_of(*view);
  const std::uint64_t position = view->applied().value();
  const auto same = std::ranges::find_if(
      jobs_, [&](const JobPtr& job) { return job->topics == topics && job->position.load() == position; });
  if (same != jobs_.end()) {
    (*same)->views.push_back(std::move(view));
  } else {
    auto job = std::make_shared<Job>();
    job->topics = topics;
    job->position = job->sampled_position = position;
    job->views.push_back(std::move(view));
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  restart_scans(topics);
}

void Replayer::restart_scans(const std::vector<std::string>& topics) {
  const std::lock_guard lock(mutex_);
  for (const JobPtr& job : jobs_) {
    if (job->topics != topics || !job->run) continue;
    job->run->scan.stop();
    job->run.reset();
  }
}

void Replayer::drop_empty_jobs() {
  const std::lock_guard lock(mutex_);
  std::erase_if(jobs_, [](const JobPtr& job) { return job->views.empty(); });
}

Replayer::JobPtr Replayer::job_of(const LiveView& view, std::shared_ptr<LiveView>& found) {
  for (const JobPtr& job : jobs_) {
    for (const auto& other : job->views) {
      if (other.get() != &view) continue;
      found = other;
      return job;
    }
  }
  return nullptr;
}

bool Replayer::remove(const LiveView& view) {
  const Lock turn = hold_still();
  if (std::erase_if(paused_, [&](const auto& other) { return other.get() == &view; }) > 0) return true;
  std::shared_ptr<LiveView> found;
  const JobPtr job = job_of(view, found);
  if (!job) return false;
  std::erase(job->views, found);
  restart_scans(job->topics);
  drop_empty_jobs();
  bell_.ring();
  return true;
}

bool Replayer::pause(const LiveView& view) {
  const Lock turn = hold_still();
  std::shared_ptr<LiveView> found;
  const JobPtr job = job_of(view, found);
  if (!job) return std::ranges::any_of(paused_, [&](const auto& other) { return other.get() == &view; });
  std::erase(job->views, found);
  found->note_replay("paused", 0);
  checkpoint(found);
  paused_.push_back(std::move(found));
  restart_scans(job->topics);
  drop_empty_jobs();
  bell_.ring();
  return true;
}

bool Replayer::resume(const LiveView& view) {
  const Lock turn = hold_still();
  const auto found = std::ranges::find_if(paused_, [&](const auto& other) { return other.get() == &view; });
  std::shared_ptr<LiveView> running;
  if (found == paused_.end()) return job_of(view, running) != nullptr;
  std::shared_ptr<LiveView> resumed = std::move(*found);
  paused_.erase(found);
  insert(std::move(resumed));
  bell_.ring();
  return true;
}

void Replayer::start_scan(Job& job) {
  Offset end = log_.durable_end();
  for (const JobPtr& other : jobs_) {
    if (other.get() == &job || other->topics != job.topics) continue;
    const Offset position(other->position.load());
    if (position.value() > job.position.load()) end = std::min(end, position);
  }
  std::vector<CatalogEntryPtr> plans;
  std::vector<const Plan*> scans;
  for (const auto& view : job.views) {
    plans.push_back(view->entry_pointer());
    scans.insert(scans.end(), view->scans().begin(), view->scans().end());
  }
  OrderedScan::Options options;
  const std::size_t threads = replay_threads(options_);
  options.unit = options_.unit != 0 ? options_.unit : unit_offsets(log_, scans);
  options.units_max = threads + 1;
  options.sources_max = std::min(kSourcesFirst + kSourcesPerThread * threads, std::max(kSourcesMax, 2 * threads));
  auto run = std::shared_ptr<Job::Run>(
      new Job::Run{std::move(plans), OrderedScan(log_, Offset(job.position.load()), end, scans, options, bell_)});
  const std::lock_guard lock(mutex_);
  job.run = std::move(run);
}

bool Replayer::apply(Job& job, const OrderedScan& scan, const EventSource& chunk) {
  if (stopping_.load(std::memory_order_relaxed) || !job.run || &job.run->scan != &scan) return false;
  std::size_t first = 0;
  for (const auto& view : job.views) {
    static_cast<void>(view->apply(chunk, first));  // An error is the view's, see below.
    first += view->scans().size();
  }
  job.position.store(chunk.position().value());
  freeze_due(job);
  look_at_budget(job);
  note_progress(job);
  const std::size_t failed = std::erase_if(job.views, [&](const std::shared_ptr<LiveView>& view) {
    if (!view->failed()) return false;
    give_back(view);
    return true;
  });
  if (failed == 0) return true;
  restart_scans(job.topics);
  drop_empty_jobs();
  return false;
}

void Replayer::freeze_due(Job& job) {
  const Clock::time_point now = Clock::now();
  for (const auto& view : job.views) {
    const auto due = view->freeze_due(std::chrono::milliseconds(options_.checkpoint_ms));
    if (due && *due <= now) checkpoint(view);
  }
}

void Replayer::checkpoint(const std::shared_ptr<LiveView>& view) {
  if (!view->changed() || view->has_frozen() || view->checking() || view->failed()) return;
  const auto frozen = view->freeze(log_);
  if (!frozen) {
    view->mark_failed(frozen.error());
  } else if (*frozen) {
    host_.commit(view);
  }
}

void Replayer::look_at_budget(Job& job) {
  bool blocked = false;
  bool left = false;
  std::erase_if(job.views, [&](const std::shared_ptr<LiveView>& view) {
    if (!view->over_budget()) return false;
    if (!view->commits_fail() && !view->checking()) {
      blocked = true;
      return false;
    }
    give_back(view);  // Nobody knows how long that takes: it must not stop others.
    left = true;
    return true;
  });
  job.blocked.store(blocked);
  if (!left) return;
  restart_scans(job.topics);
  drop_empty_jobs();
}

void Replayer::give_back(std::shared_ptr<LiveView> view) {
  view->note_replay("", 0);
  view->end_replay();
  host_.returned(std::move(view));
}

void Replayer::note_progress(Job& job) {
  const Clock::time_point time = Clock::now();
  const auto passed = time - job.sampled;
  if (passed < kProgressInterval) return;
  const std::uint64_t position = job.position.load();
  const double rate = static_cast<double>(position - job.sampled_position) /
                      std::max(std::chrono::duration<double>(passed).count(), 1e-6);
  job.rate = job.rate == 0 ? rate : job.rate * (1 - kRateWeight) + rate * kRateWeight;
  job.sampled = time;
  job.sampled_position = position;
  for (const auto& view : job.views) view->note_replay("running", job.rate);
}

// Of every set of topics the hindmost job, from another one on each time.
std::vector<Replayer::JobPtr> Replayer::runnable() {
  const std::lock_guard lock(mutex_);
  std::vector<JobPtr> jobs;
  for (const JobPtr& job : jobs_) {
    const bool behind = std::ranges::any_of(jobs_, [&](const JobPtr& other) {
      return other->topics == job->topics && other->position.load() < job->position.load();
    });
    if (!behind) jobs.push_back(job);
  }
  if (jobs.size() > 1) {
    const std::size_t first = next_job_.fetch_add(1, std::memory_order_relaxed) % jobs.size();
    std::ranges::rotate(jobs, jobs.begin() + static_cast<std::ptrdiff_t>(first));
  }
  return jobs;
}

bool Replayer::work_once() {
  for (const JobPtr& job : runnable()) {
    std::shared_ptr<Job::Run> run;
    {
      const std::lock_guard lock(mutex_);
      run = job->run;
    }
    if (!run || job->blocked.load()) {
      const Lock turn = hold_still();
      if (std::ranges::find(jobs_, job) == jobs_.end()) return true;
      if (job->blocked.load()) {
        freeze_due(*job);
        look_at_budget(*job);
        if (job->views.empty()) return true;
      }
      if (!job->run) start_scan(*job);
      run = job->run;
    }
    Turn turn(*this, *job, run->scan);
    switch (run->scan.step(&turn)) {
      case OrderedScan::Step::kMoved: return true;
      case OrderedScan::Step::kIdle: continue;
      case OrderedScan::Step::kEnded: finish(job, run->scan, false); return true;
      case OrderedScan::Step::kFailed: finish(job, run->scan, true); return true;
    }
  }
  return false;
}

void Replayer::finish(const JobPtr& job, const OrderedScan& scan, bool failed) {
  {
    const Lock turn = hold_still();
    if (!job->run || &job->run->scan != &scan) return;  // Somebody else did.
    {
      const std::lock_guard lock(mutex_);
      job->run.reset();
    }
    const Offset position(job->position.load());
    const auto next = std::ranges::find_if(jobs_, [&](const JobPtr& other) {
      return other != job && other->topics == job->topics && other->position.load() == position.value();
    });
    const Offset end = log_.durable_end();
    const std::uint64_t near = std::clamp<std::uint64_t>(options_.events_min, 1, kHandOverEvents);
    if (failed) {
      spdlog::warn("a replay stops at offset {}: {}", position.value(), to_string(scan.error()));
      for (auto& view : std::exchange(job->views, {})) give_back(std::move(view));
    } else if (next != jobs_.end()) {
      std::ranges::move(job->views, std::back_inserter((*next)->views));
      job->views.clear();
    } else if (end <= position || end - position < near) {
      for (auto& view : std::exchange(job->views, {})) give_back(std::move(view));
    }
    if (job->views.empty()) {
      drop_empty_jobs();
      restart_scans(job->topics);
    }
  }
  bell_.ring();
}

void Replayer::work(unsigned number) {
  const std::string name = "kappa-replay-" + std::to_string(number);
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  lower_priority(options_);
  const unsigned share = std::clamp(options_.share_percent, 1U, 100U);
  Clock::duration owed{0};
  while (!stopping_.load()) {
    const std::uint64_t epoch = bell_.epoch();
    const Clock::time_point begin = Clock::now();
    if (!work_once()) {
      const bool blocked = std::ranges::any_of(runnable(), [](const JobPtr& job) { return job->blocked.load(); });
      if (!stopping_.load()) bell_.wait(epoch, blocked ? kBlockedPoll : kNothingToDo);
      continue;
    }
    if (share == 100) continue;
    owed += (Clock::now() - begin) * (100 - share) / share;
    while (owed >= kRestMin && !stopping_.load()) {
      const Clock::time_point rest = Clock::now();
      bell_.wait(bell_.epoch(), std::chrono::ceil<std::chrono::milliseconds>(std::min<Clock::duration>(owed, kBlockedPoll)));
      owed -= Clock::now() - rest;
    }
  }
}

}  // namespace kappa::processor
