// Goal: every input that the fuzzers keep, and every one that once broke a promise, goes through its target
// in every build, with any compiler and sanitizer. Method: each file of tests/fuzz/corpus/<target> and
// tests/fuzz/regressions/<target> is one call; a broken promise aborts, the name of the file is printed
// before. The small log that targets start from is checked to be what it says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "log/log.h"
#include "tests/fuzz/small_log.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

class FuzzInputs : public ::testing::TestWithParam<Target> {
 protected:
  // Runs every file of the folder; their number.
  static std::size_t run_folder(const char* folder) {
    const auto path = std::filesystem::path(KAPPA_SOURCE_DIRECTORY) / "tests/fuzz" / folder / GetParam().name;
    if (!std::filesystem::exists(path)) return 0;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto& file : files) {
      std::ifstream in(file, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      std::fprintf(stderr, "%s\n", file.c_str());
      GetParam().run(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
    return files.size();
  }
};

TEST_P(FuzzInputs, CorpusKeepsItsPromises) {
  EXPECT_GT(run_folder("corpus"), 0U);
}
TEST_P(FuzzInputs, WhatOnceBrokeIsMended) {
  run_folder("regressions");
}

INSTANTIATE_TEST_SUITE_P(All, FuzzInputs, ::testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param.name); });

TEST(SmallLog, IsSoundAndAllThere) {
  MemoryFiles files(small_log().files);
  const auto report = log::verify("log", {}, &files);
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_TRUE(report->damage.empty()) << report->damage[0];
  EXPECT_TRUE(report->warnings.empty()) << report->warnings[0];
  EXPECT_EQ(report->segments, 3U);
  EXPECT_EQ(report->events, small_log().values.size());
  EXPECT_LT(small_log().watermark_offset.value(), small_log().values.size());
}

}  // namespace
}  // namespace kappa::fuzz
