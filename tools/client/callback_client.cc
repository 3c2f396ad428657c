#include "tools/client/callback_client.h"

#include <csignal>
#include <utility>

namespace kappa {

namespace {

constexpr std::size_t kBatchBytes = std::size_t{512} << 10;
constexpr std::size_t kSessionsMax = 64;

}  // namespace

CallbackClient::CallbackClient(CallbackOptions options) : options_(std::move(options)) {
  // Signals are for the program's threads.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

CallbackClient::~CallbackClient() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

Status CallbackClient::submit(Call call) {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = call.event.size();
  if (unanswered_ >= options_.calls_max || (bytes_ != 0 && bytes_ + bytes > options_.bytes_max))
    return fail(ErrorCode::kBusy, 1020, "too many calls wait for the server", "wait for callbacks, then try again");
  ++unanswered_;
  bytes_ += bytes;
  calls_.push_back(std::move(call));
  changed_.notify_all();
  return {};
}

Status CallbackClient::append(std::string topic, std::string event, std::function<void(Status)> done) {
  BatchBuilder alone;  // What no batch can hold is refused here, and fails no other.
  KAPPA_CHECK_OK(alone.add({event, {}, {}, {}}));
  return submit({std::move(topic), std::move(event), std::move(done), {}});
}

Status CallbackClient::get(std::string view, std::vector<Value> key, Client::QueryOptions options,
                           std::function<void(Expected<Client::GetResult>)> done) {
  return submit({{}, {}, {}, [=, done = std::move(done)](Expected<std::unique_ptr<Client>>& client) {
                   if (!client) return done(std::unexpected(client.error()));
                   auto result = (*client)->get(view, key, options);
                   if (!result && result.error().code == ErrorCode::kClosed) result = (*client)->get(view, key, options);
                   done(std::move(result));
                 }});
}

Status CallbackClient::sql(std::string statement, Client::QueryOptions options, std::function<void(Expected<Rows>)> done) {
  return submit({{}, {}, {}, [=, done = std::move(done)](Expected<std::unique_ptr<Client>>& client) {
                   if (!client) return done(std::unexpected(client.error()));
                   Rows all;
                   auto end = (*client)->sql(
                       statement, options,
                       [&](const std::vector<ClientColumn>& columns) {
                         all.columns = columns;
                         return true;
                       },
                       [&](std::vector<Row> rows) {
                         for (Row& row : rows) all.rows.push_back(std::move(row));
                         return true;
                       });
                   // A statement may have run: it is not repeated.
                   if (!end) return done(std::unexpected(std::move(end).error()));
                   all.end = std::move(*end);
                   done(std::move(all));
                 }});
}

void CallbackClient::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return unanswered_ == 0; });
}

Status CallbackClient::append_batch(const std::string& topic, const std::string& body, std::uint32_t count) {
  auto& session = sessions_[topic];
  if (!session) {
    auto opened = AppendSession::open({options_.client, topic, random_producer(), false, options_.give_up}, false);
    if (!opened) return std::unexpected(std::move(opened).error());
    session = std::move(*opened);
  }
  Status sent = session->send(body, count);
  if (sent) sent = session->finish();
  // What its outcome is nobody knows: the next append is another producer's.
  if (!sent) sessions_.erase(topic);
  return sent;
}

// Appends at the front of `calls`, as long as they are of one topic: one batch.
void CallbackClient::append_all(std::deque<Call>& calls) {
  const std::string topic = calls.front().topic;
  if (sessions_.size() >= kSessionsMax && !sessions_.contains(topic)) sessions_.clear();
  BatchBuilder builder;
  std::vector<Call> together;
  std::size_t bytes = 0;
  while (!calls.empty() && calls.front().appended && calls.front().topic == topic && bytes < kBatchBytes) {
    if (!builder.add({calls.front().event, {}, {}, {}})) break;
    bytes += calls.front().event.size();
    together.push_back(std::move(calls.front()));
    calls.pop_front();
  }
  const Status done = append_batch(topic, builder.take(), static_cast<std::uint32_t>(together.size()));
  for (const Call& call : together) call.appended(done);
  const std::lock_guard lock(mutex_);
  unanswered_ -= together.size();
  bytes_ -= bytes;
  changed_.notify_all();
}

void CallbackClient::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopped_ || !calls_.empty(); });
    if (calls_.empty()) return;
    std::deque<Call> calls = std::exchange(calls_, {});
    lock.unlock();
    while (!calls.empty()) {
      if (calls.front().appended) {
        append_all(calls);
        continue;
      }
      if (!client_) client_ = Client::connect(options_.client);
      calls.front().read(client_);
      calls.pop_front();
      const std::lock_guard again(mutex_);
      --unanswered_;
      changed_.notify_all();
    }
    lock.lock();
  }
}

}  // namespace kappa
