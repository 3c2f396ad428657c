#include "serving/core.h"

#include <fcntl.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>

namespace kappa::serving {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

// Passes of the event loop that may join one group of appends; each costs about a microsecond.
constexpr unsigned kGatherPassesMax = 8;

int open_spare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

Core::Core(ServerOptions options, log::Log& log, processor::Engine& engine)
    : options_(std::move(options)),
      log_(log),
      engine_(engine),
      spare_fd_(open_spare()),
      mailbox_(std::make_shared<Mailbox>(io_, [this] { deliver(); })),
      reads_(*this, log),
      watches_(*this, engine),
      subscribers_(*this, log),
      lookups_(*this, engine),
      query_pool_("kappa-query", std::max(1U, options_.query_threads), kQueriesQueuedMax, kQueryThreadsMax) {}

Core::~Core() {
  mailbox_->close();
  for (const auto& [id, connection] : std::exchange(connections_, {})) connection->close();
  reads_.stop();
  watches_.stop();
  subscribers_.stop();
  query_pool_.stop();
  if (spare_fd_ >= 0) ::close(spare_fd_);
}

void Core::run() {
  // OpenSSL writes with write(): a peer that is gone is an error there, not the end of the process.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  mailbox_->bind_network_thread();
  io_.run();
}

std::shared_ptr<Connection> Core::find(std::uint64_t connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : found->second;
}

void Core::forget(Connection& connection) {
  peers_.left(connection.peer(), Clock::now());
  connections_.erase(connection.id());
  watches_.forget(connection.id());
  reads_.forget(connection.id());
  if (reads_.any_waiting()) arm(Clock::now());
  check_drained();
}

void Core::log_line(const std::string& line) {
  std::uint64_t suppressed = 0;
  if (!peers_.may_log(Clock::now(), suppressed)) return;
  if (suppressed != 0) spdlog::warn("{} more connections were closed or refused, and not logged", suppressed);
  spdlog::warn("{}", line);
}

void Core::refused(const Connection& connection, const Error& error) {
  ++refused_total_;
  log_line("closed connection " + std::to_string(connection.id()) + " from " + connection.peer().name + ": K" +
           std::to_string(error.number) + ": " + error.message);
}

Error Core::busy() {
  ++busy_total_;
  return Error{ErrorCode::kBusy, 4014, "the server's memory for connections is used up", "retry after 100 ms", 0, {}};
}

// Who holds most of the answers that nobody reads pays for all.
void Core::close_hoarders() {
  constexpr std::size_t kKept = std::size_t{256} << 10;
  while (memory_short()) {
    Connection* most = nullptr;
    for (const auto& [id, connection] : connections_)
      if (most == nullptr || connection->unsent() > most->unsent()) most = connection.get();
    if (most == nullptr || most->unsent() < kKept) return;
    timed_out(*most, "it does not read its answers, and there is no more memory for them");
    most->shared_from_this()->close();
  }
}

void Core::close_idle() {
  if (draining_ || options_.idle_timeout.count() == 0) return;
  const auto all = connections_;
  for (const auto& [id, connection] : all) {
    if (!connection->was_idle()) continue;
    ++idle_total_;
    connection->close();
  }
  idle_timer_.expires_after(options_.idle_timeout);
  idle_timer_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled) close_idle();
  });
}

void Core::expire_queries(Deadline now) {
  std::erase_if(queries_, [&](const auto& query) {
    const auto control = query.second.lock();
    if (!control) return true;
    if (query.first > now) return false;
    ++queries_expired_;
    control->expire();
    return true;
  });
}

void Core::timed_out(const Connection& connection, const char* reason) {
  ++timed_out_total_;
  ++refused_total_;
  log_line("closed connection " + std::to_string(connection.id()) + " from " + connection.peer().name + ": " + reason);
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
  lookups_.run();
  std::swap(dirty_, flushing_);
  for (const auto& connection : flushing_) {
    connection->flush();
    connection->resume();
  }
  flushing_.clear();
  if (memory_short()) close_hoarders();
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
  Deadline next = std::min(reads_.expire(now, draining_), watches_.due(now));
  expire_queries(now);
  for (const auto& query : queries_) next = std::min(next, query.first);
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
    stop_listening();
    tokens_timer_.cancel();
    idle_timer_.cancel();
    static_cast<void>(reads_.expire(Clock::now(), true));
    watches_.drain();
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
