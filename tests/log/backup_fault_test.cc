// Goal: damage of the log is never kept silently and damage of a backup never restored; whatever fails, the
// backup before stays whole; what the log does while it is read does no harm.
// Method: changed bytes, and a file system that fails, or does something, at the n-th call.
#include <algorithm>

#include "log/segment_scan.h"
#include "tests/log/backup_fixture.h"

namespace kappa::log {
namespace {

using BackupFaults = BackupTest;

TEST_F(BackupFaults, DamageInASealedSegmentIsNamedAndNotKept) {
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
  EXPECT_NE(text.find("bytes [" + std::to_string(at) + ", " + std::to_string(victim.end()) + ")"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("offsets [" + std::to_string(victim.header.base_offset.value()) + ", " +
                      std::to_string(victim.header.end_offset().value()) + ")"),
            std::string::npos)
      << text;
  EXPECT_EQ(read_backup_manifest(real_file_system(), backup_.target).error().number, 3180);
}

TEST_F(BackupFaults, DamageInTheActiveSegmentIsNamedAndNotKept) {
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
    EXPECT_NE(report.error().message.find(active.filename().string()), std::string::npos)
        << report.error().message;
    EXPECT_NE(report.error().message.find("offsets ["), std::string::npos) << report.error().message;
  }
}

TEST_F(BackupFaults, DamagedBackupIsRefusedAndNothingIsLeft) {
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

TEST_F(BackupFaults, EveryChangedBitOfTheListIsNoticed) {
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

// The pages of one read are of different moments: a batch behind the end found in it proves that the end
// was durable, which is no damage. Once, and at every read.
TEST_F(BackupFaults, LogThatGrowsUnderAReadIsNotTakenForDamaged) {
  options_.segment_bytes = std::size_t{1} << 20;
  auto log = open();
  ASSERT_NE(log, nullptr);
  append(*log, 3);
  for (const int times : {1, 4}) {
    HookedFiles files;
    int splits = 0;
    files.wrap = [&](std::unique_ptr<File> file, const std::filesystem::path& path) -> std::unique_ptr<File> {
      if (path.extension() != ".segment" || splits == times) return file;
      ++splits;
      // Within the header of the batch to come.
      const std::uint64_t split = kSegmentHeaderBytes + log->status().durable_position.value() + 100;
      return std::make_unique<SplitReads>(std::move(file), split, [&] { append(*log, 3); });
    };
    backup_.files = &files;
    const std::uint64_t before = log->durable_end().value();
    const auto report = make();
    ASSERT_TRUE(report) << to_string(report.error());
    EXPECT_EQ(splits, times);
    EXPECT_GE(report->manifest.end.value(), before);
    EXPECT_TRUE(verify_target().empty());
  }
  EXPECT_EQ(log->status().segments, 1U);
}

// Rolls and seals between the reading of MANIFEST and that of the segment it does not list.
TEST_F(BackupFaults, LogThatRollsWhileItIsReadIsReadAgain) {
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
  EXPECT_NE(content.find("\nproducer " + std::to_string(report.manifest.end.value()) + "\n"),
            std::string::npos);
}

// Retention removes the oldest segment between the reading of the manifest and the link.
TEST_F(BackupFaults, SegmentsRemovedMeanwhileAreLeftOut) {
  fill(300);
  const Manifest full = *decode_manifest(load(options_.directory / kManifestName));
  ASSERT_GE(full.sealed.size(), 4U);
  HookedFiles files;
  std::size_t removed = 0;
  files.before = [&](std::string_view call, const std::filesystem::path& path) -> Status {
    const ManifestEntry& next = full.sealed[removed];
    if (call != "read" || removed == 2 ||
        path != options_.directory / segment_name(next.number, next.base_offset))
      return {};
    Manifest rest = full;
    ++removed;
    rest.sealed.erase(rest.sealed.begin(), rest.sealed.begin() + static_cast<std::ptrdiff_t>(removed));
    rest.log_start = rest.sealed.front().base_offset;
    KAPPA_CHECK_OK(
        real_file_system().replace_whole(options_.directory / kManifestName, encode_manifest(rest)));
    return real_file_system().unlink(path);
  };
  backup_.files = &files;
  const auto lock = real_file_system().open(options_.directory / kLockName, OpenMode::kCreate);
  ASSERT_TRUE(*(*lock)->lock(true));
  const BackupReport report = must_make();
  EXPECT_GE(removed, 1U);
  EXPECT_EQ(report.manifest.start, full.sealed[removed].base_offset);
  EXPECT_EQ(report.manifest.files.front().stored,
            segment_name(full.sealed[removed].number, full.sealed[removed].base_offset));
  EXPECT_TRUE(verify_target().empty());
}

// An error at every call in turn, over the second backup into a directory: the list there names the
// first backup or the second, and both are whole.
TEST_F(BackupFaults, AnErrorAtAnyCallLeavesTheBackupBeforeOrTheNew) {
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
