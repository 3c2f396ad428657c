// Where clients come in: the port, the Unix socket, and who is turned away at the door.
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <charconv>

#include "serving/core.h"

namespace kappa::serving {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kAcceptBackoff{100};
constexpr int kBacklog = 4'096;
// Connections leave so many descriptors to the log and the views, which need some for every new file.
constexpr rlim_t kDescriptorReserve = 64;

// HOST:PORT with a numeric host, or "localhost".
Expected<asio::ip::tcp::endpoint> listen_endpoint(const ServerOptions& options) {
  const std::string& listen = options.listen;
  const std::size_t colon = listen.rfind(':');
  std::uint16_t port = 0;
  const char* end = listen.data() + listen.size();
  const char* digits = colon == std::string::npos ? end : listen.data() + colon + 1;
  const auto parsed = std::from_chars(digits, end, port);
  std::string host = listen.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error || digits == end || parsed.ec != std::errc{} || parsed.ptr != end) {
    return fail(ErrorCode::kInvalid, 4001, "cannot listen on \"" + listen + "\": not ADDRESS:PORT",
                "for example 127.0.0.1:7171");
  }
  const bool tls = !options.tls_certificate.empty();
  if (!address.is_loopback() && (!tls || options.tokens.empty())) {
    return fail(ErrorCode::kUnsupported, 4003,
                "refusing to listen on " + listen + ", which others can reach, without " +
                    (tls ? "tokens" : options.tokens.empty() ? "TLS and tokens" : "TLS"),
                "give --tls-cert, --tls-key and --tokens (docs/security.md), or listen on 127.0.0.1");
  }
  return asio::ip::tcp::endpoint(address, port);
}

// Whether somebody answers on a Unix socket.
bool answers(const std::string& path) {
  asio::io_context io;
  asio::local::stream_protocol::socket socket(io);
  boost::system::error_code error;
  socket.connect(asio::local::stream_protocol::endpoint(path), error);
  return !error;
}

}  // namespace

Status Core::listen() {
  if (options_.tls_certificate.empty() != options_.tls_key.empty())
    return fail(ErrorCode::kInvalid, 4017, "a TLS certificate needs its key, and a key its certificate",
                "give both --tls-cert and --tls-key");
  // The address first: what is wrong with it is told before what is wrong with the files.
  KAPPA_CHECK_OK(listen_endpoint(options_));
  if (!options_.tls_certificate.empty()) {
    KAPPA_TRY(tls_, server_tls(options_.tls_certificate, options_.tls_key));
  }
  if (!options_.tokens.empty()) {
    KAPPA_TRY(tokens_, TokenStore::open(options_.tokens));
  }
  KAPPA_CHECK_OK(listen_tcp());
  if (!options_.socket.empty()) KAPPA_CHECK_OK(listen_unix());
  if (tokens_) watch_tokens();
  close_idle();
  return {};
}

Status Core::begin_listening(Listener& listener, const asio::generic::stream_protocol::endpoint& endpoint,
                             const std::string& where) {
  boost::system::error_code error;
  Acceptor& acceptor = listener.acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error && !listener.unix_socket) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  // Before anybody can connect: the file is the lock of this door.
  if (!error && listener.unix_socket && ::chmod(where.c_str(), S_IRUSR | S_IWUSR) != 0)
    error.assign(errno, boost::system::system_category());
  if (!error) acceptor.listen(kBacklog, error);
  if (!error) acceptor.non_blocking(true, error);
  if (error) {
    auto failure = fail_errno(4002, "cannot listen on " + where, error.value());
    failure.error().hint = listener.unix_socket ? "is another server running? --socket names another file, or none"
                                                : "is another server running? --listen HOST:0 picks a free port";
    return failure;
  }
  accept(listener);
  return {};
}

Status Core::listen_tcp() {
  KAPPA_TRY(const asio::ip::tcp::endpoint wanted, listen_endpoint(options_));
  KAPPA_CHECK_OK(begin_listening(tcp_, wanted, options_.listen));
  boost::system::error_code ignored;
  const auto bound = tcp_.acceptor.local_endpoint(ignored);
  address_ = peer_of(bound).name;
  return {};
}

Status Core::listen_unix() {
  const std::string path = options_.socket.string();
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorCode::kInvalid, 4001, "the path of the Unix socket is longer than the system allows: " + path,
                "--socket names a shorter one, or none");
  }
  // What a server left that did not end by itself.
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode))
      return fail(ErrorCode::kInvalid, 4002, "there is a file that is no socket at " + path, "--socket names another");
    if (answers(path)) return fail(ErrorCode::kInvalid, 4002, "another server listens on " + path);
    ::unlink(path.c_str());
  }
  unix_.unix_socket = true;
  return begin_listening(unix_, asio::local::stream_protocol::endpoint(path), path);
}

void Core::stop_listening() {
  boost::system::error_code ignored;
  for (Listener* listener : {&tcp_, &unix_}) {
    if (listener == &unix_ && unix_.acceptor.is_open()) ::unlink(options_.socket.c_str());
    listener->acceptor.close(ignored);
    listener->again.cancel();
  }
}

void Core::accept(Listener& listener) {
  listener.acceptor.async_accept([this, &listener](boost::system::error_code error, Transport::Socket socket) {
    accepted(listener, error, std::move(socket));
  });
}

std::optional<Error> Core::turned_away(const Listener& listener, const Peer& peer, Transport::Socket& socket) {
  if (listener.unix_socket) {
    ucred who{};
    socklen_t size = sizeof who;
    const bool known = ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0;
    if (!known || (who.uid != ::geteuid() && who.uid != 0))
      return Error{ErrorCode::kInvalid, 4011, "the Unix socket is for the user that the server runs as", {}, 0, {}};
  }
  if (peers_.locked_out(peer, Clock::now())) {
    return Error{ErrorCode::kBusy, 4012, "too many logins from this address have failed",
                 "retry after " + std::to_string(Peers::kLoginInterval.count()) + " ms", 0, {}};
  }
  if (descriptors_scarce(socket.native_handle()) || connections_.size() >= options_.connections_max)
    return Error{ErrorCode::kBusy, 4004, "too many connections", "retry after 1000 ms", 0, {}};
  if (peers_.connections(peer) >= options_.connections_per_address_max)
    return Error{ErrorCode::kBusy, 4015, "too many connections from this address", "retry after 1000 ms", 0, {}};
  return std::nullopt;
}

void Core::accepted(Listener& listener, boost::system::error_code error, Transport::Socket socket) {
  if (draining_ || error == asio::error::operation_aborted) return;
  if (!error) {
    boost::system::error_code gone;
    const Peer peer = peer_of(socket.remote_endpoint(gone));
    const bool tls = tls_ && !listener.unix_socket;
    if (gone) return accept(listener);
    if (const auto why = turned_away(listener, peer, socket)) {
      ++refused_total_;
      if (!tls) {  // Else the words would cost a handshake.
        std::string frame;
        encode(*why, 0, frame);
        boost::system::error_code ignored;
        socket.non_blocking(true, ignored);
        socket.send(asio::buffer(frame), MSG_NOSIGNAL, ignored);
      }
    } else {
      scarce_said_ = false;
      ++connections_total_;
      const std::uint64_t id = next_connection_++;
      peers_.came(peer, Clock::now());
      auto connection =
          std::make_shared<Connection>(*this, Transport(std::move(socket), tls ? tls_.get() : nullptr), peer, id);
      connections_.emplace(id, connection);
      connection->start();
    }
    return accept(listener);
  }
  // Out of descriptors (or memory for them): the client at the head of the queue would wait for ever
  // and wake us for ever; refuse it with the spare descriptor, then let time pass.
  if (error == asio::error::no_descriptors || error.value() == ENFILE || error == asio::error::no_buffer_space ||
      error == asio::error::no_memory) {
    log_line("cannot accept a connection: " + error.message());
    refuse_one(listener);
    listener.again.expires_after(kAcceptBackoff);
    listener.again.async_wait([this, &listener](boost::system::error_code cancelled) {
      if (!cancelled && !draining_) accept(listener);
    });
    return;
  }
  accept(listener);  // The client went away before it was accepted.
}

// The system gives the lowest free number: all below `newest` are taken.
bool Core::descriptors_scarce(int newest) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  const rlim_t reserve = std::min(kDescriptorReserve, limit.rlim_cur / 2);
  if (static_cast<rlim_t>(newest) < limit.rlim_cur - reserve) return false;
  if (!std::exchange(scarce_said_, true))
    spdlog::warn("no more connections: of the {} files this process may have open, {} are kept for the data",
                 limit.rlim_cur, reserve);
  return true;
}

void Core::refuse_one(Listener& listener) {
  ++refused_total_;
  if (spare_fd_ >= 0) ::close(spare_fd_);
  const int client = ::accept4(listener.acceptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
  if (client >= 0) ::close(client);
  spare_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace kappa::serving
