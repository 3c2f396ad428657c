#include "tools/client/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace kappa {

namespace {

// OpenSSL's own socket BIO writes with write(), which ends a process whose peer is gone; a library must not.
int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto* descriptor = static_cast<const int*>(::BIO_get_data(bio));
  const ssize_t sent = ::send(*descriptor, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto* descriptor = static_cast<const int*>(::BIO_get_data(bio));
  const ssize_t got = ::recv(*descriptor, data, static_cast<std::size_t>(size), 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_read(bio);
  if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(got);
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kappa socket");
    ::BIO_meth_set_write(made, bio_write);
    ::BIO_meth_set_read(made, bio_read);
    ::BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

std::string reason() {
  const char* text = ::ERR_reason_error_string(::ERR_peek_last_error());
  return text == nullptr ? "TLS failed" : text;
}

std::unexpected<Error> refused(std::string why) {
  ::ERR_clear_error();
  return fail(ErrorCode::kInvalid, 1018, std::move(why),
              "--tls-ca names the PEM file with the certificate, or its authority, that is trusted");
}

bool is_ip(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

TlsStream::~TlsStream() {
  ::SSL_free(ssl_);
  ::SSL_CTX_free(context_);
}

Expected<std::unique_ptr<TlsStream>> TlsStream::begin(int descriptor, const std::string& host,
                                                      const std::string& authorities) {
  ::ERR_clear_error();
  std::unique_ptr<TlsStream> stream(new TlsStream(descriptor));
  stream->context_ = ::SSL_CTX_new(::TLS_client_method());
  if (stream->context_ == nullptr || ::SSL_CTX_set_min_proto_version(stream->context_, TLS1_2_VERSION) != 1)
    return refused("TLS: " + reason());
  ::SSL_CTX_set_verify(stream->context_, SSL_VERIFY_PEER, nullptr);
  const int loaded = authorities.empty() ? ::SSL_CTX_set_default_verify_paths(stream->context_)
                                         : ::SSL_CTX_load_verify_file(stream->context_, authorities.c_str());
  if (loaded != 1) return refused("cannot use the certificates in " + authorities + ": " + reason());
  ::SSL_CTX_set_mode(stream->context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                           SSL_MODE_AUTO_RETRY);
  stream->ssl_ = ::SSL_new(stream->context_);
  BIO* const bio = stream->ssl_ == nullptr ? nullptr : ::BIO_new(socket_method());
  if (bio == nullptr) return refused("TLS: " + reason());
  ::BIO_set_data(bio, &stream->descriptor_);
  ::BIO_set_init(bio, 1);
  ::SSL_set_bio(stream->ssl_, bio, bio);
  ::SSL_set_connect_state(stream->ssl_);
  X509_VERIFY_PARAM* const wanted = ::SSL_get0_param(stream->ssl_);
  const bool named = is_ip(host) ? ::X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1
                                 : ::X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size()) == 1 &&
                                       SSL_set_tlsext_host_name(stream->ssl_, host.c_str()) == 1;
  if (!named) return refused("no certificate can be good for \"" + host + "\"");
  return stream;
}

Expected<TlsStream::Step> TlsStream::failed(int result) {
  const int send_errno = errno;
  switch (::SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: return Step{POLLIN, 0, false};
    case SSL_ERROR_WANT_WRITE: return Step{POLLOUT, 0, false};
    case SSL_ERROR_ZERO_RETURN: return Step{0, 0, true};
    case SSL_ERROR_SYSCALL: {
      if (send_errno == 0) return Step{0, 0, true};
      auto error = fail_errno(1014, "the connection broke", send_errno);
      error.error().code = ErrorCode::kClosed;
      return error;
    }
    default: break;
  }
  if (const long verified = ::SSL_get_verify_result(ssl_); verified != X509_V_OK)
    return refused(std::string("the server's certificate is not good: ") + ::X509_verify_cert_error_string(verified));
  return refused("TLS: " + reason());
}

Expected<TlsStream::Step> TlsStream::handshake() {
  ::ERR_clear_error();
  errno = 0;
  const int result = ::SSL_do_handshake(ssl_);
  if (result == 1) return Step{};
  auto step = failed(result);
  if (step && step->ended)
    return fail(ErrorCode::kClosed, 1014, "the server ended the connection instead of speaking TLS", "is it a TLS port?");
  return step;
}

Expected<TlsStream::Step> TlsStream::read(std::span<std::byte> room) {
  ::ERR_clear_error();
  errno = 0;
  const int got = ::SSL_read(ssl_, room.data(), static_cast<int>(std::min<std::size_t>(room.size(), INT_MAX)));
  if (got > 0) return Step{0, static_cast<std::size_t>(got), false};
  return failed(got);
}

Expected<TlsStream::Step> TlsStream::write(std::string_view bytes) {
  ::ERR_clear_error();
  errno = 0;
  const int sent = ::SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX)));
  if (sent > 0) return Step{0, static_cast<std::size_t>(sent), false};
  return failed(sent);
}

}  // namespace kappa
