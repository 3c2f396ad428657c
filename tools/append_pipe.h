// A thread between the one that reads the input and the AppendSession: hashing, sending and taking
// acks run beside reading and checking the lines that come next.
//
// Owned by one thread; the session belongs to the pipe until finish() or the end of its life. Order is
// kept. Memory: at most kQueuedBytesMax of bodies wait here, and one more. After the first error
// nothing more is sent, and every call gives that error.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "tools/client/append_session.h"

namespace kappa::tools {

class AppendPipe {
 public:
  static constexpr std::size_t kQueuedBytesMax = std::size_t{4} << 20;

  explicit AppendPipe(AppendSession& session);
  ~AppendPipe();  // What was queued is dropped unless finish() ran.
  AppendPipe(const AppendPipe&) = delete;
  AppendPipe& operator=(const AppendPipe&) = delete;

  // Hands a batch over; waits while too much is queued.
  [[nodiscard]] Status send(std::string body, std::uint32_t count);
  // The error so far.
  [[nodiscard]] Status poll();
  // Waits until everything is acknowledged and ends the thread; the session is the caller's again.
  [[nodiscard]] Status finish();
  // Everything handed over so far is acknowledged.
  [[nodiscard]] bool idle();
  // Events acknowledged so far.
  [[nodiscard]] std::uint64_t appended();

 private:
  struct Batch {
    std::string body;
    std::uint32_t count = 0;
  };
  void run();
  void stop(bool drain);
  [[nodiscard]] Status status() const;  // Needs mutex_.

  AppendSession& session_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> queue_;
  std::size_t queued_bytes_ = 0;
  std::optional<Error> error_;
  std::uint64_t appended_ = 0;
  bool idle_ = true;
  bool stop_ = false;
  bool drain_ = false;
  std::thread thread_;
};

}  // namespace kappa::tools
