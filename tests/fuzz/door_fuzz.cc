// The door: what comes before the server knows with whom it speaks, and the file that says who may come. Promises: any bytes
// of a HELLO are decoded or refused, and what is taken does not depend on how it was cut; a file of tokens is read line by
// line, what is read survives being written, no text is let in that was not made with a token; what a statement reads is
// found or refused.
//
// Input: a byte that chooses, then the bytes.
#include <algorithm>

#include "proto/frame.h"
#include "proto/messages.h"
#include "serving/names_read.h"
#include "serving/tokens.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 4096;

void hello(Bytes bytes) {
  if (bytes.size() < sizeof(std::uint32_t)) return;
  const auto length = check_frame_length(bytes, kHelloLengthMax);
  if (!length || bytes.size() < *length + sizeof(std::uint32_t)) return;
  const Bytes frame = bytes.first(*length + sizeof(std::uint32_t));
  const FrameHeader header = parse_frame_header(frame);
  const Bytes payload = frame.subspan(kFrameHeaderBytes);
  if (!check_frame(header, frame, payload) || header.type != FrameType::kHello) return;
  const auto message = decode_hello(payload);
  if (!message) return;
  KAPPA_CHECK(message->version_min <= message->version_max, "a HELLO without versions");
  std::string once;
  encode(*message, header.request_id, once);
  const auto again = decode_hello(as_bytes(once).subspan(kFrameHeaderBytes));
  KAPPA_CHECK(again && again->token == message->token && again->client_name == message->client_name,
              "a HELLO changes between encoding and decoding");
}

void tokens(std::string_view text) {
  const serving::TokenLines lines = serving::parse_tokens(text);
  std::string written;
  for (const serving::Token& token : lines.tokens) {
    written += serving::format_token(token);
    KAPPA_CHECK(!token.admin() || (token.may_append("x") && token.may_read("x")), "an admin who may not");
  }
  const serving::TokenLines again = serving::parse_tokens(written);
  KAPPA_CHECK(again.bad_lines.empty() && again.tokens.size() == lines.tokens.size(), "what was written cannot be read");
  for (std::size_t i = 0; i < again.tokens.size(); ++i) {
    const serving::Token &one = lines.tokens[i], &two = again.tokens[i];
    KAPPA_CHECK(one.id == two.id && one.hash == two.hash && one.scopes == two.scopes && one.expires == two.expires,
                "a token changes between writing and reading");
  }
}

}  // namespace

int fuzz_door(const std::uint8_t* data, std::size_t size) {
  Input in(data, std::min(size, kInputBytesMax));
  switch (in.u8() % 4) {
    case 0: hello(as_bytes(in.rest())); break;
    case 1: {  // In a frame of its own, so that the checksum is no obstacle.
      const std::string_view payload = in.rest();
      std::string framed;
      FrameBuilder builder(framed, FrameType::kHello, 1);
      builder.payload().text(payload);
      builder.finish();
      hello(as_bytes(framed));
      break;
    }
    case 2: tokens(in.rest()); break;
    default: static_cast<void>(serving::names_read(in.rest())); break;
  }
  return 0;
}

}  // namespace kappa::fuzz
