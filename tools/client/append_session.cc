#include "tools/client/append_session.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>


namespace kappa {
namespace {

// Enough to cover a sync of tens of milliseconds at the device's speed; well below the server's queue.
constexpr std::size_t kInFlightBytesMax = std::size_t{24} << 20;
constexpr std::chrono::milliseconds kFirstPause{2};
constexpr std::chrono::milliseconds kLongestPause{100};

std::int64_t steady_micros() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

bool may_pass(const Error& error) {
  return error.retryable() || error.code == ErrorCode::kClosed || error.code == ErrorCode::kTimeout ||
         (error.code == ErrorCode::kIo && error.number == 1001);
}

}  // namespace

ProducerId producer_of(std::string_view name) {
  const std::uint64_t hash = hash_bytes(as_bytes(name), 0);
  return ProducerId(hash == 0 ? 1 : hash);
}

ProducerId random_producer() {
  std::random_device device;
  const std::uint64_t id = (std::uint64_t{device()} << 32) | device();
  return ProducerId(id == 0 ? 1 : id);
}

Expected<std::unique_ptr<AppendSession>> AppendSession::open(AppendSessionOptions options, bool resume) {
  std::unique_ptr<AppendSession> session(new AppendSession(std::move(options)));
  KAPPA_TRY(session->client_, Client::connect(session->options_.client));
  if (resume) {
    KAPPA_TRY(const Client::Producer producer,
              session->client_->producer(session->options_.topic, session->options_.producer));
    session->epoch_ = producer.epoch;
    session->next_sequence_ = session->already_there_ = producer.next_sequence;
  }
  return session;
}

Status AppendSession::send_now(const Pending& pending) {
  ClientBatch batch;
  batch.borrowed_body = pending.body;  // Stays until its ack, for a second sending.
  batch.count = pending.count;
  batch.compress = options_.compress;
  batch.producer_id = options_.producer;
  batch.producer_epoch = epoch_;
  batch.producer_sequence = pending.sequence;
  return client_->send_append(options_.topic, std::move(batch));
}

Status AppendSession::send(std::string body, std::uint32_t count) {
  while (!pending_.empty() &&
         (pending_bytes_ + body.size() > kInFlightBytesMax || pending_.size() >= kAppendsInFlightMax)) {
    KAPPA_CHECK_OK(collect_one(true));
  }
  pending_bytes_ += body.size();
  pending_.push_back({std::move(body), count, next_sequence_, false});
  next_sequence_ += count;
  if (auto sent = send_now(pending_.back()); !sent) return recover(sent.error());
  return poll();
}

void AppendSession::count_ack(const AppendResult& result) {
  failing_since_.reset();
  const Pending& done = pending_.front();
  // What a second sending finds in the log is what the first one left there.
  const std::uint32_t ours = result.count + (done.resent ? result.duplicates : 0);
  totals_.appended += ours;
  totals_.duplicates += result.count + result.duplicates - ours;
  if (ours > 0 && result.last >= result.first && (result.last - result.first) + 1 >= ours) {
    if (!totals_.first) totals_.first = result.first;
    totals_.last = result.last;
  }
  totals_.durability = result.durability;
  pending_bytes_ -= done.body.size();
  pending_.pop_front();
}

Status AppendSession::collect_one(bool wait) {
  auto result = client_->collect(wait);
  if (!result) return {};
  if (!*result) return recover(std::move(*result).error());
  count_ack(**result);
  return {};
}

Status AppendSession::poll() {
  while (!pending_.empty()) {
    const std::size_t before = pending_.size();
    KAPPA_CHECK_OK(collect_one(false));
    if (pending_.size() == before) break;
  }
  return {};
}

Status AppendSession::finish() {
  while (!pending_.empty()) KAPPA_CHECK_OK(collect_one(true));
  return {};
}

Status AppendSession::recover(Error why) {
  // From the first failure since the last ack on: sending again is no progress, whoever refuses it again.
  if (!failing_since_) {
    failing_since_ = steady_micros();
    pause_ = kFirstPause;
  }
  const std::int64_t give_up = *failing_since_ + options_.give_up.count() * 1000;
  for (;;) {
    if (!may_pass(why)) return std::unexpected(std::move(why));
    // The answers behind a failed batch are about a gap that the sending below closes.
    while (client_ && client_->collect(true)) {
    }
    if (steady_micros() >= give_up) return std::unexpected(std::move(why));
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ * 2, kLongestPause);
    if (!why.retryable()) {
      auto again = Client::connect(options_.client);
      if (!again) {
        why = again.error();
        continue;
      }
      client_ = std::move(*again);
    }
    bool sent_all = true;
    for (Pending& pending : pending_) {
      pending.resent = true;
      if (auto sent = send_now(pending); !sent) {
        why = sent.error();
        sent_all = false;
        break;
      }
    }
    if (sent_all) return {};
  }
}

}  // namespace kappa
