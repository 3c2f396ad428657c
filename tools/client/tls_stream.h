// The client's side of TLS on a connected, non-blocking socket: the server's certificate must be good for its name.
//
// One thread. Nothing here waits: each call does what it can and says what the socket has to be ready for.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "proto/error.h"

namespace kappa {

class TlsStream {
 public:
  // `host`: what the certificate must name, an IP address or a DNS name. `authorities`: a PEM file with the certificates
  // that are trusted; empty: those of the system. kInvalid 1018. `descriptor` stays the caller's.
  [[nodiscard]] static Expected<std::unique_ptr<TlsStream>> begin(int descriptor, const std::string& host,
                                                                  const std::string& authorities);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // What the socket must be ready for before the same call again (0: nothing, it is done), as of poll(); and how many
  // bytes. `ended`: the peer ended the stream. kInvalid 1018: the certificate, or the handshake; kClosed 1014.
  struct Step {
    short wants = 0;
    std::size_t bytes = 0;
    bool ended = false;
  };
  [[nodiscard]] Expected<Step> handshake();
  [[nodiscard]] Expected<Step> read(std::span<std::byte> room);
  [[nodiscard]] Expected<Step> write(std::string_view bytes);

 private:
  explicit TlsStream(int descriptor) : descriptor_(descriptor) {}
  [[nodiscard]] Expected<Step> failed(int result);

  int descriptor_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
};

}  // namespace kappa
