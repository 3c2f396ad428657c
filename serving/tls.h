// The server's side of TLS: its certificate, its key, and what it accepts. docs/security.md says what and why.
#pragma once

#include <openssl/ssl.h>

#include <filesystem>
#include <memory>

#include "proto/error.h"

namespace kappa::serving {

struct SslContextDeleter {
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextDeleter>;

// TLS 1.2 and 1.3 with forward secrecy, no renegotiation, no compression, no session tickets. The certificate file holds
// the chain, the server's own first. kInvalid 4017: a file cannot be read, the key is not the certificate's, or others
// can read it.
[[nodiscard]] Expected<SslContext> server_tls(const std::filesystem::path& certificate, const std::filesystem::path& key);

}  // namespace kappa::serving
