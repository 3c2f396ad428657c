// See watch_messages.h.
#include "proto/watch_messages.h"

#include "proto/frame.h"

namespace kappa {
namespace {

constexpr std::uint8_t kWatchSnapshot = 1;
constexpr std::uint8_t kWatchResetAtCutover = 2;
constexpr std::uint8_t kWatchResume = 4;
constexpr std::uint8_t kNoReset = 255;

std::unexpected<Error> malformed(const char* message) {
  return fail(ErrorCode::kInvalid, 1006, std::string("malformed ") + message + " message",
              "a length inside it passes its end, a field has an unknown value, or bytes follow it");
}

}  // namespace

void encode(const WatchMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kWatch, request_id);
  ByteWriter& to = frame.payload();
  to.sized_text(message.view);
  to.u8(static_cast<std::uint8_t>((message.snapshot ? kWatchSnapshot : 0) |
                                  (message.reset_at_cutover ? kWatchResetAtCutover : 0) |
                                  (message.resume ? kWatchResume : 0)));
  to.u64(message.resume ? message.resume->applied.value() : 0);
  to.u32(message.resume ? message.resume->version : 0);
  to.u32(message.credit);
  encode_row(message.prefix, out);
  frame.finish();
}

Expected<WatchMessage> decode_watch(Bytes payload) {
  ByteReader in(payload);
  WatchMessage message;
  message.view = in.sized_text();
  const std::uint8_t flags = in.u8();
  const Offset applied(in.u64());
  const std::uint32_t version = in.u32();
  message.credit = in.u32();
  if (!in.ok() || (flags & ~(kWatchSnapshot | kWatchResetAtCutover | kWatchResume)) != 0) return malformed("WATCH");
  message.snapshot = (flags & kWatchSnapshot) != 0;
  message.reset_at_cutover = (flags & kWatchResetAtCutover) != 0;
  if ((flags & kWatchResume) != 0) message.resume = WatchMessage::From{applied, version};
  auto prefix = decode_row(in);
  if (!prefix || !in.done()) return malformed("WATCH");
  message.prefix = std::move(*prefix);
  return message;
}

void encode(const CreditMessage& message, std::string& out) {
  FrameBuilder frame(out, FrameType::kCredit, 0);
  frame.payload().u64(message.request_id);
  frame.payload().u32(message.bytes);
  frame.finish();
}

Expected<CreditMessage> decode_credit(Bytes payload) {
  ByteReader in(payload);
  CreditMessage message;
  message.request_id = in.u64();
  message.bytes = in.u32();
  if (!in.done()) return malformed("CREDIT");
  return message;
}

void encode(const StepMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kStep, request_id, kFrameMore);
  frame.payload().u64(message.applied.value());
  frame.payload().u32(message.version);
  frame.payload().u8(message.reset.value_or(kNoReset));
  frame.finish();
}

Expected<StepMessage> decode_step(Bytes payload) {
  ByteReader in(payload);
  StepMessage message;
  message.applied = Offset(in.u64());
  message.version = in.u32();
  const std::uint8_t reset = in.u8();
  if (!in.done() || (reset != kNoReset && reset > kWatchResetsMax)) return malformed("STEP");
  if (reset != kNoReset) message.reset = reset;
  return message;
}

void encode_change(bool added, const Row& row, std::string& out) {
  out.push_back(added ? 1 : 0);
  encode_row(row, out);
}

void encode_changes(std::uint32_t count, std::string_view encoded, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kChanges, request_id, kFrameMore);
  frame.payload().u32(count);
  frame.payload().text(encoded);
  frame.finish();
}

Expected<ChangesMessage> decode_changes(Bytes payload) {
  ByteReader in(payload);
  ChangesMessage message;
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint8_t added = in.u8();
    auto row = decode_row(in);
    if (!in.ok() || added > 1 || !row) return malformed("CHANGES");
    message.changes.push_back({added == 1, std::move(*row)});
  }
  if (!in.done()) return malformed("CHANGES");
  return message;
}

void encode(const MarkMessage& message, std::uint64_t request_id, std::string& out) {
  FrameBuilder frame(out, FrameType::kMark, request_id, kFrameMore);
  frame.payload().u64(message.applied.value());
  frame.payload().u32(message.version);
  frame.finish();
}

Expected<MarkMessage> decode_mark(Bytes payload) {
  ByteReader in(payload);
  MarkMessage message;
  message.applied = Offset(in.u64());
  message.version = in.u32();
  if (!in.done()) return malformed("MARK");
  return message;
}

}  // namespace kappa
