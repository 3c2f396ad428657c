// WATCH: the rows of a view and what happens to them, pushed as it happens.
//
// A watch is one request in flight that ends only by CANCEL, an error or the connection. Each has at most one step
// under way, on a pool of its own; between steps what is new waits, coalesced and bounded, in the engine. A step
// begins only when there is room for it (query_control.h: bytes not sent, credit), so a client that does not read
// costs no thread and no more memory than those bounds. Marks of progress alone are sent a few times a second.
//
// Everything here runs on the network thread except the steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "processor/engine.h"
#include "proto/watch_messages.h"
#include "serving/connection.h"
#include "serving/mailbox.h"
#include "serving/worker_pool.h"

namespace kappa::serving {

// Watches at once, over all connections; each costs about 2 KiB beside what it leaves waiting.
inline constexpr std::size_t kWatchesMax = 10'000;

class Watches {
 public:
  Watches(Core& core, processor::Engine& engine);
  ~Watches();  // As stop().

  void handle(Connection& connection, std::uint64_t request_id, Bytes payload);
  void credit(Connection& connection, Bytes payload);
  // The request was cancelled, if it is a watch.
  void cancelled(std::uint64_t connection, std::uint64_t request_id);
  // The connection is gone.
  void forget(std::uint64_t connection);
  // Brings forward what waits for time; gives the next deadline.
  [[nodiscard]] Deadline due(Deadline now);
  // Ends all: the clients know where to go on.
  void drain();
  void stop();
  [[nodiscard]] std::size_t size() const { return runs_.size(); }

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // Connection and request.
  struct Run;
  using RunPtr = std::shared_ptr<Run>;  // Shared with the step under way, and with news of the engine.

  void open(const RunPtr& run, processor::WatchRequest request);
  void opened(const RunPtr& run, Expected<std::shared_ptr<processor::Watch>> watch);
  void news(const RunPtr& run, processor::WatchNews news);
  // Begins a step if there is something to say and room for it.
  void consider(const RunPtr& run);
  void deliver(const RunPtr& run);  // What it holds, as far as the credit goes.
  void stepped(const RunPtr& run, Status status);
  void finish(const RunPtr& run, const Error& error);
  // Ends what the engine has of it, which takes a moment that is not the network thread's.
  void dispose(const RunPtr& run);

  Core& core_;
  processor::Engine& engine_;
  std::shared_ptr<Mailbox> mailbox_;
  std::map<Key, RunPtr> runs_;
  bool stopped_ = false;
  WorkerPool pool_;
};

}  // namespace kappa::serving
