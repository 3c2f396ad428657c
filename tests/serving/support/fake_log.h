// A log in memory with the contract of log::Log and knobs for tests: acknowledge inside pump(), from
// another thread, or only when the test says so; refuse; hold appends back.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "log/log.h"

namespace kappa::testing {

class FakeLog final : public log::Log {
 public:
  enum class Mode { kInline, kThread, kManual };
  explicit FakeLog(Mode mode = Mode::kInline) : mode_(mode) {
    if (mode == Mode::kThread) thread_ = std::thread([this] { run(); });
  }
  ~FakeLog() override {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      wake_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  // --- for tests ---
  // kManual: makes durable what was submitted and acknowledges it.
  void acknowledge() { complete(); }
  // What submit() answers from now on; nullopt: normal.
  void refuse_with(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(error);
  }
  [[nodiscard]] std::size_t submitted() const {
    const std::lock_guard lock(mutex_);
    return submitted_;
  }
  void wait_for_submitted(std::size_t count) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return submitted_ >= count; });
  }
  [[nodiscard]] std::size_t queued_bytes_max() const {
    const std::lock_guard lock(mutex_);
    return queued_bytes_max_;
  }
  [[nodiscard]] std::size_t pumps() const {
    const std::lock_guard lock(mutex_);
    return pumps_;
  }
  // Bodies of a topic in order.
  [[nodiscard]] std::vector<std::string> bodies(const std::string& topic) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> result;
    for (const Stored& stored : batches_) {
      if (stored.topic == topic) result.push_back(stored.body);
    }
    return result;
  }

  // As if retention had removed what is below.
  void set_start(Offset start) { start_ = start.value(); }

  // --- log::Log ---
  [[nodiscard]] Expected<TopicId> ensure_topic(std::string_view name) override {
    if (name.empty() || name.size() > limits::kTopicNameBytesMax || name.find('\0') != std::string_view::npos) {
      return fail(ErrorCode::kInvalid, 3020, "bad topic name");
    }
    const std::lock_guard lock(mutex_);
    const auto [at, added] = topics_.try_emplace(std::string(name), static_cast<std::uint32_t>(topics_.size() + 1));
    return TopicId(at->second);
  }
  void submit(log::AppendBatch batch, log::AppendCallback done) override {
    std::unique_lock lock(mutex_);
    if (refusal_) {
      const Error error = *refusal_;
      lock.unlock();
      return done(std::unexpected(error));
    }
    ++submitted_;
    queued_bytes_ += batch.body.size();
    queued_bytes_max_ = std::max(queued_bytes_max_, queued_bytes_);
    queue_.push_back({std::move(batch), std::move(done)});
    wake_.notify_all();
  }
  void pump() override {
    {
      const std::lock_guard lock(mutex_);
      ++pumps_;
      pumped_ = queue_.size();
      wake_.notify_all();
    }
    if (mode_ == Mode::kInline) complete();
  }
  [[nodiscard]] Expected<Offset> append_system(std::string, std::string) override {
    return fail(ErrorCode::kUnsupported, 3999, "not in the fake");
  }
  [[nodiscard]] std::vector<log::SystemRecord> system_records() const override { return {}; }
  [[nodiscard]] std::optional<log::TopicInfo> find_topic(std::string_view name) const override {
    const std::lock_guard lock(mutex_);
    const auto found = topics_.find(std::string(name));
    if (found == topics_.end()) return std::nullopt;
    return info(found->first, found->second);
  }
  [[nodiscard]] std::optional<log::TopicInfo> topic(TopicId id) const override {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, number] : topics_) {
      if (number == id.value()) return info(name, number);
    }
    return std::nullopt;
  }
  [[nodiscard]] std::vector<log::TopicInfo> topics() const override {
    const std::lock_guard lock(mutex_);
    std::vector<log::TopicInfo> result;
    for (const auto& [name, number] : topics_) result.push_back(info(name, number));
    return result;
  }
  [[nodiscard]] Offset start() const override { return Offset(start_.load()); }
  [[nodiscard]] Offset durable_end() const override { return Offset(end_.load()); }
  [[nodiscard]] std::unique_ptr<log::LogReader> reader(Offset from, log::ReadFilter filter) override {
    return std::make_unique<Reader>(*this, from, filter);
  }
  [[nodiscard]] Expected<Offset> offset_at_time(Timestamp) override { return durable_end(); }
  [[nodiscard]] Expected<Offset> offset_before_end(TopicId topic, std::uint64_t count) override {
    const std::lock_guard lock(mutex_);
    Offset result(end_.load());
    for (auto at = batches_.rbegin(); at != batches_.rend() && count > 0; ++at) {
      if (at->header.topic_id != topic) continue;
      const std::uint64_t taken = std::min<std::uint64_t>(count, at->header.count);
      result = at->header.base_offset + (at->header.count - taken);
      count -= taken;
    }
    return result;
  }
  [[nodiscard]] Expected<log::PrefixMark> mark(Offset offset) override { return log::PrefixMark{offset, {}, 0}; }
  [[nodiscard]] log::ProducerState producer(TopicId, ProducerId id) const override {
    const std::lock_guard lock(mutex_);
    const auto found = producers_.find(id.value());
    return found == producers_.end() ? log::ProducerState{} : found->second;
  }
  [[nodiscard]] std::uint64_t subscribe_durable(std::function<void()> notify) override {
    const std::lock_guard lock(notify_mutex_);
    notify_ = std::move(notify);
    return 1;
  }
  void unsubscribe_durable(std::uint64_t) override {
    const std::lock_guard lock(notify_mutex_);
    notify_ = nullptr;
  }
  [[nodiscard]] log::LogStatus status() const override {
    log::LogStatus status;
    status.log_id = "000102030405060708090a0b0c0d0e0f";
    status.durable_end = status.written_end = durable_end();
    status.events_appended = end_.load();
    return status;
  }
  [[nodiscard]] std::optional<Error> fatal_error() const override { return std::nullopt; }

 private:
  struct Stored {
    BatchHeader header;
    std::string topic;
    std::string body;  // Uncompressed.
  };
  struct Queued {
    log::AppendBatch batch;
    log::AppendCallback done;
  };

  class Reader final : public log::LogReader {
   public:
    Reader(FakeLog& log, Offset from, log::ReadFilter filter) : log_(log), at_(from), filter_(filter) {}
    [[nodiscard]] Expected<std::optional<log::BatchView>> next() override {
      const std::lock_guard lock(log_.mutex_);
      for (const Stored& stored : log_.batches_) {
        if (stored.header.end_offset() <= at_) continue;
        at_ = stored.header.end_offset();
        if (filter_.topic && stored.header.topic_id != *filter_.topic) continue;
        body_ = stored.body;
        return log::BatchView{stored.header, as_bytes(body_), 0};
      }
      return std::nullopt;
    }
    [[nodiscard]] Offset position() const override { return at_; }
    Status seek(Offset offset) override {
      at_ = offset;
      return {};
    }

   private:
    FakeLog& log_;
    Offset at_;
    log::ReadFilter filter_;
    std::string body_;
  };

  [[nodiscard]] log::TopicInfo info(const std::string& name, std::uint32_t number) const {
    std::uint64_t events = 0;
    for (const Stored& stored : batches_) {
      if (stored.header.topic_id.value() == number) events += stored.header.count;
    }
    return {TopicId(number), name, TopicSequence(events)};
  }

  void complete() {
    std::vector<std::pair<log::AppendCallback, Expected<log::AppendAck>>> acks;
    {
      const std::lock_guard lock(mutex_);
      for (Queued& queued : queue_) acks.emplace_back(std::move(queued.done), store(queued.batch));
      queue_.clear();
      pumped_ = 0;
      queued_bytes_ = 0;
    }
    for (auto& [done, ack] : acks) done(std::move(ack));
    const std::lock_guard lock(notify_mutex_);
    if (notify_) notify_();
  }

  [[nodiscard]] Expected<log::AppendAck> store(log::AppendBatch& batch) {
    if (batch.body_hash && *batch.body_hash != hash_body(as_bytes(batch.body))) {
      return fail(ErrorCode::kInvalid, 3021, "body hash differs");
    }
    Stored stored;
    for (const auto& [name, number] : topics_) {
      if (number == batch.topic.value()) stored.topic = name;
    }
    stored.header.base_offset = Offset(end_.load());
    stored.header.count = batch.count;
    stored.header.topic_id = batch.topic;
    stored.header.append_time = Timestamp(1'700'000'000'000'000);
    if (batch.codec == Codec::kZstd) {
      auto plain = decompress_body(as_bytes(batch.body), batch.uncompressed_length);
      if (!plain) return std::unexpected(plain.error());
      stored.body = std::move(*plain);
    } else {
      stored.body = batch.body;
    }
    if (batch.producer_id.value() != 0) {
      log::ProducerState& state = producers_[batch.producer_id.value()];
      if (batch.producer_sequence < state.next_sequence) {
        return log::AppendAck{{}, batch.count, true, false, log::Durability::kSync};
      }
      state = {batch.producer_epoch, batch.producer_sequence + batch.count, stored.header.end_offset()};
    }
    end_ += batch.count;
    batches_.push_back(std::move(stored));
    return log::AppendAck{batches_.back().header.base_offset, batch.count, false, true, log::Durability::kSync};
  }

  void run() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopped_ || pumped_ != 0; });
        if (stopped_) return;
      }
      complete();
    }
  }

  const Mode mode_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, std::uint32_t> topics_;
  std::map<std::uint64_t, log::ProducerState> producers_;
  std::vector<Stored> batches_;
  std::vector<Queued> queue_;
  std::optional<Error> refusal_;
  std::size_t submitted_ = 0;
  std::size_t pumps_ = 0;
  std::size_t pumped_ = 0;
  std::size_t queued_bytes_ = 0;
  std::size_t queued_bytes_max_ = 0;
  std::atomic<std::uint64_t> start_{0};
  std::atomic<std::uint64_t> end_{0};
  bool stopped_ = false;
  std::mutex notify_mutex_;
  std::function<void()> notify_;
  std::thread thread_;
};

}  // namespace kappa::testing
