// Goal: the client with callbacks: each append once and in order whatever happens to the connection, bounds that refuse
// instead of waiting, errors with the server's numbers, nothing lost at the end. Method: a real server over fakes.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "tests/serving/support/server_fixture.h"
#include "tools/client/callback_client.h"

namespace kappa::testing {
namespace {

using std::chrono::milliseconds;

CallbackOptions options_for(const std::string& address) {
  CallbackOptions options;
  options.client.address = address;
  options.client.timeout = std::chrono::seconds(60);
  return options;
}

std::uint64_t events_in(const FakeLog& log, const std::string& topic, std::string& all) {
  std::uint64_t count = 0;
  for (const std::string& body : log.bodies(topic)) {
    std::uint32_t records = 0;
    for (std::size_t at = 0; at < body.size(); ++records) at += 1 + static_cast<unsigned char>(body[at]);
    RecordReader reader(as_bytes(body), records);
    for (std::uint32_t i = 0; i < records; ++i) {
      all += (*reader.next())->value;
      ++count;
    }
  }
  return count;
}

TEST(CallbackClient, AppendsInOrderAndAnswersEach) {
  Fixture fixture(FakeLog::Mode::kThread);
  std::string wanted;
  std::atomic<int> durable{0};
  {
    CallbackClient client(options_for(fixture.address()));
    for (int i = 0; i < 1000; ++i) {
      wanted += std::to_string(i) + " ";
      ASSERT_TRUE(client.append("t", std::to_string(i) + " ", [&](Status done) { durable += done ? 1 : 0; }));
    }
  }  // Its end waits for them.
  EXPECT_EQ(durable, 1000);
  std::string all;
  EXPECT_EQ(events_in(fixture.log, "t", all), 1000U);
  EXPECT_EQ(all, wanted);
  EXPECT_LT(fixture.log.submitted(), 1000U);  // Those that waited shared batches.
}

TEST(CallbackClient, ASecondServerOnTheSameLogGoesOn) {
  FakeLog log(FakeLog::Mode::kThread);
  FakeEngine engine;
  serving::ServerOptions server_options;
  server_options.listen = "127.0.0.1:0";
  auto server = *serving::Server::start(server_options, log, engine);
  server_options.listen = server->address();
  CallbackClient client(options_for(server->address()));
  std::atomic<int> durable{0};
  const auto append = [&](int from, int to) {
    for (int i = from; i < to; ++i)
      ASSERT_TRUE(client.append("t", std::to_string(i) + " ", [&](Status done) { durable += done ? 1 : 0; }));
  };
  append(0, 100);
  client.wait();
  server.reset();
  append(100, 200);
  server = *serving::Server::start(server_options, log, engine);
  client.wait();
  EXPECT_EQ(durable, 200);
  std::string all, wanted;
  for (int i = 0; i < 200; ++i) wanted += std::to_string(i) + " ";
  events_in(log, "t", all);
  EXPECT_EQ(all, wanted);
}

TEST(CallbackClient, RefusesWhatIsTooMuchAndTellsTheServersErrors) {
  Fixture fixture(FakeLog::Mode::kManual);
  CallbackOptions options = options_for(fixture.address());
  options.calls_max = 2;
  CallbackClient client(options);
  std::atomic<int> ran{0};
  ASSERT_TRUE(client.append("t", "{}", [&](Status) { ++ran; }));
  ASSERT_TRUE(client.append("t", "{}", [&](Status) { ++ran; }));
  const Status third = client.append("t", "{}", [&](Status) { ++ran; });
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().number, 1020);
  EXPECT_TRUE(third.error().retryable());
  EXPECT_EQ(client.append("t", std::string(2 << 20, 'x'), [&](Status) { ++ran; }).error().number, 1007);
  std::atomic<bool> answered{false};
  std::thread waiter([&] {
    client.wait();
    answered = true;
  });
  while (!answered) fixture.log.acknowledge();
  waiter.join();
  EXPECT_EQ(ran, 2);
  std::uint16_t number = 0;
  ASSERT_TRUE(client.get("nothing", {Value::text("a")}, {}, [&](auto result) { number = result.error().number; }));
  client.wait();
  EXPECT_EQ(number, 2003);
  std::size_t rows = 0;
  ASSERT_TRUE(client.sql("rows 250", {}, [&](auto result) { rows = result->rows.size(); }));
  client.wait();
  EXPECT_EQ(rows, 250U);
}

TEST(CallbackClient, NobodyThereIsToldToEachCall) {
  std::string address;
  {
    Fixture fixture;
    address = fixture.address();
  }
  CallbackOptions options = options_for(address);
  options.give_up = milliseconds(1);
  CallbackClient client(options);
  std::uint16_t append = 0, get = 0;
  ASSERT_TRUE(client.append("t", "{}", [&](Status done) { append = done.error().number; }));
  ASSERT_TRUE(client.get("v", {Value::text("a")}, {}, [&](auto result) { get = result.error().number; }));
  client.wait();
  EXPECT_EQ(append, 1001);
  EXPECT_EQ(get, 1001);
}

}  // namespace
}  // namespace kappa::testing
