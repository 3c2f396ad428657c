// Goal: a repair that is killed anywhere is finished by the next one, and no damage makes it lose more than
// it says. Method: the repair dies at every changing operation in turn and runs again; random damages, each
// repaired, read in full and compared with what was appended.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/log/forwarding_files.h"
#include "tests/log/repair_fixture.h"

namespace kappa::log {
namespace {

// Lets `left` changing operations through; then nothing works any more, as after a SIGKILL.
class DyingFiles final : public ForwardingFiles {
 public:
  explicit DyingFiles(std::uint64_t left) : left_(left) {}
  [[nodiscard]] bool died() const { return died_; }
  Status spend() {
    if (left_ == 0) {
      died_ = true;
      return fail(ErrorCode::kIo, 3201, "killed");
    }
    --left_;
    return {};
  }
  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    if (mode == OpenMode::kCreateEmpty) KAPPA_CHECK_OK(spend());
    KAPPA_TRY(auto file, real_file_system().open(path, mode));
    return std::make_unique<Dying>(std::move(file), *this);
  }
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    KAPPA_CHECK_OK(spend());
    return real_file_system().rename(from, to);
  }
  Status unlink(const std::filesystem::path& path) override {
    KAPPA_CHECK_OK(spend());
    return real_file_system().unlink(path);
  }
  Status sync_directory(const std::filesystem::path& path) override {
    KAPPA_CHECK_OK(spend());
    return real_file_system().sync_directory(path);
  }

 private:
  struct Dying final : ForwardingFile {
    Dying(std::unique_ptr<File> file, DyingFiles& files) : ForwardingFile(std::move(file)), files_(files) {}
    Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
      if (Status alive = files_.spend(); !alive) {
        // Half of the first piece got through.
        const Bytes first(static_cast<const std::byte*>(pieces[0].iov_base), pieces[0].iov_len / 2);
        if (!std::exchange(files_.torn_, true)) static_cast<void>(file_->pwrite(first, at));
        return alive;
      }
      return file_->pwritev(pieces, at);
    }
    Status fdatasync() override {
      KAPPA_CHECK_OK(files_.spend());
      return file_->fdatasync();
    }
    Status truncate(std::uint64_t bytes) override {
      KAPPA_CHECK_OK(files_.spend());
      return file_->truncate(bytes);
    }
    DyingFiles& files_;
  };
  std::uint64_t left_;
  bool died_ = false;
  bool torn_ = false;
};

TEST_F(Repair, KilledAtAnyOperationIsFinishedByTheNextRun) {
  write_log();
  const auto others = places(segments_[2]);
  const auto last = places(segments_.back());
  const Offset base1 = places(segments_[1]).front().header.base_offset;
  const std::vector<GapRange> lost = {{base1, others[1].header.base_offset}, range(others[3], others[4]), range(last[3], last[3])};
  const auto damage = [&] {
    restore_whole();
    std::filesystem::remove(segments_[1]);
    zero(segments_[2], others[3].at + 10, others[4].at + 200);
    flip_byte(segments_.back(), last[3].at + 170);
    std::filesystem::rename(segments_[3], root_ / "x");
    std::filesystem::rename(segments_[0], segments_[3]);
    std::filesystem::rename(root_ / "x", segments_[0]);
    store(options_.directory / kControlName, std::string(100, 'c'));
    flip_byte(options_.directory / kManifestName, 60);
  };
  std::uint64_t n = 0;
  for (;; ++n) {
    SCOPED_TRACE("killed at operation " + std::to_string(n));
    damage();
    DyingFiles files(n);
    const auto first = run(true, &files);
    if (!files.died()) {
      ASSERT_TRUE(first) << to_string(first.error());
      break;
    }
    ASSERT_FALSE(first);
    // What a killed repair leaves is refused, or sound.
    {
      const auto log = Log::open(options_);
      if (log && !(*log)->status().damage) {
        EXPECT_EQ((*log)->status().gaps, lost);
      }
    }
    const auto second = run(true);
    ASSERT_TRUE(second) << to_string(second.error());
    EXPECT_TRUE(second->remaining.empty()) << second->remaining[0];
    const auto report = verify_all();
    ASSERT_TRUE(report.damage.empty()) << report.damage[0];
    std::vector<GapRange> gaps;
    for (const GapRange& gap : report.gaps) add_gap(gaps, gap.first, gap.last);
    ASSERT_EQ(gaps, lost);
    EXPECT_EQ(report.events, kEvents - [&] {
      std::uint64_t sum = 0;
      for (const GapRange& gap : lost) sum += gap.last - gap.first;
      return sum;
    }());
    if (n % 8 == 0) expect_sound(lost, "afterwards");
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(n, 40u);
  std::printf("%llu operations\n", static_cast<unsigned long long>(n));
}

TEST_F(Repair, RandomDamageLosesOnlyWhatItSays) {
  write_log();
  const char* const given = std::getenv("KAPPA_TEST_SEED");
  const auto seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  const auto pick = [&](std::uint64_t n) { return random() % n; };
  int repaired = 0;
  for (int round = 0; round < 150; ++round) {
    restore_whole();
    std::string what = "round " + std::to_string(round) + ":";
    for (std::uint64_t k = 0, n = 1 + pick(3); k < n; ++k) {
      const std::size_t i = pick(segments_.size());
      const auto& path = segments_[i];
      if (!std::filesystem::exists(path) || std::filesystem::file_size(path) < 8192) continue;
      const std::uint64_t size = std::filesystem::file_size(path);
      const std::uint64_t at = pick(size);
      what += " " + std::to_string(i);
      switch (pick(7)) {
        case 0: flip_byte(path, at); what += " flip " + std::to_string(at); break;
        case 1: zero(path, at / 512 * 512, at / 512 * 512 + 512); what += " zero " + std::to_string(at / 512 * 512); break;
        case 2: zero(path, at / 4096 * 4096, at / 4096 * 4096 + 4096); what += " zero page " + std::to_string(at / 4096 * 4096); break;
        case 3: std::filesystem::remove(path); what += " remove"; break;
        case 4: std::filesystem::resize_file(path, at); what += " cut " + std::to_string(at); break;
        case 5: {
          std::string content = load(path);
          const std::uint64_t from = pick(size / 512) * 512, to = pick(size / 512) * 512;
          content.replace(to, 512, content.substr(from, 512));
          store(path, content);
          what += " copy " + std::to_string(from) + " to " + std::to_string(to);
          break;
        }
        default: {
          const char* name = pick(2) == 0 ? kManifestName : kControlName;
          flip_byte(options_.directory / name, pick(std::filesystem::file_size(options_.directory / name)));
          what += std::string(" flip in ") + name;
        }
      }
    }
    SCOPED_TRACE(what);
    const auto found = verify(options_.directory, {});
    ASSERT_TRUE(found) << to_string(found.error());
    const auto look = run(false);
    ASSERT_TRUE(look) << to_string(look.error());
    EXPECT_EQ(look->damage, found->damage);
    if (!found->damage.empty()) {
      const auto report = run(true);
      ASSERT_TRUE(report) << to_string(report.error());
      EXPECT_TRUE(report->remaining.empty()) << report->remaining[0];
      ++repaired;
    }
    const auto after = verify_all();
    ASSERT_TRUE(after.damage.empty()) << after.damage[0];
    // W may be lost together with the end of the log: then the end is lost without a trace.
    if (look->lost.empty() ? after.events == kEvents : true) {
      auto log = open();
      ASSERT_FALSE(log->status().damage) << *log->status().damage;
      std::uint64_t lost_events = 0;
      for (const GapRange& gap : look->lost) lost_events += gap.last - gap.first;
      EXPECT_EQ(log->status().gaps, look->lost);
      // Only the manifest knows whether segments at the front are missing.
      if (log->start() > Offset(0)) {
        EXPECT_TRUE(what.contains("MANIFEST") && what.contains("remove"));
      }
      auto reader = log->reader(log->start(), {});
      std::uint64_t seen = log->start().value();
      for (;;) {
        const auto view = reader->next();
        ASSERT_TRUE(view) << to_string(view.error());
        if (!*view) break;
        ++seen;
        const std::uint64_t offset = (*view)->header.base_offset.value();
        RecordReader records((*view)->body, 1);
        const auto record = records.next();
        ASSERT_TRUE(record && *record);
        if (offset != 5) {
          EXPECT_EQ((*record)->value, value_of(offset));
        }
      }
      EXPECT_EQ(seen + lost_events, log->durable_end().value());
      if (!what.contains("CONTROL")) {
        EXPECT_EQ(log->durable_end(), Offset(kEvents));
      }
      ASSERT_TRUE(log->append(batch(log->topics().back().id, {"more"})));
    }
    EXPECT_TRUE(verify_all().damage.empty());
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(repaired, 100);
}

}  // namespace
}  // namespace kappa::log
