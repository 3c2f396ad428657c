#include "serving/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace kappa::serving {

namespace {

// IPv4 addresses get a number no /64 in use has.
constexpr std::uint64_t kVersion4 = std::uint64_t{0xffff} << 32;

std::uint64_t version4_key(const void* address) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, address, sizeof bits);
  return kVersion4 | ntohl(bits);
}

}  // namespace

Peer peer_of(const boost::asio::generic::stream_protocol::endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = "";
  if (endpoint.data()->sa_family == AF_INET && endpoint.size() >= sizeof(sockaddr_in)) {
    sockaddr_in address{};
    std::memcpy(&address, endpoint.data(), sizeof address);
    ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
    return {text + (":" + std::to_string(ntohs(address.sin_port))), version4_key(&address.sin_addr)};
  }
  if (endpoint.data()->sa_family == AF_INET6 && endpoint.size() >= sizeof(sockaddr_in6)) {
    sockaddr_in6 address{};
    std::memcpy(&address, endpoint.data(), sizeof address);
    ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
    Peer peer{"[" + std::string(text) + "]:" + std::to_string(ntohs(address.sin6_port)), 0};
    if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
      peer.address = version4_key(address.sin6_addr.s6_addr + 12);
    } else {
      for (int i = 0; i < 8; ++i) peer.address = peer.address << 8 | address.sin6_addr.s6_addr[i];
      peer.address = std::max<std::uint64_t>(peer.address, 1);  // ::1
    }
    return peer;
  }
  return {"unix", 0};
}

double Bucket::left(Time now) const { return std::min(most_, left_ + (now - at_) / interval_); }

bool Bucket::take(Time now) {
  left_ = left(now);
  at_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

std::size_t Peers::connections(const Peer& peer) const {
  const auto found = addresses_.find(peer.address);
  return peer.address == 0 || found == addresses_.end() ? 0 : found->second.connections;
}

void Peers::came(const Peer& peer, Time now) {
  if (peer.address == 0) return;
  if (addresses_.size() >= kAddressesMax) forget(now);
  ++addresses_[peer.address].connections;
}

void Peers::left(const Peer& peer, Time now) {
  const auto found = addresses_.find(peer.address);
  if (peer.address == 0 || found == addresses_.end()) return;
  Address& address = found->second;
  if (--address.connections == 0 && address.logins.full(now)) addresses_.erase(found);
}

bool Peers::locked_out(const Peer& peer, Time now) const {
  const auto found = addresses_.find(peer.address);
  return peer.address != 0 && found != addresses_.end() && found->second.logins.left(now) < 1;
}

bool Peers::login_failed(const Peer& peer, Time now) {
  if (peer.address == 0) return true;
  Address& address = addresses_[peer.address];  // Of a connection that is still there.
  const bool first = address.logins.full(now);
  static_cast<void>(address.logins.take(now));
  return first;
}

bool Peers::may_log(Time now, std::uint64_t& suppressed) {
  suppressed = suppressed_;
  if (!lines_.take(now)) {
    ++suppressed_;
    return false;
  }
  suppressed_ = 0;
  return true;
}

// Failures of so many addresses at once are nobody's mistyping: what is remembered of those who left goes, oldest or not.
void Peers::forget(Time now) {
  erase_if(addresses_, [now](const auto& entry) { return entry.second.connections == 0 && entry.second.logins.full(now); });
  if (addresses_.size() < kAddressesMax) return;
  erase_if(addresses_, [](const auto& entry) { return entry.second.connections == 0; });
}

}  // namespace kappa::serving
