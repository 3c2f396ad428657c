// Goal: many reads at once are one read: every row is that of the same applied offset, and byte for byte what a plain
// get gives, for every kind of view, from memory and from disk, while events come in and while the view is replaced.
// Method: batches of events that keep a sum constant, read by several keys at a time beside them; and every row of
// views of several kinds read both ways.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

class KeyedViews : public EngineFixture {
 protected:
  KeyedViews() { options_.commit_interval_ms = 20; }

  std::shared_ptr<KeyedView> opened(std::string_view view) {
    auto keyed = engine_->open_view(view);
    EXPECT_TRUE(keyed) << to_string(keyed.error());
    return keyed ? *keyed : nullptr;
  }
  static Status encode(const KeyedView& view, const Row& key, std::string& out) {
    std::string wire;
    encode_row(key, wire);
    ByteReader in(as_bytes(wire));
    KAPPA_CHECK_OK(view.encode_key(in, out));
    EXPECT_TRUE(in.done());
    return {};
  }
  // Rows of many keys, as the wire has them.
  static Expected<std::vector<std::optional<std::string>>> read(KeyedView& view, const std::vector<Row>& keys,
                                                                Offset& applied) {
    std::vector<std::string> encoded(keys.size());
    std::vector<std::string_view> views;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      KAPPA_CHECK_OK(encode(view, keys[i], encoded[i]));
      views.push_back(encoded[i]);
    }
    KeyedRows rows;
    KAPPA_CHECK_OK(view.read(views, rows));
    EXPECT_EQ(rows.size(), keys.size());
    applied = rows.applied();
    std::vector<std::optional<std::string>> found;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto row = rows.row(i);
      found.push_back(row ? std::optional<std::string>(*row) : std::nullopt);
    }
    return found;
  }
  void expect_as_get(std::string_view name, const std::vector<Row>& keys) {
    const auto view = opened(name);
    ASSERT_TRUE(view);
    Offset applied;
    const auto found = read(*view, keys, applied);
    ASSERT_TRUE(found) << name << ": " << to_string(found.error());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto one = engine_->get(name, {keys[i]});
      ASSERT_TRUE(one) << to_string(one.error());
      EXPECT_EQ(one->applied, applied);
      std::optional<std::string> wire;
      if (one->row) encode_row(*one->row, wire.emplace());
      EXPECT_EQ((*found)[i], wire) << name << " " << text_of(keys[i]);
    }
  }
};

TEST_F(KeyedViews, RowsAreThoseOfAGetForEveryKindOfView) {
  run("CREATE STREAM s (k VARCHAR, g BIGINT, v VARCHAR, d DOUBLE, ts TIMESTAMP) WITH (topic = 't', event_time = 'ts')");
  run("CREATE MATERIALIZED VIEW latest AS SELECT k, last(v ORDER BY _offset) AS v, count(*) AS n FROM s GROUP BY k");
  run("CREATE MATERIALIZED VIEW turned AS SELECT count(*) AS n, g, max(v) AS v, k FROM s GROUP BY k, g");
  run("CREATE MATERIALIZED VIEW large AS SELECT g, sum(d) AS d FROM s GROUP BY g HAVING count(*) > 20");
  run("CREATE MATERIALIZED VIEW computed AS SELECT k, count(*) * 2 AS twice FROM s GROUP BY k");
  run("CREATE MATERIALIZED VIEW events AS SELECT k, v, d FROM s WHERE g < 3");
  run("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, first(v ORDER BY _offset) AS v FROM s");
  run("CREATE MATERIALIZED VIEW hops AS SELECT window_start, g, count(*) AS n FROM "
      "HOP(s, ts, INTERVAL '10 seconds', INTERVAL '30 seconds') GROUP BY window_start, window_end, g");
  std::vector<std::string> events;
  for (int i = 0; i < 500; ++i) {
    const std::string v = i % 7 == 0 ? "null" : "\"v" + std::string(static_cast<std::size_t>(i % 40), 'x') + "\"";
    const std::string k = i % 50 == 0 ? "\"a\\u0000b\"" : "\"k" + std::to_string(i % 90) + "\"";
    events.push_back("{\"k\":" + k + ",\"g\":" + std::to_string(i % 13) + ",\"v\":" + v + ",\"d\":" +
                     std::to_string(i) + ".5,\"ts\":\"2024-05-01T10:00:" + std::to_string(10 + i % 50) + "Z\"}");
  }
  append("t", events);
  for (const bool restarted : {false, true}) {
    if (restarted) restart();
    for (const char* view : {"latest", "turned", "large", "computed", "events", "total", "hops"})
      run(std::string("SELECT count(*) FROM ") + view);  // Fresh.
    std::vector<Row> keys, pairs, groups, windows;
    for (int i = 0; i < 95; ++i) keys.push_back({Value::text("k" + std::to_string(i))});
    keys.push_back({Value::text(std::string("a\0b", 3))});
    keys.push_back({Value::null(kTextType)});
    for (int i = 0; i < 90; ++i) pairs.push_back({Value::text("k" + std::to_string(i)), Value::bigint(i % 13)});
    pairs.push_back({Value::text("k1"), Value::text("1")});
    for (int i = -1; i < 15; ++i) groups.push_back({Value::bigint(i)});
    groups.push_back({Value::text("4")});
    expect_as_get("latest", keys);
    expect_as_get("turned", pairs);
    expect_as_get("large", groups);
    expect_as_get("computed", keys);
    expect_as_get("total", {Row{}});
    const auto shape = opened("hops");
    for (const Row& row : run("SELECT * FROM hops").rows) {
      Row key;
      for (const Column& column : shape->key())
        key.push_back(column.name == "g" ? row[1]
                      : column.name == "window_start"
                          ? row[0]
                          : Value::timestamp(row[0].as_int64() + std::int64_t{30} * 1'000'000));
      windows.push_back(std::move(key));
    }
    EXPECT_GT(windows.size(), 20U);
    expect_as_get("hops", windows);
  }
}

TEST_F(KeyedViews, KeysOfTheWrongShapeAreRefusedAsByGet) {
  run("CREATE STREAM s (k VARCHAR, g BIGINT) WITH (topic = 't')");
  run("CREATE MATERIALIZED VIEW v AS SELECT k, g, count(*) AS n FROM s GROUP BY k, g");
  const auto view = opened("v");
  ASSERT_TRUE(view);
  ASSERT_EQ(view->key().size(), 2U);
  EXPECT_EQ(view->key()[1].name, "g");
  for (const Row& key : std::vector<Row>{{Value::text("a")},
                                         {Value::text("a"), Value::text("b")},
                                         {Value::text("a"), Value::bigint(1), Value::bigint(2)}}) {
    std::string out;
    const Status encoded = encode(*view, key, out);
    const auto got = engine_->get("v", {key});
    ASSERT_FALSE(encoded);
    ASSERT_FALSE(got);
    EXPECT_EQ(to_string(encoded.error()), to_string(got.error()));
  }
  EXPECT_EQ(engine_->open_view("w").error().number, 2003);
}

// Every batch moves one from a key to another: the sum of all keys is the same at every offset that is the end of one.
TEST_F(KeyedViews, ManyKeysAreReadAtOneOffsetWhileEventsComeIn) {
  run("CREATE STREAM s (k BIGINT, n BIGINT) WITH (topic = 't')");
  run("CREATE MATERIALIZED VIEW v AS SELECT k, sum(n) AS n FROM s GROUP BY k");
  constexpr int kKeys = 40;
  std::vector<std::string> first;
  for (int i = 0; i < kKeys; ++i) first.push_back("{\"k\":" + std::to_string(i) + ",\"n\":1000}");
  append("t", first);
  run("SELECT count(*) FROM v");
  const std::uint64_t base = log_->durable_end().value();
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 400; ++i) {
      std::vector<std::string> events;
      for (int j = 0; j < 5; ++j) {
        events.push_back("{\"k\":" + std::to_string((i + j) % kKeys) + ",\"n\":-1}");
        events.push_back("{\"k\":" + std::to_string((i * 7 + j * 3) % kKeys) + ",\"n\":1}");
      }
      append("t", events);
    }
    done = true;
  });
  const auto view = opened("v");
  std::vector<Row> keys;
  for (int i = 0; i < kKeys; ++i) keys.push_back({Value::bigint(i)});
  std::uint64_t reads = 0;
  std::uint64_t offsets = 0;
  Offset before;
  while (view && (!done || reads < 20)) {
    Offset applied;
    const auto rows = read(*view, keys, applied);
    if (!rows) {
      ADD_FAILURE() << to_string(rows.error());
      break;
    }
    std::int64_t sum = 0;
    for (const auto& row : *rows) {
      if (!row) {
        ADD_FAILURE() << "a key without a row";
        continue;
      }
      ByteReader in(as_bytes(*row));
      const auto decoded = decode_row(in);
      if (decoded) sum += std::stoll(display((*decoded)[1]));
    }
    EXPECT_GE(applied, before);
    if (applied != before) ++offsets;
    before = applied;
    ++reads;
    // Events between: half of a pair at an odd place.
    const std::int64_t expected = kKeys * 1000 - static_cast<std::int64_t>((applied.value() - base) % 2);
    EXPECT_EQ(sum, expected) << "at " << applied.value();
    if (sum != expected) break;
  }
  writer.join();
  EXPECT_GT(offsets, 3U);
}

TEST_F(KeyedViews, FollowsItsNameThroughReplacementsAndNoticesOtherColumns) {
  run("CREATE STREAM s (k VARCHAR, n BIGINT) WITH (topic = 't')");
  run("CREATE MATERIALIZED VIEW v AS SELECT k, sum(n) AS n FROM s GROUP BY k");
  append("t", {R"({"k":"a","n":3})", R"({"k":"a","n":4})"});
  run("SELECT * FROM v");
  const auto view = opened("v");
  ASSERT_TRUE(view);
  const auto value = [&]() -> std::int64_t {
    Offset applied;
    const auto rows = read(*view, {{Value::text("a")}}, applied);
    if (!rows) return -static_cast<std::int64_t>(rows.error().number);
    if (!(*rows)[0]) return -1;
    ByteReader in(as_bytes(*(*rows)[0]));
    const auto row = decode_row(in);
    return row ? std::stoll(display((*row)[1])) : -1;
  };
  EXPECT_EQ(value(), 7);
  run("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, sum(n * 10) AS n FROM s GROUP BY k");
  until([&] { return value() == 70; });
  EXPECT_TRUE(view->check());
  run("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, sum(n) AS other FROM s GROUP BY k");
  until([&] { return value() == -kViewChanged; });
  EXPECT_EQ(view->check().error().number, kViewChanged);
  run("DROP MATERIALIZED VIEW v");
  EXPECT_EQ(value(), -2003);
}

TEST_F(KeyedViews, MoreThanTheBoundOfBytesIsRefused) {
  run("CREATE STREAM s (k BIGINT, v VARCHAR) WITH (topic = 't')");
  run("CREATE MATERIALIZED VIEW v AS SELECT k, last(v ORDER BY _offset) AS v FROM s GROUP BY k");
  const std::string large(std::size_t{900} << 10, 'x');
  std::vector<Row> keys;
  for (int i = 0; i < 12; ++i) {
    append("t", {"{\"k\":" + std::to_string(i) + ",\"v\":\"" + large + "\"}"});
    keys.push_back({Value::bigint(i)});
  }
  for (const bool restarted : {false, true}) {
    if (restarted) restart();
    run("SELECT count(*) FROM v");
    const auto view = opened("v");
    Offset applied;
    const auto all = read(*view, keys, applied);
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().number, 2021);
    const auto some = read(*view, {keys[0], keys[11]}, applied);
    ASSERT_TRUE(some);
    EXPECT_TRUE((*some)[0] && (*some)[1]);
  }
}

}  // namespace
}  // namespace kappa::processor::test
