// Goal: a frame is believed only when its length, checksum and reserved bits are right.
// Method: a good frame, then each way to break it.
#include "proto/frame.h"

#include <gtest/gtest.h>

#include "proto/crc32.h"
#include "proto/receive_buffer.h"

namespace kappa {
namespace {

std::string sample_frame() {
  std::string frame;
  FrameBuilder builder(frame, FrameType::kSql, 77, kFrameMore);
  builder.payload().text("payload");
  builder.finish();
  return frame;
}

Status check(const std::string& frame) {
  return check_frame(parse_frame_header(as_bytes(frame)), as_bytes(frame), as_bytes(frame).subspan(kFrameHeaderBytes));
}

// Sets a byte and makes the checksum right again.
std::string with_byte(std::string frame, std::size_t at, char value) {
  frame[at] = value;
  const std::uint32_t crc = crc32(0, as_bytes(frame).subspan(8));
  std::memcpy(frame.data() + 4, &crc, sizeof crc);
  return frame;
}

std::string length_bytes(std::uint32_t length) {
  std::string bytes;
  ByteWriter(bytes).u32(length);
  return bytes;
}

TEST(Crc32, IsTheOneOfZip) {
  EXPECT_EQ(crc32(0, as_bytes("123456789")), 0xcbf43926U);
  EXPECT_EQ(crc32(0, {}), 0U);
}

TEST(Crc32, ContinuesAcrossPieces) {
  EXPECT_EQ(crc32(crc32(0, as_bytes("1234")), as_bytes("56789")), 0xcbf43926U);
  EXPECT_EQ(crc32(crc32(0, as_bytes("123456789")), {}), 0xcbf43926U);
}

TEST(Frame, HeaderComesBack) {
  const std::string frame = sample_frame();
  const FrameHeader header = parse_frame_header(as_bytes(frame));
  EXPECT_EQ(header.frame_bytes(), frame.size());
  EXPECT_EQ(header.payload_bytes(), 7U);
  EXPECT_EQ(header.request_id, 77U);
  EXPECT_EQ(header.type, FrameType::kSql);
  EXPECT_TRUE(header.more());
  EXPECT_TRUE(check(frame));
}

TEST(Frame, TailIsCountedAndChecked) {
  std::string split;
  FrameBuilder builder(split, FrameType::kSql, 77, kFrameMore);
  builder.payload().text("pay");
  builder.finish(as_bytes("load"));
  EXPECT_EQ(split + "load", sample_frame());
}

TEST(Frame, FramesFollowEachOtherInOneString) {
  std::string both = sample_frame();
  FrameBuilder second(both, FrameType::kSql, 77, kFrameMore);
  second.payload().text("payload");
  second.finish();
  EXPECT_EQ(both, sample_frame() + sample_frame());
}

TEST(Frame, EveryChangedByteAfterTheLengthIsNoticed) {
  for (std::size_t at = 4; at < sample_frame().size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string frame = sample_frame();
      frame[at] = static_cast<char>(frame[at] ^ (1 << bit));
      const auto status = check(frame);
      ASSERT_FALSE(status) << "byte " << at << " bit " << bit;
      EXPECT_EQ(status.error().number, 1004);
    }
  }
}

TEST(Frame, ReservedBitsAreRefused) {
  for (const auto& [at, value] : {std::pair<std::size_t, char>{17, 2}, {18, 1}, {19, 1}}) {
    const auto status = check(with_byte(sample_frame(), at, value));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().number, 1003);
  }
}

TEST(FrameLength, OnlyFromTheHeaderToTheBound) {
  EXPECT_TRUE(check_frame_length(as_bytes(length_bytes(kFrameLengthMin)), limits::kFrameBytesMax));
  EXPECT_TRUE(check_frame_length(as_bytes(length_bytes(limits::kFrameBytesMax)), limits::kFrameBytesMax));
  for (const std::uint32_t length :
       {0U, 1U, 15U, static_cast<std::uint32_t>(limits::kFrameBytesMax) + 1, 0x7fffffffU, 0x80000000U, 0xffffffffU,
        0x14000000U /* 20 in the other byte order */}) {
    const auto checked = check_frame_length(as_bytes(length_bytes(length)), limits::kFrameBytesMax);
    ASSERT_FALSE(checked) << length;
    EXPECT_EQ(checked.error().number, 1003);
  }
}

TEST(FrameLength, OtherProtocolsAreHuge) {
  for (const std::string_view start : {"GET ", "SSH-", "\x16\x03\x01\x02", "PRI "}) {
    EXPECT_FALSE(check_frame_length(as_bytes(start), kHelloLengthMax)) << start;
  }
}

TEST(ReceiveBuffer, KeepsBytesInOrderWhileItGrowsAndMoves) {
  ReceiveBuffer buffer;
  std::string expected;
  std::size_t next = 0;
  for (std::size_t round = 1; round < 200; ++round) {
    auto room = buffer.room(buffer.size() + round);
    ASSERT_GE(room.size(), round);
    for (std::size_t i = 0; i < round; ++i) {
      room[i] = static_cast<std::byte>(next);
      expected += static_cast<char>(next++);
    }
    buffer.commit(round);
    const std::size_t eaten = round * 2 / 3;
    buffer.consume(eaten);
    expected.erase(0, eaten);
    ASSERT_EQ(as_text(buffer.bytes()), expected);
  }
}

TEST(ReceiveBuffer, GivesMemoryBackOnlyWhenEmpty) {
  ReceiveBuffer buffer;
  static_cast<void>(buffer.room(1000));
  buffer.commit(10);
  buffer.shrink(100);
  EXPECT_EQ(buffer.capacity(), 1000U);
  buffer.consume(10);
  buffer.shrink(100);
  EXPECT_EQ(buffer.capacity(), 0U);
}

}  // namespace
}  // namespace kappa
