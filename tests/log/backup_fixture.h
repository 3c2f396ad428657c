// A log with events of an idempotent producer, its backup, and the comparison of two logs: what the
// backup tests share.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>
#include <vector>

#include "log/backup.h"
#include "tests/log/forwarding_files.h"
#include "tests/log/golden_log.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {

// Reads in two halves, with something between them: reads are not atomic.
class SplitReads final : public ForwardingFile {
 public:
  SplitReads(std::unique_ptr<File> file, std::uint64_t split, std::function<void()> between)
      : ForwardingFile(std::move(file)), split_(split), between_(std::move(between)) {}
  Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override {
    if (at >= split_ || at + out.size() <= split_) return file_->pread(out, at);
    const std::size_t first = static_cast<std::size_t>(split_ - at);
    KAPPA_TRY(const std::size_t before, file_->pread(out.first(first), at));
    between_();
    KAPPA_TRY(const std::size_t after, file_->pread(out.subspan(first), split_));
    return before + after;
  }

 private:
  std::uint64_t split_;
  std::function<void()> between_;
};

// The real file system; `before` runs ahead of every call that changes something or opens a file, and a
// failure it gives is the call's.
class HookedFiles final : public ForwardingFiles {
 public:
  std::function<Status(std::string_view call, const std::filesystem::path&)> before =
      [](std::string_view, const std::filesystem::path&) -> Status { return {}; };
  // Changes a file that was opened for reading.
  std::function<std::unique_ptr<File>(std::unique_ptr<File>, const std::filesystem::path&)> wrap;

  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    KAPPA_CHECK_OK(before(mode == OpenMode::kRead ? "read" : "write", path));
    KAPPA_TRY(auto file, real_file_system().open(path, mode));
    if (wrap && mode == OpenMode::kRead) return wrap(std::move(file), path);
    return file;
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
      AppendBatch next = batch(
          *topic, {std::string(300, static_cast<char>('a' + appended_ % 26)) + std::to_string(appended_),
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
    for (const SystemRecord& record : log.system_records())
      *text += "record " + record.key + "=" + record.value + "\n";
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
    struct stat info{};
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

}  // namespace kappa::log
