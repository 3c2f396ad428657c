// Goal: a batch survives encoding, and no byte of a header or body can change unnoticed.
// Method: round trips, every single-byte change of a header, hostile bodies (random bytes with a
// printed seed, cut bodies), golden bytes for the format.
#include "proto/batch.h"

#include <gtest/gtest.h>

#include <random>

#include "proto/limits.h"

namespace kappa {
namespace {

BatchHeader sample() {
  BatchHeader h;
  h.kind = BatchKind::kEvents;
  h.all_timestamps_explicit = true;
  h.body_length = h.uncompressed_length = 7;
  h.count = 2;
  h.base_offset = Offset(0x0102030405060708);
  h.base_sequence = TopicSequence(9);
  h.log_position = LogPosition(10);
  h.durable_upto = LogPosition(11);
  h.writer_epoch = WriterEpoch(12);
  h.topic_id = TopicId(13);
  h.previous_header_hash = 14;
  h.append_time = Timestamp(15);
  h.min_timestamp = Timestamp(-16);
  h.max_timestamp = Timestamp(17);
  h.producer_id = ProducerId(18);
  h.producer_epoch = 19;
  h.producer_sequence = 20;
  h.body_hash = 21;
  return h;
}

std::string encode(const BatchHeader& h, std::uint64_t seed) {
  std::string out(kBatchHeaderBytes, '\0');
  encode_batch_header(h, seed, reinterpret_cast<std::byte*>(out.data()));
  return out;
}

TEST(BatchHeaderFormat, RoundTrips) {
  const BatchHeader h = sample();
  const std::string bytes = encode(h, 5);
  const auto back = decode_batch_header(as_bytes(bytes), 5);
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(*back, h);
  EXPECT_FALSE(decode_batch_header(as_bytes(bytes), 6)) << "the seed is part of the hash";
}

TEST(BatchHeaderFormat, FieldsAreWhereTheDocumentSays) {
  const std::string bytes = encode(sample(), 5);
  EXPECT_EQ(bytes.substr(0, 4), "KBAT");
  EXPECT_EQ(bytes[4], char(160));
  EXPECT_EQ(bytes[6], 1);
  EXPECT_EQ(bytes[9], 1);   // All timestamps explicit.
  EXPECT_EQ(bytes[24], 8);  // base_offset, lowest byte first.
  EXPECT_EQ(bytes[40], 10);
  EXPECT_EQ(bytes[48], 11);
  EXPECT_EQ(bytes[60], 13);
  EXPECT_EQ(bytes[96], 18);
  EXPECT_EQ(bytes[112], 20);
  EXPECT_EQ(bytes[120], 21);
}

TEST(BatchHeaderFormat, EverySingleByteChangeIsNoticed) {
  const std::string good = encode(sample(), 5);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    EXPECT_FALSE(decode_batch_header(as_bytes(bad), 5)) << "byte " << i;
  }
  EXPECT_FALSE(decode_batch_header(as_bytes(good).first(159), 5));
}

TEST(BatchHeaderFormat, LengthsOverTheLimitsAreRefusedEvenWithAGoodHash) {
  BatchHeader h = sample();
  h.body_length = h.uncompressed_length = limits::kBatchBytesMax + 1;
  EXPECT_EQ(decode_batch_header(as_bytes(encode(h, 5)), 5).error().number, 3104);
  h = sample();
  h.count = limits::kBatchEventsMax + 1;
  EXPECT_EQ(decode_batch_header(as_bytes(encode(h, 5)), 5).error().number, 3104);
  h = sample();
  h.uncompressed_length = 8;
  EXPECT_EQ(decode_batch_header(as_bytes(encode(h, 5)), 5).error().number, 3104);
}

TEST(BatchHeaderFormat, NewerVersionIsUnsupportedNotCorrupt) {
  std::string bytes = encode(sample(), 5);
  bytes[6] = 2;
  const std::uint64_t hash = hash_bytes(as_bytes(bytes).first(152), 5);
  std::memcpy(bytes.data() + 152, &hash, 8);
  const auto result = decode_batch_header(as_bytes(bytes), 5);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(result.error().number, 3103);
}

TEST(BatchBody, GoldenBytes) {
  BatchBuilder builder;
  ASSERT_TRUE(builder.add({.value = "ab", .key = "k", .timestamp = Timestamp(1), .headers = {}}));
  ASSERT_TRUE(builder.add({.value = "", .key = {}, .timestamp = {}, .headers = {}}));
  EXPECT_EQ(builder.body(), std::string("\x06\x03\x02\x01kab\x01\x00", 9));
}

TEST(BatchBody, RoundTripsEveryShape) {
  BatchBuilder builder;
  const RecordHeader headers[] = {{"a", "1"}, {"b", ""}};
  ASSERT_TRUE(builder.add({.value = "v1", .key = {}, .timestamp = {}, .headers = {}}));
  ASSERT_TRUE(builder.add({.value = "v2", .key = "k2", .timestamp = Timestamp(-5), .headers = headers}));
  ASSERT_TRUE(builder.add({.value = "", .key = "", .timestamp = Timestamp(100), .headers = {}}));
  const std::uint32_t count = builder.count();
  const std::string body = builder.take();
  EXPECT_TRUE(builder.empty());
  RecordReader reader(as_bytes(body), count);
  auto one = reader.next();
  ASSERT_TRUE(one && *one);
  EXPECT_EQ((*one)->value, "v1");
  EXPECT_FALSE((*one)->key);
  EXPECT_FALSE((*one)->timestamp);
  auto two = reader.next();
  ASSERT_TRUE(two && *two);
  EXPECT_EQ((*two)->key, "k2");
  EXPECT_EQ((*two)->timestamp, Timestamp(-5));
  const auto decoded = decode_headers((*two)->headers);
  ASSERT_TRUE(decoded);
  ASSERT_EQ(decoded->size(), 2u);
  EXPECT_EQ((*decoded)[0].name, "a");
  EXPECT_EQ((*decoded)[1].value, "");
  EXPECT_EQ((*two)->value, "v2");
  auto three = reader.next();
  ASSERT_TRUE(three && *three);
  EXPECT_EQ((*three)->key, "");
  EXPECT_EQ((*three)->timestamp, Timestamp(100));
  auto end = reader.next();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
  const auto summary = validate_body(as_bytes(body), count);
  ASSERT_TRUE(summary);
  EXPECT_FALSE(summary->all_timestamps_explicit);
  EXPECT_EQ(summary->min_timestamp, Timestamp(-5));
  EXPECT_EQ(summary->max_timestamp, Timestamp(100));
}

TEST(BatchBody, EventsOverTheLimitLeaveTheBatchUnchanged) {
  BatchBuilder builder;
  ASSERT_TRUE(builder.add({.value = "x", .key = {}, .timestamp = {}, .headers = {}}));
  const std::string before = builder.body();
  const std::string large(limits::kEventBytesMax + 1, 'x');
  const Status refused = builder.add({.value = large, .key = {}, .timestamp = {}, .headers = {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused.error().number, 1007);
  const std::string key(limits::kKeyBytesMax + 1, 'k');
  EXPECT_FALSE(builder.add({.value = "v", .key = key, .timestamp = {}, .headers = {}}));
  EXPECT_EQ(builder.body(), before);
  const std::string largest(limits::kEventBytesMax, 'x');
  EXPECT_TRUE(builder.add({.value = largest, .key = {}, .timestamp = {}, .headers = {}}));
  EXPECT_TRUE(validate_body(as_bytes(builder.body()), 2));
}

TEST(BatchBody, CutOrMiscountedBodiesAreRefused) {
  BatchBuilder builder;
  const RecordHeader headers[] = {{"name", "value"}};
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(builder.add({.value = "value", .key = "key", .timestamp = Timestamp(i), .headers = headers}));
  const std::string body = builder.body();
  ASSERT_TRUE(validate_body(as_bytes(body), 5));
  for (std::size_t n = 0; n < body.size(); ++n) {
    const auto result = validate_body(as_bytes(body).first(n), 5);
    ASSERT_FALSE(result) << n;
    EXPECT_EQ(result.error().number, 3105);
  }
  EXPECT_FALSE(validate_body(as_bytes(body), 4));
  EXPECT_FALSE(validate_body(as_bytes(body), 6));
}

TEST(BatchBody, RandomBytesNeverReadOutside) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string body(random() % 64, '\0');
    for (char& c : body) c = static_cast<char>(random() % 4 == 0 ? random() : random() % 16);
    // Heap copy of the exact size: the address sanitizer sees one byte too many.
    const std::vector<char> exact(body.begin(), body.end());
    RecordReader reader(as_bytes({exact.data(), exact.size()}), 10);
    for (;;) {
      const auto record = reader.next();
      if (!record || !*record) break;
      EXPECT_LE((*record)->value.size(), body.size());
      static_cast<void>(decode_headers((*record)->headers));
    }
  }
}

TEST(BatchBody, CompressionIsExactAndBounded) {
  std::string body;
  for (int i = 0; i < 1000; ++i) body += "the same again ";
  const std::string stored = compress_body(body);
  EXPECT_LT(stored.size(), body.size());
  const auto back = decompress_body(as_bytes(stored), body.size());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, body);
  for (const std::size_t wrong : {body.size() - 1, body.size() + 1, limits::kBatchBytesMax + 1}) {
    const auto result = decompress_body(as_bytes(stored), wrong);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().number, 3106);
  }
  EXPECT_FALSE(decompress_body(as_bytes(body), body.size()));
}

}  // namespace
}  // namespace kappa
