#include "serving/worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace kappa::serving {

WorkerPool::WorkerPool(std::string name, unsigned threads, std::size_t queued_max, unsigned threads_max)
    : name_(std::move(name)), queued_max_(queued_max), running_max_(threads), threads_max_(std::max(threads, threads_max)) {
  for (unsigned i = 0; i < threads; ++i) start_thread();
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::submit(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || jobs_.size() >= queued_max_) return false;
  jobs_.push_back(std::move(job));
  grow();
  wake_.notify_one();
  return true;
}

void WorkerPool::stop() {
  std::deque<std::function<void()>> dropped;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    std::swap(jobs_, dropped);
    std::swap(threads_, threads);
    wake_.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
}

void WorkerPool::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopped_ || (!jobs_.empty() && running_ < running_max_); });
      if (stopped_) return;
      ++running_;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
    job = nullptr;
    const std::lock_guard lock(mutex_);
    --running_;
  }
}

void WorkerPool::start_thread() {
  threads_.emplace_back([this] {
    ::pthread_setname_np(::pthread_self(), name_.c_str());
    work();
  });
}

void WorkerPool::grow() {
  if (stopped_ || jobs_.empty() || running_ >= running_max_ || threads_.size() >= threads_max_) return;
  if (threads_.size() > running_ + waiting_) return;
  try {
    start_thread();
  } catch (const std::system_error&) {
    // No threads are left: the job runs when one that is there comes free.
  }
}

WorkerPool::Waiting::Waiting(WorkerPool& pool) : pool_(pool) {
  const std::lock_guard lock(pool_.mutex_);
  --pool_.running_;
  ++pool_.waiting_;
  pool_.grow();
  pool_.wake_.notify_one();
}

WorkerPool::Waiting::~Waiting() {
  // It goes on at once: for a moment one more may run.
  const std::lock_guard lock(pool_.mutex_);
  ++pool_.running_;
  --pool_.waiting_;
}

}  // namespace kappa::serving
