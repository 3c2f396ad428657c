// Goal: starting and ending: addresses, drain, and a server that goes away under load.
#include <gtest/gtest.h>

#include <thread>

#include "tests/serving/support/server_fixture.h"

namespace kappa::testing {
namespace {

using std::chrono::milliseconds;

Error start_error(const std::string& listen) {
  FakeLog log;
  FakeEngine engine;
  serving::ServerOptions options;
  options.listen = listen;
  const auto server = serving::Server::start(options, log, engine);
  EXPECT_FALSE(server) << listen;
  return server ? Error{} : server.error();
}

TEST(Listen, OnlyLoopbackIsServed) {
  EXPECT_EQ(start_error("0.0.0.0:0").number, 4003);
  EXPECT_EQ(start_error("10.1.2.3:7171").number, 4003);
  EXPECT_EQ(start_error("[::]:0").number, 4003);
}

TEST(Listen, AddressesThatCannotBeReadAreRefused) {
  for (const char* listen : {"", "7171", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "nowhere:1"}) {
    EXPECT_EQ(start_error(listen).number, 4001) << listen;
  }
}

TEST(Listen, APortInUseIsSaid) {
  Fixture fixture;
  EXPECT_EQ(start_error(fixture.address()).number, 4002);
}

TEST(Listen, TheRealPortIsTold) {
  Fixture one, two;
  EXPECT_NE(one.address(), two.address());
  EXPECT_FALSE(one.address().ends_with(":0"));
  EXPECT_TRUE(one.healthy());
  EXPECT_TRUE(two.healthy());
}

TEST(Drain, FinishesWhatIsInFlight) {
  Fixture fixture(FakeLog::Mode::kManual);
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("{}")));
  fixture.log.wait_for_submitted(1);
  std::thread drain([&] { fixture.server->drain(milliseconds(60'000)); });
  fixture.log.acknowledge();
  const auto frame = wire.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->header.type, FrameType::kAppendOk);
  EXPECT_TRUE(wire.ended());
  drain.join();
}

TEST(Drain, ClosesIdleConnectionsAndWaitingReadsAtOnce) {
  Fixture fixture;
  Wire idle(fixture.address()), waiting(fixture.address()), silent(fixture.address());
  idle.greet();
  waiting.greet();
  waiting.send(append_frame(2, "t", body_of("{}")));
  ASSERT_TRUE(waiting.frame());
  std::string read;
  encode(ReadMessage{"t", ReadFromKind::kEnd, 0, 0, 1, 3'000'000}, 3, read);
  waiting.send(read + ping_frame(4));
  ASSERT_TRUE(waiting.frame());
  fixture.server->drain(milliseconds(600'000));
  EXPECT_TRUE(idle.ended());
  EXPECT_TRUE(silent.ended());
  const auto frame = waiting.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->header.type, FrameType::kReadOk);
  EXPECT_TRUE(waiting.ended());
}

TEST(Drain, GivesUpOnWhatDoesNotEnd) {
  Fixture fixture;
  Wire wire(fixture.address());
  wire.greet();
  wire.send(sql_frame(2, "hang"));
  while (fixture.engine.hanging == 0) std::this_thread::yield();
  fixture.server->drain(milliseconds(20));
  EXPECT_TRUE(wire.ended());
  EXPECT_EQ(fixture.engine.hanging, 0);
}

TEST(Drain, IsIdempotent) {
  Fixture fixture;
  fixture.server->drain(milliseconds(1000));
  fixture.server->drain(milliseconds(1000));
}

TEST(Drain, LateAcknowledgementsFindNobody) {
  Fixture fixture(FakeLog::Mode::kManual);
  Wire wire(fixture.address());
  wire.greet();
  wire.send(append_frame(2, "t", body_of("{}")));
  fixture.log.wait_for_submitted(1);
  fixture.server->drain(milliseconds(1));
  fixture.log.acknowledge();
  EXPECT_EQ(fixture.log.durable_end(), Offset(1));
}

}  // namespace
}  // namespace kappa::testing
