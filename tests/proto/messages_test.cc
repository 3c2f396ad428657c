// Goal: no payload, however broken, reads past its end, is taken for a message, or costs memory that
// is not there. Method: every message cut at every length, with every trailing byte, with every inner
// length replaced by hostile values; random bytes with a printed seed.
#include "proto/messages.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

namespace kappa {
namespace {

struct Sample {
  const char* name;
  std::string payload;
  std::function<bool(Bytes)> decodes;
};

template <class T>
std::function<bool(Bytes)> decoder(Expected<T> (*decode)(Bytes)) {
  return [decode](Bytes payload) { return decode(payload).has_value(); };
}

std::string payload_of(const std::function<void(std::string&)>& encode_into) {
  std::string frame;
  encode_into(frame);
  return frame.substr(kFrameHeaderBytes);
}

std::vector<Sample> samples() {
  const Row key{Value::text("k"), Value::bigint(4), Value::real(0.5), Value::boolean(true), Value()};
  const FreshnessMessage freshness{Offset(1), true, 5};
  std::string rows;
  encode_row(key, rows);
  encode_row(key, rows);
  return {
      {"HELLO", payload_of([](auto& out) { encode(HelloMessage{1, 1, 3, "me"}, 1, out); }), decoder(&decode_hello)},
      {"HELLO_OK", payload_of([](auto& out) { encode(HelloOkMessage{1, 3, "v", "id", 0, 1, 2, 3, 4, 5}, 1, out); }),
       decoder(&decode_hello_ok)},
      {"APPEND", payload_of([](auto& out) {
         AppendMessage message;
         message.topic = "topic";
         message.body = "body";
         encode_append(message, 1, out);
         out += "body";
       }),
       decoder(&decode_append)},
      {"APPEND_OK", payload_of([](auto& out) { encode(AppendOkMessage{}, 1, out); }), decoder(&decode_append_ok)},
      {"PRODUCER", payload_of([](auto& out) { encode(ProducerMessage{"t", ProducerId(1)}, 1, out); }),
       decoder(&decode_producer)},
      {"PRODUCER_OK", payload_of([](auto& out) { encode(ProducerOkMessage{}, 1, out); }),
       decoder(&decode_producer_ok)},
      {"READ", payload_of([](auto& out) { encode(ReadMessage{"t", ReadFromKind::kLast, 3, 4, 5, 6}, 1, out); }),
       decoder(&decode_read)},
      {"READ_OK", payload_of([](auto& out) {
         encode(ReadOkMessage{Offset(1), Offset(2), Offset(3), {{Offset(0), {}, {}, 1, "body"}, {}}}, 1, out);
       }),
       decoder(&decode_read_ok)},
      {"SQL", payload_of([&](auto& out) { encode(SqlMessage{freshness, "text"}, 1, out); }), decoder(&decode_sql)},
      {"GET", payload_of([&](auto& out) { encode(GetMessage{freshness, "v", key}, 1, out); }), decoder(&decode_get)},
      {"SCAN", payload_of([&](auto& out) { encode(ScanMessage{freshness, "v", key, key, {}, 1}, 1, out); }),
       decoder(&decode_scan)},
      {"COLUMNS", payload_of([](auto& out) {
         encode(ColumnsMessage{{{"a", kTextType}, {"b", kHugeintType}}}, 1, out);
       }),
       decoder(&decode_columns)},
      {"ROWS", payload_of([&](auto& out) { encode_rows(2, rows, 1, out); }), decoder(&decode_rows)},
      {"END", payload_of([](auto& out) { encode(EndMessage{"SELECT", 1, Offset(1), "note"}, 1, out); }),
       decoder(&decode_end)},
      {"ROW", payload_of([&](auto& out) { encode(RowMessage{Offset(1), {{"a", kTextType}}, key}, 1, out); }),
       decoder(&decode_row_message)},
      {"CANCEL", payload_of([](auto& out) { encode(CancelMessage{5}, out); }), decoder(&decode_cancel)},
      {"STATUS_OK", payload_of([](auto& out) { encode_status_ok("{}", 1, out); }), decoder(&decode_status_ok)},
  };
}

// The payload on the heap at exactly its size, so that a sanitizer sees any read past it.
bool decodes_exactly(const Sample& sample, const std::string& payload) {
  std::vector<std::byte> exact(payload.size());
  if (!payload.empty()) std::memcpy(exact.data(), payload.data(), payload.size());
  return sample.decodes(exact);
}

TEST(Messages, WholePayloadsDecode) {
  for (const Sample& sample : samples()) EXPECT_TRUE(decodes_exactly(sample, sample.payload)) << sample.name;
}

TEST(Messages, EveryShorterPayloadIsRefused) {
  for (const Sample& sample : samples()) {
    for (std::size_t size = 0; size < sample.payload.size(); ++size) {
      EXPECT_FALSE(decodes_exactly(sample, sample.payload.substr(0, size))) << sample.name << " at " << size;
    }
  }
}

TEST(Messages, TrailingBytesAreRefused) {
  for (const Sample& sample : samples()) {
    EXPECT_FALSE(decodes_exactly(sample, sample.payload + '\0')) << sample.name;
    EXPECT_FALSE(decodes_exactly(sample, sample.payload + sample.payload)) << sample.name;
  }
}

TEST(Messages, HostileInnerLengthsReadNothingBeyond) {
  for (const Sample& sample : samples()) {
    for (std::size_t at = 0; at + 4 <= sample.payload.size(); ++at) {
      for (const std::uint32_t length : {0xffffffffU, 0xfffffff0U, 0x80000000U, 0x7fffffffU, 0x10000U}) {
        std::string payload = sample.payload;
        std::memcpy(payload.data() + at, &length, sizeof length);
        static_cast<void>(decodes_exactly(sample, payload));  // Whatever it says, it says it safely.
      }
    }
  }
}

TEST(Messages, RandomPayloadsAreHandled) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::vector<Sample> all = samples();
  for (int round = 0; round < 20'000; ++round) {
    const Sample& sample = all[random() % all.size()];
    std::string payload = sample.payload;
    for (unsigned flips = random() % 8 + 1; flips > 0; --flips) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    payload.resize(random() % (payload.size() + 8));
    static_cast<void>(decodes_exactly(sample, payload));
    static_cast<void>(decode_error(as_bytes(payload)));
    static_cast<void>(decode_append_prefix(as_bytes(payload)));
  }
}

TEST(Messages, LengthsThatOverflowTogetherAreRefused) {
  // A topic length and a body length whose sum wraps around 32 bits.
  std::string payload;
  ByteWriter out(payload);
  out.u32(0xfffffff0U);
  out.text(std::string(100, 'x'));
  EXPECT_FALSE(decode_append(as_bytes(payload)));
  EXPECT_FALSE(decode_append_prefix(as_bytes(payload)));
}

TEST(Messages, HelloWithoutMagicIsAnotherProtocol) {
  std::string payload = samples()[0].payload;
  payload[0] = 'k';
  const auto hello = decode_hello(as_bytes(payload));
  ASSERT_FALSE(hello);
  EXPECT_EQ(hello.error().number, 1000);
}

TEST(Messages, AppendPrefixIsKnownBeforeItsBody) {
  const std::string payload = samples()[2].payload;
  const std::size_t prefix_bytes = payload.size() - 4;
  for (std::size_t size = 0; size < prefix_bytes; ++size) {
    const auto prefix = decode_append_prefix(as_bytes(payload).first(size));
    ASSERT_TRUE(prefix);
    EXPECT_FALSE(*prefix);
  }
  const auto prefix = decode_append_prefix(as_bytes(payload).first(prefix_bytes));
  ASSERT_TRUE(prefix && *prefix);
  EXPECT_EQ((*prefix)->prefix_bytes, prefix_bytes);
  EXPECT_EQ((*prefix)->body_length, 4U);
  EXPECT_EQ((*prefix)->message.topic, "topic");
}

TEST(Messages, UnknownErrorCodesKeepWhatToDo) {
  std::string frame;
  encode(Error{static_cast<ErrorCode>(900), 9000, "new", "", 0, {}}, 1, frame);
  const Error error = decode_error(as_bytes(frame).subspan(kFrameHeaderBytes));
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_EQ(error.number, 9000);
}

}  // namespace
}  // namespace kappa
