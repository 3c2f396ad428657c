// Goal: the catalog and the events of a directory written by an older version give the same views.
// Method: the directories of tests/data/golden_log_v1, opened as copies with an engine; the rows are
// those that the version which wrote them answered.
#include "tests/log/golden_log.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

namespace golden = log::golden;
constexpr const char* kGolden = KAPPA_SOURCE_DIRECTORY "/tests/data/golden_log_v1/";

class CompatibilityOfViews : public EngineFixture, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    const auto files = golden::unpack(golden::load(std::string(kGolden) + GetParam()));
    ASSERT_TRUE(files) << to_string(files.error());
    golden::write_directory(*files, directory_ / "log");
    open();
  }
};

TEST_P(CompatibilityOfViews, ViewsOfAnOlderDirectoryAreRebuilt) {
  std::string text;
  for (const std::string& line : lines("SELECT * FROM by_page ORDER BY page")) text += line + "\n";
  EXPECT_EQ(text, golden::load(std::string(kGolden) + "view.txt"));
  EXPECT_EQ(refusal("SELECT * FROM gone").number, 2003) << "a view dropped then stays dropped";
  // And it goes on.
  const Lines before = lines("SELECT n FROM by_page WHERE page = '/p0'");
  append("hits", {R"({"page":"/p0","ms":1})"});
  run("CREATE MATERIALIZED VIEW later AS SELECT count(*) AS n FROM hits");
  EXPECT_EQ(lines("SELECT n FROM later"), Lines{"301"});
  restart();
  EXPECT_EQ(lines("SELECT n FROM later"), Lines{"301"});
  EXPECT_EQ(std::stoi(lines("SELECT n FROM by_page WHERE page = '/p0'").at(0)), std::stoi(before.at(0)) + 1);
}

INSTANTIATE_TEST_SUITE_P(Version1, CompatibilityOfViews, testing::Values("clean.pack", "killed.pack"),
                         [](const auto& parameter) {
                           return std::string(parameter.param).substr(0, std::string_view(parameter.param).find('.'));
                         });

}  // namespace
}  // namespace kappa::processor::test
