// Goal: a backup holds every event that was acknowledged before it began and nothing else, of a stopped
// log and of one under load; damage is never kept silently; whatever fails, the backup before stays
// whole; a restored log is the source at that moment.
// Method: real directories. Restored logs are compared by a listing of every batch and event, catalog,
// topics and producers. Faults come from a file system that fails, or does something, at the n-th call.
#include "log/backup.h"

#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "log/segment_scan.h"
#include "tests/log/golden_log.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

// The real file system; `before` runs ahead of every call that changes something or opens a file, and a
// failure it gives is the call's.
class HookedFiles final : public FileSystem {
 public:
  std::function<Status(std::string_view call, const std::filesystem::path&)> before;

  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    KAPPA_CHECK_OK(before(mode == OpenMode::kRead ? "read" : "write", path));
    return real_file_system().open(path, mode);
  }
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    KAPPA_CHECK_OK(before("rename", to));
    return real_file_system().rename(from, to);
  }
  Status unlink(const std::filesystem::path& path) override {
    KAPPA_CHECK_OK(before("unlink", path));
    return real_file_system().unlink(path);
  }
  Status link(const std::filesystem::path& from, const std::filesystem::path& to) override {
    KAPPA_CHECK_OK(before("link", to));
    return real_file_system().link(from, to);
  }
  Status sync_directory(const std::filesystem::path& path) override {
    KAPPA_CHECK_OK(before("sync", path));
    return real_file_system().sync_directory(path);
  }
  Status create_directory(const std::filesystem::path& path) override {
    KAPPA_CHECK_OK(before("mkdir", path));
    return real_file_system().create_directory(path);
  }
  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override {
    return real_file_system().list(path);
  }
};

class BackupTest : public LogFixture {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = limits::kSegmentBytesMin;
    options_.prepared_segments = 0;
    backup_.log = options_.directory;
    backup_.target = root_ / "backup";
  }

  // Batches of one idempotent producer, a few hundred bytes an event.
  void append(Log& log, int batches) {
    const auto topic = log.ensure_topic("t");
    ASSERT_TRUE(topic);
    for (int i = 0; i < batches; ++i) {
      AppendBatch next = batch(*topic, {std::string(300, static_cast<char>('a' + appended_ % 26)) + std::to_string(appended_),
                                        "second " + std::to_string(appended_)});
      next.producer_id = ProducerId(9);
      next.producer_sequence = static_cast<std::uint64_t>(appended_) * 2;
      ++appended_;
      const auto ack = log.append(std::move(next));
      ASSERT_TRUE(ack) << to_string(ack.error());
    }
  }
  // A stopped log of several sealed segments and an active one.
  void fill(int batches = 150) {
    const auto log = open();
    ASSERT_NE(log, nullptr);
    ASSERT_TRUE(log->append_system("stream/t", "text"));
    append(*log, batches);
  }
  Expected<BackupReport> make() { return make_backup(backup_); }
  BackupReport must_make() {
    auto report = make();
    EXPECT_TRUE(report) << to_string(report.error());
    return report ? std::move(*report) : BackupReport{};
  }
  std::vector<std::string> verify_target() {
    auto damage = verify_backup(real_file_system(), backup_.target, {});
    EXPECT_TRUE(damage) << to_string(damage.error());
    return damage.value_or(std::vector<std::string>{"unreadable"});
  }

  // Everything a log directory says, as text.
  static std::string content_of(const std::filesystem::path& directory) {
    LogOptions options;
    options.directory = directory;
    options.segment_bytes = limits::kSegmentBytesMin;
    options.prepared_segments = 0;
    options.read_only = true;
    const auto log = Log::open(options);
    if (!log) return to_string(log.error());
    if ((*log)->status().damage) return "damaged: " + *(*log)->status().damage;
    return content_of(**log);
  }
  static std::string content_of(Log& log) {
    auto text = golden::listing(log);
    if (!text) return to_string(text.error());
    for (const TopicInfo& topic : log.topics())
      *text += "topic " + topic.name + " " + std::to_string(topic.next_sequence.value()) + "\n";
    for (const SystemRecord& record : log.system_records()) *text += "record " + record.key + "=" + record.value + "\n";
    if (const auto topic = log.find_topic("t"))
      *text += "producer " + std::to_string(log.producer(topic->id, ProducerId(9)).next_sequence) + "\n";
    return *text;
  }
  // Restores the target into a new directory and gives its log directory.
  std::filesystem::path restore() {
    const std::filesystem::path data = root_ / ("restored" + std::to_string(restored_++));
    const auto manifest = restore_backup(real_file_system(), backup_.target, data, {});
    EXPECT_TRUE(manifest) << to_string(manifest.error());
    return data / "log";
  }
  static ino_t inode(const std::filesystem::path& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_ino;
  }
  std::vector<std::string> names_in(const std::filesystem::path& directory) {
    std::vector<std::string> names;
    if (auto list = real_file_system().list(directory)) names = *list;
    return names;
  }

  BackupOptions backup_;
  int appended_ = 0;
  int restored_ = 0;
};

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
  { open(); }
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
  EXPECT_LT(second.bytes_checked, second.manifest.bytes() * 2 / 3) << "segments of the first backup were read again";
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
    EXPECT_NE(one.content.find("\nproducer " + std::to_string(one.end - 1) + "\n"), std::string::npos) << one.end;
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

TEST_F(BackupTest, DamageInASealedSegmentIsNamedAndNotKept) {
  fill();
  const auto segments = files_ending(".segment");
  const SegmentHeader header = *decode_segment_header(as_bytes(load(segments[1])));
  std::uint64_t at = kSegmentHeaderBytes;
  const std::string content = load(segments[1]);
  for (int i = 0; i < 9; ++i) at = batch_at(as_bytes(content), header, at)->end();
  const auto victim = *batch_at(as_bytes(content), header, at);
  flip_byte(segments[1], at + 200);
  const auto report = make();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(report.error().number, 3183);
  const std::string& text = report.error().message;
  EXPECT_NE(text.find(segments[1].filename().string()), std::string::npos) << text;
  EXPECT_NE(text.find("bytes [" + std::to_string(at) + ", " + std::to_string(victim.end()) + ")"), std::string::npos) << text;
  EXPECT_NE(text.find("offsets [" + std::to_string(victim.header.base_offset.value()) + ", " +
                      std::to_string(victim.header.end_offset().value()) + ")"),
            std::string::npos)
      << text;
  EXPECT_EQ(read_backup_manifest(real_file_system(), backup_.target).error().number, 3180);
}

TEST_F(BackupTest, DamageInTheActiveSegmentIsNamedAndNotKept) {
  fill();
  const auto active = files_ending(".segment").back();
  flip_byte(active, kSegmentHeaderBytes + 250);
  for (const bool live : {false, true}) {
    std::unique_ptr<File> lock;
    if (live) {
      lock = std::move(*real_file_system().open(options_.directory / kLockName, OpenMode::kCreate));
      ASSERT_TRUE(*lock->lock(true));
    }
    const auto report = make();
    ASSERT_FALSE(report) << live;
    EXPECT_EQ(report.error().number, 3183) << to_string(report.error());
    EXPECT_NE(report.error().message.find(active.filename().string()), std::string::npos) << report.error().message;
    EXPECT_NE(report.error().message.find("offsets ["), std::string::npos) << report.error().message;
  }
}

TEST_F(BackupTest, DamagedBackupIsRefusedAndNothingIsLeft) {
  fill();
  backup_.copy = true;
  const BackupReport report = must_make();
  const std::filesystem::path data = root_ / "data";
  for (const BackupFile& file : report.manifest.files) {
    const std::filesystem::path path = backup_.target / file.stored;
    const std::string content = load(path);
    for (const int fault : {0, 1, 2}) {
      if (fault == 0) flip_byte(path, content.size() / 2);
      if (fault == 1) store(path, content.substr(0, content.size() - 1));
      if (fault == 2) std::filesystem::remove(path);
      const auto restored = restore_backup(real_file_system(), backup_.target, data, {});
      ASSERT_FALSE(restored) << file.stored << " fault " << fault;
      EXPECT_EQ(restored.error().number, 3182);
      EXPECT_EQ(restored.error().code, ErrorCode::kCorrupt);
      EXPECT_NE(restored.error().message.find(file.stored), std::string::npos);
      EXPECT_FALSE(std::filesystem::exists(data));
      EXPECT_FALSE(std::filesystem::exists(root_ / "data.restoring"));
      EXPECT_EQ(verify_target().size(), 1U);
      store(path, content);
    }
  }
  EXPECT_TRUE(verify_target().empty());
  EXPECT_TRUE(restore_backup(real_file_system(), backup_.target, data, {}));
}

TEST_F(BackupTest, EveryChangedBitOfTheListIsNoticed) {
  fill(60);
  must_make();
  const std::filesystem::path path = backup_.target / kBackupName;
  const std::string text = load(path);
  ASSERT_TRUE(decode_backup_manifest(text));
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string changed = text;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(decode_backup_manifest(changed)) << "bit " << bit;
  }
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(decode_backup_manifest(std::string_view(text).substr(0, size))) << "cut at " << size;
  // Hashed as a list should be, but with names that leave the directory.
  BackupManifest manifest = *decode_backup_manifest(text);
  EXPECT_EQ(*decode_backup_manifest(encode_backup_manifest(manifest)), manifest);
  for (const char* name : {"../x", "/etc/x", "..", ".", "a/b"}) {
    manifest.files[0].restored = name;
    EXPECT_FALSE(decode_backup_manifest(encode_backup_manifest(manifest))) << name;
  }
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
  EXPECT_EQ(make_backup({.log = root_ / "nowhere", .target = root_ / "fourth", .base = {}, .copy = false,
                         .patience_ms = 10, .files = nullptr, .progress = {}}).error().number,
            3011);
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

// Rolls and seals between the reading of MANIFEST and that of the segment it does not list.
TEST_F(BackupTest, LogThatRollsWhileItIsReadIsReadAgain) {
  auto log = open();
  ASSERT_NE(log, nullptr);
  append(*log, 30);
  HookedFiles files;
  int rolls = 0;
  files.before = [&](std::string_view call, const std::filesystem::path& path) -> Status {
    if (call != "read" || path.extension() != ".segment" || rolls == 3) return {};
    ++rolls;
    const std::uint64_t segments = log->status().segments;
    while (log->status().segments < segments + 2) append(*log, 5);
    return {};
  };
  backup_.files = &files;
  const std::uint64_t before = log->durable_end().value();
  const BackupReport report = must_make();
  EXPECT_EQ(rolls, 3);
  EXPECT_GT(report.manifest.end.value(), before);
  EXPECT_TRUE(verify_target().empty());
  const std::string content = content_of(restore());
  log.reset();
  const std::string all = content_of(options_.directory);
  const std::string events = content.substr(0, content.find("\ntopic ") + 1);
  EXPECT_EQ(all.substr(0, events.size()), events);
  EXPECT_NE(content.find("\nproducer " + std::to_string(report.manifest.end.value()) + "\n"), std::string::npos);
}

// Retention removes the oldest segment between the reading of the manifest and the link.
TEST_F(BackupTest, SegmentsRemovedMeanwhileAreLeftOut) {
  fill(300);
  const Manifest full = *decode_manifest(load(options_.directory / kManifestName));
  ASSERT_GE(full.sealed.size(), 4U);
  HookedFiles files;
  std::size_t removed = 0;
  files.before = [&](std::string_view call, const std::filesystem::path& path) -> Status {
    const ManifestEntry& next = full.sealed[removed];
    if (call != "read" || removed == 2 || path != options_.directory / segment_name(next.number, next.base_offset))
      return {};
    Manifest rest = full;
    ++removed;
    rest.sealed.erase(rest.sealed.begin(), rest.sealed.begin() + static_cast<std::ptrdiff_t>(removed));
    rest.log_start = rest.sealed.front().base_offset;
    KAPPA_CHECK_OK(real_file_system().replace_whole(options_.directory / kManifestName, encode_manifest(rest)));
    return real_file_system().unlink(path);
  };
  backup_.files = &files;
  const auto lock = real_file_system().open(options_.directory / kLockName, OpenMode::kCreate);
  ASSERT_TRUE(*(*lock)->lock(true));
  const BackupReport report = must_make();
  EXPECT_GE(removed, 1U);
  EXPECT_EQ(report.manifest.start, full.sealed[removed].base_offset);
  EXPECT_EQ(report.manifest.files.front().stored, segment_name(full.sealed[removed].number, full.sealed[removed].base_offset));
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
    std::filesystem::remove(options_.directory / segment_name(manifest.sealed[0].number, manifest.sealed[0].base_offset));
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

// An error at every call in turn, over the second backup into a directory: the list there names the
// first backup or the second, and both are whole.
TEST_F(BackupTest, AnErrorAtAnyCallLeavesTheBackupBeforeOrTheNew) {
  fill(60);
  const std::string old_content = content_of(options_.directory);
  must_make();
  const std::filesystem::path kept = root_ / "kept";
  std::filesystem::copy(backup_.target, kept, std::filesystem::copy_options::recursive);
  {
    const auto log = open();
    append(*log, 60);
  }
  const std::string new_content = content_of(options_.directory);
  HookedFiles files;
  backup_.files = &files;
  int failures = 0;
  int whole_old = 0;
  for (int n = 1;; ++n) {
    std::filesystem::remove_all(backup_.target);
    std::filesystem::copy(kept, backup_.target, std::filesystem::copy_options::recursive);
    int calls = 0;
    std::string at;
    files.before = [&](std::string_view call, const std::filesystem::path& path) -> Status {
      if (++calls != n) return {};
      at = std::string(call) + " " + path.filename().string();
      return fail_errno(3201, "injected", EIO);
    };
    const auto report = make();
    if (at.empty()) {
      ASSERT_TRUE(report) << to_string(report.error());
      break;
    }
    if (!report) ++failures;
    SCOPED_TRACE("call " + std::to_string(n) + ", " + at);
    EXPECT_TRUE(verify_target().empty());
    const std::string content = content_of(restore());
    EXPECT_TRUE(content == old_content || content == new_content);
    if (content == old_content) ++whole_old;
    EXPECT_TRUE(report || content == old_content || at == "sync backup") << "failed, but replaced the list";
    // And the next attempt succeeds over what was left.
    files.before = [](std::string_view, const std::filesystem::path&) -> Status { return {}; };
    const BackupReport next = must_make();
    EXPECT_EQ(next.manifest.end, Offset(241));
    EXPECT_TRUE(verify_target().empty());
  }
  EXPECT_GT(failures, 15);
  EXPECT_GT(whole_old, 15);
}

}  // namespace
}  // namespace kappa::log
