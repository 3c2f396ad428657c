#include "serving/core.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <charconv>

namespace kappa::serving {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kAcceptBackoff{100};
constexpr int kBacklog = 4'096;
// Connections leave so many descriptors to the log and the views, which need some for every new file.
constexpr rlim_t kDescriptorReserve = 64;
// Passes of the event loop that may join one group of appends; each costs about a microsecond.
constexpr unsigned kGatherPassesMax = 8;

int open_spare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

// HOST:PORT with a numeric loopback host, or "localhost".
Expected<asio::ip::tcp::endpoint> listen_endpoint(const std::string& listen) {
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
  if (!address.is_loopback()) {
    return fail(ErrorCode::kUnsupported, 4003, "refusing to listen on " + listen + ", which others can reach",
                "only loopback addresses are served: there is no TLS and there are no tokens yet");
  }
  return asio::ip::tcp::endpoint(address, port);
}

}  // namespace

Core::Core(ServerOptions options, log::Log& log, processor::Engine& engine)
    : options_(std::move(options)),
      log_(log),
      engine_(engine),
      spare_fd_(open_spare()),
      mailbox_(std::make_shared<Mailbox>(io_, [this] { deliver(); })),
      reads_(*this, log),
      query_pool_("kappa-query", std::max(1U, options_.query_threads), kQueriesQueuedMax, kQueryThreadsMax) {}

Core::~Core() {
  mailbox_->close();
  for (const auto& [id, connection] : std::exchange(connections_, {})) connection->close();
  reads_.stop();
  query_pool_.stop();
  if (spare_fd_ >= 0) ::close(spare_fd_);
}

Status Core::listen() {
  KAPPA_TRY(const Tcp::endpoint endpoint, listen_endpoint(options_.listen));
  boost::system::error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(kBacklog, error);
  if (!error) acceptor_.non_blocking(true, error);
  if (error) {
    auto failure = fail_errno(4002, "cannot listen on " + options_.listen, error.value());
    failure.error().hint = "is another server running? --listen HOST:0 picks a free port";
    return failure;
  }
  const auto local = acceptor_.local_endpoint(error);
  address_ = (local.address().is_v6() ? "[" + local.address().to_string() + "]" : local.address().to_string()) +
             ":" + std::to_string(local.port());
  accept();
  return {};
}

void Core::accept() {
  acceptor_.async_accept([this](boost::system::error_code error, Tcp::socket socket) {
    accepted(error, std::move(socket));
  });
}

void Core::accepted(boost::system::error_code error, Tcp::socket socket) {
  if (draining_ || error == asio::error::operation_aborted) return;
  if (!error) {
    const bool scarce = descriptors_scarce(socket.native_handle());
    if (connections_.size() >= options_.connections_max || scarce) {
      ++refused_total_;
      std::string frame;
      encode(fail(ErrorCode::kBusy, 4004, "too many connections", "try again later").error(), 0, frame);
      boost::system::error_code ignored;
      socket.non_blocking(true, ignored);
      socket.write_some(asio::buffer(frame), ignored);
    } else {
      scarce_said_ = false;
      ++connections_total_;
      const std::uint64_t id = next_connection_++;
      auto connection = std::make_shared<Connection>(*this, std::move(socket), id);
      connections_.emplace(id, connection);
      connection->start();
    }
    return accept();
  }
  // Out of descriptors (or memory for them): the client at the head of the queue would wait for ever
  // and wake us for ever; refuse it with the spare descriptor, then let time pass.
  if (error == asio::error::no_descriptors || error.value() == ENFILE || error == asio::error::no_buffer_space ||
      error == asio::error::no_memory) {
    spdlog::warn("cannot accept a connection: {}", error.message());
    refuse_one();
    accept_timer_.expires_after(kAcceptBackoff);
    accept_timer_.async_wait([this](boost::system::error_code cancelled) {
      if (!cancelled && !draining_) accept();
    });
    return;
  }
  accept();  // The client went away before it was accepted.
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

void Core::refuse_one() {
  ++refused_total_;
  if (spare_fd_ >= 0) ::close(spare_fd_);
  const int client = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
  if (client >= 0) ::close(client);
  spare_fd_ = open_spare();
}

std::shared_ptr<Connection> Core::find(std::uint64_t connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : found->second;
}

void Core::forget(Connection& connection) {
  connections_.erase(connection.id());
  if (reads_.any_waiting()) arm(Clock::now());
  check_drained();
}

void Core::refused(const Connection& connection, const Error& error) {
  ++refused_total_;
  spdlog::warn("closed connection {} from {}: K{}: {}", connection.id(), connection.peer(), error.number,
               error.message);
}

void Core::timed_out(const Connection& connection, const char* reason) {
  ++refused_total_;
  spdlog::warn("closed connection {} from {}: {}", connection.id(), connection.peer(), reason);
}

// --- passes ---

void Core::schedule_pass() {
  if (std::exchange(pass_posted_, true)) return;
  // Behind the handlers that are ready now, so that what they submit shares the pump.
  asio::post(io_, [this] { end_of_pass(); });
}

void Core::mark_dirty(Connection& connection) {
  dirty_.push_back(connection.shared_from_this());
  schedule_pass();
}

void Core::end_of_pass() {
  pass_posted_ = false;
  // Answers that are ready do not wait for the sync that pump() may do itself.
  flush_dirty();
  if (appends_submitted_ == 0) return;
  // While appends of several connections keep coming in, one more pass joins the group: clients that
  // answer an acknowledgement with the next event otherwise split into two halves, each waiting for
  // the other's sync. A single append never waits.
  if (appends_submitted_ > std::max<std::size_t>(appends_seen_, 1) && gathering_ < kGatherPassesMax) {
    appends_seen_ = appends_submitted_;
    ++gathering_;
    return schedule_pass();
  }
  appends_submitted_ = appends_seen_ = 0;
  gathering_ = 0;
  mailbox_->begin_inline();
  log_.pump();
  mailbox_->end_inline();
  deliver();
  flush_dirty();
}

void Core::flush_dirty() {
  std::swap(dirty_, flushing_);
  for (const auto& connection : flushing_) {
    connection->flush();
    connection->resume();
  }
  flushing_.clear();
}

void Core::deliver() {
  mailbox_->take(delivered_);
  if (delivered_.empty()) return;
  // Taken out of the members: a task may come back here.
  Mailbox::Contents contents = std::exchange(delivered_, {});
  for (AppendDone& done : contents.appends) {
    append_bytes_ -= done.bytes;
    if (!done.result && done.result.error().code == ErrorCode::kClosed && log_.fatal_error() && options_.on_fatal) {
      std::exchange(options_.on_fatal, {})(*log_.fatal_error());
    }
    if (const auto connection = find(done.connection)) connection->end_append(done.slot, std::move(done.result));
  }
  for (auto& task : contents.tasks) task();
  if (!parked_.empty()) unpark();
  contents.appends.clear();
  contents.tasks.clear();
  delivered_ = std::move(contents);
}

void Core::unpark() {
  while (!parked_.empty() && (append_bytes_ == 0 || append_bytes_ < kAppendBytesInFlightMax)) {
    const auto connection = find(parked_.front());
    parked_.pop_front();
    if (!connection) continue;
    if (auto parked = connection->unpark()) {
      submit_append(*connection, std::move(parked->batch), parked->slot);
      connection->replied();  // The pass resumes it.
    }
  }
}

// --- time ---

void Core::arm(Deadline deadline) {
  if (deadline >= armed_) return;
  armed_ = deadline;
  timer_.expires_at(deadline);
  timer_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled) tick();
  });
}

void Core::tick() {
  armed_ = kNever;
  const Deadline now = Clock::now();
  Deadline next = reads_.expire(now, draining_);
  // Closing a connection changes the map.
  std::vector<std::shared_ptr<Connection>> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) next = std::min(next, connection->check_deadlines(now));
  if (next != kNever) arm(std::max(next, now + milliseconds(5)));
}

// --- the end ---

void Core::drain(milliseconds deadline, std::function<void()> done) {
  asio::post(io_, [this, deadline, done = std::move(done)]() mutable {
    drained_ = std::move(done);
    draining_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    accept_timer_.cancel();
    static_cast<void>(reads_.expire(Clock::now(), true));
    const auto all = connections_;
    for (const auto& [id, connection] : all) connection->drain();
    drain_timer_.expires_after(deadline);
    drain_timer_.async_wait([this](boost::system::error_code cancelled) {
      if (cancelled) return;
      const auto left = connections_;
      for (const auto& [id, connection] : left) connection->close();
      check_drained();
    });
    check_drained();
  });
}

void Core::check_drained() {
  if (!draining_ || !connections_.empty() || !drained_) return;
  drain_timer_.cancel();
  timer_.cancel();
  std::exchange(drained_, {})();
  io_.stop();
}

}  // namespace kappa::serving
