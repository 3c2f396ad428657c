// SUBSCRIBER and its answer: the stored position of a named reader of a topic. As messages.h; docs/protocol.md is
// normative.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa {

struct SubscriberMessage {
  enum class Action : std::uint8_t { kAsk = 0, kSet = 1, kForget = 2 };
  std::string_view name;
  Action action = Action::kAsk;
  std::string_view topic;  // Of kSet.
  Offset offset;           // Of kSet: the next that it reads.
};
struct SubscriberOkMessage {
  bool known = false;
  std::string_view topic;
  Offset offset;
};

void encode(const SubscriberMessage& message, std::uint64_t request_id, std::string& out);
void encode(const SubscriberOkMessage& message, std::uint64_t request_id, std::string& out);
[[nodiscard]] Expected<SubscriberMessage> decode_subscriber(Bytes payload);
[[nodiscard]] Expected<SubscriberOkMessage> decode_subscriber_ok(Bytes payload);

}  // namespace kappa
