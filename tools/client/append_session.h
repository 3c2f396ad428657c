// Sends batches of one producer: pipelined, kept until acknowledged, sent again after a lost
// connection or a busy server. The server deduplicates by (producer, sequence), so an event is in the
// log exactly once however often it was sent.
//
// One thread at a time. Memory: at most kInFlightBytesMax of bodies, and one batch more.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "tools/client/client.h"

namespace kappa {

struct AppendSessionOptions {
  ClientOptions client;
  std::string topic;
  ProducerId producer;
  bool compress = false;
  // Without progress for this long, a lost connection or a busy server becomes the error.
  std::chrono::milliseconds give_up{30'000};
};

struct AppendTotals {
  std::uint64_t appended = 0;    // Acknowledged, in this run.
  std::uint64_t duplicates = 0;  // In the log before this run.
  std::optional<Offset> first, last;
  std::string durability;        // Of the last ack.
};

class AppendSession {
 public:
  // Connects; asks where the producer stands when `resume` (for a named producer).
  [[nodiscard]] static Expected<std::unique_ptr<AppendSession>> open(AppendSessionOptions options, bool resume);

  // Events of this producer that are in the log already: the caller leaves them out.
  [[nodiscard]] std::uint64_t already_there() const { return already_there_; }
  // Sends the next `count` events. Waits for acks when too much is in flight.
  [[nodiscard]] Status send(std::string body, std::uint32_t count);
  // Takes the acks that are there, without waiting.
  [[nodiscard]] Status poll();
  // Waits until everything is acknowledged.
  [[nodiscard]] Status finish();

  [[nodiscard]] bool idle() const { return pending_.empty(); }
  [[nodiscard]] const AppendTotals& totals() const { return totals_; }
  [[nodiscard]] const ServerInfo& server() const { return client_->server(); }

 private:
  struct Pending {
    std::string body;
    std::uint32_t count = 0;
    std::uint64_t sequence = 0;
    bool resent = false;  // Duplicates in its ack may be our own first attempt.
  };
  explicit AppendSession(AppendSessionOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Status send_now(const Pending& pending);
  // Takes one ack; sends everything pending again after a failure that may pass.
  [[nodiscard]] Status collect_one(bool wait);
  [[nodiscard]] Status recover(Error why);
  void count_ack(const AppendResult& result);

  const AppendSessionOptions options_;
  std::unique_ptr<Client> client_;
  std::deque<Pending> pending_;
  std::size_t pending_bytes_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t already_there_ = 0;
  std::uint32_t epoch_ = 0;
  AppendTotals totals_;
  std::optional<std::int64_t> failing_since_;  // Steady clock, microseconds; no ack since then.
  std::chrono::milliseconds pause_{0};         // Before the next try.
};

// Nonzero XXH3 of a producer's name.
[[nodiscard]] ProducerId producer_of(std::string_view name);
// A nonzero id nobody else has.
[[nodiscard]] ProducerId random_producer();

}  // namespace kappa
