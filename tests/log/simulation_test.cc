// Goal: the crash tests stand on a file system and a crash model that are right themselves. Method: the
// file system in memory against the real one under random operations (the seed is printed); the model's
// rules one by one on recordings of a few operations.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "tests/log/log_fixture.h"
#include "tests/log/sim/crash_state.h"

namespace kappa::log::sim {
namespace {

constexpr const char* kFile = "/d/file";

class CrashModel : public ::testing::Test {
 protected:
  CrashModel() : files_({.directories = {"/", "/d"}, .files = {}}, {}, 1) {}

  std::unique_ptr<File> open(const char* path = kFile) {
    auto file = files_.open(path, OpenMode::kCreate);
    EXPECT_TRUE(file);
    return std::move(*file);
  }
  static void write(File& file, std::uint64_t at, std::string_view text) {
    EXPECT_TRUE(file.pwrite(as_bytes(text), at));
  }
  CrashState state() const {
    CrashState state({.directories = {"/", "/d"}, .files = {}}, {});
    for (const Operation& operation : files_.operations()) state.apply(operation);
    return state;
  }
  static Tree lose_all(const CrashState& state) {
    return state.image({.keep = std::vector<bool>(state.pending().size(), false),
                        .torn = {},
                        .sectors = {},
                        .size_lost = {}});
  }

  RecordingFileSystem files_;
};

TEST_F(CrashModel, AnUnsyncedNameIsLostWithItsSyncedContent) {
  auto file = open();
  write(*file, 0, "content");
  ASSERT_TRUE(file->fdatasync());
  EXPECT_TRUE(lose_all(state()).files.empty());
  ASSERT_TRUE(files_.sync_directory("/d"));
  EXPECT_EQ(lose_all(state()).files.at(kFile), "content");
}

TEST_F(CrashModel, ASyncCoversWhatWasWrittenBeforeItBegan) {
  auto file = open();
  ASSERT_TRUE(files_.sync_directory("/d"));
  write(*file, 0, "one");
  files_.hold_syncs(true);
  std::thread syncing([&] { EXPECT_TRUE(file->fdatasync()); });
  files_.wait_until_a_sync_is_held();
  EXPECT_EQ(lose_all(state()).files.at(kFile), "") << "not before it has ended";
  write(*file, 512, "two");
  files_.hold_syncs(false);
  syncing.join();
  EXPECT_EQ(lose_all(state()).files.at(kFile), "one");
}

TEST_F(CrashModel, ARenameIsThereOrNot) {
  auto file = open();
  auto other = open("/d/other");
  write(*file, 0, "new");
  write(*other, 0, "old");
  ASSERT_TRUE(file->fdatasync());
  ASSERT_TRUE(other->fdatasync());
  ASSERT_TRUE(files_.sync_directory("/d"));
  ASSERT_TRUE(files_.rename(kFile, "/d/other"));
  CrashState now = state();
  EXPECT_EQ(lose_all(now).files, (std::map<std::string, std::string>{{kFile, "new"}, {"/d/other", "old"}}));
  EXPECT_EQ(now.cached().files, (std::map<std::string, std::string>{{"/d/other", "new"}}));
}

TEST_F(CrashModel, WritesTearAtSectors) {
  auto file = open();
  ASSERT_TRUE(files_.sync_directory("/d"));
  write(*file, 0, std::string(1024, 'a'));
  ASSERT_TRUE(file->fdatasync());
  write(*file, 0, std::string(1024, 'b'));
  std::set<std::string> seen;
  enumerate(state(), {}, [&](const Choice& choice) { seen.insert(state().image(choice).files.at(kFile)); });
  const std::string a(512, 'a'), b(512, 'b');
  EXPECT_EQ(seen, (std::set<std::string>{a + a, a + b, b + a, b + b}));
}

TEST_F(CrashModel, AfterAFailedSyncOnlyWhatIsWrittenAgainGetsToTheDisk) {
  auto file = open();
  ASSERT_TRUE(files_.sync_directory("/d"));
  write(*file, 0, "lost");
  files_.fail_sync(1);
  EXPECT_FALSE(file->fdatasync());
  EXPECT_TRUE(files_.stop_failing());
  ASSERT_TRUE(file->fdatasync()) << "the kernel says yes";
  EXPECT_EQ(lose_all(state()).files.at(kFile), "");
  EXPECT_EQ(state().cached().files.at(kFile), "lost");
  write(*file, 0, "lost");
  ASSERT_TRUE(file->fdatasync());
  EXPECT_EQ(lose_all(state()).files.at(kFile), "lost");
}

class MemoryFiles : public LogFixture {};

TEST_F(MemoryFiles, BehaveAsTheRealOnes) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  MemoryFileSystem memory({.directories = {"/", "/d"}, .files = {}});
  FileSystem& real = real_file_system();
  const std::string names[] = {"a", "b", "c"};
  for (int step = 0; step < 3000; ++step) {
    const std::string& name = names[random() % 3];
    const std::filesystem::path in_memory = "/d/" + name, on_disk = root_ / name;
    const auto mode = static_cast<OpenMode>(random() % 4);
    if (random() % 8 == 0) {
      const std::string& to = names[random() % 3];
      if (random() % 2 == 0) {
        const bool renamed = memory.rename(in_memory, "/d/" + to).has_value();
        EXPECT_EQ(renamed, real.rename(on_disk, root_ / to).has_value());
      } else {
        EXPECT_EQ(memory.unlink(in_memory).has_value(), real.unlink(on_disk).has_value());
      }
      EXPECT_EQ(memory.list("/d").value(), real.list(root_).value());
      continue;
    }
    auto left = memory.open(in_memory, mode);
    auto right = real.open(on_disk, mode);
    ASSERT_EQ(left.has_value(), right.has_value());
    if (!left) {
      EXPECT_EQ(left.error().code, right.error().code);
      continue;
    }
    const auto left_map = (*left)->map(), right_map = (*right)->map();
    ASSERT_TRUE(left_map && right_map);
    const std::uint64_t at = random() % 20000, n = random() % 9000;
    if (mode != OpenMode::kRead) {
      switch (random() % 3) {
        case 0: {
          const std::string text(n, static_cast<char>('a' + step % 26));
          EXPECT_TRUE((*left)->pwrite(as_bytes(text), at) && (*right)->pwrite(as_bytes(text), at));
          // Mapped before: what of it was mapped shows the write.
          EXPECT_TRUE(std::ranges::equal((*left_map)->bytes(), (*right_map)->bytes()));
          break;
        }
        case 1: EXPECT_TRUE((*left)->truncate(at) && (*right)->truncate(at)); break;
        case 2: EXPECT_TRUE((*left)->allocate(at + 1) && (*right)->allocate(at + 1)); break;
      }
    }
    ASSERT_EQ((*left)->size().value(), (*right)->size().value());
    std::string left_text(30000, '?'), right_text(30000, '?');
    EXPECT_EQ((*left)->pread(std::as_writable_bytes(std::span(left_text)), at / 2).value(),
              (*right)->pread(std::as_writable_bytes(std::span(right_text)), at / 2).value());
    ASSERT_EQ(left_text, right_text);
  }
}

}  // namespace
}  // namespace kappa::log::sim
