#include "tools/append_pipe.h"

#include <chrono>
#include <csignal>
#include <utility>

namespace kappa::tools {
namespace {

// How often acks are looked for while nothing is there to be sent.
constexpr std::chrono::milliseconds kAckInterval{5};

}  // namespace

AppendPipe::AppendPipe(AppendSession& session) : session_(session) {
  // Signals are for the thread that reads the input.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AppendPipe::~AppendPipe() { stop(false); }

void AppendPipe::stop(bool drain) {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    drain_ = drain;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status AppendPipe::status() const {
  if (error_) return std::unexpected(*error_);
  return {};
}

Status AppendPipe::send(std::string body, std::uint32_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queued_bytes_ <= kQueuedBytesMax || error_; });
  KAPPA_CHECK_OK(status());
  queued_bytes_ += body.size();
  queue_.push_back({std::move(body), count});
  idle_ = false;
  lock.unlock();
  changed_.notify_all();
  return {};
}

Status AppendPipe::poll() {
  std::lock_guard lock(mutex_);
  return status();
}

Status AppendPipe::finish() {
  stop(true);
  return status();
}

bool AppendPipe::idle() {
  std::lock_guard lock(mutex_);
  return idle_;
}

std::uint64_t AppendPipe::appended() {
  std::lock_guard lock(mutex_);
  return appended_;
}

void AppendPipe::run() {
  std::unique_lock lock(mutex_);
  Status done;
  while (done) {
    const auto work = [this] { return !queue_.empty() || stop_; };
    if (session_.idle()) {
      changed_.wait(lock, work);
    } else {
      changed_.wait_for(lock, kAckInterval, work);
    }
    if (stop_ && (!drain_ || queue_.empty())) break;
    if (queue_.empty()) {
      lock.unlock();
      done = session_.poll();
      lock.lock();
    } else {
      Batch batch = std::move(queue_.front());
      queue_.pop_front();
      queued_bytes_ -= batch.body.size();
      lock.unlock();
      changed_.notify_all();
      done = session_.send(std::move(batch.body), batch.count);
      lock.lock();
    }
    appended_ = session_.totals().appended;
    idle_ = queue_.empty() && session_.idle();
  }
  if (done && drain_) {
    lock.unlock();
    done = session_.finish();
    lock.lock();
  }
  if (!done) error_ = std::move(done).error();
  lock.unlock();
  changed_.notify_all();
}

}  // namespace kappa::tools
