#include "serving/transport.h"

#include <openssl/err.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <climits>

namespace kappa::serving {

namespace asio = boost::asio;

Transport::Transport(Socket socket, SSL_CTX* tls) : socket_(std::move(socket)), tls_(tls == nullptr ? nullptr : ::SSL_new(tls)) {
  if (tls != nullptr && !tls_) close();  // No memory; the first operation fails.
  if (!tls_) return;
  ::SSL_set_fd(tls_.get(), socket_.native_handle());
  ::SSL_set_accept_state(tls_.get());
}

Transport::ErrorCode Transport::prepare() {
  ErrorCode error;
  socket_.non_blocking(true, error);
  if (error) return error;
  // A Unix socket has no such option.
  ErrorCode ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  return {};
}

Transport::Step Transport::failed(int result) {
  switch (::SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ: return {Want::kRead, {}, 0};
    case SSL_ERROR_WANT_WRITE: return {Want::kWrite, {}, 0};
    case SSL_ERROR_ZERO_RETURN: return {Want::kNothing, asio::error::eof, 0};
    case SSL_ERROR_SYSCALL:
      return {Want::kNothing, errno == 0 ? ErrorCode(asio::error::eof) : ErrorCode(errno, boost::system::system_category()), 0};
    default: break;
  }
  const char* reason = ::ERR_reason_error_string(::ERR_peek_last_error());
  tls_failure_ = reason == nullptr ? "TLS failed" : reason;
  return {Want::kNothing, asio::error::connection_aborted, 0};
}

Transport::Step Transport::read_tls(const Buffers& buffers) {
  std::size_t total = 0;
  for (const asio::mutable_buffer& buffer : buffers) {
    auto* at = static_cast<char*>(buffer.data());
    std::size_t room = buffer.size();
    while (room != 0) {
      ::ERR_clear_error();
      errno = 0;
      const int got = ::SSL_read(tls_.get(), at, static_cast<int>(std::min<std::size_t>(room, INT_MAX)));
      if (got <= 0) {
        // What came before is given first; the next call meets the end again.
        if (total != 0) return {Want::kNothing, {}, total};
        return failed(got);
      }
      at += got;
      room -= static_cast<std::size_t>(got);
      total += static_cast<std::size_t>(got);
    }
  }
  return {Want::kNothing, {}, total};
}

std::size_t Transport::write_some(std::string_view bytes, ErrorCode& error) {
  if (!tls_) return socket_.write_some(asio::buffer(bytes), error);
  ::ERR_clear_error();
  errno = 0;
  const int sent = ::SSL_write(tls_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX)));
  if (sent > 0) return static_cast<std::size_t>(sent);
  const Step step = failed(sent);
  write_wants_read_ = step.what == Want::kRead;
  error = step.what == Want::kNothing ? step.error : ErrorCode(asio::error::would_block);
  return 0;
}

void Transport::shutdown_send() {
  if (tls_ && tls_failure_ == nullptr && ::SSL_is_init_finished(tls_.get()) != 0) {
    ::ERR_clear_error();
    static_cast<void>(::SSL_shutdown(tls_.get()));  // Says goodbye if there is room for it.
  }
  ErrorCode ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Transport::close() {
  ErrorCode ignored;
  socket_.close(ignored);
}

}  // namespace kappa::serving
