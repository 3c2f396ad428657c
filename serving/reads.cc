#include "serving/reads.h"

#include <algorithm>

#include "proto/limits.h"
#include "serving/core.h"

namespace kappa::serving {

using Clock = std::chrono::steady_clock;

namespace {

constexpr std::uint32_t kWaitMax = 3'600'000;
// Above it a READ that wants to wait is answered at once, with nothing.
constexpr std::size_t kWaitingMax = 65'536;
// Deadlines share timer shots.
constexpr std::chrono::milliseconds kGrain{5};
// Above it a connection's next READ waits until the output has left.
constexpr std::size_t kUnsentMax = std::size_t{256} << 10;
constexpr std::size_t kMadeBytesMax = std::size_t{16} << 20;

// `held`: from where on the log stays as it is while this goes on.
Expected<Offset> first_offset(log::Log& log, Offset held, TopicId topic, const ReadMessage& message) {
  switch (message.from) {
    case ReadFromKind::kOffset: {
      const Offset end = log.durable_end();
      const auto offset = static_cast<std::uint64_t>(message.value);
      if (message.value < 0 || offset > end.value()) {
        return fail(ErrorCode::kInvalid, 1011,
                    "offset " + std::to_string(offset) + " is past the durable end " + std::to_string(end.value()),
                    "read from an offset up to the end, or from \"end\"");
      }
      if (Offset(offset) < log.start()) return log::below_log_start(Offset(offset), log.start());
      return Offset(offset);
    }
    case ReadFromKind::kStart: return std::max(held, log.start());
    case ReadFromKind::kEnd: break;  // Resolved when the request came.
    case ReadFromKind::kLast:
      if (message.value < 0) return fail(ErrorCode::kInvalid, 1011, "a count of last events cannot be negative");
      return log.offset_before_end(topic, static_cast<std::uint64_t>(message.value));
    case ReadFromKind::kTime: return log.offset_at_time(Timestamp(message.value));
  }
  return fail(ErrorCode::kInvalid, 1006, "unknown kind of start");
}

// Reads whole batches until a bound is reached. Copies bodies: they outlive the reader's next step.
Expected<Reads::Outcome> read_once(log::Log& log, Reads::Request& request) {
  const auto topic = log.find_topic(request.topic);
  if (!topic) {
    return fail(ErrorCode::kNotFound, 1010, "no topic \"" + request.topic + "\"",
                "a topic exists from its first append on; `kappa status` lists them");
  }
  // Between the answer to where and the reading, retention waits.
  const log::Hold hold = request.first ? log::Hold() : log.hold("a read", Offset(0));
  if (!request.first) {
    KAPPA_TRY(request.first, first_offset(log, hold.offset(), topic->id, request.message));
    request.position = *request.first;
  }
  const std::uint64_t events_max = request.message.events_max == 0 ? UINT64_MAX : request.message.events_max;
  const std::size_t bytes_max =
      std::min<std::size_t>(request.message.bytes_max, limits::kBatchBytesMax);
  request.topic_end = topic->next_sequence;
  request.seen = log.durable_end();
  const auto reader = log.reader(request.position, {topic->id});
  ReadOkMessage message;
  message.first = *request.first;
  // Bodies go straight into the frame; the count and the next offset are filled in at the end.
  std::string frame;
  FrameBuilder builder(frame, FrameType::kReadOk, request.request_id);
  ByteWriter& to = builder.payload();
  to.u64(message.first.value());
  const std::size_t fields_at = frame.size();
  to.u64(0);
  to.u64(0);
  to.u32(0);
  std::uint32_t batches = 0;
  std::uint64_t events = 0;
  std::size_t bytes = 0;
  Offset next = request.position;
  while (events < events_max && bytes < bytes_max) {
    const auto read = reader->next();
    // What was read up to damage is given; the next request begins with the error.
    if (!read && batches != 0) break;
    if (!read) return std::unexpected(read.error());
    const auto& batch = *read;
    if (!batch) {
      next = std::max(next, reader->position());
      break;
    }
    const log::BatchView& view = *batch;
    const Offset end = view.header.end_offset();
    if (end <= request.position) continue;
    if (batches != 0 && bytes + view.body.size() > bytes_max) break;
    to.u64(view.header.base_offset.value());
    to.u64(view.header.base_sequence.value());
    to.i64(view.header.append_time.value());
    to.u32(view.header.count);
    to.sized_text(as_text(view.body));
    KAPPA_CHECK_OK(reader->intact());
    ++batches;
    bytes += view.body.size();
    events += end - std::max(view.header.base_offset, request.position);
    next = end;
  }
  request.position = next;
  const std::uint64_t next_value = next.value();
  const std::uint64_t durable_end = std::max(next, request.seen).value();
  std::memcpy(frame.data() + fields_at, &next_value, sizeof next_value);
  std::memcpy(frame.data() + fields_at + 8, &durable_end, sizeof durable_end);
  std::memcpy(frame.data() + fields_at + 16, &batches, sizeof batches);
  builder.finish();
  return Reads::Outcome{std::move(frame), batches == 0};
}

}  // namespace

Reads::Reads(Core& core, log::Log& log)
    : core_(core), log_(log), mailbox_(core.mailbox()), pool_("kappa-read", 1, kReadsQueuedMax) {
  subscription_ = log_.subscribe_durable([this, want = want_notification_, mailbox = mailbox_] {
    if (want->load(std::memory_order_relaxed) && want->exchange(false)) {
      mailbox->task([this] { retry_waiting(); });
    }
  });
}

Reads::~Reads() { stop(); }

void Reads::stop() {
  if (std::exchange(stopped_, true)) return;
  log_.unsubscribe_durable(subscription_);
  made_ = 0;
  made_.notify_all();
  pool_.stop();
}

void Reads::handle(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto message = decode_read(payload);
  if (!message) return connection.reply(request_id, message.error());
  if (!connection.may_read(message->topic)) return connection.reply(request_id, core_.denied_read(message->topic));
  Request request;
  request.connection = connection.id();
  request.request_id = request_id;
  request.topic = message->topic;
  request.message = *message;
  request.message.topic = {};
  if (message->from == ReadFromKind::kEnd) {
    // Where the log ends now, not when a thread gets to it: what comes meanwhile is news.
    request.message.from = ReadFromKind::kOffset;
    request.message.value = static_cast<std::int64_t>(log_.durable_end().value());
  }
  if (message->wait_ms != 0) {
    request.deadline = Clock::now() + std::chrono::milliseconds(std::min(message->wait_ms, kWaitMax));
  }
  request.control = std::make_shared<QueryControl>();
  static_cast<void>(connection.begin(request_id, request.control));
  begin(std::move(request));
}

void Reads::begin(Request request) {
  const auto connection = core_.find(request.connection);
  if (!connection) return;
  Line& line = lines_[request.connection];
  if (line.running || connection->unsent() > kUnsentMax) {
    line.held.push_back(std::move(request));
    return;
  }
  line.running = true;
  start(std::move(request));
}

void Reads::next(std::uint64_t id) {
  const auto found = lines_.find(id);
  if (found == lines_.end()) return;
  Line& line = found->second;
  line.running = false;
  const auto connection = core_.find(id);
  if (!connection || line.held.empty()) {
    lines_.erase(found);
    return;
  }
  if (connection->unsent() > kUnsentMax) return;
  Request request = std::move(line.held.front());
  line.held.pop_front();
  line.running = true;
  start(std::move(request));
}

void Reads::output_left(std::uint64_t connection) {
  const auto found = lines_.find(connection);
  if (found != lines_.end() && !found->second.running) next(connection);
}

void Reads::start(Request request) {
  const std::uint64_t connection = request.connection;
  const std::uint64_t request_id = request.request_id;
  const bool queued = pool_.submit([this, request = std::move(request)]() mutable {
    for (std::size_t made = made_; made > kMadeBytesMax; made = made_) made_.wait(made);
    Expected<Outcome> outcome = fail(ErrorCode::kClosed, 1012, "cancelled");
    if (!request.control->cancelled()) outcome = read_once(log_, request);
    Outcome result;
    if (outcome) {
      result = std::move(*outcome);
    } else {
      encode(outcome.error(), request.request_id, result.frame);
    }
    made_ += result.frame.size();
    // A std::function has to be copyable; the pieces are moved out where it runs.
    mailbox_->task([this, request = std::move(request), result = std::move(result)]() mutable {
      tried(std::move(request), std::move(result));
    });
  });
  if (queued) return;
  if (const auto client = core_.find(connection)) {
    client->end(request_id);
    client->reply(request_id,
                  fail(ErrorCode::kBusy, 4008, "too many reads are waiting", "retry after 100 ms").error());
  }
  next(connection);
}

void Reads::tried(Request request, Outcome outcome) {
  made_ -= std::min(made_.load(), outcome.frame.size());
  made_.notify_one();
  const auto connection = core_.find(request.connection);
  if (!connection) return;
  if (request.control->cancelled()) {
    std::string frame;
    encode(fail(ErrorCode::kClosed, 1012, "cancelled").error(), request.request_id, frame);
    return answer(request, std::move(frame));
  }
  const bool may_wait = outcome.empty && request.deadline != kNever && Clock::now() < request.deadline;
  if (!may_wait || core_.draining()) return answer(request, std::move(outcome.frame));
  want_notification_->store(true);
  // What became durable before the flag was set has not been told to anybody.
  if (log_.durable_end() > request.seen) return start(std::move(request));
  if (waiting_.size() >= kWaitingMax) return answer(request, std::move(outcome.frame));
  core_.arm(request.deadline);
  waiting_.push_back(std::move(request));
  next(connection->id());
}

void Reads::answer(const Request& request, std::string frame) {
  const auto connection = core_.find(request.connection);
  if (!connection) return;
  connection->end(request.request_id);
  connection->reply_part(nullptr, std::move(frame));
  next(request.connection);
}

void Reads::retry_waiting() {
  if (stopped_) return;
  // Set before looking: what becomes durable from now on asks for another look.
  want_notification_->store(!waiting_.empty());
  for (Request& request : std::exchange(waiting_, {})) {
    const auto topic = log_.find_topic(request.topic);
    if (topic && topic->next_sequence == request.topic_end) {
      waiting_.push_back(std::move(request));
    } else {
      begin(std::move(request));
    }
  }
}

Deadline Reads::expire(Deadline now, bool everything) {
  Deadline next = kNever;
  std::vector<Request> still;
  for (Request& request : std::exchange(waiting_, {})) {
    if (!core_.find(request.connection)) continue;
    const bool over = everything || request.deadline <= now + kGrain || request.control->cancelled();
    if (!over) {
      next = std::min(next, request.deadline);
      still.push_back(std::move(request));
      continue;
    }
    // One more try, which does not wait: it tells where the log stands now.
    request.deadline = kNever;
    begin(std::move(request));
  }
  waiting_ = std::move(still);
  if (waiting_.empty()) want_notification_->store(false);
  return next;
}

}  // namespace kappa::serving
