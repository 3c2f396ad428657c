// Goal: a backup holds every event that was acknowledged before it began and nothing else, of a stopped
// log and of one under load; a restored log is the source at that moment; a second backup takes what is
// new.
// Method: real directories. Restored logs are compared by a listing of every batch and event, catalog,
// topics and producers.
#include <atomic>
#include <thread>

#include "tests/log/backup_fixture.h"

namespace kappa::log {
namespace {

TEST_F(BackupTest, RestoredLogIsTheSource) {
  fill();
  const BackupReport report = must_make();
  EXPECT_FALSE(report.live);
  EXPECT_GE(report.files_linked, 2U);
  EXPECT_EQ(report.manifest.end, Offset(301));
  EXPECT_TRUE(verify_target().empty());
  const std::filesystem::path restored = restore();
  const std::string expected = content_of(options_.directory);
  ASSERT_GT(expected.size(), 50'000U);
  EXPECT_EQ(content_of(restored), expected);
  // It is a log like any other: verify is content, it opens clean with the next epoch and goes on.
  const auto verified = verify(restored, {});
  ASSERT_TRUE(verified) << to_string(verified.error());
  EXPECT_TRUE(verified->damage.empty());
  EXPECT_EQ(verified->events, 301U);
  options_.directory = restored;
  const auto log = open();
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(log->status().recovery, "clean");
  EXPECT_EQ(log->status().writer_epoch, WriterEpoch(2));
  append(*log, 100);
  EXPECT_EQ(read_values(*log).size(), 501U);
  // Nothing of that reached the backup.
  EXPECT_TRUE(verify_target().empty());
}

TEST_F(BackupTest, EmptyLogAndLogWithoutEvents) {
  {
    open();
  }
  EXPECT_EQ(must_make().manifest.end, Offset(0));
  options_.directory = restore();
  const auto log = open();
  ASSERT_NE(log, nullptr);
  append(*log, 3);
  EXPECT_EQ(read_values(*log).size(), 6U);
}

TEST_F(BackupTest, SecondBackupTakesOnlyWhatIsNew) {
  fill();
  const BackupReport first = must_make();
  const std::string before = content_of(options_.directory);
  {
    const auto log = open();
    append(*log, 100);
  }
  const BackupReport second = must_make();
  EXPECT_EQ(second.manifest.generation, 2U);
  EXPECT_EQ(second.files_reused, first.files_linked);
  EXPECT_GE(second.files_linked, 2U);
  EXPECT_LT(second.bytes_checked, second.manifest.bytes() * 2 / 3)
      << "segments of the first backup were read again";
  EXPECT_TRUE(verify_target().empty());
  EXPECT_EQ(content_of(restore()), content_of(options_.directory));
  // What only the first needed is gone.
  for (const std::string& name : names_in(backup_.target)) EXPECT_FALSE(name.ends_with(".1")) << name;

  // Into another directory, from the second as the base.
  backup_.base = backup_.target;
  backup_.target = root_ / "other";
  const BackupReport third = must_make();
  EXPECT_EQ(third.files_reused, second.files_reused + second.files_linked);
  EXPECT_EQ(third.files_linked, 0U);
  for (const BackupFile& file : third.manifest.files) {
    if (!file.sealed) continue;
    EXPECT_EQ(inode(backup_.target / file.stored), inode(*backup_.base / file.stored));
  }
  std::filesystem::remove_all(*backup_.base);
  EXPECT_TRUE(verify_target().empty()) << "it needs nothing of its base";
  EXPECT_EQ(content_of(restore()), content_of(options_.directory));
}

TEST_F(BackupTest, CopySharesNoFileAndOutlivesDamageOfTheSource) {
  fill();
  const std::string expected = content_of(options_.directory);
  backup_.copy = true;
  const BackupReport report = must_make();
  EXPECT_EQ(report.files_linked, 0U);
  EXPECT_EQ(report.bytes_copied, report.manifest.bytes());
  for (const BackupFile& file : report.manifest.files)
    if (file.sealed) {
      EXPECT_NE(inode(backup_.target / file.stored), inode(options_.directory / file.stored));
      flip_byte(options_.directory / file.stored, 6'000);
    }
  EXPECT_TRUE(verify_target().empty());
  EXPECT_EQ(content_of(restore()), expected);
}

TEST_F(BackupTest, LinkedFilesShareDamageAndVerifyTells) {
  fill();
  const BackupReport report = must_make();
  flip_byte(options_.directory / report.manifest.files[1].stored, 6'000);
  const auto damage = verify_target();
  ASSERT_EQ(damage.size(), 1U);
  EXPECT_NE(damage[0].find(report.manifest.files[1].stored), std::string::npos) << damage[0];
}

// Under load: every backup is a prefix that holds what was acknowledged before it began.
TEST_F(BackupTest, LiveLogUnderLoad) {
  auto log = open();
  ASSERT_NE(log, nullptr);
  ASSERT_TRUE(log->append_system("stream/t", "text"));
  append(*log, 5);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> acked{0};
  std::thread writer([&] {
    while (!stop) {
      append(*log, 4);
      acked = log->durable_end().value();
    }
  });
  struct Made {
    std::string content;
    std::uint64_t end;
  };
  std::vector<Made> made;
  std::uint64_t last_end = 0;
  for (int i = 0; i < 12; ++i) {
    // Some new events between two backups, so that rolls and seals fall into them.
    while (acked < last_end + 60) std::this_thread::yield();
    const std::uint64_t before = acked;
    const BackupReport report = must_make();
    EXPECT_TRUE(report.live);
    last_end = report.manifest.end.value();
    EXPECT_GE(last_end, before) << "an acknowledged event is missing";
    EXPECT_TRUE(verify_target().empty());
    made.push_back({content_of(restore()), last_end});
  }
  stop = true;
  writer.join();
  log.reset();
  const std::string all = content_of(options_.directory);
  for (const Made& one : made) {
    const std::string events = one.content.substr(0, one.content.find("\ntopic ") + 1);
    ASSERT_GT(events.size(), 1'000U);
    EXPECT_EQ(all.substr(0, all.find("batch", events.size())), events) << "not a prefix, end " << one.end;
    EXPECT_NE(one.content.find("\nproducer " + std::to_string(one.end - 1) + "\n"), std::string::npos)
        << one.end;
  }
}

// Nobody may take what is only in the page cache of a server for safe.
TEST_F(BackupTest, LiveLogThatProvesNothingTimesOut) {
  auto files = golden::unpack(golden::load(KAPPA_SOURCE_DIRECTORY "/tests/data/golden_log_v1/killed.pack"));
  ASSERT_TRUE(files);
  golden::write_directory(*files, options_.directory);
  const auto lock = real_file_system().open(options_.directory / kLockName, OpenMode::kCreate);
  ASSERT_TRUE(lock);
  ASSERT_TRUE(*(*lock)->lock(true));
  backup_.patience_ms = 30;
  const auto report = make();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().number, 3187);
  EXPECT_EQ(read_backup_manifest(real_file_system(), backup_.target).error().number, 3180);
}

// The same directory without a server: the tail is cut, what is whole is kept, as recovery would.
TEST_F(BackupTest, KilledLogIsBackedUpUpToItsLastWholeBatch) {
  auto files = golden::unpack(golden::load(KAPPA_SOURCE_DIRECTORY "/tests/data/golden_log_v1/killed.pack"));
  ASSERT_TRUE(files);
  golden::write_directory(*files, options_.directory);
  golden::store(options_.directory / kLockName, "");
  const BackupReport report = must_make();
  EXPECT_EQ(report.manifest.end, Offset(338));
  const std::filesystem::path restored = restore();
  const auto verified = verify(restored, {});
  ASSERT_TRUE(verified);
  EXPECT_TRUE(verified->damage.empty());
  EXPECT_TRUE(verified->warnings.size() >= 1) << "index files are not in a backup";
  const std::string content = content_of(restored);
  const std::string expected = golden::load(KAPPA_SOURCE_DIRECTORY "/tests/data/golden_log_v1/events.txt");
  EXPECT_EQ(content.substr(0, expected.size()), expected);
  EXPECT_TRUE(golden::read_directory(options_.directory) == *files) << "a backup only reads";
}

TEST_F(BackupTest, RestoreTakesAnEmptyDirectoryAndRefusesAFullOne) {
  fill(30);
  must_make();
  const std::filesystem::path data = root_ / "data";
  std::filesystem::create_directory(data);
  ASSERT_TRUE(restore_backup(real_file_system(), backup_.target, data, {}));
  const std::string before = content_of(data / "log");
  EXPECT_EQ(before, content_of(options_.directory));
  const auto again = restore_backup(real_file_system(), backup_.target, data, {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().number, 3185);
  EXPECT_EQ(content_of(data / "log"), before);
  // What a crash left beside it does not disturb the next attempt.
  std::filesystem::create_directories(root_ / "next.restoring" / "log");
  store(root_ / "next.restoring" / "log" / "MANIFEST", "half");
  ASSERT_TRUE(restore_backup(real_file_system(), backup_.target, root_ / "next", {}));
  EXPECT_EQ(content_of(root_ / "next" / "log"), before);
}

TEST_F(BackupTest, TargetsThatHoldSomethingElseAreRefused) {
  fill(60);
  std::filesystem::create_directory(backup_.target);
  store(backup_.target / "mine.txt", "x");
  EXPECT_EQ(make().error().number, 3185);
  EXPECT_EQ(names_in(backup_.target), std::vector<std::string>{"mine.txt"});
  // A backup of another log.
  backup_.target = root_ / "second";
  must_make();
  const auto first = names_in(backup_.target);
  options_.directory = backup_.log = fresh_directory();
  appended_ = 0;
  fill(60);
  EXPECT_EQ(make().error().number, 3184);
  backup_.base = backup_.target;
  backup_.target = root_ / "third";
  EXPECT_EQ(make().error().number, 3184) << "as a base, too";
  EXPECT_EQ(names_in(root_ / "second"), first);
  EXPECT_EQ(make_backup({.log = root_ / "nowhere",
                         .target = root_ / "fourth",
                         .base = {},
                         .copy = false,
                         .patience_ms = 10,
                         .files = nullptr,
                         .progress = {}})
                .error()
                .number,
            3011);
}

TEST_F(BackupTest, AMissingManifestIsDamageThatRepairMends) {
  fill();
  std::filesystem::remove(options_.directory / kManifestName);
  const auto report = make();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(report.error().number, 3112);
  EXPECT_NE(report.error().hint.find("kappa repair"), std::string::npos) << to_string(report.error());
}

// A log that was restored and went on has the same id; its segments are others.
TEST_F(BackupTest, AnotherHistoryOfTheLogIsRefused) {
  fill(60);
  must_make();
  const std::filesystem::path restored = restore();
  {
    const auto log = open();
    append(*log, 80);
  }
  must_make();
  options_.directory = backup_.log = restored;
  {
    const auto log = open();
    appended_ = 60;
    append(*log, 1);
  }
  const auto shorter = make();
  ASSERT_FALSE(shorter) << "the backup has more events than this log";
  EXPECT_EQ(shorter.error().number, 3184);
  {
    const auto log = open();
    append(*log, 200);
  }
  const auto other = make();
  ASSERT_FALSE(other) << "sealed segments of the same name have other events";
  EXPECT_EQ(other.error().number, 3184);
  EXPECT_TRUE(verify_target().empty());
}

// Segments that retention removes stay in the backup, by hard link or copied from the base.
TEST_F(BackupTest, KeepsWhatRetentionRemovedWhenAsked) {
  fill(200);
  const std::string all = content_of(options_.directory);
  must_make();
  const std::string list = golden::load(backup_.target / kBackupName);
  // What retention does: the shorter list, then the files.
  Manifest manifest = *decode_manifest(load(options_.directory / kManifestName));
  const std::size_t sealed = manifest.sealed.size();
  ASSERT_GE(sealed, 4U);
  for (int i = 0; i < 2; ++i) {
    std::filesystem::remove(options_.directory /
                            segment_name(manifest.sealed[0].number, manifest.sealed[0].base_offset));
    manifest.sealed.erase(manifest.sealed.begin());
  }
  manifest.log_start = manifest.sealed[0].base_offset;
  store(options_.directory / kManifestName, encode_manifest(manifest));

  backup_.base = backup_.target;
  for (const bool copy : {false, true}) {
    backup_.copy = copy;
    backup_.target = root_ / (copy ? "copied" : "linked");
    backup_.keep_removed = false;
    EXPECT_EQ(must_make().manifest.start, manifest.log_start);
    std::filesystem::remove_all(backup_.target);
    backup_.keep_removed = true;
    const BackupReport report = must_make();
    EXPECT_EQ(report.files_kept, 2U);
    EXPECT_EQ(report.manifest.start, Offset(0));
    EXPECT_TRUE(verify_target().empty());
    EXPECT_EQ(content_of(restore()), all);
    // And again into the same directory.
    backup_.base.reset();
    EXPECT_EQ(must_make().files_kept, 2U);
    EXPECT_EQ(content_of(restore()), all);
    backup_.base = root_ / "backup";
  }
  // Gone from both: it must not be left out silently.
  std::filesystem::remove(backup_.target / segment_name(1, Offset(0)));
  backup_.base.reset();
  const auto damaged = make();
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().number, 3182);
}

}  // namespace
}  // namespace kappa::log
