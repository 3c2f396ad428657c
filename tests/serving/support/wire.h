// A raw connection for tests: sends any bytes, reads whole frames, sees the end. Blocking, with a
// generous limit so that a server that hangs fails the test instead of the build.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proto/messages.h"

namespace kappa::testing {

struct WireFrame {
  FrameHeader header;
  std::string payload;
  [[nodiscard]] Error error() const {
    EXPECT_EQ(header.type, FrameType::kError);
    return decode_error(as_bytes(payload));
  }
};

class Wire {
 public:
  explicit Wire(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  ~Wire() { close(); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // Close with a reset instead of an orderly end.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  [[nodiscard]] int fd() const { return fd_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // The server closed; the test sees it when it reads.
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Says HELLO and takes the answer.
  void greet(std::uint32_t features = kFeatureZstd | kFeatureBodyHash) {
    std::string hello;
    encode(HelloMessage{1, 1, features, "test"}, 1, hello);
    send(hello);
    const auto answer = frame();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->header.type, FrameType::kHelloOk);
  }
  // The next frame; nullopt at the end of the stream.
  [[nodiscard]] std::optional<WireFrame> frame() {
    while (in_.size() < 4 || in_.size() < needed()) {
      if (!fill()) return std::nullopt;
    }
    const std::size_t bytes = needed();
    WireFrame result{parse_frame_header(as_bytes(in_)), in_.substr(kFrameHeaderBytes, bytes - kFrameHeaderBytes)};
    EXPECT_TRUE(check_frame(result.header, as_bytes(in_), as_bytes(result.payload)));
    in_.erase(0, bytes);
    return result;
  }
  // Of a server that speaks TLS: true while it still says something.
  [[nodiscard]] bool frame_or_alert() {
    const bool more = fill();
    in_.clear();
    return more;
  }
  // True if the server ends the connection without another byte (an orderly end or a reset).
  [[nodiscard]] bool ended() {
    while (fill()) {
    }
    return in_.empty();
  }

 private:
  static constexpr int kPatienceMs = 60'000;

  [[nodiscard]] std::size_t needed() const {
    std::uint32_t length = 0;
    std::memcpy(&length, in_.data(), sizeof length);
    return length + sizeof length;
  }
  bool fill() {
    pollfd watched{fd_, POLLIN, 0};
    if (::poll(&watched, 1, kPatienceMs) <= 0) {
      ADD_FAILURE() << "the server says nothing";
      return false;
    }
    char bytes[65'536];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    in_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int fd_ = -1;
  std::string in_;
};

// A body of `count` events with the given value.
inline std::string body_of(std::string_view value, std::uint32_t count = 1) {
  BatchBuilder builder;
  for (std::uint32_t i = 0; i < count; ++i) EXPECT_TRUE(builder.add({value, {}, {}, {}}));
  return builder.take();
}

inline std::string append_frame(std::uint64_t id, std::string_view topic, std::string_view body,
                                std::uint32_t count = 1) {
  AppendMessage message;
  message.topic = topic;
  message.count = count;
  message.uncompressed_length = static_cast<std::uint32_t>(body.size());
  message.body_hash = hash_body(as_bytes(body));
  message.body = body;
  std::string frame;
  encode_append(message, id, frame);
  frame += body;
  return frame;
}

inline std::string ping_frame(std::uint64_t id) {
  std::string frame;
  encode_empty(FrameType::kPing, id, frame);
  return frame;
}

inline std::string sql_frame(std::uint64_t id, std::string_view text) {
  std::string frame;
  encode(SqlMessage{{}, text}, id, frame);
  return frame;
}

}  // namespace kappa::testing
