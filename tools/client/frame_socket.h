// One connection of the client, over TCP, TLS or a Unix socket: frames out, frames in, with deadlines and an interrupt.
//
// Non-blocking socket and poll(); while a send waits for room it reads what arrives, so two peers that
// both send can never block each other. One thread, except interrupt(). After any error the socket
// is closed and connected() is false.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/error.h"
#include "proto/frame.h"
#include "proto/receive_buffer.h"
#include "tools/client/tls_stream.h"

namespace kappa {

using Deadline = std::chrono::steady_clock::time_point;

class FrameSocket {
 public:
  FrameSocket();
  ~FrameSocket();
  FrameSocket(const FrameSocket&) = delete;
  FrameSocket& operator=(const FrameSocket&) = delete;

  struct Where {
    std::string address;      // HOST:PORT; or the path of a Unix socket, which has a slash in it.
    bool tls = false;         // Not on a Unix socket.
    std::string authorities;  // Of TLS; see TlsStream.
  };
  // kInvalid 1001 for an address that cannot be read, kIo 1001 when nobody answers there, kInvalid 1018 for TLS.
  [[nodiscard]] Status connect(const Where& where, Deadline deadline);
  // Nobody on the way can read along: TLS, a Unix socket, or this machine.
  [[nodiscard]] bool is_private() const;
  [[nodiscard]] bool connected() const { return fd_ >= 0; }
  void close();

  // Sends the pieces in order. kClosed 1014, kTimeout 1015.
  [[nodiscard]] Status send(std::string_view head, std::string_view tail, Deadline deadline);

  struct Frame {
    FrameHeader header;
    Bytes payload;  // Until the next call of any method.
  };
  // The next frame; nullopt when `wait` is false and none is complete. kClosed 1014, kTimeout 1015,
  // kCorrupt 1004, kInvalid 1003.
  [[nodiscard]] Expected<std::optional<Frame>> receive(Deadline deadline, bool wait);

  // From any thread or a signal handler: the running or next wait fails with kClosed 1016.
  void interrupt();

 private:
  [[nodiscard]] Status wait_for(short events, Deadline deadline);
  [[nodiscard]] Expected<bool> read_some();  // False: nothing there now.
  // Bytes sent; 0: the socket must be ready for `wants` first.
  [[nodiscard]] Expected<std::size_t> send_some(std::string_view head, std::string_view tail, short& wants);
  [[nodiscard]] Status connect_unix(const std::string& path);
  [[nodiscard]] Status connect_tcp(const std::string& address, const std::string& host, Deadline deadline);
  [[nodiscard]] Status begin_tls(const Where& where, const std::string& host, Deadline deadline);
  [[nodiscard]] std::unexpected<Error> broken(std::unexpected<Error> error);

  int fd_ = -1;
  int interrupt_fd_ = -1;
  std::unique_ptr<TlsStream> tls_;
  ReceiveBuffer in_;
  std::size_t consume_next_ = 0;  // Of the frame given last.
};

}  // namespace kappa
