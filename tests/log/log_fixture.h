// A log in a fresh directory, and the small tools that the log's tests share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "log/log.h"
#include "tests/log/batch_places.h"
#include "tests/support/temp_dir.h"

namespace kappa::log {

struct ManualClock final : Clock {
  Timestamp time;
  Timestamp now() override { return time; }
};

class LogFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.directory = fresh_directory();
    options_.segment_bytes = 1 << 20;
    options_.prepared_segments = 1;
  }

  std::filesystem::path fresh_directory() { return root_ / ("log" + std::to_string(directories_++)); }

  std::unique_ptr<Log> open() {
    auto log = Log::open(options_);
    EXPECT_TRUE(log) << to_string(log.error());
    return log ? std::move(*log) : nullptr;
  }

  static AppendBatch batch(TopicId topic, const std::vector<std::string>& values) {
    BatchBuilder builder;
    for (const std::string& value : values)
      EXPECT_TRUE(builder.add({.value = value, .key = {}, .timestamp = {}, .headers = {}}));
    AppendBatch out;
    out.topic = topic;
    out.count = builder.count();
    out.body = builder.take();
    out.uncompressed_length = static_cast<std::uint32_t>(out.body.size());
    return out;
  }

  // Values from offset `from` on; fails the test on any error.
  static std::vector<std::string> read_values(Log& log, Offset from = Offset(0), ReadFilter filter = {}) {
    std::vector<std::string> values;
    auto reader = log.reader(from, filter);
    for (;;) {
      const auto view = reader->next();
      EXPECT_TRUE(view) << to_string(view.error());
      if (!view || !*view) return values;
      RecordReader records((*view)->body, (*view)->header.count);
      for (Offset offset = (*view)->header.base_offset;; ++offset) {
        const auto record = records.next();
        EXPECT_TRUE(record);
        if (!record || !*record) break;
        if (offset >= from) values.emplace_back((*record)->value);
      }
    }
  }

  VerifyReport verify_all() {
    auto report = verify(options_.directory, {});
    EXPECT_TRUE(report) << to_string(report.error());
    return report ? *report : VerifyReport{};
  }

  std::vector<std::filesystem::path> files_ending(std::string_view suffix) const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory))
      if (entry.path().string().ends_with(suffix)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }

  static std::string load(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::vector<Place> places(const std::filesystem::path& path) { return batch_places(load(path)); }
  static void store(const std::filesystem::path& path, std::string_view content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  static void flip_byte(const std::filesystem::path& path, std::size_t at) {
    std::string content = load(path);
    ASSERT_LT(at, content.size());
    content[at] = static_cast<char>(content[at] ^ 0x20);
    store(path, content);
  }

  test::TempDir temporary_;
  const std::filesystem::path& root_ = temporary_.path();
  int directories_ = 0;
  LogOptions options_;
};

}  // namespace kappa::log
