#include "processor/replay/parallel_read.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "processor/replay/bell.h"
#include "processor/replay/ordered_scan.h"

namespace kappa::processor {
namespace {

// A range of fewer units is not worth a thread.
constexpr std::uint64_t kUnitsForThreads = 2;
constexpr std::size_t kSourcesPerThread = 8;
constexpr std::chrono::milliseconds kCancelPoll{20};
constexpr std::chrono::minutes kUntilTold{1};

class Taker final : public OrderedScan::Consumer {
 public:
  Taker(const std::function<Expected<bool>(const EventSource&)>& take, const std::atomic<bool>& cancelled)
      : take_(take), cancelled_(cancelled) {}
  bool ready() override { return true; }
  bool take(const EventSource& chunk) override {
    if (cancelled_.load(std::memory_order_relaxed)) return false;
    auto more = take_(chunk);
    if (more) return *more;
    status_ = std::unexpected(std::move(more).error());
    return false;
  }
  [[nodiscard]] Status status() { return std::move(status_); }

 private:
  const std::function<Expected<bool>(const EventSource&)>& take_;
  const std::atomic<bool>& cancelled_;
  Status status_;
};

// Helpers of all reads together, in this process: what the machine has is shared, so that many SELECTs do not make
// many times its processors of threads. A read that gets none goes on alone.
std::atomic<unsigned> helpers_in_use{0};

class HelperSlots {
 public:
  HelperSlots(unsigned wanted, unsigned most) {
    unsigned used = helpers_in_use.load();
    do {
      count_ = std::min(wanted, most > used ? most - used : 0);
    } while (count_ > 0 && !helpers_in_use.compare_exchange_weak(used, used + count_));
  }
  ~HelperSlots() { helpers_in_use.fetch_sub(count_); }
  HelperSlots(const HelperSlots&) = delete;
  HelperSlots& operator=(const HelperSlots&) = delete;
  [[nodiscard]] unsigned count() const { return count_; }

 private:
  unsigned count_ = 0;
};

}  // namespace

unsigned read_helpers_in_use() { return helpers_in_use.load(); }

void lower_priority(const ReplayOptions& options) {
  // Linux: of the thread with this id alone.
  if (options.nice > 0 && ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), options.nice) != 0) {
    spdlog::warn("replay threads run at normal priority: {}", std::strerror(errno));
  }
}

unsigned replay_threads(const ReplayOptions& options) {
  const unsigned all = std::max(std::thread::hardware_concurrency(), 1U);
  return std::clamp(options.threads == 0 ? all : options.threads, 1U, kReplayThreadsMax);
}

Status read_in_order(log::Log& log, Offset from, Offset end, const std::vector<const Plan*>& scans,
                     const ReplayOptions& options, const std::atomic<bool>& cancelled,
                     const std::function<Expected<bool>(const EventSource&)>& take) {
  if (from >= end) return {};
  OrderedScan::Options how;
  how.unit = options.unit != 0 ? options.unit : unit_offsets(log, scans);
  const HelperSlots slots((end - from) / how.unit < kUnitsForThreads ? 0 : replay_threads(options) - 1,
                          std::max(replay_threads(options), 2U) - 1);
  const unsigned threads = 1 + slots.count();
  how.units_max = threads + 1;
  how.sources_max = kSourcesPerThread * (threads + 1);
  Bell bell;
  OrderedScan scan(log, from, end, scans, how, bell);
  std::atomic<bool> over{false};
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < threads; ++i) {
    helpers.emplace_back([&] {
      pthread_setname_np(pthread_self(), "kappa-scan");
      lower_priority(options);
      while (!over.load()) {
        const std::uint64_t epoch = bell.epoch();
        const OrderedScan::Step step = scan.step(nullptr);
        if (step == OrderedScan::Step::kEnded || step == OrderedScan::Step::kFailed) return;
        if (step == OrderedScan::Step::kIdle && !over.load()) bell.wait(epoch, kUntilTold);
      }
    });
  }
  Taker taker(take, cancelled);
  Status status;
  for (;;) {
    if (cancelled.load(std::memory_order_relaxed)) {
      status = fail(ErrorCode::kClosed, 4008, "the query was cancelled");
      break;
    }
    const std::uint64_t epoch = bell.epoch();
    const OrderedScan::Step step = scan.step(&taker);
    if (step == OrderedScan::Step::kEnded) break;
    if (step == OrderedScan::Step::kFailed) {
      status = std::unexpected(scan.error());
      break;
    }
    if (step == OrderedScan::Step::kIdle) bell.wait(epoch, kCancelPoll);
  }
  over.store(true);
  scan.stop();
  bell.ring();
  for (std::thread& helper : helpers) helper.join();
  if (status) status = taker.status();
  if (status && cancelled.load(std::memory_order_relaxed)) {
    status = fail(ErrorCode::kClosed, 4008, "the query was cancelled");
  }
  return status;
}

}  // namespace kappa::processor
