// Goal: hostile, broken, slow and greedy clients cost a bounded amount and only themselves; afterwards
// a fresh client appends and queries. Method: raw bytes; deadlines are injected, short, and waited for
// by reading until the server closes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "proto/crc32.h"
#include "tests/serving/support/server_fixture.h"

namespace kappa::testing {
namespace {

using std::chrono::milliseconds;

std::string little(std::uint32_t value) {
  std::string bytes;
  ByteWriter(bytes).u32(value);
  return bytes;
}

// A frame of any type with any payload.
std::string frame_of(unsigned type, std::uint64_t id, std::string_view payload) {
  std::string frame;
  FrameBuilder builder(frame, static_cast<FrameType>(type), id);
  builder.payload().text(payload);
  builder.finish();
  return frame;
}

Error next_error(Wire& wire) {
  const auto frame = wire.frame();
  EXPECT_TRUE(frame);
  return frame ? frame->error() : Error{};
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST(Handshake, OtherProtocolsAreClosedWithoutAWord) {
  Fixture fixture;
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), std::string("SSH-2.0-client\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), std::string(64, '\0'),
        std::string(64, '\xff'), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}) {
    Wire wire(fixture.address());
    wire.send(bytes);
    EXPECT_TRUE(wire.ended()) << bytes;
  }
  EXPECT_TRUE(fixture.healthy());
}

TEST(Handshake, ARequestBeforeHelloIsClosed) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.send(ping_frame(1));
  EXPECT_TRUE(wire.ended());
}

TEST(Handshake, WrongMagicIsClosed) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.send(frame_of(1, 1, "kAPPA"));
  EXPECT_TRUE(wire.ended());
}

TEST(Handshake, TooLongAHelloIsClosed) {
  Fixture fixture;
  std::string hello;
  encode(HelloMessage{1, 1, 0, std::string(2000, 'n')}, 1, hello);
  Wire wire(fixture.address());
  wire.send(hello);
  EXPECT_TRUE(wire.ended());
}

TEST(Handshake, OtherVersionsHearWhichAreServed) {
  Fixture fixture;
  for (const auto& [low, high] : {std::pair<std::uint16_t, std::uint16_t>{0, 0}, {2, 2}, {255, 65535}}) {
    Wire wire(fixture.address());
    std::string hello;
    encode(HelloMessage{low, high, 0, "old"}, 1, hello);
    wire.send(hello);
    const Error error = next_error(wire);
    EXPECT_EQ(error.number, 1002);
    EXPECT_NE(error.message.find("1 to 1"), std::string::npos) << error.message;
    EXPECT_TRUE(wire.ended());
  }
  // A range that includes ours is fine, and gets ours.
  Wire wire(fixture.address());
  std::string hello;
  encode(HelloMessage{0, 900, 0, "new"}, 1, hello);
  wire.send(hello);
  const auto answer = wire.frame();
  ASSERT_TRUE(answer);
  EXPECT_EQ(decode_hello_ok(as_bytes(answer->payload))->version, 1);
}

TEST(Handshake, SilenceIsClosedInTime) {
  serving::ServerOptions options;
  options.handshake_timeout = milliseconds(30);
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire silent(fixture.address()), slow(fixture.address());
  std::string hello;
  encode(HelloMessage{1, 1, 0, "slow"}, 1, hello);
  slow.send(hello.substr(0, 10));
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(slow.ended());
}

TEST(Handshake, ASecondHelloIsAnUnexpectedMessage) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  std::string hello;
  encode(HelloMessage{1, 1, 0, "again"}, 2, hello);
  wire.send(hello + ping_frame(3));
  EXPECT_EQ(next_error(wire).number, 1005);
  EXPECT_EQ(wire.frame()->header.type, FrameType::kPong);
}

TEST(Framing, LengthsOutOfRangeEndTheConnectionWithAnError) {
  Fixture fixture;
  for (const std::uint32_t length : {0U, 1U, 15U, static_cast<std::uint32_t>(limits::kFrameBytesMax) + 1, 0x7fffffffU,
                                     0x80000000U, 0xffffffffU, 0x20000000U}) {
    Wire wire(fixture.address());
    wire.greet();
    wire.send(little(length) + std::string(100, 'x'));
    EXPECT_EQ(next_error(wire).number, 1003) << length;
    EXPECT_TRUE(wire.ended());
  }
  EXPECT_TRUE(fixture.healthy());
}

TEST(Framing, WrongChecksumEndsTheConnectionWithAnError) {
  Fixture fixture;
  for (const std::size_t size : {std::size_t{10}, std::size_t{100'000}}) {
    Wire wire(fixture.address());
    wire.greet();
    std::string frame = append_frame(2, "t", body_of(std::string(size, 'x')));
    frame.back() = static_cast<char>(frame.back() ^ 1);
    wire.send(frame);
    EXPECT_EQ(next_error(wire).number, 1004);
    EXPECT_TRUE(wire.ended());
  }
  EXPECT_EQ(fixture.log.durable_end(), Offset(0));
}

TEST(Framing, AnUnfinishedFrameLeavesNothing) {
  Fixture fixture;
  for (const std::size_t size : {std::size_t{10}, std::size_t{100'000}}) {
    const std::string frame = append_frame(2, "t", body_of(std::string(size, 'x')));
    Wire wire(fixture.address());
    wire.greet();
    wire.send(std::string_view(frame).substr(0, frame.size() - 1));
    wire.half_close();
    EXPECT_TRUE(wire.ended());
  }
  EXPECT_EQ(fixture.log.submitted(), 0U);
  EXPECT_TRUE(fixture.healthy());
}

TEST(Framing, AFrameThatTakesTooLongIsClosed) {
  serving::ServerOptions options;
  options.frame_timeout = milliseconds(30);
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire idle(fixture.address());
  idle.greet();
  for (const std::size_t size : {std::size_t{10}, std::size_t{100'000}}) {
    const std::string frame = append_frame(2, "t", body_of(std::string(size, 'x')));
    Wire wire(fixture.address());
    wire.greet();
    wire.send(std::string_view(frame).substr(0, frame.size() / 2));
    EXPECT_TRUE(wire.ended());
  }
  // Between frames there is no hurry.
  idle.send(ping_frame(5));
  ASSERT_TRUE(idle.frame());
}

TEST(Framing, ManyUnfinishedFramesLeaveRoomForOthers) {
  Fixture fixture;
  const std::size_t before = open_descriptors();
  {
    std::vector<std::unique_ptr<Wire>> held;
    for (int i = 0; i < 200; ++i) {
      held.push_back(std::make_unique<Wire>(fixture.address()));
      held.back()->greet();
      held.back()->send(append_frame(2, "t", body_of(std::string(1'000'000, 'x'))).substr(0, 60));
    }
    EXPECT_TRUE(fixture.healthy());
  }
  EXPECT_TRUE(fixture.healthy());
  while (open_descriptors() > before) std::this_thread::yield();
}

TEST(Types, UnknownOnesGetAnErrorWithTheirId) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  for (const unsigned type : {0x00U, 0x02U, 0x11U, 0x7fU, 0xffU}) {
    wire.send(frame_of(type, 1000U + type, "whatever"));
    const auto frame = wire.frame();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->error().number, 1005);
    EXPECT_EQ(frame->header.request_id, 1000U + type);
  }
  wire.send(ping_frame(5));
  EXPECT_EQ(wire.frame()->header.type, FrameType::kPong);
}

TEST(Types, MalformedPayloadsGetAnErrorAndTheConnectionStays) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  for (const unsigned type : {16U, 18U, 20U, 32U, 36U, 38U}) {
    for (const std::string& payload : {std::string(), std::string("\xff\xff\xff\xff", 4), std::string(300, '\xff'),
                                       little(5) + "abcd", std::string(64, '\x01')}) {
      wire.send(frame_of(type, 7, payload));
      const auto frame = wire.frame();
      ASSERT_TRUE(frame) << type;
      EXPECT_EQ(frame->error().number, 1006) << type;
      EXPECT_EQ(frame->header.request_id, 7U);
    }
  }
  for (const unsigned type : {4U, 48U}) {
    wire.send(frame_of(type, 7, "x"));
    EXPECT_EQ(next_error(wire).number, 1006);
  }
  EXPECT_EQ(fixture.log.submitted(), 0U);
}

TEST(Types, ALargeMalformedAppendIsRefusedWhole) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(frame_of(16, 7, little(1) + "t" + std::string(100'000, '\x7f')) + ping_frame(8));
  EXPECT_EQ(next_error(wire).number, 1006);
  EXPECT_EQ(wire.frame()->header.type, FrameType::kPong);
}

TEST(Ids, OneInFlightIsRefusedAndTheFirstGoesOn) {
  Fixture fixture(FakeLog::Mode::kManual);
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("{}")) + append_frame(2, "t", body_of("{}")) + ping_frame(2));
  for (int i = 0; i < 2; ++i) {
    const auto frame = wire.frame();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->error().number, 1008);
    EXPECT_EQ(frame->header.request_id, 2U);
  }
  fixture.log.wait_for_submitted(1);
  fixture.log.acknowledge();
  EXPECT_EQ(wire.frame()->header.type, FrameType::kAppendOk);
  EXPECT_EQ(fixture.log.submitted(), 1U);
}

TEST(Names, AreDataWhateverTheyAre) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  for (const std::string& name : {std::string("a\0b", 3), std::string("\xff\xfe"), std::string(65'536, 'n'),
                                  std::string(), std::string("../../etc/passwd"), std::string("\"quoted\"")}) {
    std::string get;
    encode(GetMessage{{}, name, {Value::text(name)}}, 2, get);
    wire.send(get);
    EXPECT_EQ(next_error(wire).number, 2003);
    encode(ReadMessage{name, ReadFromKind::kOffset, 0, 0, 100, 0}, 3, get = {});
    wire.send(get);
    EXPECT_EQ(next_error(wire).number, 1010);
    wire.send(append_frame(4, name, body_of("{}")));
    ASSERT_TRUE(wire.frame());
  }
}

TEST(Closing, ResetRightAfterAnAppendLeavesItWholeOrNotAtAll) {
  Fixture fixture(FakeLog::Mode::kThread);
  for (int round = 0; round < 50; ++round) {
    Wire wire(fixture.address());
    wire.greet();
    wire.send(append_frame(2, "t", body_of("{\"whole\":true}", 10), 10));
    wire.reset();
  }
  EXPECT_TRUE(fixture.healthy());
  fixture.server->drain(milliseconds(1000));
  for (const std::string& body : fixture.log.bodies("t")) EXPECT_EQ(body, body_of("{\"whole\":true}", 10));
}

TEST(Closing, ConnectAndCloseLeaksNothing) {
  Fixture fixture;
  EXPECT_TRUE(fixture.healthy());
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 2'000; ++i) Wire(fixture.address()).close();
  EXPECT_TRUE(fixture.healthy());
  while (open_descriptors() > before) std::this_thread::yield();
}

TEST(Bounds, TooManyConnectionsAreToldSo) {
  serving::ServerOptions options;
  options.connections_max = 2;
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire one(fixture.address());
  one.greet();
  {
    Wire two(fixture.address());
    two.greet();
    Wire three(fixture.address());
    EXPECT_EQ(next_error(three).number, 4004);
    EXPECT_TRUE(three.ended());
  }
  one.send(ping_frame(2));
  EXPECT_TRUE(one.frame());
}

TEST(Bounds, RunningOutOfDescriptorsRefusesAndRecovers) {
  Fixture fixture;
  const std::size_t idle = open_descriptors();
  EXPECT_TRUE(fixture.healthy());
  // The server's end of that connection would be given to the next.
  while (open_descriptors() > idle) std::this_thread::yield();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  // Every descriptor is taken; the client gets one back, the server none.
  std::vector<int> taken;
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) taken.push_back(fd);
  ASSERT_FALSE(taken.empty());
  ::close(taken.back());
  taken.pop_back();
  {
    Wire refused(fixture.address());
    EXPECT_TRUE(refused.ended());
  }
  for (const int fd : taken) ::close(fd);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(fixture.healthy());
}

TEST(Bounds, ConnectionsLeaveDescriptorsToTheLog) {
  Fixture fixture;
  EXPECT_TRUE(fixture.healthy());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  std::vector<std::unique_ptr<Wire>> taken;
  std::optional<Error> refused;
  while (taken.size() < 256 && !refused) {
    auto wire = std::make_unique<Wire>(fixture.address());
    std::string hello;
    encode(HelloMessage{1, 1, kFeatureZstd, "test"}, 1, hello);
    wire->send(hello);
    const auto answer = wire->frame();
    ASSERT_TRUE(answer);
    if (answer->header.type == FrameType::kError) {
      refused = answer->error();
    } else {
      taken.push_back(std::move(wire));
    }
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->number, 4004);
  EXPECT_GT(taken.size(), 50u);
  // What the log may still open.
  std::vector<int> left;
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) left.push_back(fd);
  EXPECT_GE(left.size(), 60u);
  for (const int fd : left) ::close(fd);
  taken.clear();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(fixture.healthy());
}

TEST(Listen, WithoutDescriptorsIsAnErrorAndNoException) {
  FakeLog log;
  FakeEngine engine;
  serving::ServerOptions options;
  options.listen = "127.0.0.1:0";
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  std::vector<int> taken;
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) taken.push_back(fd);
  // However many are left, it starts or says why not.
  bool started = false;
  for (int free = 0; free < 40 && !started && !taken.empty(); ++free) {
    const auto server = serving::Server::start(options, log, engine);
    started = server.has_value();
    if (!started) {
      EXPECT_TRUE(server.error().number == 4009 || server.error().number == 4002) << to_string(server.error());
    }
    ::close(taken.back());
    taken.pop_back();
  }
  EXPECT_TRUE(started);
  for (const int fd : taken) ::close(fd);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(Bounds, AFullAppendQueueMakesClientsWait) {
  Fixture fixture(FakeLog::Mode::kManual);
  const std::string body = body_of(std::string(1'000'000, 'x'), 4);
  const std::size_t batches = limits::kAppendQueueBytesMax / body.size() + 8;
  std::thread sender([&] {
    Wire wire(fixture.address());
    wire.greet();
    std::thread feeder([&] {
      for (std::uint64_t id = 2; id < 2 + batches; ++id) wire.send(append_frame(id, "t", body, 4));
    });
    for (std::uint64_t id = 2; id < 2 + batches; ++id) {
      const auto frame = wire.frame();
      ASSERT_TRUE(frame);
      EXPECT_EQ(frame->header.type, FrameType::kAppendOk);
      EXPECT_EQ(frame->header.request_id, id);
    }
    feeder.join();
  });
  std::size_t done = 0;
  while (done < batches) {
    fixture.log.wait_for_submitted(done + 1);
    // Others are served while one waits.
    if (done == 0) {
      EXPECT_TRUE(fixture.healthy());
    }
    done = fixture.log.submitted();
    fixture.log.acknowledge();
  }
  sender.join();
  EXPECT_LE(fixture.log.queued_bytes_max(), limits::kAppendQueueBytesMax);
  EXPECT_EQ(fixture.log.durable_end(), Offset(batches * 4));
}

TEST(Bounds, AppendsOverTheCountWaitAndOthersAreRefused) {
  serving::ServerOptions options;
  options.requests_in_flight_max = 4;
  Fixture fixture(FakeLog::Mode::kManual, options);
  Wire wire(fixture.address());
  wire.greet();
  std::string all;
  for (std::uint64_t id = 2; id < 12; ++id) all += append_frame(id, "t", body_of("{}"));
  wire.send(all);
  fixture.log.wait_for_submitted(4);
  EXPECT_TRUE(fixture.healthy());
  EXPECT_EQ(fixture.log.submitted(), 4U);
  for (std::size_t done = 4; done < 10;) {
    fixture.log.acknowledge();
    fixture.log.wait_for_submitted(std::min<std::size_t>(10, done + 4));
    done = fixture.log.submitted();
  }
  fixture.log.acknowledge();
  for (std::uint64_t id = 2; id < 12; ++id) EXPECT_EQ(wire.frame()->header.request_id, id);

  Wire other(fixture.address());
  other.greet();
  std::string reads;
  for (std::uint64_t id = 2; id < 7; ++id) encode(ReadMessage{"t", ReadFromKind::kEnd, 0, 0, 1, 60'000}, id, reads);
  other.send(reads);
  const auto refused = other.frame();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error().number, 4007);
  EXPECT_EQ(refused->header.request_id, 6U);
}

TEST(Bounds, AResultWaitsForItsReader) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, "rows 1000000"));
  // Not a row is read here; another client asks, and the query thread must have stopped far before the
  // end: what it made fits into its bound and the sockets' buffers.
  ASSERT_TRUE(wire.frame());
  std::uint64_t before = 0;
  do {
    before = fixture.engine.rows_made;
    for (int i = 0; i < 50; ++i) {
      Wire other(fixture.address());
      other.greet();
    }
  } while (fixture.engine.rows_made != before);
  EXPECT_LT(fixture.engine.rows_made, 500'000U);
  std::uint64_t rows = 0;
  for (auto frame = wire.frame(); frame; frame = wire.frame()) {
    if (frame->header.type == FrameType::kEnd) break;
    rows += decode_rows(as_bytes(frame->payload))->rows.size();
  }
  EXPECT_EQ(rows, 1'000'000U);
}

TEST(Bounds, AReaderThatNeverReadsIsClosed) {
  serving::ServerOptions options;
  options.frame_timeout = milliseconds(100);
  Fixture fixture(FakeLog::Mode::kInline, options);
  std::vector<std::unique_ptr<Wire>> wires;
  for (unsigned i = 0; i < serving::kQueryThreadsMax; ++i) {
    wires.push_back(std::make_unique<Wire>(fixture.address()));
    wires.back()->greet();
    wires.back()->send(sql_frame(2, "rows 1000000"));
    ASSERT_TRUE(wires.back()->frame());
  }
  // The next statement can only run when a query thread was freed from one that nobody reads.
  EXPECT_TRUE(fixture.healthy());
  EXPECT_LT(fixture.engine.rows_made, serving::kQueryThreadsMax * std::uint64_t{1'000'000});
}

TEST(Bounds, AReaderThatDoesNotReadHoldsNobodyUp) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, "rows 1000000"));
  ASSERT_TRUE(wire.frame());
  EXPECT_TRUE(fixture.healthy());
  // It was answered while the first query waited for its reader, which was not closed for it.
  std::uint64_t rows = 0;
  for (auto frame = wire.frame(); frame; frame = wire.frame()) {
    if (frame->header.type == FrameType::kEnd) break;
    rows += decode_rows(as_bytes(frame->payload))->rows.size();
  }
  EXPECT_EQ(rows, 1'000'000U);
}

TEST(Bounds, AStatementThatWaitsForAViewHoldsNobodyUp) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, "wait"));
  // Its wait ends with the rows of another.
  EXPECT_TRUE(fixture.healthy());
  const auto end = wire.frame();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->header.type, FrameType::kEnd);
}

TEST(Bounds, WithoutMemoryLargeAppendsAreBusyAndSmallOnesGoOn) {
  serving::ServerOptions options;
  options.connection_memory_max = std::size_t{1} << 20;
  Fixture fixture(FakeLog::Mode::kInline, options);
  // Frames that never end take the memory, and keep it.
  std::vector<std::unique_ptr<Wire>> slow;
  const std::string large = append_frame(2, "t", body_of(std::string(900'000, 'x'), 4), 4);
  for (int i = 0; i < 3; ++i) {
    slow.push_back(std::make_unique<Wire>(fixture.address()));
    slow.back()->greet();
    slow.back()->send(std::string_view(large).substr(0, 500'000));
  }
  Wire wire(fixture.address());
  wire.greet();
  // What the others sent may still be on its way: until then it is taken.
  std::uint64_t id = 3;
  for (;; ++id) {
    wire.send(append_frame(id, "t", body_of(std::string(900'000, 'x'), 4), 4));
    const auto frame = wire.frame();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header.request_id, id);
    if (frame->header.type == FrameType::kAppendOk) continue;
    EXPECT_EQ(frame->error().number, 4014);
    EXPECT_TRUE(frame->error().retryable());
    break;
  }
  const std::size_t before = fixture.log.submitted();
  wire.send(append_frame(id + 1, "t", body_of("{}")) + append_frame(id + 2, "t", body_of(std::string(900'000, 'x'), 4), 4) +
            ping_frame(id + 3));
  EXPECT_EQ(wire.frame()->header.type, FrameType::kAppendOk);
  EXPECT_EQ(next_error(wire).number, 4014);
  EXPECT_EQ(wire.frame()->header.type, FrameType::kPong);
  EXPECT_EQ(fixture.log.submitted(), before + 1);
  slow.clear();
  EXPECT_TRUE(fixture.healthy());
}

TEST(Bounds, ADroppedBodyIsStillChecked) {
  serving::ServerOptions options;
  options.connection_memory_max = 1;
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire wire(fixture.address());
  wire.greet();
  std::string frame = append_frame(3, "t", body_of(std::string(900'000, 'x'), 4), 4);
  wire.send(frame);
  EXPECT_EQ(next_error(wire).number, 4014);
  frame.back() ^= 1;
  wire.send(frame);
  const auto refused = wire.frame();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error().number, 1004);
  EXPECT_EQ(refused->header.request_id, 0U);
  EXPECT_EQ(fixture.log.submitted(), 0U);
}

TEST(Bounds, ReadersThatNeverReadMakeRoomForOthers) {
  serving::ServerOptions options;
  options.connection_memory_max = std::size_t{4} << 20;
  Fixture fixture(FakeLog::Mode::kInline, options);
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 24; ++i) {
    wires.push_back(std::make_unique<Wire>(fixture.address()));
    wires.back()->greet();
    wires.back()->send(sql_frame(2, "rows 1000000"));
  }
  EXPECT_TRUE(fixture.healthy());
  // Some were closed before the end of their rows.
  std::size_t whole = 0;
  for (const auto& wire : wires) {
    std::optional<WireFrame> frame = wire->frame();
    while (frame && frame->header.more()) frame = wire->frame();
    if (frame && frame->header.type == FrameType::kEnd) ++whole;
  }
  EXPECT_LT(whole, wires.size());
}

TEST(Bounds, AStatementThatRunsTooLongIsEnded) {
  serving::ServerOptions options;
  options.query_timeout = milliseconds(20);
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, "hang"));
  const auto frame = wire.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->error().number, 4016);
  EXPECT_EQ(frame->error().code, ErrorCode::kTimeout);
  wire.send(ping_frame(3));
  EXPECT_EQ(wire.frame()->header.type, FrameType::kPong);
}

TEST(Bounds, WhoAsksNothingIsClosedAndWhoWaitsIsNot) {
  serving::ServerOptions options;
  options.idle_timeout = milliseconds(20);
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire waits(fixture.address());
  waits.greet();
  waits.send(append_frame(2, "t", body_of("{}")));
  ASSERT_TRUE(waits.frame());
  std::string read;
  encode(ReadMessage{"t", ReadFromKind::kEnd, 0, 0, 1, 60'000}, 3, read);
  waits.send(read);
  for (int i = 0; i < 3; ++i) {
    Wire idle(fixture.address());
    idle.greet();
    EXPECT_TRUE(idle.ended());
  }
  waits.send(append_frame(4, "t", body_of("{}")));
  std::set<std::uint64_t> answered;
  for (int i = 0; i < 2; ++i) answered.insert(waits.frame()->header.request_id);
  EXPECT_EQ(answered, (std::set<std::uint64_t>{3, 4}));
}

TEST(Bounds, FramesMayBeBoundedMoreClosely) {
  serving::ServerOptions options;
  options.frame_bytes_max = std::size_t{2} << 20;
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of(std::string(900'000, 'x'), 2), 2));
  EXPECT_EQ(wire.frame()->header.type, FrameType::kAppendOk);
  wire.send(append_frame(3, "t", body_of(std::string(900'000, 'x'), 3), 3));
  EXPECT_EQ(next_error(wire).number, 1003);
}

TEST(Bounds, ManyStatementsWaitInABoundedQueue) {
  serving::ServerOptions options;
  options.requests_in_flight_max = 1000;
  Fixture fixture(FakeLog::Mode::kInline, options);
  Wire wire(fixture.address());
  wire.greet();
  std::string all;
  for (std::uint64_t id = 2; id < 302; ++id) all += sql_frame(id, "hang");
  wire.send(all);
  EXPECT_EQ(next_error(wire).number, 4008);
  wire.close();
  EXPECT_TRUE(fixture.healthy());
}

}  // namespace
}  // namespace kappa::testing
