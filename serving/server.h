// The server: frames in, answers out, over one log and one engine, on a TCP port and a Unix socket.
//
// One network thread runs every connection (Boost.Asio); statements and scans run on a small pool of
// query threads. Every connection has a bounded output, a bounded number of requests in flight and
// deadlines; a client that breaks a bound costs only itself. docs/protocol.md is normative.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "log/log.h"
#include "processor/engine.h"
#include "proto/error.h"

namespace kappa::serving {

// Query threads, with those that wait for a reader. A view's state has at most 126 snapshots at a time.
inline constexpr unsigned kQueryThreadsMax = 32;

// The least that frames may be bounded to: the largest event fits with room to spare.
inline constexpr std::size_t kFrameBytesMaxMin = std::size_t{2} << 20;

struct ServerOptions {
  // HOST:PORT; port 0 picks one. What others can reach needs TLS and tokens.
  std::string listen = "127.0.0.1:7171";
  // A socket in the file system, for the user that the server runs as and root; empty: none. They need no token: who may
  // connect could read the data as well.
  std::filesystem::path socket{};
  std::filesystem::path tls_certificate{}, tls_key{};  // PEM; empty: the port speaks plain bytes.
  std::filesystem::path tokens{};                      // Empty: whoever connects may do everything.
  std::size_t connections_max = 10'000;
  std::size_t connections_per_address_max = 4'096;
  std::size_t frame_bytes_max = limits::kFrameBytesMax;  // Of what clients send; at least kFrameBytesMaxMin.
  std::size_t requests_in_flight_max = 1'024;           // Per connection.
  // What all connections together hold of frames that are not whole yet, appends that wait for the log, and answers that
  // are not sent: above it who sends gets K4014 and who does not read is closed. Beside it 20 KiB a connection.
  std::size_t connection_memory_max = std::size_t{256} << 20;
  std::size_t output_bytes_max = std::size_t{16} << 20; // Per connection; above it reading stops.
  std::chrono::milliseconds handshake_timeout{10'000};  // To a complete HELLO.
  std::chrono::milliseconds frame_timeout{30'000};      // From a frame's first byte to its last.
  std::chrono::milliseconds idle_timeout{900'000};      // Without a request; 0: never closed for that.
  std::chrono::milliseconds query_timeout{600'000};     // Of a statement or scan, after what it waits for; 0: none.
  unsigned query_threads = 1;  // Statements that run at a time; those that wait for their reader do not count.
  std::string version = "0.1.0";              // As HELLO_OK and STATUS tell it.
  // The log failed for good (a sync failed): pending acks are unknown, the process should end. Runs at
  // most once, on the network thread; must not block or call the server.
  std::function<void(const Error&)> on_fatal;
};

class Server {
 public:
  // Binds and starts the threads. kInvalid 4001 address, kIo 4002 (in use), kUnsupported 4003 (not loopback, without TLS
  // or tokens), kInvalid 4017 (TLS files), 4018 (tokens), kIo 4009 (no descriptors or threads are left).
  [[nodiscard]] static Expected<std::unique_ptr<Server>> start(ServerOptions options, log::Log& log,
                                                               processor::Engine& engine);
  // As drain(0).
  virtual ~Server() = default;
  // "127.0.0.1:7171", with the real port.
  [[nodiscard]] virtual std::string address() const = 0;
  // Stops accepting, finishes what is in flight within `deadline`, closes. Idempotent.
  virtual void drain(std::chrono::milliseconds deadline) = 0;
};

}  // namespace kappa::serving
