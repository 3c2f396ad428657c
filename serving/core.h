// The network thread's world: accepts, dispatches requests, gathers completions.
//
// One pass of the event loop: ready sockets are read and their frames dispatched (appends are only
// submitted); then, once, end_of_pass(): answers leave, the log is pumped, so that every append of the
// pass shares a group, and what completed meanwhile is answered with one send per connection.
// Everything here runs on the network thread except where it says otherwise.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serving/connection.h"
#include "serving/lookups.h"
#include "serving/mailbox.h"
#include "serving/peers.h"
#include "serving/rates.h"
#include "serving/reads.h"
#include "serving/server.h"
#include "serving/subscribers.h"
#include "serving/tls.h"
#include "serving/tokens.h"
#include "serving/watches.h"
#include "serving/worker_pool.h"

namespace kappa::serving {

// Batches between the sockets and their acknowledgement; the log's own bound is never reached, so that
// a full queue makes clients wait instead of failing.
inline constexpr std::size_t kAppendBytesInFlightMax = limits::kAppendQueueBytesMax / 2;
inline constexpr std::size_t kQueriesQueuedMax = 256;
inline constexpr std::size_t kReadsQueuedMax = 65'536;

class Core {
 public:
  Core(ServerOptions options, log::Log& log, processor::Engine& engine);
  ~Core();  // After the network thread ended.

  // Before the network thread starts. Errors as of Server::start.
  [[nodiscard]] Status listen();
  [[nodiscard]] const std::string& address() const { return address_; }
  // The network thread's body.
  void run();
  // From any thread: begins to drain; `done` runs on the network thread once every connection is gone,
  // at the latest about `deadline` from now. Afterwards run() returns.
  void drain(std::chrono::milliseconds deadline, std::function<void()> done);

  // --- for connections ---
  [[nodiscard]] const ServerOptions& options() const { return options_; }
  // A verified frame. `payload` is valid during the call.
  void dispatch(Connection& connection, const FrameHeader& header, Bytes payload);
  void dispatch_append(Connection& connection, std::uint64_t request_id, const AppendMessage& message,
                       std::string body);
  void hello(Connection& connection, const FrameHeader& header, Bytes payload);
  void mark_dirty(Connection& connection);
  // The timer fires at `deadline` or somewhat later.
  void arm(Deadline deadline);
  void forget(Connection& connection);
  void output_left(const Connection& connection) { reads_.output_left(connection.id()); }
  // Logged, once per connection at most and not too often, without a byte of what it sent.
  void refused(const Connection& connection, const Error& error);
  void timed_out(const Connection& connection, const char* reason);
  // K4013, counted.
  [[nodiscard]] Error denied(Error why);
  [[nodiscard]] Error denied_append(std::string_view topic);
  [[nodiscard]] Error denied_read(std::string_view name);

  // --- memory of all connections (ServerOptions::connection_memory_max) ---
  void held(std::size_t before, std::size_t now) { buffered_bytes_ = buffered_bytes_ - before + now; }
  [[nodiscard]] bool memory_short() const { return buffered_bytes_ > options_.connection_memory_max; }
  [[nodiscard]] Error busy();  // K4014, counted.
  // An append whose body was not kept.
  void refuse_append(Connection& connection, std::uint64_t request_id);

  // --- for requests in other files ---
  [[nodiscard]] log::Log& log() { return log_; }
  [[nodiscard]] const std::shared_ptr<Mailbox>& mailbox() { return mailbox_; }
  [[nodiscard]] std::shared_ptr<Connection> find(std::uint64_t connection) const;
  [[nodiscard]] bool draining() const { return draining_; }

 private:
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;
  struct Listener {
    explicit Listener(boost::asio::io_context& io) : acceptor(io), again(io) {}
    Acceptor acceptor;
    boost::asio::steady_timer again;
    bool unix_socket = false;
  };

  // listen.cc
  [[nodiscard]] Status listen_tcp();
  [[nodiscard]] Status listen_unix();
  [[nodiscard]] Status begin_listening(Listener& listener, const boost::asio::generic::stream_protocol::endpoint& endpoint,
                                       const std::string& where);
  void stop_listening();
  void accept(Listener& listener);
  void accepted(Listener& listener, boost::system::error_code error, Transport::Socket socket);
  // Why this client is not taken; nothing for one that is.
  [[nodiscard]] std::optional<Error> turned_away(const Listener& listener, const Peer& peer, Transport::Socket& socket);
  void refuse_one(Listener& listener);
  [[nodiscard]] bool descriptors_scarce(int newest);
  // Whether the client's token is good; without tokens everybody's is.
  [[nodiscard]] Status log_in(Connection& connection, std::string_view token);
  // Tokens that were revoked or expired end their connections.
  void watch_tokens();
  void tokens_read();
  void check_tokens();
  void log_line(const std::string& line);
  void schedule_pass();
  void end_of_pass();
  void flush_dirty();
  void deliver();
  void submit_append(Connection& connection, log::AppendBatch batch, std::uint64_t slot);
  void unpark();
  void tick();
  void close_hoarders();
  void close_idle();
  void expire_queries(Deadline now);
  void check_drained();

  void cancel(Connection& connection, Bytes payload);
  [[nodiscard]] Expected<log::AppendBatch> make_batch(Connection& connection, const AppendMessage& message,
                                                      std::string body);
  void producer(Connection& connection, std::uint64_t request_id, Bytes payload);
  void sql(Connection& connection, std::uint64_t request_id, Bytes payload);
  void scan(Connection& connection, std::uint64_t request_id, Bytes payload);
  using QueryBody = std::function<Expected<processor::StatementResult>(processor::RowSink&, const std::atomic<bool>&)>;
  // `waits`: for freshness, before it begins to count.
  void run_query(Connection& connection, std::uint64_t request_id, std::chrono::milliseconds waits, QueryBody body);
  void status(Connection& connection, std::uint64_t request_id, Bytes payload);
  [[nodiscard]] std::string status_json();

  ServerOptions options_;
  log::Log& log_;
  processor::Engine& engine_;
  boost::asio::io_context io_{1};
  Listener tcp_{io_};
  Listener unix_{io_};
  boost::asio::steady_timer timer_{io_};
  boost::asio::steady_timer tokens_timer_{io_};
  boost::asio::steady_timer idle_timer_{io_};
  boost::asio::steady_timer drain_timer_{io_};
  std::string address_;
  SslContext tls_;  // Null: plain.
  std::optional<TokenStore> tokens_;
  Peers peers_;
  int spare_fd_ = -1;  // Given up for a moment to refuse a client when descriptors run out.
  bool scarce_said_ = false;
  std::shared_ptr<Mailbox> mailbox_;
  Mailbox::Contents delivered_;
  boost::unordered_flat_map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::vector<std::shared_ptr<Connection>> dirty_;
  std::vector<std::shared_ptr<Connection>> flushing_;
  std::deque<std::uint64_t> parked_;
  std::uint64_t next_connection_ = 1;
  std::size_t append_bytes_ = 0;
  Deadline armed_ = kNever;
  bool pass_posted_ = false;
  std::size_t appends_submitted_ = 0;  // Since the last pump.
  std::size_t appends_seen_ = 0;       // Of them, when end_of_pass() looked last.
  unsigned gathering_ = 0;             // Passes that the pump was put off for.
  bool draining_ = false;
  std::function<void()> drained_;

  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  Rates rates_;
  std::uint64_t connections_total_ = 0;
  std::uint64_t requests_total_ = 0;
  std::uint64_t refused_total_ = 0;
  std::uint64_t logins_failed_ = 0;
  std::uint64_t denied_total_ = 0;
  std::uint64_t busy_total_ = 0;
  std::uint64_t timed_out_total_ = 0;
  std::uint64_t idle_total_ = 0;
  std::uint64_t queries_expired_ = 0;
  std::size_t buffered_bytes_ = 0;
  // Running statements and when they must end; each has its own patience, so not in order.
  std::vector<std::pair<Deadline, std::weak_ptr<QueryControl>>> queries_;

  Reads reads_;
  Watches watches_;
  Subscribers subscribers_;
  Lookups lookups_;
  WorkerPool query_pool_;
};

}  // namespace kappa::serving
