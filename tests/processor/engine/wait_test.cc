// Goal: a read that asks for an offset gets it, or a timeout, never an older answer.
// Method: waits of every kind against a real engine; outcomes arrive through promises.
#include <gtest/gtest.h>

#include <future>

#include "processor/waiters.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

class Wait : public EngineFixture {
 protected:
  void SetUp() override {
    EngineFixture::SetUp();
    run("CREATE STREAM hits (page TEXT)");
    run("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page");
  }
  std::future<Status> wait_for(std::string_view view, const Freshness& freshness) {
    auto promise = std::make_shared<std::promise<Status>>();
    engine_->wait(view, freshness, [promise](Status status) { promise->set_value(std::move(status)); });
    return promise->get_future();
  }
};

TEST_F(Wait, EndsWhenTheEventIsApplied) {
  const Offset next = log_->durable_end();
  auto waiting = wait_for("v", {next + 2, false, std::chrono::minutes(2)});
  append("hits", {R"({"page":"a"})", R"({"page":"a"})"});
  append("hits", {R"({"page":"a"})"});
  const Status status = waiting.get();
  ASSERT_TRUE(status) << to_string(status.error());
  const auto got = engine_->get("v", {{Value::text("a")}});
  ASSERT_TRUE(got);
  EXPECT_GT(got->applied, next + 2);
  EXPECT_EQ(text_of(*got->row), "a|3");
}

TEST_F(Wait, FreshCoversWhatWasDurableAtTheCall) {
  append("hits", std::vector<std::string>(500, R"({"page":"b"})"), 3);
  const Offset end = log_->durable_end();
  ASSERT_TRUE(wait_for("v", fresh()).get());
  EXPECT_GE(engine_->get("v", {{Value::text("b")}})->applied, end);
}

TEST_F(Wait, TimesOutOnWhatDoesNotCome) {
  const Offset never = log_->durable_end() + 1000;
  const Status status = wait_for("v", {never, false, std::chrono::milliseconds(1)}).get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().number, 4005);
  EXPECT_EQ(status.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(execute("SELECT * FROM v", {never, false, std::chrono::milliseconds(1)}).error().number, 4005);
  EXPECT_EQ(execute("SELECT * FROM hits", {never, false, std::chrono::milliseconds(1)}).error().number, 4005);
}

TEST_F(Wait, OfAnUnknownViewFails) {
  EXPECT_EQ(wait_for("w", fresh()).get().error().number, 2003);
}

TEST_F(Wait, EndsWhenTheViewIsDropped) {
  auto waiting = wait_for("v", {log_->durable_end() + 1000, false, std::chrono::minutes(2)});
  run("DROP MATERIALIZED VIEW v");
  EXPECT_EQ(waiting.get().error().number, 2003);
}

TEST_F(Wait, EndsWhenTheEngineStops) {
  auto waiting = wait_for("v", {log_->durable_end() + 1000, false, std::chrono::minutes(2)});
  engine_.reset();
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kClosed);
}

TEST_F(Wait, AreBounded) {
  const Offset never = log_->durable_end() + 1'000'000;
  std::atomic<int> refused{0};
  std::atomic<int> ended{0};
  for (std::size_t i = 0; i < kWaitersMax + 5; ++i) {
    engine_->wait("v", {never, false, std::chrono::minutes(2)}, [&](const Status& status) {
      if (status.error().code == ErrorCode::kBusy) ++refused;
      ++ended;
    });
  }
  EXPECT_EQ(refused, 5);
  engine_.reset();
  EXPECT_EQ(ended, static_cast<int>(kWaitersMax) + 5);
}

}  // namespace
}  // namespace kappa::processor::test
