// Named subscribers: how far a reader of a topic has come, kept in the log itself, so that it survives restarts,
// backups and retention, which does not remove what a subscriber still has to read.
//
// A position is a record of the log's system topic under "subscriber/<name>"; the last one counts. SUBSCRIBER asks
// for it, sets it or forgets it. Setting it waits for the record to be durable, on a thread of its own: a client sets
// it now and then, not for every event.
//
// Threads: the network thread, except for the record's append.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "log/log.h"
#include "proto/subscriber_messages.h"
#include "serving/connection.h"
#include "serving/mailbox.h"
#include "serving/worker_pool.h"

namespace kappa::serving {

// Each is a record of the log's system topic, which every segment begins with.
inline constexpr std::size_t kSubscribersMax = 10'000;

// u16 format version (1), u32 length and topic, u64 offset.
[[nodiscard]] std::string encode_position(std::string_view topic, Offset offset);
struct Position {
  std::string topic;
  Offset offset;
};
// nullopt for bytes that are not one, or of a later format.
[[nodiscard]] std::optional<Position> decode_position(std::string_view value);

class Subscribers {
 public:
  // Before retention begins: takes the holds of those there are.
  Subscribers(Core& core, log::Log& log);
  ~Subscribers();  // As stop().

  void handle(Connection& connection, std::uint64_t request_id, Bytes payload);
  void stop();

  struct Subscriber {
    Position position;
    log::Hold hold;
  };
  [[nodiscard]] const std::map<std::string, Subscriber, std::less<>>& all() const { return subscribers_; }

 private:
  void set(Connection& connection, std::uint64_t request_id, std::string name, std::optional<Position> position);
  void answer(Connection& connection, std::uint64_t request_id, std::string_view name);
  void keep(const std::string& name, const Position& position);

  Core& core_;
  log::Log& log_;
  std::shared_ptr<Mailbox> mailbox_;
  std::map<std::string, Subscriber, std::less<>> subscribers_;
  bool stopped_ = false;
  WorkerPool pool_;
};

}  // namespace kappa::serving
