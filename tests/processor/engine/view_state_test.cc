// Goal: whatever happened to the files of a view's state, or to the log under it, while nobody looked, the
// view answers what the batch query answers, and the status says that it was made again.
// Method: an engine with two views is closed, its files are changed, and it is opened again. What must
// become true by another thread is polled for, without a clock.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "processor/plan_identity.h"
#include "processor/verify_views.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class ViewState : public EngineFixture {
 protected:
  static constexpr std::size_t kPage = 4096;

  void SetUp() override {
    options_.commit_interval_ms = 10;
    EngineFixture::SetUp();
    run("CREATE STREAM hits (page TEXT, n BIGINT)");
    run("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n, sum(n) AS s FROM hits GROUP BY page");
    run("CREATE MATERIALIZED VIEW w AS SELECT page, count(*) AS n, sum(n) AS s FROM hits WHERE n > 50 GROUP BY page");
    append("hits", hits(0, 3000));
    settle();
  }
  static std::vector<std::string> hits(int from, int to) {
    std::vector<std::string> events;
    for (int i = from; i < to; ++i)
      events.push_back(R"({"page":"/page)" + std::to_string(i * 7919 % 1000) + R"(","n":)" + std::to_string(i) + "}");
    return events;
  }
  void settle() {
    for (const char* name : {"v", "w"}) until([&] { return status(name).committed == log_->durable_end(); });
  }
  void expect_right() {
    EXPECT_EQ(lines("SELECT * FROM v ORDER BY page"),
              lines("SELECT page, count(*) AS n, sum(n) AS s FROM hits GROUP BY page ORDER BY page"));
    EXPECT_EQ(lines("SELECT * FROM w ORDER BY page"),
              lines("SELECT page, count(*) AS n, sum(n) AS s FROM hits WHERE n > 50 GROUP BY page ORDER BY page"));
  }
  // Directories of v and w: named by the creation offset, so in this order.
  std::vector<fs::path> states() {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(directory_ / "views")) found.push_back(entry.path());
    std::ranges::sort(found);
    EXPECT_EQ(found.size(), 2U);
    return found;
  }
};

TEST_F(ViewState, FilesThatAreGoneOrOthersAreMadeAgain) {
  struct Way {
    const char* name;
    std::function<void(const fs::path& v, const fs::path& w)> damage;
    bool told;     // The status says why.
    bool damaged;  // kappa verify calls it damage.
  };
  const std::string older = [&] {
    const std::string bytes = read_file(states()[0] / "data.mdb");
    append("hits", hits(3000, 3500));
    settle();
    return bytes;
  }();
  const std::vector<Way> ways = {
      {"directory deleted", [](const fs::path& v, const fs::path&) { fs::remove_all(v); }, false, false},
      {"data deleted", [](const fs::path& v, const fs::path&) { fs::remove(v / "data.mdb"); }, false, false},
      {"data empty", [](const fs::path& v, const fs::path&) { write_file(v / "data.mdb", ""); }, false, false},
      {"lock deleted", [](const fs::path& v, const fs::path&) { fs::remove(v / "lock.mdb"); }, false, false},
      {"lock of other bytes", [](const fs::path& v, const fs::path&) { write_file(v / "lock.mdb", std::string(9000, 'x')); },
       false, false},
      {"lock empty", [](const fs::path& v, const fs::path&) { write_file(v / "lock.mdb", ""); }, false, false},
      {"an older copy", [&](const fs::path& v, const fs::path&) { write_file(v / "data.mdb", older); }, false, false},
      {"directory is a file",
       [](const fs::path& v, const fs::path&) {
         fs::remove_all(v);
         write_file(v, "not a directory");
       },
       true, true},
      {"data is a directory",
       [](const fs::path& v, const fs::path&) {
         fs::remove(v / "data.mdb");
         fs::create_directory(v / "data.mdb");
       },
       true, true},
      {"lock is a directory",
       [](const fs::path& v, const fs::path&) {
         fs::remove(v / "lock.mdb");
         fs::create_directory(v / "lock.mdb");
       },
       true, false},
      {"one page", [](const fs::path& v, const fs::path&) { fs::resize_file(v / "data.mdb", kPage); }, true, true},
      {"cut", [](const fs::path& v, const fs::path&) { fs::resize_file(v / "data.mdb", 3 * kPage); }, true, true},
      {"the other view's",
       [](const fs::path& v, const fs::path& w) { fs::copy_file(w / "data.mdb", v / "data.mdb", fs::copy_options::overwrite_existing); },
       true, true},
      {"a page of zeros",
       [](const fs::path& v, const fs::path&) {
         std::string bytes = read_file(v / "data.mdb");
         // The last page is a part of the newest tree or free: all of them, but the meta pages.
         std::fill(bytes.begin() + 2 * kPage, bytes.end(), '\0');
         write_file(v / "data.mdb", bytes);
       },
       true, true},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    settle();
    const auto before = states();
    close();
    way.damage(before[0], before[1]);
    EXPECT_EQ(verify().damage.size(), way.damaged ? 1U : 0U);
    open();
    expect_right();
    EXPECT_EQ(!status("v").rebuilt.empty(), way.told) << status("v").rebuilt;
    EXPECT_EQ(status("w").rebuilt, "");
    EXPECT_EQ(status("v").state, "live");
  }
}

TEST_F(ViewState, AnOlderLogUnderNewerViewsIsNoticed) {
  close();
  const fs::path kept = directory_ / "kept";
  fs::copy(directory_ / "log", kept, fs::copy_options::recursive);
  open();
  append("hits", hits(5000, 5400));
  settle();
  close();
  const auto restore = [&] {
    fs::remove_all(directory_ / "log");
    fs::copy(kept, directory_ / "log", fs::copy_options::recursive);
  };
  // As it was: the views are ahead.
  const fs::path newer = directory_ / "newer";
  fs::copy(directory_ / "views", newer, fs::copy_options::recursive);
  restore();
  EXPECT_EQ(verify().damage.size(), 2U);
  open();
  expect_right();
  EXPECT_NE(status("v").rebuilt, "");
  close();
  // Grown again by as many events, of another content: the same offsets.
  restore();
  fs::remove_all(directory_ / "views");
  open();
  append("hits", hits(7000, 7400));
  settle();
  close();
  fs::remove_all(directory_ / "views");
  fs::copy(newer, directory_ / "views", fs::copy_options::recursive);
  EXPECT_EQ(verify().damage.size(), 2U);
  open();
  expect_right();
  EXPECT_NE(status("v").rebuilt, "");
  EXPECT_NE(status("w").rebuilt, "");
}

TEST_F(ViewState, TheSlowCheckFindsAnOldCopyOfAPageAndHasTheViewMadeAgain) {
  // Counts grow everywhere, in place: sooner or later a page of an old file is a page of the newest tree as well,
  // which depends on how many commits there were.
  std::vector<std::string> copies;
  const fs::path data = states()[0] / "data.mdb";
  std::size_t replaced = 0;
  for (int round = 0; round < 50 && replaced == 0; ++round) {
    append("hits", hits(10'000 + round * 1000, 11'000 + round * 1000));
    settle();
    copies.push_back(read_file(data));
    if (round % 5 != 4) continue;
    close();
    const std::string bytes = read_file(data);
    for (const std::string& copy : copies) {
      for (std::size_t page = 2; (page + 1) * kPage <= std::min(bytes.size(), copy.size()) && replaced == 0; ++page) {
        // A leaf in both.
        if (bytes[page * kPage + 10] != 2 || copy[page * kPage + 10] != 2) continue;
        std::string changed = bytes;
        changed.replace(page * kPage, kPage, copy, page * kPage, kPage);
        if (changed == bytes) continue;
        write_file(data, changed);
        if (!verify().damage.empty()) ++replaced;  // Of the newest tree; else another.
      }
    }
    if (replaced == 0) {
      write_file(data, bytes);
      open();
    }
  }
  ASSERT_EQ(replaced, 1U);
  options_.check_at_open_bytes = 0;
  open();
  until([&] { return !status("v").rebuilt.empty() && status("w").checked; });
  expect_right();
  EXPECT_EQ(status("w").rebuilt, "");
  settle();
  close();
  EXPECT_TRUE(verify().damage.empty());
}

TEST_F(ViewState, AStateThatAnotherReleasePlannedOtherwiseIsMadeAgain) {
  const fs::path state = states()[0];
  close();
  {
    StateOptions options;
    options.directory = state;
    auto store = StateStore::open(options);
    ASSERT_TRUE(store) << to_string(store.error());
    ASSERT_TRUE(*(*store)->get(kPlanTable, {}));
    const Progress progress = (*store)->progress();
    (*store)->begin_publish();
    (*store)->put(kPlanTable, {}, "another!");
    (*store)->end_publish(progress);
    ASSERT_TRUE((*store)->freeze());
    ASSERT_TRUE((*store)->commit());
  }
  open();
  EXPECT_NE(status("v").rebuilt.find("planned"), std::string::npos) << status("v").rebuilt;
  EXPECT_EQ(status("w").rebuilt, "");
  expect_right();
  settle();
  restart();
  EXPECT_EQ(status("v").rebuilt, "");
}

// Both maps of the file, the engine's and LMDB's, then lead to pages that do not exist any more.
TEST_F(ViewState, AFileThatIsCutWhileItIsMappedCostsTheViewNotTheProcess) {
  for (const std::uintmax_t pages : {0U, 1U, 3U, 12U}) {
    for (const bool read_first : {true, false}) {
      SCOPED_TRACE(std::to_string(pages) + " pages left, " + (read_first ? "a read" : "a commit") + " meets it");
      const fs::path data = states()[0] / "data.mdb";
      ASSERT_GT(fs::file_size(data), (pages + 1) * kPage);
      fs::resize_file(data, pages * kPage);
      if (!read_first) append("hits", hits(3000, 3100));
      // Whoever meets it gets an error or the truth.
      until([&] {
        if (read_first) static_cast<void>(execute("SELECT * FROM v"));
        return !status("v").rebuilt.empty() && status("v").state == "live";
      });
      expect_right();
      settle();
      close();
      open();
      expect_right();
    }
  }
}

TEST_F(ViewState, AViewWhoseMemoryIsFullHastensTheCheckThatHoldsItsCommits) {
  close();
  options_.check_at_open_bytes = 0;
  options_.check_bytes_per_second = 1;
  options_.memory_bytes = 128 << 10;
  open();
  EXPECT_FALSE(status("v").checked);
  append("hits", hits(20'000, 20'010));
  expect_right();  // Reads and applying do not wait for it.
  EXPECT_EQ(status("v").commits, 0U);
  append("hits", hits(20'010, 40'000));
  until([&] { return status("v").committed == log_->durable_end(); });
  EXPECT_TRUE(status("v").checked);
  expect_right();
}

TEST_F(ViewState, ClosingDoesNotWaitForASlowCheck) {
  close();
  options_.check_at_open_bytes = 0;
  options_.check_bytes_per_second = 1;
  open();
  append("hits", hits(20'000, 20'010));
  expect_right();
  restart();  // The log repeats what was not committed.
  expect_right();
}

}  // namespace
}  // namespace kappa::processor::test
