#include "serving/tls.h"

#include <openssl/err.h>
#include <sys/stat.h>

#include <boost/asio/ssl/context.hpp>

namespace kappa::serving {

namespace {

// For 1.2; every suite of 1.3 is good.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

std::unexpected<Error> bad(const std::string& what, const std::filesystem::path& path, const boost::system::error_code& error) {
  ::ERR_clear_error();
  return fail(ErrorCode::kInvalid, 4017, what + " " + path.string() + ": " + error.message(),
              "--tls-cert and --tls-key name PEM files; the chain begins with the server's own certificate");
}

}  // namespace

Expected<SslContext> server_tls(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  namespace ssl = boost::asio::ssl;
  struct stat info {};
  if (::stat(key.c_str(), &info) == 0 && (info.st_mode & S_IRWXO) != 0) {
    return fail(ErrorCode::kInvalid, 4017, "everybody may use the TLS key " + key.string(), "chmod 600 " + key.string());
  }
  ssl::context context(ssl::context::tls_server);
  boost::system::error_code error;
  // Nobody is there to be asked.
  context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  context.use_certificate_chain_file(certificate.string(), error);
  if (error) return bad("cannot use the TLS certificate", certificate, error);
  context.use_private_key_file(key.string(), ssl::context::pem, error);
  if (error) return bad("cannot use the TLS key", key, error);
  SSL_CTX* const native = context.native_handle();
  if (::SSL_CTX_check_private_key(native) != 1 || ::SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1 ||
      ::SSL_CTX_set_cipher_list(native, kCiphers) != 1) {
    ::ERR_clear_error();
    return fail(ErrorCode::kInvalid, 4017, "the TLS key " + key.string() + " is not that of the certificate");
  }
  // Frames say how long they are: a stream that is cut off is noticed without TLS's goodbye.
  ::SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
  ::SSL_CTX_set_num_tickets(native, 0);
  ::SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  // An idle connection holds no buffers; output moves between tries (see Connection::wait_writable).
  ::SSL_CTX_set_mode(native,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_CTX_up_ref(native);  // Asio's object ends here.
  return SslContext(native);
}

}  // namespace kappa::serving
