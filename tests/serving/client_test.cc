// Goal: the client library against a real server over fakes: pipelining, results in order, reconnect,
// deadlines, interruption, early stops.
#include <gtest/gtest.h>

#include <thread>

#include "tests/serving/support/server_fixture.h"
#include "tools/client/client.h"

namespace kappa::testing {
namespace {

using Mode = FakeLog::Mode;
using std::chrono::milliseconds;

std::unique_ptr<Client> client_of(const std::string& address, milliseconds timeout = milliseconds(60'000)) {
  auto client = Client::connect({address, timeout, "test"});
  EXPECT_TRUE(client) << (client ? "" : to_string(client.error()));
  return client ? std::move(*client) : nullptr;
}

ClientBatch batch_of(std::string_view value, std::uint32_t count) {
  ClientBatch batch;
  batch.body = body_of(value, count);
  batch.count = count;
  return batch;
}

TEST(Client, LearnsAboutTheServer) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  EXPECT_EQ(client->server().version, "0.1.0");
  EXPECT_EQ(client->server().durability, "sync");
  EXPECT_EQ(client->server().log_id.size(), 32U);
  EXPECT_TRUE(client->server().zstd);
}

TEST(Client, NobodyThereIsAConnectError) {
  std::string address;
  {
    Fixture fixture;
    address = fixture.address();
  }
  const auto client = Client::connect({address, milliseconds(1000), "test"});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::kIo);
  EXPECT_EQ(client.error().number, 1001);
  EXPECT_EQ(Client::connect({"nonsense", milliseconds(1000), "test"}).error().code, ErrorCode::kInvalid);
}

TEST(Client, PipelinedAppendsComeBackInOrder) {
  Fixture fixture(Mode::kThread);
  const auto client = client_of(fixture.address());
  std::uint64_t collected = 0;
  const auto take = [&](bool wait) {
    while (auto result = client->collect(wait)) {
      ASSERT_TRUE(*result) << to_string(result->error());
      EXPECT_EQ((*result)->first, Offset(collected * 3));
      EXPECT_EQ((*result)->last, Offset(collected * 3 + 2));
      EXPECT_EQ((*result)->count, 3U);
      EXPECT_EQ((*result)->durability, "sync");
      ++collected;
    }
  };
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(client->send_append("t", batch_of("{\"a\":1}", 3)));
    take(false);
  }
  take(true);
  EXPECT_EQ(collected, 500U);
  EXPECT_EQ(client->in_flight(), 0U);
  EXPECT_EQ(fixture.log.durable_end(), Offset(1500));
}

TEST(Client, LargeAndCompressedBatchesArrive) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  ClientBatch large = batch_of(std::string(500'000, 'y'), 10);
  const std::string body = large.body;
  large.compress = true;
  ASSERT_TRUE(client->append("t", std::move(large)));
  ASSERT_TRUE(client->append("t", batch_of(std::string(500'000, 'y'), 10)));
  EXPECT_EQ(fixture.log.bodies("t"), (std::vector<std::string>{body, body}));
}

TEST(Client, DuplicatesAreCounted) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  ClientBatch batch = batch_of("{}", 4);
  batch.producer_id = ProducerId(7);
  const auto first = client->append("t", batch);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->count, 4U);
  const auto again = client->append("t", batch);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->count, 0U);
  EXPECT_EQ(again->duplicates, 4U);
  EXPECT_EQ(client->producer("t", ProducerId(7))->next_sequence, 4U);
}

TEST(Client, RefusalsAreResultsAndTheConnectionGoesOn) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  ASSERT_TRUE(client->send_append("", batch_of("{}", 1)));
  ASSERT_TRUE(client->send_append("t", batch_of("{}", 1)));
  auto refused = client->collect(true);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error().number, 3020);
  auto accepted = client->collect(true);
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(*accepted);
}

TEST(Client, ReadsEventsAndStopsWhenAsked) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  BatchBuilder builder;
  ASSERT_TRUE(builder.add({"one", "k", Timestamp(5), {}}));
  ASSERT_TRUE(builder.add({"two", {}, {}, {}}));
  ASSERT_TRUE(builder.add({"three", {}, {}, {}}));
  ClientBatch batch;
  batch.count = 3;
  batch.body = builder.take();
  ASSERT_TRUE(client->append("t", std::move(batch)));
  std::vector<std::string> values;
  auto read = client->read("t", {ReadFrom::Kind::kOffset, 0}, 100, milliseconds(0), [&](const ClientEvent& event) {
    if (event.offset == Offset(0)) {
      EXPECT_EQ(event.key, "k");
      EXPECT_EQ(event.timestamp, Timestamp(5));
    } else {
      EXPECT_EQ(event.timestamp, event.append_time);
    }
    values.emplace_back(event.value);
    return true;
  });
  ASSERT_TRUE(read);
  EXPECT_EQ(values, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(read->next, Offset(3));
  read = client->read("t", {ReadFrom::Kind::kOffset, 1}, 1, milliseconds(0), [](const ClientEvent&) { return true; });
  EXPECT_EQ(read->events, 1U);
  EXPECT_EQ(read->next, Offset(2));
  read = client->read("t", {ReadFrom::Kind::kLast, 2}, 9, milliseconds(0), [](const ClientEvent&) { return false; });
  EXPECT_EQ(read->events, 1U);
  EXPECT_EQ(read->next, Offset(2));
}

TEST(Client, StreamsRowsAndStopsEarly) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  std::uint64_t rows = 0;
  const auto all = client->sql("rows 3000", {}, {}, [&](std::vector<Row> piece) {
    rows += piece.size();
    return true;
  });
  ASSERT_TRUE(all);
  EXPECT_EQ(rows, 3000U);
  EXPECT_EQ(all->row_count, 3000U);
  const auto some = client->sql("rows 100000000", {}, {}, [](std::vector<Row>) { return false; });
  EXPECT_TRUE(some) << to_string(some.error());
  EXPECT_LT(fixture.engine.rows_made, 100'000'000U);
  EXPECT_EQ(client->sql("nonsense", {}, {}, {}).error().number, 2001);
  const auto scanned = client->scan({"v", {}, {}, {}, 3}, {}, {}, {});
  ASSERT_TRUE(scanned);
  EXPECT_EQ(scanned->row_count, 3U);
}

TEST(Client, GetsRowsAndStatus) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  const auto found = client->get("v", {Value::text("a")}, {});
  ASSERT_TRUE(found && found->row);
  EXPECT_EQ(found->columns.size(), 2U);
  EXPECT_FALSE(client->get("v", {Value::text("z")}, {})->row);
  EXPECT_EQ(client->get("w", {Value::text("z")}, {}).error().number, 2003);
  EXPECT_TRUE(client->status()->starts_with("{\"version\":\"0.1.0\""));
}

TEST(Client, ConnectsAgainAfterTheServerWentAway) {
  auto fixture = std::make_unique<Fixture>(Mode::kManual);
  const std::string address = fixture->address();
  const auto client = client_of(address);
  ASSERT_TRUE(client->send_append("t", batch_of("{}", 1)));
  fixture->server->drain(milliseconds(1));
  auto lost = client->collect(true);
  ASSERT_TRUE(lost);
  ASSERT_FALSE(*lost);
  EXPECT_EQ(lost->error().code, ErrorCode::kClosed);
  EXPECT_FALSE(client->status());
  // The same port, a new server.
  serving::ServerOptions options;
  options.listen = address;
  FakeLog log;
  FakeEngine engine;
  const auto server = serving::Server::start(options, log, engine);
  ASSERT_TRUE(server) << to_string(server.error());
  EXPECT_TRUE(client->status());
  EXPECT_TRUE(client->append("t", batch_of("{}", 1)));
}

TEST(Client, DeadlinesEndCalls) {
  Fixture fixture(Mode::kManual);
  const auto client = client_of(fixture.address(), milliseconds(50));
  const auto result = client->append("t", batch_of("{}", 1));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
  fixture.log.acknowledge();
  EXPECT_TRUE(client->status());
}

TEST(Client, InterruptEndsTheRunningCall) {
  Fixture fixture;
  const auto client = client_of(fixture.address());
  std::thread interrupter([&] {
    while (fixture.engine.hanging == 0) std::this_thread::yield();
    client->interrupt();
  });
  const auto result = client->sql("hang", {}, {}, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kClosed);
  interrupter.join();
  // The server cancels what nobody waits for, and the client goes on.
  while (fixture.engine.hanging != 0) std::this_thread::yield();
  EXPECT_TRUE(client->status());
}

TEST(Client, AClosingErrorIsHeardByPipelinedAppends) {
  Fixture fixture(Mode::kManual);
  const auto client = client_of(fixture.address());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client->send_append("t", batch_of("{}", 1)));
  fixture.log.wait_for_submitted(10);
  fixture.server->drain(milliseconds(1));
  for (int i = 0; i < 10; ++i) {
    auto result = client->collect(true);
    ASSERT_TRUE(result);
    EXPECT_FALSE(*result);
  }
  EXPECT_FALSE(client->collect(true));
}

}  // namespace
}  // namespace kappa::testing
