// The frame: what every message travels in, both ways. docs/protocol.md is normative.
//
//   0 length u32      bytes after this field: 16 + payload, at most limits::kFrameBytesMax
//   4 crc32 u32       of everything after this field
//   8 request_id u64  chosen by the client; answers carry it
//  16 type u8        17 flags u8 (bit 0: more frames of this answer follow)      18 reserved u16, zero
//  20 payload
//
// Little-endian. The length is checked before anything is buffered, the checksum before anything is
// believed. The first frame of a connection is HELLO and has its own, smaller bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/limits.h"

namespace kappa {

inline constexpr std::size_t kFrameHeaderBytes = 20;
// What `length` counts besides the payload: crc32, request id, type, flags, reserved.
inline constexpr std::size_t kFrameLengthMin = kFrameHeaderBytes - sizeof(std::uint32_t);
// `length` of a HELLO, which a server reads before it knows with whom it speaks.
inline constexpr std::size_t kHelloLengthMax = 1'024;
inline constexpr std::size_t kPayloadBytesMax = limits::kFrameBytesMax - kFrameLengthMin;

inline constexpr std::uint8_t kFrameMore = 1;  // Flag: more frames follow for this request.

// Values are on the wire: never renumber. Even requests, odd answers from 16 on.
enum class FrameType : std::uint8_t {
  kHello = 1,
  kHelloOk = 2,
  kError = 3,
  kPing = 4,
  kPong = 5,
  kCancel = 6,
  kCredit = 7,
  kAppend = 16,
  kAppendOk = 17,
  kProducer = 18,
  kProducerOk = 19,
  kRead = 20,
  kReadOk = 21,
  kSubscriber = 22,
  kSubscriberOk = 23,
  kSql = 32,
  kColumns = 33,
  kRows = 34,
  kEnd = 35,
  kGet = 36,
  kRow = 37,
  kScan = 38,
  kWatch = 40,
  kStep = 41,
  kChanges = 43,
  kMark = 45,
  kStatus = 48,
  kStatusOk = 49,
  kOpenView = 50,
  kViewOpened = 51,
  kLookup = 52,
  kFound = 53,
  kGetMany = 54,
  kRowsFound = 55,
};

struct FrameHeader {
  std::uint32_t length = 0;
  std::uint32_t crc = 0;
  std::uint64_t request_id = 0;
  FrameType type = FrameType::kError;  // Any byte; the receiver answers 1005 for those it does not know.
  std::uint8_t flags = 0;
  std::uint16_t reserved = 0;

  [[nodiscard]] std::size_t payload_bytes() const { return length - kFrameLengthMin; }
  [[nodiscard]] std::size_t frame_bytes() const { return length + sizeof(std::uint32_t); }
  [[nodiscard]] bool more() const { return (flags & kFrameMore) != 0; }
};

// The length field alone, as soon as four bytes are there. kInvalid 1003 when it is below
// kFrameLengthMin or above `length_max`.
[[nodiscard]] Expected<std::uint32_t> check_frame_length(Bytes first_four, std::size_t length_max);

// Splits the first kFrameHeaderBytes (there must be as many). The length must have been checked.
[[nodiscard]] FrameHeader parse_frame_header(Bytes bytes);

// Verifies the checksum over the header's tail and the payload: kCorrupt 1004; then the reserved
// bytes and flags: kInvalid 1003.
[[nodiscard]] Status check_frame(const FrameHeader& header, Bytes header_bytes, Bytes payload);
// The same when the payload's part of the CRC was computed on the way: `crc` covers bytes 8 to the end.
[[nodiscard]] Status check_frame_crc(const FrameHeader& header, std::uint32_t crc);

// Builds one frame at the end of a string: header first, then what payload() gets, then finish()
// fills in length and checksum. Not finishing leaves an unusable frame behind.
class FrameBuilder {
 public:
  FrameBuilder(std::string& out, FrameType type, std::uint64_t request_id, std::uint8_t flags = 0);
  [[nodiscard]] ByteWriter& payload() { return writer_; }
  [[nodiscard]] std::size_t payload_bytes() const { return out_.size() - begin_ - kFrameHeaderBytes; }
  // `tail` is payload that the caller sends right after these bytes without copying it here.
  void finish(Bytes tail = {});

 private:
  std::string& out_;
  ByteWriter writer_;
  std::size_t begin_;
};

}  // namespace kappa
