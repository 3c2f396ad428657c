// Goal: WATCH over a socket gives rows that add up to the view, whatever the client does: reads slowly, has little
// credit, cancels, loses its view or its server.
// Method: a real server over a real engine. Followers keep a multiset of rows and fail when one is taken that is not
// there; raw connections leave their frames unread or give credit by the frame.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "proto/watch_messages.h"
#include "tests/serving/support/real_server.h"
#include "tests/serving/support/wire.h"

namespace kappa::testing {
namespace {

std::vector<std::string> numbered(int count, int keys, int pad = 0) {
  std::vector<std::string> events;
  for (int i = 0; i < count; ++i)
    events.push_back("{\"k\":\"k" + std::to_string(i % keys) + "\",\"v\":" + std::to_string(i) + ",\"p\":\"" +
                     std::string(static_cast<std::size_t>(pad), 'x') + "\"}");
  return events;
}

constexpr const char* kStream = "CREATE STREAM e (k TEXT, v BIGINT, p TEXT)";
constexpr const char* kView = "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, max(p) AS p FROM e GROUP BY k";

// The rows that frames of a watch add up to.
struct Rows {
  std::map<std::string, int> rows;
  Offset applied;
  std::vector<std::uint8_t> resets;
  std::uint64_t bytes = 0;
  std::size_t marks = 0;

  // False: it was the end.
  bool take(const WireFrame& frame) {
    bytes += frame.header.frame_bytes();
    switch (frame.header.type) {
      case FrameType::kColumns: return true;
      case FrameType::kStep: {
        const auto step = decode_step(as_bytes(frame.payload));
        EXPECT_TRUE(step);
        if (step && step->reset) {
          rows.clear();
          resets.push_back(*step->reset);
        }
        return true;
      }
      case FrameType::kChanges: {
        const auto changes = decode_changes(as_bytes(frame.payload));
        EXPECT_TRUE(changes);
        for (const auto& change : changes->changes) {
          std::string text;
          for (const Value& value : change.row) text += (text.empty() ? "" : "|") + display(value);
          int& copies = rows[text];
          copies += change.added ? 1 : -1;
          EXPECT_GE(copies, 0) << text;
          if (copies == 0) rows.erase(text);
        }
        return true;
      }
      case FrameType::kMark: {
        const auto mark = decode_mark(as_bytes(frame.payload));
        EXPECT_TRUE(mark);
        EXPECT_GE(mark->applied, applied);
        applied = mark->applied;
        ++marks;
        return true;
      }
      default: return false;
    }
  }
  // Reads until the mark is at `end`.
  void take_until(Wire& wire, Offset end) {
    while (marks == 0 || applied < end) {
      const auto frame = wire.frame();
      ASSERT_TRUE(frame);
      ASSERT_TRUE(take(*frame)) << to_string(frame->error());
    }
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> all;
    for (const auto& [text, copies] : rows) all.insert(all.end(), static_cast<std::size_t>(copies), text);
    return all;
  }
};

std::vector<std::string> sorted(std::vector<std::string> lines) {
  std::ranges::sort(lines);
  return lines;
}

std::string watch_frame(std::uint64_t id, std::string_view view, std::uint32_t credit = 0, Row prefix = {}) {
  std::string frame;
  encode(WatchMessage{view, std::move(prefix), true, false, {}, credit}, id, frame);
  return frame;
}

TEST(Watch, ASnapshotThenWhatChanges) {
  RealServer server;
  const auto client = server.client();
  query(*client, kStream);
  query(*client, kView);
  server.append("e", numbered(100, 10));
  Wire wire(server.address());
  wire.greet();
  wire.send(watch_frame(7, "v") + watch_frame(8, "v", 0, {Value::text("k3")}));
  std::map<std::uint64_t, Rows> rows;
  for (int round = 0; round < 20; ++round) {
    server.append("e", numbered(round + 1, 7));
    const Offset end = server.log().durable_end();
    while (rows[7].applied < end || rows[8].applied < end) {
      const auto frame = wire.frame();
      ASSERT_TRUE(frame);
      ASSERT_TRUE(rows[frame->header.request_id].take(*frame));
    }
    EXPECT_EQ(rows[7].lines(), sorted(query(*client, "SELECT * FROM v")));
    EXPECT_EQ(rows[8].lines(), query(*client, "SELECT * FROM v WHERE k = 'k3'"));
  }
  EXPECT_EQ(rows[7].resets, std::vector<std::uint8_t>{0});
  // Both go on, one ends.
  std::string cancel;
  encode(CancelMessage{7}, cancel);
  wire.send(cancel);
  auto last = wire.frame();
  while (last && last->header.type != FrameType::kError) last = wire.frame();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->header.request_id, 7U);
  EXPECT_EQ(last->error().number, 1012);
  server.append("e", numbered(50, 10));
  rows[8].take_until(wire, server.log().durable_end());
  EXPECT_EQ(rows[8].lines(), query(*client, "SELECT * FROM v WHERE k = 'k3'"));
}

TEST(Watch, RefusesWhatItCannotFollow) {
  RealServer server;
  const auto client = server.client();
  query(*client, kStream);
  query(*client, kView);
  Wire wire(server.address());
  wire.greet();
  wire.send(watch_frame(7, "none"));
  EXPECT_EQ(wire.frame()->error().number, 2003);
  wire.send(watch_frame(7, "v", 0, {Value::text("a"), Value::text("b")}));
  EXPECT_EQ(wire.frame()->error().number, 2011);
  std::string broken = watch_frame(7, "v");
  std::string payload = broken.substr(kFrameHeaderBytes, broken.size() - kFrameHeaderBytes - 1);
  std::string frame;
  FrameBuilder builder(frame, FrameType::kWatch, 7);
  builder.payload().text(payload);
  builder.finish();
  wire.send(frame);
  EXPECT_EQ(wire.frame()->error().number, 1006);
  wire.send(ping_frame(9));
  EXPECT_EQ(wire.frame()->header.type, FrameType::kPong);
}

TEST(Watch, EndsWithItsView) {
  RealServer server;
  const auto client = server.client();
  query(*client, kStream);
  query(*client, kView);
  Wire wire(server.address());
  wire.greet();
  wire.send(watch_frame(7, "v"));
  Rows rows;
  rows.take_until(wire, Offset(0));
  query(*client, "DROP MATERIALIZED VIEW v");
  auto last = wire.frame();
  while (last && rows.take(*last)) last = wire.frame();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->error().number, 2003);
}

TEST(Watch, CreditSaysHowMuchIsSent) {
  RealServer server;
  const auto client = server.client();
  query(*client, kStream);
  query(*client, kView);
  server.append("e", numbered(4'000, 2'000, 200));
  Wire wire(server.address());
  wire.greet();
  wire.send(watch_frame(7, "v", 1));
  Rows rows;
  std::uint64_t granted = 1;
  const Offset end = server.log().durable_end();
  std::uint64_t pings = 100;
  while (rows.marks == 0 || rows.applied < end) {
    // The answer to a PING comes at once; what else comes was paid for, but for one frame.
    wire.send(ping_frame(++pings));
    for (;;) {
      const auto frame = wire.frame();
      ASSERT_TRUE(frame);
      if (frame->header.type == FrameType::kPong) break;
      ASSERT_LT(rows.bytes, granted) << "sent without credit";
      ASSERT_TRUE(rows.take(*frame));
    }
    std::string credit;
    encode(CreditMessage{7, 10'000}, credit);
    granted += 10'000;
    wire.send(credit);
  }
  EXPECT_EQ(rows.lines(), sorted(query(*client, "SELECT * FROM v")));
}

TEST(Watch, WhoDoesNotReadCostsABoundedBacklogAndGetsTheViewInTheEnd) {
  RealServer server;
  const auto client = server.client();
  query(*client, kStream);
  query(*client, kView);
  server.append("e", numbered(1'000, 1'000, 1'000));
  Wire wire(server.address());
  wire.greet();
  wire.send(watch_frame(7, "v", 1));  // The columns, and nothing else.
  Wire other(server.address());
  other.greet();
  other.send(watch_frame(7, "v"));
  Rows others;
  // Far more than a watch may leave waiting: 12 MB of keys and rows that all change.
  for (int round = 0; round < 12; ++round) {
    std::vector<std::string> events;
    for (int i = 0; i < 1'000; ++i)
      events.push_back("{\"k\":\"" + std::to_string(round * 1'000 + i) + std::string(500, 'k') + "\",\"v\":1,\"p\":\"" +
                       std::string(500, 'p') + "\"}");
    server.append("e", events);
    others.take_until(other, server.log().durable_end());
  }
  std::string credit;
  encode(CreditMessage{7, 1U << 30}, credit);
  wire.send(credit);
  Rows rows;
  rows.take_until(wire, server.log().durable_end());
  const auto expected = sorted(query(*client, "SELECT * FROM v"));
  EXPECT_EQ(rows.lines(), expected);
  EXPECT_EQ(others.lines(), expected);
  EXPECT_EQ(others.resets.size(), 1U);
}

TEST(Watch, AServerThatEndsSaysSoAndTheWatchGoesOn) {
  RealServer server;
  query(*server.client(), kStream);
  query(*server.client(), kView);
  server.append("e", numbered(100, 10));
  WatchMessage resume{"v", {}, true, false, {}, 0};
  std::vector<std::string> before;
  {
    Wire wire(server.address());
    wire.greet();
    wire.send(watch_frame(7, "v"));
    Rows rows;
    rows.take_until(wire, server.log().durable_end());
    before = rows.lines();
    resume.resume = {rows.applied, 1};
    std::thread stop([&] { server.server().drain(std::chrono::minutes(1)); });
    auto last = wire.frame();
    while (last && rows.take(*last)) last = wire.frame();
    ASSERT_TRUE(last);
    EXPECT_EQ(last->error().number, 4007);
    stop.join();
  }
  server.stop();
  server.start();
  // Nothing happened: it goes on without the rows.
  Wire wire(server.address());
  wire.greet();
  std::string frame;
  encode(resume, 7, frame);
  wire.send(frame);
  Rows rows;
  rows.take_until(wire, server.log().durable_end());
  EXPECT_TRUE(rows.resets.empty());
  EXPECT_TRUE(rows.rows.empty());
  // Something did: it begins anew, and says so.
  server.append("e", numbered(3, 3));
  rows = {};
  resume.resume->applied = Offset(1);
  frame.clear();
  encode(resume, 8, frame);
  wire.send(frame);
  for (;;) {
    const auto next = wire.frame();
    ASSERT_TRUE(next);
    if (next->header.request_id != 8) continue;
    ASSERT_TRUE(rows.take(*next));
    if (rows.marks > 0 && rows.applied >= server.log().durable_end()) break;
  }
  EXPECT_EQ(rows.resets, std::vector<std::uint8_t>{4});
  EXPECT_EQ(rows.lines(), sorted(query(*server.client(), "SELECT * FROM v")));
  EXPECT_NE(rows.lines(), before);
}

}  // namespace
}  // namespace kappa::testing
