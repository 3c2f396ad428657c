// READ: events of a topic, at once or as soon as there are some.
//
// One reader thread walks the log (a page that is not cached may block there, never on the network
// thread). A READ that finds nothing and may wait is remembered here and tried again when the log
// grew; the log's notification costs nothing while nobody waits.
#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/log.h"
#include "proto/messages.h"
#include "serving/connection.h"
#include "serving/mailbox.h"
#include "serving/worker_pool.h"

namespace kappa::serving {

class Reads {
 public:
  Reads(Core& core, log::Log& log);
  ~Reads();  // As stop().

  // --- network thread ---
  void handle(Connection& connection, std::uint64_t request_id, Bytes payload);
  // Answers what has waited long enough, or everything; gives the next deadline.
  [[nodiscard]] Deadline expire(Deadline now, bool everything);
  // The connection's output has left: its next READ may be looked up.
  void output_left(std::uint64_t connection);
  void forget(std::uint64_t connection) { lines_.erase(connection); }
  [[nodiscard]] bool any_waiting() const { return !waiting_.empty(); }
  void stop();  // No notification and no job runs afterwards.

  // One READ under way.
  struct Request {
    std::uint64_t connection = 0;
    std::uint64_t request_id = 0;
    std::string topic;
    ReadMessage message;              // Its topic is unused.
    std::optional<Offset> first;      // Resolved start.
    Offset position;                  // Where the reader stands.
    Offset seen;                      // Durable end when it stood there.
    TopicSequence topic_end;          // Of the topic, before it stood there.
    Deadline deadline = kNever;
    std::shared_ptr<QueryControl> control;
  };
  // What one try gave.
  struct Outcome {
    std::string frame;  // The answer, if there is one.
    bool empty = false; // READ_OK without batches: the request may wait instead.
  };

 private:
  // READs of a connection are looked up one at a time, and only while little of its output waits: who does not read its
  // answers costs one of them.
  struct Line {
    std::deque<Request> held;
    bool running = false;
  };
  void begin(Request request);
  void next(std::uint64_t connection);
  void start(Request request);
  void tried(Request request, Outcome outcome);
  void answer(const Request& request, std::string frame);
  void retry_waiting();

  Core& core_;
  log::Log& log_;
  std::shared_ptr<Mailbox> mailbox_;
  std::vector<Request> waiting_;
  // Set while somebody waits and no retry is on its way.
  std::shared_ptr<std::atomic<bool>> want_notification_ = std::make_shared<std::atomic<bool>>(false);
  std::uint64_t subscription_ = 0;
  boost::unordered_flat_map<std::uint64_t, Line> lines_;
  // Bytes of answers between the reader thread and the network thread; the reader waits while they are many.
  std::atomic<std::size_t> made_{0};
  bool stopped_ = false;
  WorkerPool pool_;
};

}  // namespace kappa::serving
