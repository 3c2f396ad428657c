#include "serving/subscribers.h"

#include <spdlog/spdlog.h>

#include "proto/messages.h"
#include "serving/core.h"

namespace kappa::serving {
namespace {

constexpr std::string_view kKeyPrefix = "subscriber/";
constexpr std::uint16_t kFormat = 1;
constexpr std::size_t kQueuedMax = 1'024;

std::string key_of(std::string_view name) { return std::string(kKeyPrefix) + std::string(name); }

}  // namespace

std::string encode_position(std::string_view topic, Offset offset) {
  std::string out;
  ByteWriter to(out);
  to.u16(kFormat);
  to.sized_text(topic);
  to.u64(offset.value());
  return out;
}

std::optional<Position> decode_position(std::string_view value) {
  ByteReader in(as_bytes(value));
  const std::uint16_t format = in.u16();
  Position position;
  position.topic = in.sized_text();
  position.offset = Offset(in.u64());
  if (!in.done() || format != kFormat) return std::nullopt;
  return position;
}

Subscribers::Subscribers(Core& core, log::Log& log)
    : core_(core), log_(log), mailbox_(core.mailbox()), pool_("kappa-position", 1, kQueuedMax) {
  for (const log::SystemRecord& record : log_.system_records()) {
    if (!record.key.starts_with(kKeyPrefix)) continue;
    const auto position = decode_position(record.value);
    if (!position) {
      spdlog::error("the position of subscriber \"{}\" cannot be read", record.key.substr(kKeyPrefix.size()));
      continue;
    }
    keep(record.key.substr(kKeyPrefix.size()), *position);
  }
}

Subscribers::~Subscribers() { stop(); }

void Subscribers::stop() {
  if (std::exchange(stopped_, true)) return;
  pool_.stop();
}

void Subscribers::keep(const std::string& name, const Position& position) {
  Subscriber& subscriber = subscribers_[name];
  // A hold never goes back, so a subscriber that does gets another.
  if (subscriber.position.topic.empty() || position.offset < subscriber.position.offset) {
    subscriber.hold = log_.hold("subscriber \"" + name + "\"", position.offset);
  } else {
    subscriber.hold.advance(position.offset);
  }
  subscriber.position = position;
}

void Subscribers::handle(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto message = decode_subscriber(payload);
  if (!message) return connection.reply(request_id, message.error());
  const auto refuse = [&](ErrorCode code, std::uint16_t number, std::string what, std::string hint = {}) {
    connection.reply(request_id, fail(code, number, std::move(what), std::move(hint)).error());
  };
  const std::string name(message->name);
  if (name.empty() || name.size() > limits::kTopicNameBytesMax)
    return refuse(ErrorCode::kInvalid, 1007, "a subscriber's name has 1 to 255 bytes");
  const auto found = subscribers_.find(name);
  using Action = SubscriberMessage::Action;
  // Whoever may read its topic may see where it stands, and move it.
  const std::string topic = found != subscribers_.end() ? found->second.position.topic : std::string(message->topic);
  if (!connection.is_admin() && !connection.may_read(topic))
    return connection.reply(request_id, core_.denied_read(topic));
  if (message->action == Action::kAsk) return answer(connection, request_id, name);
  if (message->action == Action::kForget) {
    if (found == subscribers_.end()) return answer(connection, request_id, name);
    return set(connection, request_id, name, std::nullopt);
  }
  if (!log_.find_topic(message->topic)) {
    return refuse(ErrorCode::kNotFound, 1010, "no topic \"" + std::string(message->topic) + "\"",
                  "a topic exists from its first append on; `kappa status` lists them");
  }
  if (message->offset > log_.durable_end()) {
    return refuse(ErrorCode::kInvalid, 1011,
                  "offset " + std::to_string(message->offset.value()) + " is past the durable end " +
                      std::to_string(log_.durable_end().value()));
  }
  if (found != subscribers_.end() && found->second.position.topic != message->topic) {
    return refuse(ErrorCode::kExists, 1021,
                  "subscriber \"" + name + "\" reads topic \"" + found->second.position.topic + "\"",
                  "take another name, or forget this one first");
  }
  if (found == subscribers_.end() && subscribers_.size() >= kSubscribersMax)
    return refuse(ErrorCode::kBusy, 1007, "there are too many subscribers", "forget those that are not needed");
  set(connection, request_id, name, Position{std::string(message->topic), message->offset});
}

void Subscribers::set(Connection& connection, std::uint64_t request_id, std::string name,
                      std::optional<Position> position) {
  // Held from now on: the record may be durable before anybody here knows.
  if (position) position->offset = std::max(position->offset, log_.start());
  static_cast<void>(connection.begin(request_id, nullptr));
  const std::uint64_t id = connection.id();
  const bool queued = pool_.submit([this, id, request_id, name, position] {
    const auto appended =
        log_.append_system(key_of(name), position ? encode_position(position->topic, position->offset) : std::string());
    mailbox_->task([this, id, request_id, name, position, done = Status(appended ? Status() : std::unexpected(appended.error()))] {
      if (done && position) keep(name, *position);
      if (done && !position) subscribers_.erase(name);
      const auto client = core_.find(id);
      if (!client) return;
      client->end(request_id);
      if (!done) return client->reply(request_id, done.error());
      answer(*client, request_id, name);
    });
  });
  if (queued) return;
  connection.end(request_id);
  connection.reply(request_id, fail(ErrorCode::kBusy, 4008, "too many positions are being stored", "try again").error());
}

void Subscribers::answer(Connection& connection, std::uint64_t request_id, std::string_view name) {
  SubscriberOkMessage message;
  const auto found = subscribers_.find(name);
  if (found != subscribers_.end()) {
    message.known = true;
    message.topic = found->second.position.topic;
    message.offset = found->second.position.offset;
  }
  encode(message, request_id, connection.out());
  connection.replied();
}

}  // namespace kappa::serving
