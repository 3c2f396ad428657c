#include "proto/frame.h"

#include "proto/crc32.h"

namespace kappa {

namespace {
constexpr std::size_t kCrcAt = 4;
constexpr std::size_t kCheckedFrom = 8;  // First byte the checksum covers.
}  // namespace

Expected<std::uint32_t> check_frame_length(Bytes first_four, std::size_t length_max) {
  ByteReader in(first_four);
  const std::uint32_t length = in.u32();
  if (!in.ok() || length < kFrameLengthMin || length > length_max) {
    return fail(ErrorCode::kInvalid, 1003,
                "frame length " + std::to_string(length) + " is not between " +
                    std::to_string(kFrameLengthMin) + " and " + std::to_string(length_max),
                "numbers are little-endian; see docs/protocol.md");
  }
  return length;
}

FrameHeader parse_frame_header(Bytes bytes) {
  ByteReader in(bytes);
  FrameHeader header;
  header.length = in.u32();
  header.crc = in.u32();
  header.request_id = in.u64();
  header.type = static_cast<FrameType>(in.u8());
  header.flags = in.u8();
  header.reserved = in.u16();
  return header;
}

Status check_frame_crc(const FrameHeader& header, std::uint32_t crc) {
  if (crc != header.crc) return fail(ErrorCode::kCorrupt, 1004, "frame checksum does not match");
  if (header.reserved != 0 || (header.flags & ~kFrameMore) != 0) {
    return fail(ErrorCode::kInvalid, 1003, "reserved bits of a frame header are set");
  }
  return {};
}

Status check_frame(const FrameHeader& header, Bytes header_bytes, Bytes payload) {
  return check_frame_crc(
      header, crc32(crc32(0, header_bytes.subspan(kCheckedFrom, kFrameHeaderBytes - kCheckedFrom)), payload));
}

FrameBuilder::FrameBuilder(std::string& out, FrameType type, std::uint64_t request_id, std::uint8_t flags)
    : out_(out), writer_(out), begin_(out.size()) {
  writer_.u32(0);
  writer_.u32(0);
  writer_.u64(request_id);
  writer_.u8(static_cast<std::uint8_t>(type));
  writer_.u8(flags);
  writer_.u16(0);
}

void FrameBuilder::finish(Bytes tail) {
  const std::string_view frame = std::string_view(out_).substr(begin_);
  const auto length = static_cast<std::uint32_t>(frame.size() - sizeof(std::uint32_t) + tail.size());
  const std::uint32_t crc = crc32(crc32(0, as_bytes(frame.substr(kCheckedFrom))), tail);
  std::memcpy(out_.data() + begin_, &length, sizeof length);
  std::memcpy(out_.data() + begin_ + kCrcAt, &crc, sizeof crc);
}

}  // namespace kappa
