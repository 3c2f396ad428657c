// The client library: one connection to a Kappa server, blocking calls, pipelined appends.
//
// Not thread-safe: one thread per Client. Every call has the deadline of ClientOptions::timeout unless
// it says otherwise. A broken connection fails the call with kClosed; the next call connects again.
// Appends with a producer may be repeated after any failure: the server deduplicates.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/batch.h"
#include "proto/error.h"
#include "proto/ids.h"
#include "proto/value.h"

namespace kappa {

struct ClientOptions {
  std::string address = "127.0.0.1:7171";     // HOST:PORT; or the path of a Unix socket, with a slash in it.
  std::chrono::milliseconds timeout{30'000};  // Of one call; also of connecting.
  std::string name = "kappa-client";          // Shown in the server's log.
  bool tls = false;                           // The server's certificate must be good for HOST.
  std::string tls_authorities{};              // PEM file of who is trusted; empty: the system's.
  std::string token{};                        // Never sent where others could read along.
};

// As of HELLO.
struct ServerInfo {
  std::string version;
  std::string log_id;
  std::string durability;
  bool zstd = false;
};

struct ClientColumn {
  std::string name;
  Type type;
};

struct ReadOptions {
  std::optional<std::chrono::milliseconds> wait;  // When at the end: wait this long for more.
  std::optional<Offset> at_least;                 // Reads of views: event applied.
  bool fresh = false;
};

// Where a READ begins.
struct ReadFrom {
  enum class Kind : std::uint8_t { kOffset = 0, kEnd = 1, kLast = 2, kTime = 3, kStart = 4 } kind = Kind::kOffset;
  std::int64_t value = 0;  // Offset, count of last events, or microseconds; of kStart and kEnd nothing.
};

struct ClientEvent {
  Offset offset;
  Timestamp timestamp;
  Timestamp append_time;
  std::optional<std::string_view> key;
  std::string_view value;
  std::string_view headers{};  // Encoded; see decode_headers().
};

struct ReadResult {
  std::uint64_t events = 0;
  Offset first;        // Where the reading began.
  Offset next;         // Continue from here.
  Offset durable_end;  // Of the log when the answer was made.
};

struct QueryEnd {
  std::string tag;
  std::uint64_t row_count = 0;
  std::optional<Offset> applied;
  std::string notice;
};

struct AppendResult {
  Offset first;
  Offset last;                   // Both 0 when count is 0 or offsets are not known.
  std::uint32_t count = 0;       // Events newly appended.
  std::uint32_t duplicates = 0;  // Events that were in the log already.
  std::string durability;        // "sync", "written", "strict".
};

// A batch ready to be sent. The client computes the body hash.
struct ClientBatch {
  std::string body;              // From BatchBuilder::take().
  std::string_view borrowed_body;  // Instead of `body`: read only until send_append() returns.
  std::uint32_t count = 0;
  bool compress = false;  // zstd, if the server has it.
  ProducerId producer_id;
  std::uint32_t producer_epoch = 0;
  std::uint64_t producer_sequence = 0;
};

class Client {
 public:
  // Connects and says HELLO. kIo 1001 cannot connect, kUnsupported 1002 version, kInvalid 1018 TLS, 1019 a token would
  // be sent in the clear, 4011 the server does not take the token.
  [[nodiscard]] static Expected<std::unique_ptr<Client>> connect(ClientOptions options);
  virtual ~Client() = default;
  [[nodiscard]] virtual const ServerInfo& server() const = 0;

  // Pipelined append: returns as soon as the batch is sent; results come in order from
  // collect(). At most `kAppendsInFlightMax` uncollected (then send_append waits for room on the
  // socket, reading acks meanwhile).
  [[nodiscard]] virtual Status send_append(std::string_view topic, ClientBatch batch) = 0;
  // The oldest uncollected result; waits for it. nullopt when nothing is in flight.
  [[nodiscard]] virtual std::optional<Expected<AppendResult>> collect(bool wait) = 0;
  [[nodiscard]] virtual std::size_t in_flight() const = 0;
  [[nodiscard]] Expected<AppendResult> append(std::string_view topic, ClientBatch batch);

  struct Producer {
    std::uint32_t epoch = 0;
    std::uint64_t next_sequence = 0;
  };
  // Where a named producer of a topic stands (zero for a new one).
  [[nodiscard]] virtual Expected<Producer> producer(std::string_view topic, ProducerId id) = 0;

  // Up to about `max_bytes` of events of a topic (one answer). `each` may stop early by false.
  [[nodiscard]] virtual Expected<ReadResult> read(std::string_view topic, ReadFrom from, std::uint64_t max_events,
                                                  std::chrono::milliseconds wait,
                                                  const std::function<bool(const ClientEvent&)>& each) = 0;

  // A named subscriber's stored position: of which topic, and the offset that it reads next.
  struct Position {
    std::string topic;
    Offset offset;
  };
  // nullopt: there is none.
  [[nodiscard]] virtual Expected<std::optional<Position>> position(std::string_view subscriber) = 0;
  // Stores it durably; nullopt forgets it. kExists 1021 if the name reads another topic.
  [[nodiscard]] virtual Status set_position(std::string_view subscriber, const std::optional<Position>& position) = 0;

  struct QueryOptions {
    std::optional<Offset> at_least;
    bool fresh = false;
    std::chrono::milliseconds timeout{10'000};
  };
  // Runs one statement; rows arrive in pieces. `rows` may stop early by false (sends CANCEL).
  [[nodiscard]] virtual Expected<QueryEnd> sql(std::string_view text, const QueryOptions& options,
                                               const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                               const std::function<bool(std::vector<Row>)>& rows) = 0;
  struct GetResult {
    std::vector<ClientColumn> columns;
    std::optional<Row> row;
    Offset applied;
  };
  [[nodiscard]] virtual Expected<GetResult> get(std::string_view view, const std::vector<Value>& key,
                                                const QueryOptions& options) = 0;
  struct Scan {
    std::string view;
    std::vector<Value> prefix, from, to;
    std::uint64_t limit = UINT64_MAX;
  };
  [[nodiscard]] virtual Expected<QueryEnd> scan(const Scan& scan, const QueryOptions& options,
                                                const std::function<bool(const std::vector<ClientColumn>&)>& columns,
                                                const std::function<bool(std::vector<Row>)>& rows) = 0;
  struct WatchStep {
    Offset applied;
    std::uint32_t version = 1;          // Of the view that serves.
    std::optional<std::uint8_t> reset;  // Why what the caller has is to be thrown away (docs/protocol.md).
  };
  struct Watch {
    std::string view;
    std::vector<Value> prefix;  // Of the key.
    bool snapshot = true;       // Begin with the rows that there are.
    bool reset_at_cutover = false;
    std::optional<WatchStep> resume;  // The last mark of an earlier watch.
  };
  // What a watch gives, in order; false ends it.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    [[nodiscard]] virtual bool columns(const std::vector<ClientColumn>& columns) = 0;
    // Before the changes of a step; not where there are none.
    [[nodiscard]] virtual bool step(const WatchStep& step) = 0;
    [[nodiscard]] virtual bool change(bool added, const Row& row) = 0;
    // Everything up to here was given.
    [[nodiscard]] virtual bool mark(const WatchStep& mark) = 0;
  };
  // Follows a view until the watcher, an error or interrupt() ends it. kTimeout 1015 when the server has been silent
  // for longer than its marks leave it.
  [[nodiscard]] virtual Status watch(const Watch& watch, Watcher& watcher) = 0;
  // The status document, JSON (docs/protocol.md lists its members).
  [[nodiscard]] virtual Expected<std::string> status() = 0;
  // From a signal handler's thread or another: makes the running call end with kClosed soon.
  virtual void interrupt() = 0;
};

inline constexpr std::size_t kAppendsInFlightMax = 64;

}  // namespace kappa
