// The client with callbacks: calls return at once, one thread of its own talks to the server.
//
// Thread-safe. Callbacks run on that thread, in the order of the calls; they may call the client again, and must not throw.
// Appends that wait together share a batch. They carry a producer's sequence and are sent again after a lost connection
// or a busy server, so each is in the log exactly once; reads are tried again once. Bounded: a call that would be one too
// many, or too large, is refused with kBusy 1020, its callback never runs then.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tools/client/append_session.h"
#include "tools/client/client.h"

namespace kappa {

struct CallbackOptions {
  ClientOptions client;
  std::size_t calls_max = 4'096;                         // Not answered yet.
  std::size_t bytes_max = std::size_t{16} << 20;         // Of events not acknowledged yet.
  std::chrono::milliseconds give_up{30'000};             // Without progress; then the calls fail.
};

class CallbackClient {
 public:
  // Does not wait for the server: what cannot be reached is told to the callbacks.
  explicit CallbackClient(CallbackOptions options);
  ~CallbackClient();  // Finishes what was asked for, within give_up.
  CallbackClient(const CallbackClient&) = delete;
  CallbackClient& operator=(const CallbackClient&) = delete;

  // `done`: durable as the server promises, or why not (kClosed, kTimeout: unknown).
  [[nodiscard]] Status append(std::string topic, std::string event, std::function<void(Status)> done);
  [[nodiscard]] Status get(std::string view, std::vector<Value> key, Client::QueryOptions options,
                           std::function<void(Expected<Client::GetResult>)> done);
  // All rows at once; for results that fit into memory.
  struct Rows {
    std::vector<ClientColumn> columns;
    std::vector<Row> rows;
    QueryEnd end;
  };
  [[nodiscard]] Status sql(std::string statement, Client::QueryOptions options,
                           std::function<void(Expected<Rows>)> done);
  // Waits until every callback so far has run. Not from a callback.
  void wait();

 private:
  struct Call {
    std::string topic, event;  // Of an append.
    std::function<void(Status)> appended;
    std::function<void(Expected<std::unique_ptr<Client>>&)> read;  // Of anything else.
  };
  [[nodiscard]] Status submit(Call call);
  void run();
  void append_all(std::deque<Call>& calls);
  [[nodiscard]] Status append_batch(const std::string& topic, const std::string& body, std::uint32_t count);

  const CallbackOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Call> calls_;
  std::size_t unanswered_ = 0;
  std::size_t bytes_ = 0;
  bool stopped_ = false;
  // The thread's own.
  Expected<std::unique_ptr<Client>> client_ = fail(ErrorCode::kClosed, 1014, "not connected yet");
  std::map<std::string, std::unique_ptr<AppendSession>> sessions_;
  std::thread thread_;
};

}  // namespace kappa
