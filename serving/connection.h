// One client: framing in, bounded output, requests in flight, deadlines. Knows bytes and frames; what
// requests mean is the Core's business.
//
// Lives on the network thread. A connection stops reading, rather than failing requests, while its
// output is over the bound, while an append waits for room in the log's queue, or while too many
// appends are in flight. Owned by the Core; pending socket operations keep it alive past its removal.
#pragma once

#include <array>
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
#include "proto/receive_buffer.h"
#include "serving/peers.h"
#include "serving/query_control.h"
#include "serving/tokens.h"
#include "serving/transport.h"

namespace kappa::serving {

class Core;
struct OpenView;
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNever = Deadline::max();

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Core& core, Transport transport, Peer peer, std::uint64_t id);
  ~Connection();

  void start();
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] const Peer& peer() const { return peer_; }
  [[nodiscard]] bool closed() const { return closed_; }

  // --- the handshake, by the Core ---
  void greeted(std::uint32_t features);
  [[nodiscard]] std::uint32_t features() const { return features_; }
  [[nodiscard]] bool is_greeted() const { return greeted_; }
  // What its token allows; null allows everything (no tokens, or a Unix socket).
  void set_token(std::shared_ptr<const Token> token) {
    token_ = std::move(token);
    topic_name.clear();
  }
  [[nodiscard]] const std::shared_ptr<const Token>& token() const { return token_; }
  [[nodiscard]] bool is_admin() const { return !token_ || token_->admin(); }
  [[nodiscard]] bool may_append(std::string_view topic) const { return !token_ || token_->may_append(topic); }
  // Of a view, a topic, or what a statement reads.
  [[nodiscard]] bool may_read(std::string_view name) const { return !token_ || token_->may_read(name); }

  // --- answers ---
  // Where to encode frames; call replied() afterwards. The Core flushes once per pass.
  [[nodiscard]] std::string& out() { return out_; }
  void replied();
  void reply(std::uint64_t request_id, const Error& error);
  // An error that ends the connection: sent with id 0, then closed.
  void give_up(const Error& error);
  // Result bytes of a query: counted as sent when the whole output has left.
  void reply_part(const std::shared_ptr<QueryControl>& control, std::string frame);

  // --- requests in flight ---
  // False: the id is in flight already (answered with 1008).
  [[nodiscard]] bool begin(std::uint64_t request_id, std::shared_ptr<QueryControl> control);
  [[nodiscard]] bool in_flight(std::uint64_t request_id) const { return requests_.contains(request_id); }
  void end(std::uint64_t request_id);
  // Cancels a query; the query thread answers. False if there is none with this id.
  bool cancel(std::uint64_t request_id);
  void cancel_all();
  [[nodiscard]] std::size_t requests() const { return requests_.size(); }

  // Appends are answered in the order they came.
  [[nodiscard]] std::uint64_t begin_append(std::uint64_t request_id);
  void end_append(std::uint64_t slot, Expected<log::AppendAck> result);
  // Keeps an append until the log's queue has room; reading stops meanwhile.
  void park(log::AppendBatch batch, std::uint64_t slot);
  struct Parked {
    log::AppendBatch batch;
    std::uint64_t slot = 0;
  };
  [[nodiscard]] std::optional<Parked> unpark();

  // The topic appended to last, to spare the log a look-up per batch.
  std::string topic_name;
  TopicId topic_id;

  // --- of the Lookups (lookups.h) ---
  std::vector<std::shared_ptr<OpenView>> open_views;  // By handle.
  std::shared_ptr<OpenView> last_get;
  std::size_t expected_bytes = 0;  // Of answers that are gathered, about.

  // --- by the Core ---
  void flush();
  void resume();  // Parses and reads on if nothing holds it back any more.
  void drain();   // Takes no new requests; closes when the last answer has left.
  // Closes now, cancelling what runs.
  void close();
  // Closes if a deadline passed; gives the next deadline otherwise.
  [[nodiscard]] Deadline check_deadlines(Deadline now);
  // Called now and then: true when nothing happened since the call before.
  [[nodiscard]] bool was_idle();
  // Answers that are not sent yet.
  [[nodiscard]] std::size_t unsent() const { return out_.size() - out_sent_; }

 private:
  // An APPEND whose body is received straight into its final place.
  struct IncomingBody {
    FrameHeader header;
    AppendMessage message;
    std::string topic;
    std::string body;
    std::size_t filled = 0;
    std::size_t length = 0;
    std::uint32_t crc = 0;
    bool dropped = false;  // There was no memory for it: received, checked, and refused.
  };
  struct AppendSlot {
    std::uint64_t request_id = 0;
    std::optional<Expected<log::AppendAck>> result;
  };

  [[nodiscard]] bool paused() const;
  void start_read();
  void on_read(std::size_t bytes);
  void read_failed();
  void process();
  // One step of process(): false when more bytes are needed.
  [[nodiscard]] bool process_frame();
  void begin_body(const FrameHeader& header, Bytes available);
  void receive_body(std::size_t bytes);
  void drop_body();
  // Tells the Core what this connection holds.
  void account();
  void finish_body();
  void wait_writable();
  void after_output_left();
  void finish_closing();
  void set_frame_deadline();

  Core& core_;
  Transport transport_;
  std::uint64_t id_;
  Peer peer_;
  std::shared_ptr<const Token> token_;
  ReceiveBuffer in_;
  std::size_t read_bytes_;
  std::optional<IncomingBody> body_;
  std::string out_;
  std::size_t out_sent_ = 0;  // Of out_.
  std::uint64_t sent_since_deadline_ = 0;
  std::vector<std::pair<std::shared_ptr<QueryControl>, std::size_t>> unsent_parts_;
  boost::unordered_flat_map<std::uint64_t, std::shared_ptr<QueryControl>> requests_;
  std::deque<AppendSlot> appends_;
  std::uint64_t first_slot_ = 0;
  std::optional<Parked> parked_;
  std::uint32_t features_ = 0;
  Deadline read_deadline_ = kNever;   // Handshake or frame.
  Deadline write_deadline_ = kNever;
  std::size_t held_ = 0;  // As the Core knows it.
  bool active_ = false;   // Since was_idle() looked last.
  bool greeted_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool processing_ = false;
  bool dirty_ = false;
  bool draining_ = false;
  bool closing_ = false;   // Output is flushed, then the connection ends; nothing is parsed.
  bool lingering_ = false; // Our side is shut down; what still comes is thrown away.
  bool closed_ = false;
};

}  // namespace kappa::serving
