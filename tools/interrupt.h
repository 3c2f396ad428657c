// Ctrl-C as a flag that long commands look at, so that they can still say what they did.
#pragma once

#include <functional>

namespace kappa::tools {

// From now on SIGINT and SIGTERM set a flag (and interrupt a blocking poll or read) instead of
// ending the process. A second one ends it at once with status 130.
void catch_interrupt();
[[nodiscard]] bool interrupted();

// While it lives, every SIGINT calls `action` on a thread of its own (an ordinary thread, so the
// action may lock). Blocks SIGINT in the thread that makes it and in the threads that it starts.
class InterruptWatch {
 public:
  explicit InterruptWatch(std::function<void()> action);
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace kappa::tools
