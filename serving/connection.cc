#include "serving/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <cstring>

#include "proto/crc32.h"
#include "serving/core.h"
#include "serving/lookups.h"

namespace kappa::serving {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kReadBytesMin = std::size_t{16} << 10;
constexpr std::size_t kReadBytesMax = std::size_t{256} << 10;
// Bodies of frames above this are received into their final place.
constexpr std::size_t kDirectFrameBytes = std::size_t{32} << 10;
// A reader has to take this much within the frame timeout, or all there is.
constexpr std::uint64_t kProgressBytes = std::uint64_t{64} << 10;
// Output that keeps its memory when it was sent.
constexpr std::size_t kOutputKeptBytes = std::size_t{64} << 10;
// After the last word: how long what the client still sends is thrown away, so that a reset does not
// take our last word from it.
constexpr milliseconds kLinger{1'000};

}  // namespace

Connection::Connection(Core& core, Transport transport, Peer peer, std::uint64_t id)
    : core_(core),
      transport_(std::move(transport)),
      id_(id),
      peer_(std::move(peer)),
      read_bytes_(kHelloLengthMax + sizeof(std::uint32_t)) {}

Connection::~Connection() = default;

void Connection::start() {
  if (transport_.prepare()) return close();
  read_deadline_ = Clock::now() + core_.options().handshake_timeout;
  core_.arm(read_deadline_);
  start_read();
}

void Connection::greeted(std::uint32_t features) {
  greeted_ = true;
  features_ = features;
  read_bytes_ = kReadBytesMin;
  read_deadline_ = kNever;
}

bool Connection::paused() const {
  return closed_ || closing_ || draining_ || parked_ ||
         out_.size() - out_sent_ + expected_bytes > core_.options().output_bytes_max ||
         appends_.size() >= core_.options().requests_in_flight_max;
}

// --- reading ---

void Connection::start_read() {
  if (reading_ || closed_) return;
  reading_ = true;
  auto done = [self = shared_from_this()](boost::system::error_code error, std::size_t bytes) {
    self->reading_ = false;
    if (self->closed_) return;
    if (error) return self->read_failed();
    self->on_read(bytes);
  };
  std::span<std::byte> room;
  if (lingering_) {
    in_.consume(in_.size());
    room = in_.room(kReadBytesMin);
  } else if (body_ && body_->dropped) {
    room = in_.room(kReadBytesMin);
  } else {
    std::size_t total = read_bytes_;
    if (!body_ && in_.size() >= sizeof(std::uint32_t)) {
      if (auto length = check_frame_length(in_.bytes(), core_.options().frame_bytes_max)) {
        total = std::max(total, *length + sizeof(std::uint32_t));
      }
    }
    room = in_.room(std::max(total, in_.size() + 1));
  }
  const asio::mutable_buffer behind = asio::buffer(room.data(), room.size());
  if (!body_ || body_->dropped) return transport_.async_read({behind, asio::mutable_buffer()}, std::move(done));
  // Whatever follows a body comes along in the same call.
  transport_.async_read(
      {asio::buffer(body_->body.data() + body_->filled, body_->body.size() - body_->filled), behind}, std::move(done));
}

void Connection::read_failed() {
  if (const char* why = transport_.tls_failure(); why != nullptr)
    core_.refused(*this, fail(ErrorCode::kInvalid, 4019, std::string("TLS: ") + why).error());
  close();
}

void Connection::on_read(std::size_t bytes) {
  if (lingering_ || closing_) return start_read();
  active_ = true;
  if (body_) {
    receive_body(bytes);
  } else {
    in_.commit(bytes);
    if (greeted_) {
      // Follows the traffic: few calls for a busy connection, little memory for an idle one.
      if (in_.size() >= read_bytes_) read_bytes_ = std::min(read_bytes_ * 2, kReadBytesMax);
      if (bytes < read_bytes_ / 8) read_bytes_ = std::max(read_bytes_ / 2, kReadBytesMin);
    }
  }
  process();
}

void Connection::receive_body(std::size_t bytes) {
  IncomingBody& body = *body_;
  if (body.dropped) {
    in_.commit(bytes);
    const std::size_t mine = std::min(in_.size(), body.length - body.filled);
    body.crc = crc32(body.crc, in_.bytes().first(mine));
    in_.consume(mine);
    body.filled += mine;
  } else {
    const std::size_t mine = std::min(bytes, body.length - body.filled);
    body.crc = crc32(body.crc, as_bytes(std::string_view(body.body).substr(body.filled, mine)));
    body.filled += mine;
    in_.commit(bytes - mine);
    account();
    if (body.filled != body.length && core_.memory_short()) drop_body();
  }
  if (body.filled == body.length) finish_body();
}

void Connection::drop_body() {
  body_->dropped = true;
  body_->body = std::string();
  account();
}

// Frames that are not whole, an append that waits, answers that are not sent.
void Connection::account() {
  std::size_t held = closed_ ? 0 : in_.size() + (unsent() == 0 ? 0 : out_.capacity());
  if (!closed_ && body_ && !body_->dropped) held += body_->filled;
  if (!closed_ && parked_) held += parked_->batch.body.size();
  core_.held(std::exchange(held_, held), held);
}

bool Connection::was_idle() {
  return greeted_ && !std::exchange(active_, false) && requests_.empty() && unsent() == 0;
}

void Connection::resume() {
  if (!processing_ && !body_ && !paused()) process();
}

void Connection::process() {
  if (processing_) return;
  processing_ = true;
  while (!paused() && !body_ && process_frame()) {
  }
  processing_ = false;
  if (closed_) return;
  account();
  if (!paused() && in_.size() == 0) in_.shrink(read_bytes_ * 2);
  set_frame_deadline();
  if (!paused() || closing_) start_read();
}

bool Connection::process_frame() {
  const Bytes available = in_.bytes();
  if (available.size() < sizeof(std::uint32_t)) return false;
  const auto length = check_frame_length(available, greeted_ ? core_.options().frame_bytes_max : kHelloLengthMax);
  if (!length) {
    give_up(length.error());
    return false;
  }
  const std::size_t frame_bytes = *length + sizeof(std::uint32_t);
  if (available.size() < frame_bytes) {
    if (greeted_ && frame_bytes > kDirectFrameBytes && available.size() >= kFrameHeaderBytes) {
      begin_body(parse_frame_header(available), available);
      // Another kind of large frame cannot be received without the memory for it.
      if (!body_ && core_.memory_short()) give_up(core_.busy());
    }
    return false;
  }
  const Bytes frame = available.first(frame_bytes);
  const FrameHeader header = parse_frame_header(frame);
  const Bytes payload = frame.subspan(kFrameHeaderBytes);
  if (auto checked = check_frame(header, frame, payload); !checked) {
    give_up(checked.error());
    return false;
  }
  if (greeted_) {
    core_.dispatch(*this, header, payload);
  } else {
    core_.hello(*this, header, payload);
  }
  if (closed_) return false;
  in_.consume(frame_bytes);
  return true;
}

// Nothing of an unverified frame is believed here but what decides where its bytes go: if the prefix
// reads as an APPEND whose body fills the frame exactly, the body goes to its final place. In every
// other case the frame is buffered whole and looked at when it is complete.
void Connection::begin_body(const FrameHeader& header, Bytes available) {
  if (header.type != FrameType::kAppend) return;
  const Bytes payload = available.subspan(kFrameHeaderBytes);
  const auto prefix = decode_append_prefix(payload);
  if (!prefix || !*prefix || (*prefix)->prefix_bytes + (*prefix)->body_length != header.payload_bytes()) return;
  IncomingBody& body = body_.emplace();
  body.header = header;
  body.message = (*prefix)->message;
  body.topic = body.message.topic;
  body.message.topic = body.topic;
  body.filled = payload.size() - (*prefix)->prefix_bytes;
  body.length = (*prefix)->body_length;
  body.crc = crc32(0, available.subspan(8));
  // Not filled with zeros first: pages that a slow client never sends are never touched.
  body.body.resize_and_overwrite((*prefix)->body_length, [&](char* data, std::size_t size) {
    std::memcpy(data, payload.data() + (*prefix)->prefix_bytes, body.filled);
    return size;
  });
  in_.consume(available.size());
}

void Connection::finish_body() {
  IncomingBody body = std::move(*body_);
  body_.reset();
  body.message.topic = body.topic;
  if (auto checked = check_frame_crc(body.header, body.crc); !checked) return give_up(checked.error());
  if (body.dropped) return core_.refuse_append(*this, body.header.request_id);
  core_.dispatch_append(*this, body.header.request_id, body.message, std::move(body.body));
}

// From a frame's first byte to its last; not while we ourselves do not read.
void Connection::set_frame_deadline() {
  if (!greeted_ || closing_) return;
  if (paused() || (!body_ && in_.size() == 0)) {
    read_deadline_ = kNever;
  } else if (read_deadline_ == kNever) {
    read_deadline_ = Clock::now() + core_.options().frame_timeout;
    core_.arm(read_deadline_);
  }
}

// --- requests ---

bool Connection::begin(std::uint64_t request_id, std::shared_ptr<QueryControl> control) {
  return requests_.emplace(request_id, std::move(control)).second;
}

void Connection::end(std::uint64_t request_id) { requests_.erase(request_id); }

bool Connection::cancel(std::uint64_t request_id) {
  const auto found = requests_.find(request_id);
  if (found == requests_.end() || !found->second) return false;
  found->second->cancel();
  return true;
}

void Connection::cancel_all() {
  for (auto& [id, control] : requests_) {
    if (control) control->cancel();
  }
}

std::uint64_t Connection::begin_append(std::uint64_t request_id) {
  appends_.push_back({request_id, std::nullopt});
  return first_slot_ + appends_.size() - 1;
}

void Connection::end_append(std::uint64_t slot, Expected<log::AppendAck> result) {
  appends_[slot - first_slot_].result = std::move(result);
  while (!appends_.empty() && appends_.front().result) {
    const AppendSlot& done = appends_.front();
    if (*done.result) {
      const log::AppendAck& ack = **done.result;
      encode(AppendOkMessage{ack.base_offset, ack.count, ack.duplicate, ack.offsets_known,
                             static_cast<std::uint8_t>(ack.durability)},
             done.request_id, out_);
    } else {
      encode(done.result->error(), done.request_id, out_);
    }
    requests_.erase(done.request_id);
    appends_.pop_front();
    ++first_slot_;
  }
  replied();
}

void Connection::park(log::AppendBatch batch, std::uint64_t slot) { parked_ = Parked{std::move(batch), slot}; }

std::optional<Connection::Parked> Connection::unpark() { return std::exchange(parked_, std::nullopt); }

// --- writing ---

void Connection::replied() {
  if (closed_ || std::exchange(dirty_, true)) return;
  core_.mark_dirty(*this);
}

void Connection::reply(std::uint64_t request_id, const Error& error) {
  encode(error, request_id, out_);
  replied();
}

void Connection::reply_part(const std::shared_ptr<QueryControl>& control, std::string frame) {
  if (control) unsent_parts_.emplace_back(control, frame.size());
  if (out_.empty()) {
    out_ = std::move(frame);
  } else {
    out_ += frame;
  }
  replied();
}

void Connection::give_up(const Error& error) {
  if (closed_ || closing_) return;
  // Who has not said HELLO may not speak this protocol at all: no answer, nothing to reflect. Only a
  // client with the magic but another version, or without a good token, gets to know (see Core::hello).
  if (!greeted_ && error.number != 1002 && error.number != 4011) {
    core_.refused(*this, error);
    return close();
  }
  reply(0, error);
  closing_ = true;
  read_deadline_ = Clock::now() + core_.options().frame_timeout;
  core_.arm(read_deadline_);
}

void Connection::flush() {
  dirty_ = false;
  if (closed_) return;
  if (writing_) return account();
  while (out_sent_ < out_.size()) {
    boost::system::error_code error;
    const std::size_t sent = transport_.write_some(std::string_view(out_).substr(out_sent_), error);
    if (error == asio::error::would_block || error == asio::error::try_again) {
      wait_writable();
      return account();
    }
    if (error == asio::error::interrupted) continue;
    if (error) return close();
    out_sent_ += sent;
    sent_since_deadline_ += sent;
  }
  after_output_left();
}

void Connection::wait_writable() {
  if (write_deadline_ == kNever || sent_since_deadline_ >= kProgressBytes) {
    write_deadline_ = Clock::now() + core_.options().frame_timeout;
    sent_since_deadline_ = 0;
    core_.arm(write_deadline_);
  }
  // What was sent leaves the front once it is the larger part, so the copying stays linear.
  if (out_sent_ > out_.size() / 2) {
    out_.erase(0, out_sent_);
    out_sent_ = 0;
  }
  writing_ = true;
  transport_.async_wait_writable([self = shared_from_this()](boost::system::error_code error) {
    self->writing_ = false;
    if (self->closed_) return;
    if (error) return self->close();
    self->flush();
    self->resume();
  });
}

void Connection::after_output_left() {
  out_.clear();
  out_sent_ = 0;
  if (out_.capacity() > kOutputKeptBytes) out_.shrink_to_fit();
  write_deadline_ = kNever;
  sent_since_deadline_ = 0;
  account();
  for (auto& [control, bytes] : unsent_parts_) control->sent(bytes);
  unsent_parts_.clear();
  if (closing_) return finish_closing();
  if (draining_ && requests_.empty()) return close();
  core_.output_left(*this);
}

void Connection::finish_closing() {
  if (std::exchange(lingering_, true)) return;
  transport_.shutdown_send();
  read_deadline_ = Clock::now() + kLinger;
  core_.arm(read_deadline_);
  body_.reset();
  start_read();
}

void Connection::drain() {
  if (closed_) return;
  draining_ = true;
  if (!greeted_ || (requests_.empty() && out_.empty() && !closing_)) close();
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  transport_.close();
  cancel_all();
  unsent_parts_.clear();
  account();
  core_.forget(*this);
}

Deadline Connection::check_deadlines(Deadline now) {
  if (read_deadline_ <= now || write_deadline_ <= now) {
    core_.timed_out(*this, write_deadline_ <= now ? "it does not read its answers"
                           : !greeted_            ? "no HELLO in time"
                                                  : "a frame did not arrive in time");
    close();
    return kNever;
  }
  return std::min(read_deadline_, write_deadline_);
}

}  // namespace kappa::serving
