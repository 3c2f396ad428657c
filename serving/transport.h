// One accepted stream: TCP or Unix, plain or TLS, with the few operations that a Connection needs.
//
// TLS runs on the same non-blocking descriptor: the handshake is part of the first reads, and what OpenSSL cannot do yet
// waits for the socket through Asio. Asio's own ssl::stream is not used because its synchronous writes lose bytes on a
// non-blocking socket. Network thread only; a handler must keep the Transport alive. The thread must have SIGPIPE
// blocked: OpenSSL writes with write().
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace kappa::serving {

class Transport {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using ErrorCode = boost::system::error_code;
  using Buffers = std::array<boost::asio::mutable_buffer, 2>;

  // `tls`: null for plain bytes.
  Transport(Socket socket, SSL_CTX* tls);

  // Non-blocking, and no delay where that means something.
  [[nodiscard]] ErrorCode prepare();
  [[nodiscard]] bool is_tls() const { return tls_ != nullptr; }
  // Why TLS ended, in OpenSSL's words and none of the peer's; null if it did not.
  [[nodiscard]] const char* tls_failure() const { return tls_failure_; }

  // handler(error, bytes) once bytes have come, into the first buffer and then the second.
  template <class Handler>
  void async_read(const Buffers& buffers, Handler handler) {
    if (!tls_) return socket_.async_read_some(buffers, std::move(handler));
    const Step step = read_tls(buffers);
    if (step.what == Want::kNothing)
      return boost::asio::post(socket_.get_executor(), [step, handler = std::move(handler)]() mutable {
        handler(step.error, step.bytes);
      });
    socket_.async_wait(step.what == Want::kRead ? Socket::wait_read : Socket::wait_write,
                       [this, buffers, handler = std::move(handler)](ErrorCode error) mutable {
                         if (error) return handler(error, std::size_t{0});
                         async_read(buffers, std::move(handler));
                       });
  }

  // Writes what fits now; would_block when nothing does, then async_wait_writable() and the same bytes again (others may
  // follow them).
  [[nodiscard]] std::size_t write_some(std::string_view bytes, ErrorCode& error);
  template <class Handler>
  void async_wait_writable(Handler handler) {
    socket_.async_wait(write_wants_read_ ? Socket::wait_read : Socket::wait_write, std::move(handler));
  }

  // Nothing more is sent.
  void shutdown_send();
  void close();

 private:
  enum class Want { kNothing, kRead, kWrite };
  struct Step {
    Want what = Want::kNothing;
    ErrorCode error;
    std::size_t bytes = 0;
  };
  struct SslDeleter {
    void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  };
  [[nodiscard]] Step read_tls(const Buffers& buffers);
  // After `result` of an SSL call that did not succeed.
  [[nodiscard]] Step failed(int result);

  Socket socket_;
  std::unique_ptr<SSL, SslDeleter> tls_;
  const char* tls_failure_ = nullptr;
  bool write_wants_read_ = false;
};

}  // namespace kappa::serving
