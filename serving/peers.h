// What is known of those who connect: connections of each address, logins that failed, and what is still said in the log.
//
// Bounded, whatever comes: an address is kept while it has connections or a failure to remember; above kAddressesMax
// those without connections are forgotten. IPv6 is counted by /64, which one customer has whole. Network thread only.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <string>

namespace kappa::serving {

// The other end of a connection.
struct Peer {
  std::string name;           // "10.1.2.3:4567", "unix".
  std::uint64_t address = 0;  // What it is counted by; 0: a Unix socket, which is not.
};
[[nodiscard]] Peer peer_of(const boost::asio::generic::stream_protocol::endpoint& endpoint);

// So many at once, then one each `interval`.
class Bucket {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Bucket(double most, std::chrono::milliseconds interval) : most_(most), interval_(interval), left_(most) {}
  // False: none is left.
  [[nodiscard]] bool take(Time now);
  [[nodiscard]] double left(Time now) const;
  [[nodiscard]] bool full(Time now) const { return left(now) >= most_; }

 private:
  double most_;
  std::chrono::duration<double> interval_;
  double left_;
  Time at_{};
};

class Peers {
 public:
  using Time = Bucket::Time;
  static constexpr std::size_t kAddressesMax = 65'536;
  // Failed logins of an address: so many, then one each so often; meanwhile it is refused.
  static constexpr double kLoginFailures = 10;
  static constexpr std::chrono::milliseconds kLoginInterval{6'000};
  // Lines in the log about closed connections.
  static constexpr double kLines = 20;
  static constexpr std::chrono::milliseconds kLineInterval{1'000};

  // Connections of this address before this one.
  [[nodiscard]] std::size_t connections(const Peer& peer) const;
  void came(const Peer& peer, Time now);
  void left(const Peer& peer, Time now);

  // Failed logins used up: refuse it for now.
  [[nodiscard]] bool locked_out(const Peer& peer, Time now) const;
  // Counts one; true if it is to be logged (the first since the address had a clean slate).
  [[nodiscard]] bool login_failed(const Peer& peer, Time now);

  // Whether one more line may be logged; `suppressed`: how many were not since the last.
  [[nodiscard]] bool may_log(Time now, std::uint64_t& suppressed);

  [[nodiscard]] std::size_t addresses() const { return addresses_.size(); }

 private:
  struct Address {
    std::size_t connections = 0;
    Bucket logins{kLoginFailures, kLoginInterval};
  };
  void forget(Time now);

  boost::unordered_flat_map<std::uint64_t, Address> addresses_;
  Bucket lines_{kLines, kLineInterval};
  std::uint64_t suppressed_ = 0;
};

}  // namespace kappa::serving
