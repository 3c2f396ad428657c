// What other threads have to tell the network thread: finished appends, and tasks.
//
// One wake-up a group: the first message after the network thread emptied the box posts, the others
// of the same group only join it. Shared ownership, because a completion of the log or the engine may
// come after the server is gone; then the box is closed and drops it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "log/log.h"
#include "proto/error.h"

namespace kappa::serving {

struct AppendDone {
  std::uint64_t connection = 0;
  std::uint64_t slot = 0;
  std::size_t bytes = 0;  // What the batch counted in the server's bound.
  Expected<log::AppendAck> result;
};

class Mailbox {
 public:
  struct Contents {
    std::vector<AppendDone> appends;
    std::vector<std::function<void()>> tasks;
    [[nodiscard]] bool empty() const { return appends.empty() && tasks.empty(); }
  };

  // `deliver` runs on the io_context after messages came in from another thread.
  Mailbox(boost::asio::io_context& io, std::function<void()> deliver) : io_(&io), deliver_(std::move(deliver)) {}

  // Network thread, first of all.
  void bind_network_thread();
  // Network thread: messages that it sends itself between begin_inline() and end_inline() need no
  // wake-up, since it empties the box right after.
  void begin_inline() { inline_ = true; }
  void end_inline() { inline_ = false; }

  // From any thread.
  void append_done(AppendDone done);
  void task(std::function<void()> run);

  // Swaps the contents out, into `into`, which must be empty (its capacity is kept).
  void take(Contents& into);
  // Nothing is delivered any more.
  void close();

 private:
  void wake();  // With the mutex held.

  std::mutex mutex_;
  boost::asio::io_context* io_;
  std::function<void()> deliver_;
  Contents contents_;
  std::thread::id network_thread_;
  bool inline_ = false;  // Network thread only.
  bool posted_ = false;
};

}  // namespace kappa::serving
