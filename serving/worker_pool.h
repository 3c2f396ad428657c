// A few threads that run jobs from one bounded queue, first come, first served.
//
// A job that waits for somebody else (Waiting) does not hold the others up: another thread runs for it meanwhile, up to
// threads_max. So no number of clients that do not read their answers, below that, keeps the others from theirs.
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
  // `name` is the threads' name, at most 15 characters. At most `threads` jobs run that do not wait, and at most
  // `threads_max` in all; not below `threads`.
  WorkerPool(std::string name, unsigned threads, std::size_t queued_max, unsigned threads_max = 0);
  ~WorkerPool();  // As stop().
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False when the queue is full or the pool stopped; the job is dropped then. Jobs must not throw.
  [[nodiscard]] bool submit(std::function<void()> job);
  // Drops what is queued and waits for what runs. Idempotent.
  void stop();

  // In a job, while it waits.
  class Waiting {
   public:
    explicit Waiting(WorkerPool& pool);
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    WorkerPool& pool_;
  };

 private:
  void work();
  // With mutex_: a thread for the first job in the queue, if it may run and none is free.
  void grow();
  void start_thread();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::string name_;
  std::size_t queued_max_;
  std::size_t running_max_;
  std::size_t threads_max_;
  std::size_t running_ = 0;  // In a job that does not wait.
  std::size_t waiting_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace kappa::serving
