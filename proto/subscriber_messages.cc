// See subscriber_messages.h.
#include "proto/subscriber_messages.h"

#include "proto/frame.h"

namespace kappa {
namespace {

constexpr std::uint8_t kKnown = 1;

std::unexpected<Error> malformed(const char* message) {
  return fail(ErrorCode::kInvalid, 1006, std::string("malformed ") + message + " message",
              "a length inside it passes its end, a field has an unknown value, or bytes follow it");
}

}  // namespace

void encode(const SubscriberMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kSubscriber, request_id);
  frame.payload().sized_text(message.name);
  frame.payload().u8(static_cast<std::uint8_t>(message.action));
  frame.payload().sized_text(message.topic);
  frame.payload().u64(message.offset.value());
  frame.finish();
}

Expected<SubscriberMessage> decode_subscriber(Bytes payload) {
  ByteReader in(payload);
  SubscriberMessage message;
  message.name = in.sized_text();
  const std::uint8_t action = in.u8();
  message.topic = in.sized_text();
  message.offset = Offset(in.u64());
  if (!in.done() || action > static_cast<std::uint8_t>(SubscriberMessage::Action::kForget)) return malformed("SUBSCRIBER");
  message.action = static_cast<SubscriberMessage::Action>(action);
  return message;
}

void encode(const SubscriberOkMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kSubscriberOk, request_id);
  frame.payload().u8(message.known ? kKnown : 0);
  frame.payload().sized_text(message.topic);
  frame.payload().u64(message.offset.value());
  frame.finish();
}

Expected<SubscriberOkMessage> decode_subscriber_ok(Bytes payload) {
  ByteReader in(payload);
  SubscriberOkMessage message;
  const std::uint8_t flags = in.u8();
  message.topic = in.sized_text();
  message.offset = Offset(in.u64());
  if (!in.done() || (flags & ~kKnown) != 0) return malformed("SUBSCRIBER_OK");
  message.known = (flags & kKnown) != 0;
  return message;
}

}  // namespace kappa
