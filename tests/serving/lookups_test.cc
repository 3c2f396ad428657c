// Goal: reads by key are answered right whatever they are mixed with: OPEN_VIEW, LOOKUP and GET_MANY, in the order of
// the requests, gathered and alone, while what a view's name stands for changes.
// Method: raw frames against a server over fakes, whose view "v" has the key "a" only.
#include <gtest/gtest.h>

#include "proto/read_messages.h"
#include "tests/serving/support/server_fixture.h"

namespace kappa::testing {
namespace {

std::string key_of(const Value& value) {
  std::string key;
  encode_row({value}, key);
  return key;
}
std::string lookup_frame(std::uint64_t id, std::uint32_t handle, std::string_view key, FreshnessMessage fresh = {}) {
  std::string frame;
  encode(LookupMessage{handle, fresh, as_bytes(key)}, id, frame);
  return frame;
}
std::string text_lookup(std::uint64_t id, std::string_view text) {
  return lookup_frame(id, 0, key_of(Value::text(std::string(text))));
}
std::string open_frame(std::uint64_t id, std::string_view view) {
  std::string frame;
  encode(OpenViewMessage{view}, id, frame);
  return frame;
}
std::string many_frame(std::uint64_t id, std::string_view view, std::uint32_t count, std::string_view keys) {
  std::string frame;
  encode(GetManyMessage{{}, view, count, as_bytes(keys)}, id, frame);
  return frame;
}
std::string get_frame(std::uint64_t id, std::string_view view, std::string_view text) {
  std::string frame;
  encode(GetMessage{{}, view, {Value::text(std::string(text))}}, id, frame);
  return frame;
}

// A greeted client that has "v" open as number 0.
struct Reader {
  explicit Reader(Fixture& fixture) : wire(fixture.address()) {
    wire.greet();
    wire.send(open_frame(2, "v"));
    const auto frame = wire.frame();
    EXPECT_TRUE(frame && frame->header.type == FrameType::kViewOpened);
    if (!frame) return;
    const auto opened = decode_view_opened(as_bytes(frame->payload));
    EXPECT_TRUE(opened);
    if (opened) {
      EXPECT_EQ(opened->handle, 0U);
      EXPECT_EQ(opened->columns.size(), 2U);
      EXPECT_EQ(opened->key.size(), 1U);
      EXPECT_EQ(opened->key[0].name, "name");
    }
  }
  // The error number of the next answer, 0 for a row, -1 for none.
  int next(std::uint64_t id) {
    const auto frame = wire.frame();
    EXPECT_TRUE(frame);
    if (!frame) return -2;
    EXPECT_EQ(frame->header.request_id, id);
    if (frame->header.type == FrameType::kError) return frame->error().number;
    std::optional<Row> row;
    if (frame->header.type == FrameType::kFound) {
      const auto found = decode_found(as_bytes(frame->payload));
      EXPECT_TRUE(found);
      row = found ? found->row : std::nullopt;
      EXPECT_TRUE(found && found->applied == Offset(5));
    } else {
      EXPECT_EQ(frame->header.type, FrameType::kRow);
      const auto found = decode_row_message(as_bytes(frame->payload));
      EXPECT_TRUE(found);
      row = found ? found->row : std::nullopt;
      EXPECT_TRUE(found && found->columns.size() == 2U);
    }
    if (!row) return -1;
    EXPECT_EQ(*row, (Row{Value::text("a"), Value::bigint(1)}));
    return 0;
  }
  Wire wire;
};

TEST(Lookup, ManyInOneWriteAreReadTogether) {
  Fixture fixture;
  Reader reader(fixture);
  std::string frames;
  for (std::uint64_t id = 10; id < 210; ++id) frames += text_lookup(id, id % 3 == 0 ? "b" : "a");
  const std::uint64_t before = fixture.engine.reads;
  reader.wire.send(frames);
  for (std::uint64_t id = 10; id < 210; ++id) EXPECT_EQ(reader.next(id), id % 3 == 0 ? -1 : 0) << id;
  // As many reads as the pieces in which it came, and not one a request.
  EXPECT_LT(fixture.engine.reads - before, 100U);
}

TEST(Lookup, AnswersAreInTheOrderOfTheRequestsAcrossKinds) {
  Fixture fixture;
  Reader reader(fixture);
  std::string bad = key_of(Value::text("a"));
  bad.pop_back();
  reader.wire.send(text_lookup(10, "a") + get_frame(11, "v", "a") + get_frame(12, "w", "a") + text_lookup(13, "b") +
                   lookup_frame(14, 7, key_of(Value::text("a"))) + text_lookup(15, "a") + lookup_frame(16, 0, bad) +
                   lookup_frame(17, 0, key_of(Value::text("a")) + "x") + get_frame(18, "v", "b") + ping_frame(19) +
                   text_lookup(20, "a"));
  EXPECT_EQ(reader.next(10), 0);
  EXPECT_EQ(reader.next(11), 0);
  EXPECT_EQ(reader.next(12), 2003);
  EXPECT_EQ(reader.next(13), -1);
  EXPECT_EQ(reader.next(14), 1025);
  EXPECT_EQ(reader.next(15), 0);
  EXPECT_EQ(reader.next(16), 1006);
  EXPECT_EQ(reader.next(17), 1006);
  EXPECT_EQ(reader.next(18), -1);
  const auto pong = reader.wire.frame();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->header.type, FrameType::kPong);
  EXPECT_EQ(reader.next(20), 0);
}

TEST(Lookup, WaitsForTheFreshnessAskedFor) {
  Fixture fixture;
  Reader reader(fixture);
  const std::string key = key_of(Value::text("a"));
  reader.wire.send(lookup_frame(10, 0, key, {Offset(3), false, 1'000}));
  EXPECT_EQ(reader.next(10), 0);
  reader.wire.send(lookup_frame(11, 0, key, {Offset(1'000'000), true, 1'000}));
  EXPECT_EQ(reader.next(11), 4005);
}

TEST(Lookup, ADamagedEntryTakesOnlyItsOwnAnswer) {
  Fixture fixture;
  Reader reader(fixture);
  reader.wire.send(text_lookup(10, "a") + text_lookup(11, "damaged") + text_lookup(12, "b"));
  EXPECT_EQ(reader.next(10), 0);
  EXPECT_EQ(reader.next(11), 3301);
  EXPECT_EQ(reader.next(12), -1);
}

TEST(Lookup, AViewWithOtherColumnsHasToBeOpenedAgainAndAGetIsAnswered) {
  Fixture fixture;
  Reader reader(fixture);
  reader.wire.send(text_lookup(10, "a") + get_frame(11, "v", "a"));
  EXPECT_EQ(reader.next(10), 0);
  EXPECT_EQ(reader.next(11), 0);
  fixture.engine.columns_changed = true;
  reader.wire.send(text_lookup(12, "a") + get_frame(13, "v", "a") + get_frame(14, "v", "b"));
  EXPECT_EQ(reader.next(12), processor::kViewChanged);
  EXPECT_EQ(reader.next(13), 0);
  EXPECT_EQ(reader.next(14), -1);
  reader.wire.send(open_frame(15, "v"));
  const auto frame = reader.wire.frame();
  ASSERT_TRUE(frame);
  const auto opened = decode_view_opened(as_bytes(frame->payload));
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->handle, 1U);
  reader.wire.send(lookup_frame(16, 1, key_of(Value::text("a"))) + lookup_frame(17, 0, key_of(Value::text("a"))));
  // Two views: each is read at its own.
  int rows = 0;
  for (int i = 0; i < 2; ++i) {
    const auto answer = reader.wire.frame();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.type == FrameType::kFound, answer->header.request_id == 16);
    rows += answer->header.type == FrameType::kFound ? 1 : 0;
  }
  EXPECT_EQ(rows, 1);
}

TEST(Lookup, OpenViewsAreBoundedAndUnknownOnesRefused) {
  Fixture fixture;
  Reader reader(fixture);
  reader.wire.send(open_frame(10, "w"));
  EXPECT_EQ(reader.next(10), 2003);
  for (std::uint32_t i = 1; i < kOpenViewsMax; ++i) {
    reader.wire.send(open_frame(11, "v"));
    const auto frame = reader.wire.frame();
    ASSERT_TRUE(frame);
    ASSERT_EQ(frame->header.type, FrameType::kViewOpened);
  }
  reader.wire.send(open_frame(12, "v"));
  EXPECT_EQ(reader.next(12), 1007);
  reader.wire.send(lookup_frame(13, kOpenViewsMax - 1, key_of(Value::text("a"))));
  EXPECT_EQ(reader.next(13), 0);
}

TEST(Lookup, AClientThatGoesAwayTakesItsLookupsAlong) {
  Fixture fixture;
  for (int i = 0; i < 50; ++i) {
    Reader reader(fixture);
    std::string frames;
    for (std::uint64_t id = 10; id < 60; ++id) frames += text_lookup(id, "a");
    reader.wire.send(frames + "this is no frame, and ends the connection");
    reader.wire.reset();
  }
  EXPECT_TRUE(fixture.healthy());
}

TEST(Lookup, OutputOverTheBoundWaitsForItsReader) {
  serving::ServerOptions options;
  options.output_bytes_max = 4'096;
  Fixture fixture(FakeLog::Mode::kInline, options);
  Reader reader(fixture);
  std::string frames;
  for (std::uint64_t id = 10; id < 2'010; ++id) frames += text_lookup(id, "a");
  reader.wire.send(frames);
  for (std::uint64_t id = 10; id < 2'010; ++id) ASSERT_EQ(reader.next(id), 0) << id;
}

TEST(GetMany, GivesTheRowsInTheOrderOfTheKeys) {
  Fixture fixture;
  Reader reader(fixture);
  const std::string a = key_of(Value::text("a"));
  const std::string b = key_of(Value::text("b"));
  reader.wire.send(many_frame(10, "v", 3, b + a + b));
  const auto frame = reader.wire.frame();
  ASSERT_TRUE(frame);
  const auto found = decode_rows_found(as_bytes(frame->payload));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->applied, Offset(5));
  EXPECT_EQ(found->columns.size(), 2U);
  ASSERT_EQ(found->rows.size(), 3U);
  EXPECT_FALSE(found->rows[0]);
  EXPECT_EQ(found->rows[1], (Row{Value::text("a"), Value::bigint(1)}));
  EXPECT_FALSE(found->rows[2]);
}

TEST(GetMany, WhatItCannotReadIsRefused) {
  Fixture fixture;
  Reader reader(fixture);
  const std::string a = key_of(Value::text("a"));
  reader.wire.send(many_frame(10, "w", 1, a) + many_frame(11, "v", 2, a) + many_frame(12, "v", 1, a + a) +
                   many_frame(13, "v", kKeysAtOnceMax + 1, a) + many_frame(14, "v", 0, ""));
  EXPECT_EQ(reader.next(10), 2003);
  EXPECT_EQ(reader.next(11), 1006);
  EXPECT_EQ(reader.next(12), 1006);
  EXPECT_EQ(reader.next(13), 1007);
  const auto frame = reader.wire.frame();
  ASSERT_TRUE(frame);
  const auto nothing = decode_rows_found(as_bytes(frame->payload));
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->rows.empty());
}

}  // namespace
}  // namespace kappa::testing
