// One TCP connection of the client: frames out, frames in, with deadlines and an interrupt.
//
// Non-blocking socket and poll(); while a send waits for room it reads what arrives, so two peers that
// both send can never block each other. One thread, except interrupt(). After any error the socket
// is closed and connected() is false.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/error.h"
#include "proto/frame.h"
#include "proto/receive_buffer.h"

namespace kappa {

using Deadline = std::chrono::steady_clock::time_point;

class FrameSocket {
 public:
  FrameSocket();
  ~FrameSocket();
  FrameSocket(const FrameSocket&) = delete;
  FrameSocket& operator=(const FrameSocket&) = delete;

  // HOST:PORT. kInvalid 1001 for an address that cannot be read, kIo 1001 when nobody answers there.
  [[nodiscard]] Status connect(const std::string& address, Deadline deadline);
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
  [[nodiscard]] std::unexpected<Error> broken(std::unexpected<Error> error);

  int fd_ = -1;
  int interrupt_fd_ = -1;
  ReceiveBuffer in_;
  std::size_t consume_next_ = 0;  // Of the frame given last.
};

}  // namespace kappa
