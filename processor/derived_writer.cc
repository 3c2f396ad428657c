#include "processor/derived_writer.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "proto/limits.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{256} << 10;
constexpr std::size_t kUnderWayBytesMax = std::size_t{4} << 20;
// How often a full log is asked again.
constexpr std::chrono::milliseconds kAskAgain{200};

bool may_pass(const Error& error) {
  return error.code == ErrorCode::kFull || error.code == ErrorCode::kBusy || error.code == ErrorCode::kTimeout;
}

// The number in an event's header; nullopt if it has none.
std::optional<std::uint64_t> number_of(const RecordView& record) {
  const auto headers = decode_headers(record.headers);
  if (!headers) return std::nullopt;
  for (const RecordHeader& header : *headers) {
    if (header.name != kSourceHeader) continue;
    const std::size_t slash = header.value.rfind('/');
    if (slash == std::string_view::npos) return std::nullopt;
    std::uint64_t number = 0;
    const char* end = header.value.data() + header.value.size();
    const auto [rest, problem] = std::from_chars(header.value.data() + slash + 1, end, number);
    if (problem == std::errc{} && rest == end) return number;
  }
  return std::nullopt;
}

// The number of the last event of a batch.
Expected<std::optional<std::uint64_t>> last_number(const log::BatchView& batch) {
  RecordReader records(batch.body, batch.header.count);
  std::optional<std::uint64_t> number;
  for (std::uint32_t i = 0; i < batch.header.count; ++i) {
    KAPPA_TRY(const auto record, records.next());
    if (!record) return fail(ErrorCode::kCorrupt, 3105, "a batch ends before its last event");
    if (i + 1 == batch.header.count) number = number_of(*record);
  }
  return number;
}

}  // namespace

struct DerivedWriter::Batch {
  std::string body;
  std::uint32_t count = 0;
  std::uint64_t number = 0;    // Of its first event.
  std::uint64_t sequence = 0;
};

// What acknowledgements change. Outlives the writer until the last of them has come.
struct DerivedWriter::Shared {
  std::function<void()> wake;
  mutable std::mutex mutex;
  std::condition_variable idle;
  std::deque<Batch> queue;       // Not durable yet, in order.
  std::size_t submitted = 0;     // The first so many are with the log.
  std::size_t under_way = 0;     // Of the submitted ones: not answered.
  std::size_t under_way_bytes = 0;
  std::size_t bytes = 0;
  std::uint64_t durable = 0;
  std::optional<Error> refusal;  // The first of this round; nothing more is submitted until all have answered.
  bool refused_first = false;    // It met the batch at the front.
  Clock::time_point ask_again{};

  void answer(std::uint64_t number, std::size_t size, const Expected<log::AppendAck>& ack) {
    {
      const std::lock_guard lock(mutex);
      --under_way;
      under_way_bytes -= size;
      if (ack) {
        // In the order of the log: what lies before is durable as well.
        while (!queue.empty() && submitted > 0 && queue.front().number <= number) {
          durable = queue.front().number + queue.front().count;
          bytes -= queue.front().body.size();
          queue.pop_front();
          --submitted;
        }
      } else if (!refusal || (!queue.empty() && number == queue.front().number)) {
        refusal = ack.error();
        refused_first = !queue.empty() && number == queue.front().number;
      }
      if (under_way == 0) idle.notify_all();
    }
    if (wake) wake();
  }
};

ProducerId derived_producer(const std::string& name, Offset id, std::uint32_t version) {
  const std::string text = "derived stream/" + name + "/" + std::to_string(id.value()) + "/" + std::to_string(version);
  const std::uint64_t hash = hash_bytes(as_bytes(text), 0);
  return ProducerId(hash == 0 ? 1 : hash);
}

DerivedWriter::DerivedWriter(log::Log& log, TopicId topic, ProducerId producer, std::function<void()> wake)
    : log_(log), topic_(topic), producer_(producer), shared_(std::make_shared<Shared>()) {
  shared_->wake = std::move(wake);
}

DerivedWriter::~DerivedWriter() { wait(); }

Expected<std::unique_ptr<DerivedWriter>> DerivedWriter::open(log::Log& log, const std::string& topic,
                                                             ProducerId producer, std::function<void()> wake) {
  KAPPA_TRY(const TopicId id, log.ensure_topic(topic));
  std::unique_ptr<DerivedWriter> writer(new DerivedWriter(log, id, producer, std::move(wake)));
  KAPPA_CHECK_OK(writer->find_start(topic));
  return writer;
}

Status DerivedWriter::find_start(const std::string& name) {
  const log::ProducerState state = log_.producer(topic_, producer_);
  epoch_ = state.epoch;
  sequence_ = state.next_sequence;
  std::optional<std::uint64_t> last;
  bool seen = false;
  // A batch of ours, the last one so far.
  const auto look = [&](const log::BatchView& batch) -> Status {
    if (batch.header.producer_id != producer_) return {};
    seen = true;
    KAPPA_TRY(last, last_number(batch));
    return {};
  };
  if (state.next_sequence > 0) {
    const auto reader = log_.reader(state.end_offset - 1, log::ReadFilter{topic_});
    const auto batch = reader->next();
    if (!batch && batch.error().code != ErrorCode::kNotFound) return std::unexpected(batch.error());
    if (batch && *batch && (*batch)->header.base_offset < state.end_offset) KAPPA_CHECK_OK(look(**batch));
    // Retention removed it: without an eviction from the producer table the sequence is the number.
    if (!seen) proven_ = false;
    next_ = last ? *last + 1 : state.next_sequence;
  } else if (const auto topic = log_.topic(topic_); topic && topic->next_sequence.value() > 0) {
    // The producer table forgets who has not written for long: its last batch is looked for from the end.
    const std::uint64_t events = topic->next_sequence.value();
    for (std::uint64_t back = 1; !seen; back = std::min(back * 8, events)) {
      KAPPA_TRY(const Offset from, log_.offset_before_end(topic_, back));
      const auto reader = log_.reader(std::max(from, log_.start()), log::ReadFilter{topic_});
      for (;;) {
        KAPPA_TRY(const auto batch, reader->next());
        if (!batch) break;
        KAPPA_CHECK_OK(look(*batch));
      }
      if (back == events) break;
    }
    if (!seen) proven_ = log_.start() == Offset(0);
    next_ = last ? *last + 1 : 0;
  }
  if (seen && !last) {
    return fail(ErrorCode::kCorrupt, 3118, "the last event of the derived stream in topic \"" + name + "\" does not say its number",
                "DROP the stream and create it again, with another topic");
  }
  shared_->durable = next_;
  return {};
}

void DerivedWriter::start_at(std::uint64_t number) {
  next_ = number;
  const std::lock_guard lock(shared_->mutex);
  shared_->durable = number;
}

Status DerivedWriter::add(const DerivedEvent& event) {
  if (event.number < next_) return {};
  KAPPA_CHECK(event.number == next_, "a derived stream's events come in order");
  const std::string identity = std::to_string(event.source.value()) + "/" + std::to_string(event.ordinal) + "/" +
                               std::to_string(event.number);
  const RecordHeader header{kSourceHeader, identity};
  kappa::BatchBuilder::Event record;
  record.value = event.value;
  if (event.key && event.key->size() <= limits::kKeyBytesMax) record.key = *event.key;
  record.timestamp = event.timestamp;
  record.headers = std::span(&header, 1);
  if (Status added = builder_.add(record); !added) {
    // It does not fit behind the ones before it: too many bytes, or times that are too far apart.
    if (builder_.empty()) return added;
    seal();
    KAPPA_CHECK_OK(builder_.add(record));
  }
  ++next_;
  if (builder_.bytes() >= kBatchBytes) seal();
  return {};
}

void DerivedWriter::seal() {
  if (builder_.empty()) return;
  Batch batch;
  batch.count = builder_.count();
  batch.body = builder_.take();
  batch.number = next_ - batch.count;
  batch.sequence = sequence_;
  sequence_ += batch.count;
  sealed_.push_back(std::move(batch));
}

void DerivedWriter::discard() {
  next_ -= builder_.count();
  static_cast<void>(builder_.take());
  for (const Batch& batch : sealed_) {
    next_ -= batch.count;
    sequence_ -= batch.count;
  }
  sealed_.clear();
}

void DerivedWriter::send() {
  seal();
  if (!sealed_.empty()) {
    const std::lock_guard lock(shared_->mutex);
    for (Batch& batch : sealed_) {
      shared_->bytes += batch.body.size();
      shared_->queue.push_back(std::move(batch));
    }
  }
  sealed_.clear();
  submit();
}

void DerivedWriter::submit() {
  bool any = false;
  for (;;) {
    log::AppendBatch batch;
    std::uint64_t number = 0;
    std::size_t size = 0;
    {
      const std::lock_guard lock(shared_->mutex);
      Shared& shared = *shared_;
      if (shared.refusal || shared.submitted == shared.queue.size()) break;
      if (shared.under_way_bytes > 0 && shared.under_way_bytes >= kUnderWayBytesMax) break;
      const Batch& next = shared.queue[shared.submitted++];
      number = next.number;
      size = next.body.size();
      batch.topic = topic_;
      batch.count = next.count;
      batch.body = next.body;  // A copy: it may be refused.
      batch.uncompressed_length = static_cast<std::uint32_t>(size);
      batch.producer_id = producer_;
      batch.producer_epoch = epoch_;
      batch.producer_sequence = next.sequence;
      ++shared.under_way;
      shared.under_way_bytes += size;
    }
    // Without the lock: the answer may come before this returns.
    log_.submit(std::move(batch), [shared = shared_, number, size](const Expected<log::AppendAck>& ack) {
      shared->answer(number, size, ack);
    });
    any = true;
  }
  if (any) log_.pump();
}

Expected<std::optional<DerivedWriter::Clock::time_point>> DerivedWriter::go_on(Clock::time_point now) {
  {
    const std::lock_guard lock(shared_->mutex);
    Shared& shared = *shared_;
    if (shared.refusal) {
      if (shared.under_way > 0) return std::nullopt;  // Its answer wakes.
      // Batches behind one that was refused are out of sequence: that says nothing of them.
      const bool behind = shared.refusal->code == ErrorCode::kSequence && !shared.refused_first;
      if (!may_pass(*shared.refusal) && !behind) return std::unexpected(*shared.refusal);
      if (shared.ask_again == Clock::time_point{}) shared.ask_again = now + kAskAgain;
      if (now < shared.ask_again) return shared.ask_again;
      shared.ask_again = {};
      shared.refusal.reset();
      shared.submitted = 0;
    }
  }
  submit();
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->refusal || shared_->under_way > 0) return std::nullopt;
  shared_->ask_again = now + kAskAgain;
  return shared_->ask_again;
}

std::uint64_t DerivedWriter::durable() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->durable;
}

std::size_t DerivedWriter::bytes() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->bytes;
}

std::optional<Error> DerivedWriter::refused() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->refusal;
}

void DerivedWriter::wait() {
  std::unique_lock lock(shared_->mutex);
  shared_->idle.wait(lock, [&] { return shared_->under_way == 0; });
}

}  // namespace kappa::processor
