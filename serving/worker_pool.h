// A few threads that run jobs from one bounded queue, first come, first served.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace kappa::serving {

class WorkerPool {
 public:
  // `name` is the threads' name, at most 15 characters.
  WorkerPool(std::string name, unsigned threads, std::size_t queued_max);
  ~WorkerPool();  // As stop().
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False when the queue is full or the pool stopped; the job is dropped then. Jobs must not throw.
  [[nodiscard]] bool submit(std::function<void()> job);
  // Drops what is queued and waits for what runs. Idempotent.
  void stop();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::size_t queued_max_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace kappa::serving
