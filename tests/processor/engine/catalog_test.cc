// Goal: the catalog is exactly the fold of its records, and DDL never does what it refused.
// Method: golden bytes and every truncation for the record format; statements against a real log,
// with restarts, for the rest.
#include "processor/catalog.h"

#include <gtest/gtest.h>

#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

using Catalog = EngineFixture;

constexpr const char* kHits = "CREATE STREAM hits (page TEXT, ms BIGINT, ts TIMESTAMP) WITH (event_time = 'ts')";
constexpr const char* kByPage = "CREATE MATERIALIZED VIEW by_page AS SELECT page, count(*) AS n FROM hits GROUP BY page";

TEST(CatalogRecord, HasGoldenBytes) {
  const std::string bytes = encode_catalog_record({CatalogEntry::Kind::kView, 3, "AB"});
  EXPECT_EQ(bytes, std::string("\x01\x00\x02\x03\x00\x00\x00\x02\x00\x00\x00"
                               "AB",
                               13));
  const auto back = decode_catalog_record(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->kind, CatalogEntry::Kind::kView);
  EXPECT_EQ(back->version, 3U);
  EXPECT_EQ(back->sql, "AB");
  EXPECT_EQ(back->from, Offset(0));
}

TEST(CatalogRecord, NamesItsFirstOffsetWhenThatIsNotTheFirstOfAll) {
  const std::string bytes = encode_catalog_record({CatalogEntry::Kind::kView, 3, "AB", Offset(258)});
  EXPECT_EQ(bytes, std::string("\x02\x00\x02\x03\x00\x00\x00\x02\x00\x00\x00"
                               "AB"
                               "\x02\x01\x00\x00\x00\x00\x00\x00",
                               21));
  const auto back = decode_catalog_record(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->from, Offset(258));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_catalog_record(std::string_view(bytes).substr(0, size))) << size;
  }
}

TEST(CatalogRecord, RefusesWhatItDoesNotKnow) {
  const std::string bytes = encode_catalog_record({CatalogEntry::Kind::kStream, 1, "CREATE"});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode_catalog_record(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().number, 2012) << size;
  }
  EXPECT_EQ(decode_catalog_record(bytes + "x").error().number, 2012);
  std::string newer = bytes;
  newer[0] = 4;
  EXPECT_EQ(decode_catalog_record(newer).error().code, ErrorCode::kUnsupported);
  std::string kind = bytes;
  kind[2] = 9;
  EXPECT_EQ(decode_catalog_record(kind).error().code, ErrorCode::kCorrupt);
}

TEST(CatalogRecord, SaysWhichVersionsItWasMadeOf) {
  const CatalogRecord record{CatalogEntry::Kind::kView, 3, "CREATE", Offset(5), {{"a", 1}, {"b", 2}}};
  const std::string bytes = encode_catalog_record(record);
  const auto back = decode_catalog_record(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->uses, record.uses);
  EXPECT_EQ(back->version, 3U);
  EXPECT_EQ(back->from, Offset(5));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    ASSERT_FALSE(decode_catalog_record(std::string_view(bytes).substr(0, size))) << size;
  // Where all of them are the first, an older release can read it.
  EXPECT_EQ(encode_catalog_record({CatalogEntry::Kind::kView, 1, "CREATE", {}, {{"a", 1}}}),
            encode_catalog_record({CatalogEntry::Kind::kView, 1, "CREATE"}));
}

TEST_F(Catalog, SurvivesARestart) {
  EXPECT_EQ(run(kHits).result.tag, "CREATE STREAM");
  EXPECT_EQ(run(kByPage).result.tag, "CREATE VIEW");
  restart();
  EXPECT_EQ(run("SHOW STREAMS").rows.size(), 1U);
  EXPECT_EQ(status("by_page").version, 1U);
  EXPECT_EQ(lines("SHOW TOPICS"), Lines{"hits|0"});
}

TEST_F(Catalog, AViewOfADroppedAndRecreatedNameStartsAnew) {
  run(kHits);
  run(kByPage);
  append("hits", {R"({"page":"/a"})"});
  EXPECT_EQ(lines("SELECT * FROM by_page"), Lines{"/a|1"});
  run("DROP MATERIALIZED VIEW by_page");
  run("CREATE MATERIALIZED VIEW by_page AS SELECT page, sum(ms) AS n FROM hits GROUP BY page");
  EXPECT_EQ(lines("SELECT * FROM by_page"), Lines{"/a|NULL"});
  restart();
  EXPECT_EQ(lines("SELECT * FROM by_page"), Lines{"/a|NULL"});
}

TEST_F(Catalog, NamesAreTakenOnce) {
  run(kHits);
  run(kByPage);
  EXPECT_EQ(refusal(kHits).code, ErrorCode::kExists);
  EXPECT_EQ(refusal(kByPage).number, 2007);
  EXPECT_EQ(refusal("CREATE STREAM by_page (a TEXT)").code, ErrorCode::kExists);
  EXPECT_EQ(refusal("CREATE STREAM IF NOT EXISTS by_page (a TEXT)").code, ErrorCode::kExists);
  EXPECT_NE(run("CREATE STREAM IF NOT EXISTS hits (a TEXT)").result.notice.find("exists already"), std::string::npos);
  EXPECT_EQ(run("DESCRIBE hits").rows.size(), 7U);  // The old definition: 3 columns and 4 of every stream.
}

TEST_F(Catalog, DropRefusesWhatIsReadAndCascades) {
  run(kHits);
  run(kByPage);
  const Error refused = refusal("DROP STREAM hits");
  EXPECT_EQ(refused.number, 2010);
  EXPECT_NE(refused.message.find("by_page"), std::string::npos);
  EXPECT_EQ(refusal("DROP MATERIALIZED VIEW hits").number, 2003);
  EXPECT_EQ(refusal("DROP STREAM nothing").number, 2003);
  EXPECT_EQ(run("DROP STREAM IF EXISTS nothing").result.tag, "DROP STREAM");
  EXPECT_EQ(refusal("DROP TOPIC hits").number, 2010);
  run("DROP STREAM hits CASCADE");
  EXPECT_TRUE(run("SHOW STREAMS").rows.empty());
  EXPECT_TRUE(run("SHOW VIEWS").rows.empty());
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "views"));
  restart();
  EXPECT_TRUE(run("SHOW VIEWS").rows.empty());
  EXPECT_EQ(lines("SHOW TOPICS"), Lines{"hits|0"});  // The events stay.
}

TEST_F(Catalog, StateOfViewsThatAreGoneIsRemovedAtStart) {
  run(kHits);
  run(kByPage);
  close();
  std::filesystem::create_directories(directory_ / "views/999-1");
  open();
  EXPECT_FALSE(std::filesystem::exists(directory_ / "views/999-1"));
  run("SELECT * FROM by_page");  // Fresh: the view has caught up.
  EXPECT_EQ(status("by_page").state, "live");
}

TEST_F(Catalog, RecordsThatCannotBeReadAreLeftOutAndNothingIsDeleted) {
  run(kHits);
  run(kByPage);
  ASSERT_TRUE(log_->append_system("view/odd", "not a record"));
  ASSERT_TRUE(log_->append_system("view/worse", encode_catalog_record({CatalogEntry::Kind::kView, 1, "SELECT FROM"})));
  close();
  std::filesystem::create_directories(directory_ / "views/999-1");
  open();
  EXPECT_EQ(run("SHOW VIEWS").rows.size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(directory_ / "views/999-1"));
}

TEST_F(Catalog, DescribesAndExplains) {
  run("CREATE STREAM geo (city TEXT PATH '$.a.b[2].c', at TIMESTAMP) WITH (event_time = 'at')");
  const Lines described = lines("DESCRIBE geo");
  ASSERT_EQ(described.size(), 6U);
  EXPECT_EQ(described[0], "city|TEXT|$.a.b[2].c|");
  EXPECT_EQ(described[1], "at|TIMESTAMP|$.at|event time");
  run("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM geo GROUP BY city");
  const Lines view = lines("DESCRIBE v");
  ASSERT_EQ(view.size(), 2U);
  EXPECT_EQ(view[0], "n|BIGINT|NULL|");
  EXPECT_EQ(view[1], "city|TEXT|1|key only, not selected");
  EXPECT_FALSE(run("EXPLAIN SELECT city, count(*) FROM geo GROUP BY city").rows.empty());
  EXPECT_EQ(refusal("DESCRIBE nothing").number, 2003);
  EXPECT_TRUE(run("SHOW TABLES").rows.empty());
  EXPECT_TRUE(run("SHOW DEAD LETTERS").rows.empty());
  run("SELECT * FROM v");  // Fresh: nothing is being built any more.
  EXPECT_TRUE(run("SHOW REPLAYS").rows.empty());
}

}  // namespace
}  // namespace kappa::processor::test
