// See state_checker.h.
#include "processor/state_checker.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace kappa::processor {
namespace {
constexpr int kNice = 10;
constexpr std::chrono::milliseconds kWaitMin{5};
// How often a paced check looks whether its view has begun to wait for it.
constexpr std::chrono::milliseconds kLookAgain{50};

constexpr auto deref = [](const std::shared_ptr<LiveView>& view) -> const LiveView& { return *view; };
}  // namespace

StateChecker::StateChecker(std::vector<std::shared_ptr<LiveView>> views, std::uint64_t bytes_per_second, Done done)
    : views_(std::move(views)),
      bytes_per_second_(std::max<std::uint64_t>(bytes_per_second, 1)),
      done_(std::move(done)),
      thread_([this] { run(); }) {}

StateChecker::~StateChecker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

// A view that waits hastens the check that is under way, its own or the one before it.
bool StateChecker::go_on(const LiveView& view, std::uint64_t bytes) {
  using std::chrono::steady_clock;
  const auto now = steady_clock::now();
  const std::chrono::duration<double> cost(static_cast<double>(bytes) / static_cast<double>(bytes_per_second_));
  free_at_ = std::max(free_at_, now) + std::chrono::duration_cast<steady_clock::duration>(cost);
  std::unique_lock lock(mutex_);
  // Short waits cost more than they keep apart.
  if (free_at_ - now < kWaitMin) return !stopping_;
  while (!stopping_ && steady_clock::now() < free_at_) {
    if (view.waits_for_check() || std::ranges::any_of(views_, &LiveView::waits_for_check, deref)) {
      free_at_ = {};  // What was saved up is not paid for later.
      break;
    }
    wake_.wait_until(lock, std::min(free_at_, steady_clock::now() + kLookAgain), [this] { return stopping_; });
  }
  return !stopping_;
}

void StateChecker::run() {
  pthread_setname_np(pthread_self(), "kappa-checker");
  // Of this thread alone, on Linux. Without the right to it the check is as urgent as the rest.
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice));
  while (!views_.empty()) {
    const auto next = std::ranges::max_element(views_, {}, [](const auto& view) { return view->waits_for_check(); });
    const std::shared_ptr<LiveView> view = *next;
    views_.erase(next);
    const std::uint64_t generation = view->generation();
    const Status checked = view->check_state([&](std::uint64_t bytes) { return go_on(*view, bytes); });
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    if (!checked) {
      spdlog::warn("view \"{}\": the check of its state says: {}", view->entry().name, to_string(checked.error()));
    }
    done_(*view, generation, checked);
  }
}

}  // namespace kappa::processor
