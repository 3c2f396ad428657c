// Goal: a named subscriber's position is durable, is its topic's alone, and keeps the log from where it reads on.
// Method: a real server over a real log, restarted; retention with limits that would remove everything.
#include <gtest/gtest.h>

#include "proto/subscriber_messages.h"
#include "serving/subscribers.h"
#include "tests/serving/support/real_server.h"
#include "tests/serving/support/wire.h"

namespace kappa::testing {
namespace {

using Position = Client::Position;

std::uint64_t where(Client& client, std::string_view name) {
  const auto position = client.position(name);
  EXPECT_TRUE(position) << (position ? "" : to_string(position.error()));
  return position && *position ? (*position)->offset.value() : UINT64_MAX;
}

TEST(Subscriber, KeepsItsPositionOverARestart) {
  RealServer server;
  server.append("e", {"{}", "{}", "{}"});
  server.append("f", {"{}"});
  {
    const auto client = server.client();
    EXPECT_EQ(where(*client, "s"), UINT64_MAX);
    ASSERT_TRUE(client->set_position("s", Position{"e", Offset(2)}));
    ASSERT_TRUE(client->set_position("s", Position{"e", Offset(3)}));
    ASSERT_TRUE(client->set_position("back", Position{"e", Offset(3)}));
    ASSERT_TRUE(client->set_position("back", Position{"e", Offset(1)}));
    ASSERT_TRUE(client->set_position("gone", Position{"f", Offset(1)}));
    ASSERT_TRUE(client->set_position("gone", std::nullopt));
    ASSERT_TRUE(client->set_position("never", std::nullopt));
  }
  server.stop();
  server.start();
  const auto client = server.client();
  EXPECT_EQ(where(*client, "s"), 3U);
  EXPECT_EQ(where(*client, "back"), 1U);
  EXPECT_EQ(where(*client, "gone"), UINT64_MAX);
  const auto status = client->status();
  ASSERT_TRUE(status);
  EXPECT_NE(status->find(R"({"name":"s","topic":"e","offset":3})"), std::string::npos) << *status;
}

TEST(Subscriber, RefusesWhatCannotBeAPosition) {
  RealServer server;
  server.append("e", {"{}", "{}"});
  server.append("f", {"{}"});
  const auto client = server.client();
  EXPECT_EQ(client->set_position("s", Position{"none", Offset(0)}).error().number, 1010);
  EXPECT_EQ(client->set_position("s", Position{"e", Offset(1'000)}).error().number, 1011);
  EXPECT_EQ(client->set_position("", Position{"e", Offset(0)}).error().number, 1007);
  EXPECT_EQ(client->set_position(std::string(256, 's'), Position{"e", Offset(0)}).error().number, 1007);
  ASSERT_TRUE(client->set_position("s", Position{"e", Offset(1)}));
  EXPECT_EQ(client->set_position("s", Position{"f", Offset(1)}).error().number, 1021);
  EXPECT_EQ(where(*client, "s"), 1U);
  Wire wire(server.address());
  wire.greet();
  std::string frame;
  FrameBuilder builder(frame, FrameType::kSubscriber, 7);
  builder.payload().sized_text("s");
  builder.payload().u8(9);
  builder.payload().sized_text("e");
  builder.payload().u64(0);
  builder.finish();
  wire.send(frame);
  EXPECT_EQ(wire.frame()->error().number, 1006);
}

TEST(Subscriber, RetentionLeavesWhatItHasNotRead) {
  log::LogOptions options;
  options.segment_bytes = std::size_t{64} << 10;
  options.retention.bytes = 1;
  RealServer server({}, options);
  const std::vector<std::string> values(100, "{\"p\":\"" + std::string(1'000, 'x') + "\"}");
  server.append("e", values);
  ASSERT_TRUE(server.client()->set_position("s", Position{"e", Offset(50)}));
  for (int i = 0; i < 10; ++i) server.append("e", values);
  server.stop();
  server.start();
  server.log().begin_retention();
  server.append("e", values);
  ASSERT_TRUE(server.log().status().lowest_hold);
  EXPECT_EQ(server.log().status().lowest_hold->name, "subscriber \"s\"");
  EXPECT_LE(server.log().start(), Offset(50));
  const auto client = server.client();
  ASSERT_TRUE(client->set_position("s", Position{"e", server.log().durable_end()}));
  // Now it may go.
  for (int i = 0; server.log().start() <= Offset(50); ++i) server.append("e", values);
}

}  // namespace
}  // namespace kappa::testing
