#include "tools/client/frame_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace kappa {

namespace {

constexpr std::size_t kReceiveBytes = std::size_t{64} << 10;
// While a send waits, answers are buffered up to here; a server's answers to appends are tiny.
constexpr std::string_view kTlsAlert{"\x15\x03", 2};
constexpr std::size_t kBufferedWhileSendingMax = std::size_t{16} << 20;

struct AddressListDeleter {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  if (left.count() <= 0) return 0;
  return static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
}

}  // namespace

FrameSocket::FrameSocket() : interrupt_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

FrameSocket::~FrameSocket() {
  close();
  if (interrupt_fd_ >= 0) ::close(interrupt_fd_);
}

void FrameSocket::close() {
  tls_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  in_ = {};
  consume_next_ = 0;
}

std::unexpected<Error> FrameSocket::broken(std::unexpected<Error> error) {
  close();
  return error;
}

void FrameSocket::interrupt() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(interrupt_fd_, &one, sizeof one);
}

Status FrameSocket::wait_for(short events, Deadline deadline) {
  for (;;) {
    pollfd watched[2] = {{fd_, events, 0}, {interrupt_fd_, POLLIN, 0}};
    const int timeout = milliseconds_until(deadline);
    const int ready = ::poll(watched, 2, timeout);
    if (ready < 0 && errno != EINTR) return broken(fail_errno(1014, "poll", errno));
    if (ready > 0 && (watched[1].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t taken = ::read(interrupt_fd_, &count, sizeof count);
      return broken(fail(ErrorCode::kClosed, 1016, "interrupted"));
    }
    if (ready > 0 && watched[0].revents != 0) return {};
    if (std::chrono::steady_clock::now() >= deadline) {
      return broken(fail(ErrorCode::kTimeout, 1015, "the server did not answer in time",
                         "give a longer --timeout, or see `kappa status`"));
    }
  }
}

Status FrameSocket::connect(const Where& where, Deadline deadline) {
  close();
  const std::string& address = where.address;
  if (address.find('/') != std::string::npos) return connect_unix(address);
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return fail(ErrorCode::kInvalid, 1001, "address \"" + address + "\" is not HOST:PORT",
                "for example 127.0.0.1:7171, or the path of a Unix socket");
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  KAPPA_CHECK_OK(connect_tcp(address, host, deadline));
  return where.tls ? begin_tls(where, host, deadline) : Status();
}

bool FrameSocket::is_private() const {
  if (tls_) return true;
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return false;
  if (peer.ss_family == AF_UNIX) return true;
  if (peer.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(peer);
    return (ntohl(address.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& address = reinterpret_cast<const sockaddr_in6&>(peer);
  return peer.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address.sin6_addr);
}

Status FrameSocket::connect_unix(const std::string& path) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path)
    return fail(ErrorCode::kInvalid, 1001, "the path of the Unix socket is longer than the system allows: " + path);
  path.copy(to.sun_path, path.size());
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  // A Unix socket is connected at once or not at all.
  if (fd_ >= 0 && ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return {};
  auto error = fail_errno(1001, "cannot connect to " + path, errno);
  error.error().hint = "is the server running? `kappa serve` makes kappa.sock in its data directory";
  return broken(std::move(error));
}

Status FrameSocket::begin_tls(const Where& where, const std::string& host, Deadline deadline) {
  auto stream = TlsStream::begin(fd_, host, where.authorities);
  if (!stream) return broken(std::unexpected(std::move(stream).error()));
  tls_ = std::move(*stream);
  for (;;) {
    auto step = tls_->handshake();
    if (!step) return broken(std::unexpected(std::move(step).error()));
    if (step->wants == 0) return {};
    KAPPA_CHECK_OK(wait_for(step->wants, deadline));
  }
}

Status FrameSocket::connect_tcp(const std::string& address, const std::string& host, Deadline deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), address.c_str() + address.rfind(':') + 1, &hints, &found); code != 0) {
    return fail(ErrorCode::kIo, 1001, "cannot find \"" + address + "\": " + ::gai_strerror(code),
                "give --addr HOST:PORT");
  }
  const std::unique_ptr<addrinfo, AddressListDeleter> list(found);
  int last_errno = 0;
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    fd_ = ::socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
      last_errno = errno;
      continue;
    }
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (::connect(fd_, at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS) {
      last_errno = errno;
      close();
      continue;
    }
    KAPPA_CHECK_OK(wait_for(POLLOUT, deadline));
    socklen_t length = sizeof last_errno;
    if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &last_errno, &length) == 0 && last_errno == 0) return {};
    close();
  }
  auto error = fail_errno(1001, "cannot connect to " + address, last_errno);
  error.error().hint = "is the server running? `kappa serve` starts one; --addr names another";
  return error;
}

Expected<bool> FrameSocket::read_some() {
  const std::span<std::byte> room = in_.room(in_.size() + kReceiveBytes);
  if (tls_) {
    auto step = tls_->read(room);
    if (!step) return broken(std::unexpected(std::move(step).error()));
    if (step->ended) return broken(fail(ErrorCode::kClosed, 1014, "the server closed the connection"));
    in_.commit(step->bytes);
    return step->bytes != 0;
  }
  for (;;) {
    const ssize_t got = ::recv(fd_, room.data(), room.size(), 0);
    if (got > 0) {
      in_.commit(static_cast<std::size_t>(got));
      return true;
    }
    if (got == 0) return broken(fail(ErrorCode::kClosed, 1014, "the server closed the connection"));
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno == EINTR) continue;
    auto error = fail_errno(1014, "the connection broke", errno);
    error.error().code = ErrorCode::kClosed;
    return broken(std::move(error));
  }
}

Expected<std::size_t> FrameSocket::send_some(std::string_view head, std::string_view tail, short& wants) {
  wants = POLLOUT;
  if (tls_) {
    KAPPA_TRY(const TlsStream::Step step, tls_->write(head.empty() ? tail : head));
    if (step.ended) return fail_errno(1014, "the connection broke", EPIPE);
    if (step.bytes == 0) wants = step.wants;
    return step.bytes;
  }
  iovec pieces[2] = {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(tail.data()), tail.size()}};
  msghdr message{};
  message.msg_iov = head.empty() ? pieces + 1 : pieces;
  message.msg_iovlen = head.empty() || tail.empty() ? 1 : 2;
  for (;;) {
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::size_t{0};
    if (errno != EINTR) return fail_errno(1014, "the connection broke", errno);
  }
}

Status FrameSocket::send(std::string_view head, std::string_view tail, Deadline deadline) {
  in_.consume(std::exchange(consume_next_, 0));
  while (!head.empty() || !tail.empty()) {
    short wants = 0;
    auto sent = send_some(head, tail, wants);
    if (!sent) {
      // The server may have said why before it closed: its last words are still readable.
      for (auto more = read_some(); more && *more; more = read_some()) {
      }
      sent.error().code = ErrorCode::kClosed;
      return broken(std::unexpected(std::move(sent).error()));
    }
    if (*sent != 0) {
      const std::size_t from_head = std::min(*sent, head.size());
      head.remove_prefix(from_head);
      tail.remove_prefix(*sent - from_head);
      continue;
    }
    const bool may_read = in_.size() < kBufferedWhileSendingMax;
    KAPPA_CHECK_OK(wait_for(static_cast<short>(wants | (may_read ? POLLIN : 0)), deadline));
    if (may_read) {
      KAPPA_TRY([[maybe_unused]] const bool any, read_some());
    }
  }
  return {};
}

Expected<std::optional<FrameSocket::Frame>> FrameSocket::receive(Deadline deadline, bool wait) {
  in_.consume(std::exchange(consume_next_, 0));
  for (;;) {
    if (in_.size() >= kTlsAlert.size() && as_text(in_.bytes()).starts_with(kTlsAlert) && !tls_)
      return broken(fail(ErrorCode::kInvalid, 1018, "the server's port speaks TLS", "give --tls-ca, or --tls"));
    std::size_t needed = kFrameHeaderBytes;
    if (in_.size() >= kFrameHeaderBytes) {
      auto length = check_frame_length(in_.bytes(), limits::kFrameBytesMax);
      if (!length) return broken(std::unexpected(std::move(length).error()));
      needed = *length + sizeof(std::uint32_t);
      if (in_.size() >= needed) {
        const Bytes frame = in_.bytes().first(needed);
        const FrameHeader header = parse_frame_header(frame);
        const Bytes payload = frame.subspan(kFrameHeaderBytes);
        if (auto checked = check_frame(header, frame, payload); !checked) {
          return broken(std::unexpected(std::move(checked).error()));
        }
        consume_next_ = needed;
        return Frame{header, payload};
      }
      static_cast<void>(in_.room(needed));  // Once, instead of growing piece by piece.
    }
    KAPPA_TRY(const bool any, read_some());
    if (any) continue;
    if (!wait) return std::nullopt;
    KAPPA_CHECK_OK(wait_for(POLLIN, deadline));
  }
}

}  // namespace kappa
