#include "tools/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <utility>

#include "tools/exit_code.h"

namespace kappa::tools {
namespace {

std::atomic<bool> g_interrupted{false};

void on_signal(int) {
  if (g_interrupted.exchange(true)) ::_exit(kExitInterrupted);
}

}  // namespace

void catch_interrupt() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // Without SA_RESTART: a blocking poll or read returns.
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_interrupted.load(std::memory_order_relaxed); }

// sigtimedwait would need a period; SIGUSR1 to the thread ends the wait without one.
struct InterruptWatch::Impl {
  std::function<void()> action;
  std::atomic<bool> stop{false};
  sigset_t old_mask{};
  std::thread thread;
};

InterruptWatch::InterruptWatch(std::function<void()> action) : impl_(new Impl) {
  impl_->action = std::move(action);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGINT);
  sigaddset(&watched, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &watched, &impl_->old_mask);
  impl_->thread = std::thread([impl = impl_, watched] {
    while (!impl->stop.load()) {
      int signal = 0;
      if (::sigwait(&watched, &signal) == 0 && signal == SIGINT && !impl->stop.load()) impl->action();
    }
  });
}

InterruptWatch::~InterruptWatch() {
  impl_->stop.store(true);
  ::pthread_kill(impl_->thread.native_handle(), SIGUSR1);
  impl_->thread.join();
  ::pthread_sigmask(SIG_SETMASK, &impl_->old_mask, nullptr);
  delete impl_;
}

}  // namespace kappa::tools
