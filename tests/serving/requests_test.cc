// Goal: every request type is answered under its id with what log and engine say; appends in order;
// any split of the byte stream gives the same answers. Method: raw frames against a server over fakes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/serving/support/server_fixture.h"

namespace kappa::testing {
namespace {

using Mode = FakeLog::Mode;

std::string read_frame(std::uint64_t id, std::string_view topic, ReadFromKind from, std::int64_t value,
                       std::uint32_t wait_ms = 0) {
  std::string frame;
  encode(ReadMessage{topic, from, value, 0, 1 << 20, wait_ms}, id, frame);
  return frame;
}

std::string get_frame(std::uint64_t id, std::string_view view, const Row& key, FreshnessMessage freshness = {}) {
  std::string frame;
  encode(GetMessage{freshness, view, key}, id, frame);
  return frame;
}

AppendOkMessage append_ok(const std::optional<WireFrame>& frame) {
  EXPECT_TRUE(frame);
  if (!frame) return {};
  EXPECT_EQ(frame->header.type, FrameType::kAppendOk);
  const auto message = decode_append_ok(as_bytes(frame->payload));
  EXPECT_TRUE(message);
  return message.value_or(AppendOkMessage{});
}

Error error_of(const std::optional<WireFrame>& frame) {
  EXPECT_TRUE(frame);
  return frame ? frame->error() : Error{};
}

class EachLogMode : public ::testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, EachLogMode, ::testing::Values(Mode::kInline, Mode::kThread));

TEST_P(EachLogMode, AppendsAreAnsweredInOrderWithTheirOffsets) {
  Fixture fixture(GetParam());
  Wire wire(fixture.address());
  wire.greet();
  std::string all;
  for (std::uint64_t id = 10; id < 510; ++id) all += append_frame(id, "t", body_of("{\"n\":1}", 3), 3);
  wire.send(all);
  for (std::uint64_t id = 10; id < 510; ++id) {
    const auto frame = wire.frame();
    const AppendOkMessage ok = append_ok(frame);
    ASSERT_EQ(frame->header.request_id, id);
    EXPECT_EQ(ok.base_offset, Offset((id - 10) * 3));
    EXPECT_EQ(ok.count, 3U);
    EXPECT_TRUE(ok.offsets_known);
  }
  EXPECT_EQ(fixture.log.durable_end(), Offset(1500));
}

TEST_P(EachLogMode, LargeBodiesArriveByteForByte) {
  Fixture fixture(GetParam());
  Wire wire(fixture.address());
  wire.greet();
  std::vector<std::string> sent;
  for (const std::size_t size : {std::size_t{1}, std::size_t{33'000}, std::size_t{70'000}, std::size_t{1} << 20}) {
    std::string value(size, 'a');
    for (std::size_t i = 0; i < size; ++i) value[i] = static_cast<char>('a' + i * 7 % 23);
    sent.push_back(body_of(value, size == std::size_t{1} << 20 ? 7 : 1));
    wire.send(append_frame(sent.size(), "t", sent.back(), size == std::size_t{1} << 20 ? 7 : 1));
    // A small one right behind it, which arrives in the same read.
    sent.push_back(body_of("{}"));
    wire.send(append_frame(100 + sent.size(), "t", sent.back()));
  }
  for (std::size_t i = 0; i < sent.size(); ++i) static_cast<void>(append_ok(wire.frame()));
  EXPECT_EQ(fixture.log.bodies("t"), sent);
}

TEST(Append, TheLargestFrameIsAccepted) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  BatchBuilder builder;
  const std::string value(1'000'000, 'x');
  while (builder.bytes() + value.size() + 10 < limits::kBatchBytesMax) ASSERT_TRUE(builder.add({value, {}, {}, {}}));
  const std::uint32_t count = builder.count();
  wire.send(append_frame(2, "t", builder.take(), count));
  EXPECT_EQ(append_ok(wire.frame()).count, count);
}

TEST(Append, ConnectionsOfOnePassShareAPump) {
  Fixture fixture;
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 10; ++i) {
    wires.push_back(std::make_unique<Wire>(fixture.address()));
    wires.back()->greet();
  }
  std::string many;
  for (std::uint64_t id = 2; id < 102; ++id) many += append_frame(id, "t", body_of("{}"));
  wires[0]->send(many);
  for (int i = 0; i < 100; ++i) static_cast<void>(append_ok(wires[0]->frame()));
  EXPECT_LT(fixture.log.pumps(), 100U);
}

TEST(Append, EmptyBatchIsAcknowledgedAndNothingChanges) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", "", 0));
  EXPECT_EQ(append_ok(wire.frame()).count, 0U);
  EXPECT_EQ(fixture.log.durable_end(), Offset(0));
  EXPECT_TRUE(fixture.log.topics().empty());
}

TEST(Append, RefusalsComeInTheOrderOfTheAppends) {
  Fixture fixture(Mode::kManual);
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("{}")) + append_frame(3, "", body_of("{}")) +
            append_frame(4, "t", "broken") + append_frame(5, "t", body_of("{}")) + ping_frame(6));
  // The ping overtakes; the refusals do not.
  const auto pong = wire.frame();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->header.type, FrameType::kPong);
  fixture.log.wait_for_submitted(2);
  fixture.log.acknowledge();
  EXPECT_EQ(append_ok(wire.frame()).base_offset, Offset(0));
  const auto bad_name = wire.frame();
  EXPECT_EQ(error_of(bad_name).number, 3020);
  EXPECT_EQ(bad_name->header.request_id, 3U);
  EXPECT_EQ(error_of(wire.frame()).code, ErrorCode::kCorrupt);
  EXPECT_EQ(append_ok(wire.frame()).base_offset, Offset(1));
}

TEST(Append, WrongHashIsRefused) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  const std::string body = body_of("{}");
  AppendMessage message;
  message.topic = "t";
  message.count = 1;
  message.uncompressed_length = static_cast<std::uint32_t>(body.size());
  message.body_hash = 12345;
  message.body = body;
  std::string frame;
  encode_append(message, 2, frame);
  wire.send(frame + body);
  EXPECT_EQ(error_of(wire.frame()).number, 3021);
  EXPECT_EQ(fixture.log.durable_end(), Offset(0));
}

TEST(Append, CompressedBatchesNeedTheFeature) {
  Fixture fixture;
  const std::string plain = body_of(std::string(1000, 'x'), 5);
  const std::string packed = compress_body(plain);
  AppendMessage message;
  message.topic = "t";
  message.codec = Codec::kZstd;
  message.count = 5;
  message.uncompressed_length = static_cast<std::uint32_t>(plain.size());
  message.body = packed;
  std::string frame;
  encode_append(message, 2, frame);
  frame += packed;
  Wire without(fixture.address());
  without.greet(0);
  without.send(frame);
  EXPECT_EQ(error_of(without.frame()).number, 1017);
  Wire with(fixture.address());
  with.greet(kFeatureZstd);
  with.send(frame);
  EXPECT_EQ(append_ok(with.frame()).count, 5U);
  EXPECT_EQ(fixture.log.bodies("t"), std::vector<std::string>{plain});
  // A lie about the uncompressed length.
  message.uncompressed_length -= 1;
  std::string lie;
  encode_append(message, 3, lie);
  with.send(lie + packed);
  EXPECT_EQ(error_of(with.frame()).number, 3106);
}

TEST(Append, BusyLogIsARetryableError) {
  Fixture fixture;
  fixture.log.refuse_with(Error{ErrorCode::kFull, 3040, "disk full", "", 0, {}});
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("{}")));
  EXPECT_TRUE(error_of(wire.frame()).retryable());
  fixture.log.refuse_with(std::nullopt);
  wire.send(append_frame(3, "t", body_of("{}")));
  EXPECT_EQ(append_ok(wire.frame()).count, 1U);
}

TEST(Producer, StandsWhereItsLastBatchEnded) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  std::string query;
  encode(ProducerMessage{"t", ProducerId(9)}, 2, query);
  wire.send(query);
  auto answer = wire.frame();
  ASSERT_TRUE(answer);
  EXPECT_EQ(decode_producer_ok(as_bytes(answer->payload))->next_sequence, 0U);
  const std::string body = body_of("{}", 4);
  AppendMessage message;
  message.topic = "t";
  message.count = 4;
  message.uncompressed_length = static_cast<std::uint32_t>(body.size());
  message.producer_id = ProducerId(9);
  message.body = body;
  std::string append;
  encode_append(message, 3, append);
  wire.send(append + body);
  static_cast<void>(append_ok(wire.frame()));
  wire.send(query);
  answer = wire.frame();
  ASSERT_TRUE(answer);
  EXPECT_EQ(decode_producer_ok(as_bytes(answer->payload))->next_sequence, 4U);
}

TEST(Read, GivesTheAppendedBytesAndWhereToGoOn) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  const std::string one = body_of("{\"n\":1}", 3), two = body_of("{\"n\":2}", 2);
  wire.send(append_frame(2, "t", one, 3) + append_frame(3, "other", body_of("x")) + append_frame(4, "t", two, 2));
  for (int i = 0; i < 3; ++i) static_cast<void>(append_ok(wire.frame()));
  wire.send(read_frame(5, "t", ReadFromKind::kOffset, 1));
  const auto frame = wire.frame();
  ASSERT_TRUE(frame);
  const auto read = decode_read_ok(as_bytes(frame->payload));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->batches.size(), 2U);
  EXPECT_EQ(read->first, Offset(1));
  EXPECT_EQ(read->batches[0].base_offset, Offset(0));
  EXPECT_EQ(read->batches[0].body, one);
  EXPECT_EQ(read->batches[1].base_offset, Offset(4));
  EXPECT_EQ(read->batches[1].body, two);
  EXPECT_EQ(read->next, Offset(6));
  EXPECT_EQ(read->durable_end, Offset(6));
}

TEST(Read, BelowTheStartIsRefusedWithWhatIsKeptAndTheStartIsTheFirstKept) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("a", 3), 3) + append_frame(3, "t", body_of("b", 2), 2));
  for (int i = 0; i < 2; ++i) static_cast<void>(append_ok(wire.frame()));
  fixture.log.set_start(Offset(3));
  wire.send(read_frame(4, "t", ReadFromKind::kOffset, 2) + read_frame(5, "t", ReadFromKind::kOffset, 3) +
            read_frame(6, "t", ReadFromKind::kStart, 0));
  for (int i = 0; i < 3; ++i) {
    const auto frame = wire.frame();
    ASSERT_TRUE(frame);
    if (frame->header.request_id == 4) {
      const Error error = frame->error();
      EXPECT_EQ(error.number, 3010);
      EXPECT_EQ(error.code, ErrorCode::kNotFound);
      EXPECT_NE(error.message.find("first offset that is kept is 3"), std::string::npos) << error.message;
    } else {
      const auto read = decode_read_ok(as_bytes(frame->payload));
      ASSERT_TRUE(read);
      EXPECT_EQ(read->first, Offset(3));
    }
  }
}

TEST(Read, WaitsAtTheEndForMore) {
  Fixture fixture;
  Wire reader(fixture.address()), writer(fixture.address());
  reader.greet();
  writer.greet();
  writer.send(append_frame(2, "t", body_of("a")));
  static_cast<void>(append_ok(writer.frame()));
  reader.send(read_frame(2, "t", ReadFromKind::kEnd, 0, 60'000) + ping_frame(3));
  const auto pong = reader.frame();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->header.type, FrameType::kPong);
  // Another topic's events do not answer it.
  writer.send(append_frame(3, "other", body_of("b")) + append_frame(4, "t", body_of("c")));
  const auto frame = reader.frame();
  ASSERT_TRUE(frame);
  const auto read = decode_read_ok(as_bytes(frame->payload));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->batches.size(), 1U);
  EXPECT_EQ(read->batches[0].base_offset, Offset(2));
}

TEST(Read, AnswersWithNothingWhenTheWaitIsOver) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("a")));
  static_cast<void>(append_ok(wire.frame()));
  wire.send(read_frame(3, "t", ReadFromKind::kEnd, 0, 20));
  const auto frame = wire.frame();
  ASSERT_TRUE(frame);
  const auto read = decode_read_ok(as_bytes(frame->payload));
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->batches.empty());
  EXPECT_EQ(read->next, Offset(1));
}

TEST(Read, ImpossibleOffsetsAreRefused) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("a")));
  static_cast<void>(append_ok(wire.frame()));
  for (const std::int64_t offset : {std::int64_t{2}, std::int64_t{-1}, INT64_MIN, INT64_MAX}) {
    wire.send(read_frame(3, "t", ReadFromKind::kOffset, offset, 60'000));
    EXPECT_EQ(error_of(wire.frame()).number, 1011) << offset;
  }
  wire.send(read_frame(4, "nothing", ReadFromKind::kOffset, 0, 60'000));
  EXPECT_EQ(error_of(wire.frame()).number, 1010);
}

TEST(Read, CancelEndsAWait) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("a")));
  static_cast<void>(append_ok(wire.frame()));
  std::string cancel;
  encode(CancelMessage{3}, cancel);
  wire.send(read_frame(3, "t", ReadFromKind::kEnd, 0, 3'000'000) + cancel);
  EXPECT_EQ(error_of(wire.frame()).number, 1012);
}

TEST(Sql, RowsComeInPiecesAndEnd) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, "rows 5000"));
  auto frame = wire.frame();
  ASSERT_TRUE(frame);
  ASSERT_EQ(frame->header.type, FrameType::kColumns);
  EXPECT_EQ(decode_columns(as_bytes(frame->payload))->columns.size(), 2U);
  std::int64_t next = 0;
  std::size_t frames = 0;
  for (frame = wire.frame(); frame && frame->header.type == FrameType::kRows; frame = wire.frame()) {
    EXPECT_TRUE(frame->header.more());
    EXPECT_LT(frame->payload.size(), std::size_t{80} << 10);
    ++frames;
    const auto piece = decode_rows(as_bytes(frame->payload));
    ASSERT_TRUE(piece);
    for (const Row& row : piece->rows) EXPECT_EQ(row[0].as_int64(), next++);
  }
  ASSERT_TRUE(frame);
  ASSERT_EQ(frame->header.type, FrameType::kEnd);
  EXPECT_EQ(decode_end(as_bytes(frame->payload))->row_count, 5000U);
  EXPECT_EQ(next, 5000);
  EXPECT_GT(frames, 5U);
}

TEST(Sql, ErrorsKeepTheirPlace) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, "nonsense"));
  const Error error = error_of(wire.frame());
  EXPECT_EQ(error.number, 2001);
  EXPECT_EQ(error.place, (SourcePlace{1, 2, 3}));
  EXPECT_EQ(error.hint, "try another");
}

TEST(Sql, TooLongAStatementIsRefused) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, std::string(limits::kSqlBytesMax + 1, ' ')) + sql_frame(3, std::string(limits::kSqlBytesMax, ' ')));
  EXPECT_EQ(error_of(wire.frame()).number, 1007);
  EXPECT_EQ(error_of(wire.frame()).number, 2001);
}

TEST(Sql, CancelEndsAStatement) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  std::string cancel;
  encode(CancelMessage{2}, cancel);
  wire.send(sql_frame(2, "hang") + sql_frame(3, "rows 1") + cancel);
  EXPECT_EQ(error_of(wire.frame()).number, 1012);
  const auto next = wire.frame();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->header.request_id, 3U);
}

TEST(Sql, DisconnectCancelsAStatement) {
  Fixture fixture;
  {
    Wire wire(fixture.address());
    wire.greet();
    wire.send(sql_frame(2, "hang"));
    while (fixture.engine.hanging == 0) std::this_thread::yield();
  }
  while (fixture.engine.hanging != 0) std::this_thread::yield();
  EXPECT_TRUE(fixture.healthy());
}

TEST(Get, FindsRowsAndSaysWhenThereIsNone) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(get_frame(2, "v", {Value::text("a")}) + get_frame(3, "v", {Value::text("b")}) +
            get_frame(4, "w", {Value::text("b")}) + get_frame(5, "v", {}));
  auto frame = wire.frame();
  ASSERT_TRUE(frame);
  auto row = decode_row_message(as_bytes(frame->payload));
  ASSERT_TRUE(row && row->row);
  EXPECT_EQ((*row->row)[1].as_int64(), 1);
  EXPECT_EQ(row->columns[0].name, "name");
  EXPECT_EQ(row->applied, Offset(5));
  frame = wire.frame();
  ASSERT_TRUE(frame);
  row = decode_row_message(as_bytes(frame->payload));
  ASSERT_TRUE(row);
  EXPECT_FALSE(row->row);
  EXPECT_EQ(error_of(wire.frame()).number, 2003);
  EXPECT_EQ(error_of(wire.frame()).number, 2011);
}

TEST(Get, WaitsForTheFreshnessAskedFor) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(get_frame(2, "v", {Value::text("a")}, {Offset(3), false, 1000}));
  auto frame = wire.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->header.type, FrameType::kRow);
  wire.send(get_frame(3, "v", {Value::text("a")}, {Offset(1'000'000), true, 1000}));
  EXPECT_EQ(error_of(wire.frame()).number, 4005);
}

TEST(Scan, StreamsLikeAStatement) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  std::string frame;
  encode(ScanMessage{{}, "v", {}, {}, {}, 4}, 2, frame);
  wire.send(frame);
  std::optional<WireFrame> last;
  do {
    last = wire.frame();
    ASSERT_TRUE(last);
  } while (last->header.more());
  EXPECT_EQ(decode_end(as_bytes(last->payload))->row_count, 4U);
}

TEST(Status, IsADocumentWithEveryPart) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  std::string request;
  encode_empty(FrameType::kStatus, 2, request);
  wire.send(append_frame(3, "t", body_of("{}")));
  static_cast<void>(append_ok(wire.frame()));
  wire.send(request);
  const auto frame = wire.frame();
  ASSERT_TRUE(frame);
  const auto json = decode_status_ok(as_bytes(frame->payload));
  ASSERT_TRUE(json);
  for (const char* part : {"\"log\":{\"id\":\"000102", "\"durable\":1", "\"topics\":[{\"name\":\"t\",\"id\":1,\"events\":1}]",
                           "\"views\":[{\"name\":\"v\"", "\"server\":{", "\"connections\":1", "\"process\":{",
                           "\"damage\":null"}) {
    EXPECT_NE(json->find(part), std::string_view::npos) << part << " in " << *json;
  }
}

TEST(Stream, EverySplitOfAConversationGivesTheSameAnswers) {
  std::string hello;
  encode(HelloMessage{1, 1, 3, "split"}, 1, hello);
  const std::string conversation = hello + ping_frame(2) + append_frame(3, "t", body_of("{}")) +
                                   get_frame(4, "v", {Value::text("a")}) + append_frame(5, "t", body_of("{}"));
  Fixture fixture;
  const auto answers = [&](std::size_t split) {
    Wire wire(fixture.address());
    wire.send(std::string_view(conversation).substr(0, split));
    wire.send(std::string_view(conversation).substr(split));
    std::vector<std::pair<std::uint64_t, FrameType>> got;
    for (int i = 0; i < 5; ++i) {
      const auto frame = wire.frame();
      if (!frame) break;
      got.emplace_back(frame->header.request_id, frame->header.type);
    }
    std::sort(got.begin(), got.end());
    return got;
  };
  const std::vector<std::pair<std::uint64_t, FrameType>> expected{{1, FrameType::kHelloOk},
                                                                  {2, FrameType::kPong},
                                                                  {3, FrameType::kAppendOk},
                                                                  {4, FrameType::kRow},
                                                                  {5, FrameType::kAppendOk}};
  for (std::size_t split = 0; split <= conversation.size(); ++split) ASSERT_EQ(answers(split), expected) << split;
  EXPECT_EQ(fixture.log.durable_end(), Offset(2 * (conversation.size() + 1)));
}

TEST(Stream, ALargeFrameSplitAnywhereArrivesWhole) {
  Fixture fixture;
  const std::string body = body_of(std::string(40'000, 'v'));
  const std::string frame = append_frame(2, "topic", body);
  Wire wire(fixture.address());
  wire.greet();
  std::size_t sent = 0;
  // Around the header, the prefix and the end, where the parser changes its mind.
  for (std::size_t split = 0; split < frame.size(); split += split < 120 ? 1 : 4'999) {
    wire.send(std::string_view(frame).substr(0, split));
    wire.send(std::string_view(frame).substr(split));
    ASSERT_EQ(append_ok(wire.frame()).base_offset, Offset(sent++));
  }
  for (const std::string& stored : fixture.log.bodies("topic")) ASSERT_EQ(stored, body);
}

}  // namespace
}  // namespace kappa::testing
