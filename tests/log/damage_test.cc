// Goal: damage that a running or an opening log meets costs exactly the reads over it. Method: real
// segment files are cut and changed under mappings that are in use; every reader must get an error that
// names file, bytes and offsets, must be able to go on behind it, and no zero of a lost page may ever be
// taken for a byte of the log.
#include "log/damage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "log/file.h"
#include "log/format.h"
#include "tests/log/forwarding_files.h"
#include "tests/log/log_fixture.h"
#include "tests/log/sim/faulty_system_calls.h"

namespace kappa::log {
namespace {

class Guard : public LogFixture {
 protected:
  std::filesystem::path file_of(std::size_t bytes, char fill) {
    const auto path = root_ / "mapped";
    store(path, std::string(bytes, fill));
    return path;
  }
};

TEST_F(Guard, LostPageReadsAsZerosAndIsNoted) {
  const auto path = file_of(5 * 4096, 'x');
  const auto file = *real_file_system().open(path, OpenMode::kRead);
  const auto map = *file->map();
  EXPECT_FALSE(map->lost_any());
  std::filesystem::resize_file(path, 2 * 4096);
  const Bytes bytes = map->bytes();
  EXPECT_EQ(bytes[100], std::byte{'x'});
  EXPECT_FALSE(map->lost_any()) << "the page was there";
  EXPECT_EQ(bytes[3 * 4096 + 7], std::byte{0});
  EXPECT_EQ(map->lost_byte(0, UINT64_MAX), 3u * 4096);
  EXPECT_EQ(map->lost_byte(3 * 4096 + 9, 3 * 4096 + 10), 3u * 4096 + 9);
  EXPECT_FALSE(map->lost_byte(0, 3 * 4096)) << "only the page that was touched";
  EXPECT_FALSE(map->lost_byte(4 * 4096, 5 * 4096));
  EXPECT_EQ(bytes[4 * 4096], std::byte{0});
  EXPECT_TRUE(map->lost_byte(4 * 4096, 5 * 4096));
}

TEST_F(Guard, ManyLostPagesInManyMappingsFromManyThreads) {
  const std::size_t pages = 300;
  const auto path = file_of(pages * 4096, 'x');
  const auto file = *real_file_system().open(path, OpenMode::kRead);
  std::vector<std::shared_ptr<const Mapping>> maps;
  for (int i = 0; i < 5; ++i) maps.push_back(*file->map());
  std::filesystem::resize_file(path, 100 * 4096);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      // The last map is not touched at all; a page below the cut is always the file's.
      for (std::size_t page = 0; page < pages; ++page) {
        const auto& map = *maps[static_cast<std::size_t>(t) % 4];
        const std::byte byte = map.bytes()[page * 4096 + 5];
        const bool lost = map.lost_byte(page * 4096, (page + 1) * 4096).has_value();
        if (page < 100 ? byte != std::byte{'x'} || lost : byte != std::byte{0} || !lost) ++wrong;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(maps[0]->lost_any());
  EXPECT_FALSE(maps[4]->lost_any()) << "another mapping of the same file lost nothing yet";
  // A mapping that takes an old one's place in the list begins clean.
  maps.clear();
  std::filesystem::resize_file(path, 10 * 4096);
  const auto small = *real_file_system().open(path, OpenMode::kRead);
  EXPECT_FALSE((*small->map())->lost_any());
}

using GuardDeathTest = Guard;
TEST_F(GuardDeathTest, OtherAddressesGoToTheHandlerBefore) {
  const auto path = file_of(2 * 4096, 'x');
  const auto file = *real_file_system().open(path, OpenMode::kRead);
  const auto guarded = *file->map();  // Installs the handler.
  EXPECT_DEATH(
      {
        const auto descriptor = ::open(path.c_str(), O_RDONLY);
        const auto* own =
            static_cast<const volatile char*>(::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, descriptor, 0));
        std::filesystem::resize_file(path, 0);
        static_cast<void>(own[4096]);
      },
      "");
}

TEST(DamageRegistry, MergesWhatOverlapsAndStaysBounded) {
  DamageRegistry registry;
  const auto range = [](std::uint64_t segment, std::uint64_t from, std::uint64_t to) {
    return DamagedRange{"s" + std::to_string(segment), segment, from, to, Offset(from), Offset(to), "x"};
  };
  EXPECT_TRUE(registry.add(range(2, 100, 200)));
  EXPECT_FALSE(registry.add(range(2, 100, 200)));
  EXPECT_FALSE(registry.add(range(2, 120, 130))) << "known already";
  EXPECT_TRUE(registry.add(range(1, 120, 130)));
  EXPECT_TRUE(registry.add(range(2, 150, 300)));
  ASSERT_EQ(registry.size(), 2u);
  EXPECT_EQ(registry.list()[1], range(2, 100, 300));
  for (std::uint64_t i = 0; i < 1000; ++i) registry.add(range(3, i * 100, i * 100 + 10));
  const auto all = registry.list();
  EXPECT_LE(all.size(), 2 + DamageRegistry::kRangesOfSegment);
  // Merged ranges still cover everything.
  for (std::uint64_t i = 0; i < 1000; ++i)
    EXPECT_TRUE(std::ranges::any_of(all, [&](const DamagedRange& known) {
      return known.segment == 3 && known.from <= i * 100 && known.to >= i * 100 + 10;
    })) << i;
  registry.forget(3);
  EXPECT_EQ(registry.size(), 2u);
}

// Segments of 32 KiB with events of two topics in turns.
class Damage : public LogFixture {
 protected:
  void write_segments(int events = 200) {
    options_.segment_bytes = 32 << 10;
    options_.prepared_segments = 0;
    auto log = open();
    const TopicId a = *log->ensure_topic("a");
    const TopicId b = *log->ensure_topic("b");
    for (int i = 0; i < events; ++i)
      ASSERT_TRUE(log->append(batch(i % 2 == 0 ? a : b, {"event " + std::to_string(i) + std::string(700, 'x')})));
    log.reset();
    segments_ = files_ending(".segment");
    ASSERT_GE(segments_.size(), 4u);
  }
  struct Seen {
    std::vector<Offset> offsets;
    std::vector<Error> errors;
  };
  // Reads everything from `from`, stepping over damage as the errors say.
  static Seen read_across(Log& log, Offset from, ReadFilter filter) {
    Seen seen;
    auto reader = log.reader(from, filter);
    while (seen.errors.size() < 1000) {
      const auto view = reader->next();
      if (!view) {
        seen.errors.push_back(view.error());
        EXPECT_EQ(view.error().number, 3130) << to_string(view.error());
        const auto at = view.error().hint.rfind(' ');
        const Offset next(std::stoull(view.error().hint.substr(at + 1)));
        if (next >= log.durable_end()) break;
        EXPECT_TRUE(reader->seek(next));
        continue;
      }
      if (!*view) break;
      EXPECT_EQ((*view)->header.count, 1u);
      RecordReader records((*view)->body, 1);
      const auto record = records.next();
      EXPECT_TRUE(record && *record);
      EXPECT_TRUE((*record)->value.starts_with("event " + std::to_string((*view)->header.base_offset.value()) + "x"));
      EXPECT_TRUE(reader->intact());
      seen.offsets.push_back((*view)->header.base_offset);
    }
    return seen;
  }
  // Every event outside of [first, last) is seen, none inside; `parity`: only those of one topic.
  static void expect_all_but(const Seen& seen, std::uint64_t first, std::uint64_t last, std::uint64_t end,
                             std::optional<std::uint64_t> parity) {
    std::vector<Offset> expected;
    for (std::uint64_t i = 0; i < end; ++i)
      if ((i < first || i >= last) && (!parity || i % 2 == *parity)) expected.emplace_back(i);
    EXPECT_EQ(seen.offsets, expected);
  }
  static std::string offsets_text(std::uint64_t first, std::uint64_t last) {
    return "offsets [" + std::to_string(first) + ", " + std::to_string(last) + ")";
  }
  std::vector<std::filesystem::path> segments_;
};

TEST_F(Damage, RotWhileRunningIsAnErrorOfThatReadOnlyAndIsListed) {
  write_segments();
  const auto batches = places(segments_[1]);
  const auto& victim = batches[4];
  const std::uint64_t first = victim.header.base_offset.value();
  auto log = open();
  EXPECT_TRUE(log->status().damaged.empty());
  // In the file itself, so that the mapping sees it.
  {
    std::fstream file(segments_[1], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(victim.at + kBatchHeaderBytes + 20));
    file.put('#');
  }
  for (const auto& [filter, parity] :
       {std::pair{ReadFilter{}, std::optional<std::uint64_t>{}},
        std::pair{ReadFilter{log->find_topic("a")->id}, std::optional<std::uint64_t>{0}},
        std::pair{ReadFilter{log->find_topic("b")->id}, std::optional<std::uint64_t>{1}}}) {
    const Seen seen = read_across(*log, Offset(0), filter);
    expect_all_but(seen, first, first + 1, 200, parity);
    if (!parity || *parity == first % 2) {
      ASSERT_EQ(seen.errors.size(), 1u);
      EXPECT_NE(seen.errors[0].message.find(offsets_text(first, first + 1)), std::string::npos)
          << seen.errors[0].message;
      EXPECT_NE(seen.errors[0].message.find("bytes [" + std::to_string(victim.at) + ", " +
                                            std::to_string(victim.end) + ")"),
                std::string::npos)
          << seen.errors[0].message;
    } else {
      EXPECT_TRUE(seen.errors.empty());
    }
  }
  const auto damaged = log->status().damaged;
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_EQ(damaged[0].file, segments_[1].filename().string());
  EXPECT_EQ(damaged[0].from, victim.at);
  EXPECT_EQ(damaged[0].to, victim.end);
  EXPECT_EQ(damaged[0].first, Offset(first));
  EXPECT_EQ(damaged[0].last, Offset(first + 1));
  EXPECT_FALSE(log->status().read_only) << "appends go on";
  EXPECT_TRUE(log->append(batch(log->find_topic("a")->id, {"more"})));
}

// Symptom of the bug: an index made by a scan knew nothing of a batch with a damaged header, and a
// reader of its topic stepped over it without a word.
TEST_F(Damage, TopicReaderWithoutIndexFileDoesNotStepOverADamagedHeader) {
  write_segments();
  const auto batches = places(segments_[1]);
  const auto& victim = batches[5];
  const std::uint64_t first = victim.header.base_offset.value();
  flip_byte(segments_[1], victim.at + 30);
  for (const auto& index : files_ending(".index")) std::filesystem::remove(index);
  auto log = open();
  for (const char* topic : {"a", "b"}) {
    const Seen seen = read_across(*log, Offset(0), {log->find_topic(topic)->id});
    ASSERT_EQ(seen.errors.size(), 1u) << topic << ": whose event it was cannot be known";
    EXPECT_NE(seen.errors[0].message.find(offsets_text(first, first + 1)), std::string::npos)
        << seen.errors[0].message;
    expect_all_but(seen, first, first + 1, 200, topic[0] == 'a' ? 0 : 1);
  }
}

TEST_F(Damage, SegmentCutUnderAReaderIsAnErrorOfThatRead) {
  write_segments();
  const auto batches = places(segments_[2]);
  ASSERT_GT(batches.size(), 20u);
  auto log = open();
  for (const bool filtered : {false, true}) {
    SCOPED_TRACE(filtered);
    const std::string whole = load(segments_[2]);
    const ReadFilter filter = filtered ? ReadFilter{log->find_topic("a")->id} : ReadFilter{};
    // A reader stands in the middle of the segment, with its mapping.
    auto reader = log->reader(batches[4].header.base_offset, filter);
    ASSERT_TRUE(*reader->next());
    const std::uint64_t size = 3 * 4096;
    std::filesystem::resize_file(segments_[2], size);
    std::optional<Error> error;
    while (!error) {
      const auto view = reader->next();
      if (!view) {
        error = view.error();
        break;
      }
      ASSERT_TRUE(*view);
      ASSERT_LE((*view)->header.log_position.value() - batches[0].header.log_position.value(), size);
    }
    EXPECT_EQ(error->number, 3130);
    EXPECT_NE(error->message.find(segments_[2].filename().string()), std::string::npos) << error->message;
    EXPECT_NE(error->message.find("ends at byte 12288"), std::string::npos) << error->message;
    // The first batch that is not whole, and where the next segment begins.
    const auto lost = std::ranges::find_if(batches, [&](const Place& place) { return place.end > size; });
    const std::uint64_t first = lost->header.base_offset.value();
    const std::uint64_t last = places(segments_[3]).back().header.base_offset.value();
    const std::uint64_t next = batches.back().header.end_offset().value();
    ASSERT_LT(first, last);
    EXPECT_NE(error->message.find(offsets_text(first, next)), std::string::npos) << error->message;
    const Seen seen = read_across(*log, Offset(0), filter);
    expect_all_but(seen, first, next, 200, filtered ? std::optional<std::uint64_t>(0) : std::nullopt);
    // Later answers of the log that need the bytes say so too; others are not touched.
    EXPECT_EQ(log->mark(Offset(first + 1)).error().number, 3130);
    EXPECT_TRUE(log->mark(Offset(next + 1)));
    EXPECT_TRUE(log->append(batch(log->find_topic("b")->id, {"event 200x"})));
    EXPECT_EQ(log->status().damaged.size(), 1u);
    store(segments_[2], whole);
    log = nullptr;
    std::filesystem::remove_all(options_.directory);
    if (!filtered) {
      write_segments();
      log = open();
    }
  }
}

TEST_F(Damage, BytesLostWhileAViewIsInUseAreNotBelieved) {
  write_segments();
  const auto batches = places(segments_[1]);
  auto log = open();
  auto reader = log->reader(batches[10].header.base_offset, {});
  const auto view = reader->next();
  ASSERT_TRUE(view && *view);
  const std::byte before = (*view)->body[50];
  EXPECT_TRUE(reader->intact());
  std::filesystem::resize_file(segments_[1], 4096);
  // A cut drops the pages from the cache: whoever touches them now gets zeros, and the question is asked.
  EXPECT_NE((*view)->body[50], before);
  const Status intact = reader->intact();
  ASSERT_FALSE(intact);
  EXPECT_EQ(intact.error().number, 3130);
  EXPECT_EQ((*view)->body[50], std::byte{0}) << "the view stays readable";
  EXPECT_FALSE(reader->intact()) << "whoever asks is told";
  EXPECT_NE(intact.error().message.find("offsets [" + std::to_string(batches[0].header.base_offset.value())),
            std::string::npos)
      << intact.error().message;
}

// A disk that delivers some pages and not others, without one: mappings that say so.
class HalfDeadFiles final : public ForwardingFiles {
 public:
  explicit HalfDeadFiles(std::string victim, std::uint64_t lost) : victim_(std::move(victim)), lost_(lost) {}
  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override {
    KAPPA_TRY(auto file, real_file_system().open(path, mode));
    if (path.filename() != victim_) return file;
    return std::make_unique<Dying>(std::move(file), lost_);
  }

 private:
  // The page at `lost` reads as zeros and is known to be lost.
  struct Zeroed final : Mapping {
    Zeroed(std::string content, std::uint64_t lost) : content_(std::move(content)), lost_(lost) {
      content_.replace(lost, 4096, 4096, '\0');
    }
    Bytes bytes() const override { return as_bytes(content_); }
    std::optional<std::uint64_t> lost_byte(std::uint64_t from, std::uint64_t to) const override {
      if (lost_ >= to || lost_ + 4096 <= from) return std::nullopt;
      return std::max(from, lost_);
    }
    std::string content_;
    std::uint64_t lost_;
  };
  struct Dying final : ForwardingFile {
    Dying(std::unique_ptr<File> file, std::uint64_t lost) : ForwardingFile(std::move(file)), lost_(lost) {}
    Expected<std::shared_ptr<const Mapping>> map() override {
      KAPPA_TRY(const auto map, file_->map());
      return std::make_shared<const Zeroed>(std::string(as_text(map->bytes())), lost_);
    }
    std::uint64_t lost_;
  };
  std::string victim_;
  std::uint64_t lost_;
};

// Symptom of the bug: a reader, or the scrub, of a process that had no file handle left called the whole
// segment damaged, for good.
TEST_F(Damage, NoFileHandleLeftIsNotDamage) {
  write_segments();
  sim::FaultySystemCalls calls;
  const auto files = make_real_file_system(calls);
  options_.files = files.get();
  auto log = open();
  calls.arm(sim::Fault::kDescriptors, 1, true);
  const auto refused = log->reader(Offset(0), {})->next();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().retryable()) << to_string(refused.error());
  EXPECT_EQ(refused.error().system_errno, EMFILE);
  EXPECT_EQ(log->scrub_step(1 << 20), 0u);
  EXPECT_TRUE(log->status().damaged.empty());
  calls.disarm();
  EXPECT_EQ(read_across(*log, Offset(0), {}).offsets.size(), 200u);
  while (log->status().scrub.passes == 0) ASSERT_GT(log->scrub_step(1 << 20), 0u) << "the pass goes on";
  EXPECT_EQ(log->status().scrub.segments_done, segments_.size() - 1);
  EXPECT_TRUE(log->status().damaged.empty());
}

TEST_F(Damage, UnreadablePageOfASealedSegmentCostsItsOffsetsOnly) {
  write_segments();
  const auto batches = places(segments_[1]);
  const std::uint64_t lost = 3 * 4096;
  HalfDeadFiles files(segments_[1].filename().string(), lost);
  options_.files = &files;
  auto log = open();
  ASSERT_FALSE(log->status().damage);
  const auto from = std::ranges::find_if(batches, [&](const Place& place) { return place.end > lost; });
  const auto to = std::ranges::find_if(batches, [&](const Place& place) { return place.at >= lost + 4096; });
  const std::uint64_t first = from->header.base_offset.value(), last = to->header.base_offset.value();
  const Seen seen = read_across(*log, Offset(0), {});
  expect_all_but(seen, first, last, 200, std::nullopt);
  ASSERT_EQ(seen.errors.size(), 1u);
  EXPECT_NE(seen.errors[0].message.find(offsets_text(first, last)), std::string::npos) << seen.errors[0].message;
  EXPECT_NE(seen.errors[0].message.find("the disk could not deliver"), std::string::npos);
}

TEST_F(Damage, UnreadablePageOfTheLastSegmentIsNotTheEndOfTheLog) {
  write_segments();
  const auto last = segments_.back();
  const auto batches = places(last);
  const std::uint64_t lost = (batches.back().end + 4095) / 4096 * 4096;  // Zeros anyhow: who can know?
  ASSERT_LT(lost + 4096, load(last).size());
  const std::string before = load(last);
  HalfDeadFiles files(last.filename().string(), lost);
  options_.files = &files;
  auto log = open();
  ASSERT_TRUE(log->status().damage);
  EXPECT_NE(log->status().damage->find("cannot be read from the disk"), std::string::npos);
  EXPECT_TRUE(log->status().read_only);
  EXPECT_EQ(read_across(*log, Offset(0), {}).offsets.size(), 200u);
  log.reset();
  EXPECT_EQ(load(last), before) << "nothing changes";
}

TEST_F(Damage, RotAtOpeningServesEverythingElseAndSaysWhatIsLost) {
  write_segments();
  const auto last = segments_.back();
  const auto batches = places(last);
  ASSERT_GT(batches.size(), 6u);
  const std::string file = load(last);
  const std::uint64_t first = batches[4].header.base_offset.value();
  for (const bool tail : {false, true}) {
    SCOPED_TRACE(tail);
    // One batch in the middle; or everything from it on, which only W still knows of.
    std::string damaged = file;
    const std::uint64_t to = tail ? batches.back().end : batches[4].end;
    for (std::uint64_t i = batches[4].at; i < to; ++i) damaged[i] = '\0';
    store(last, damaged);
    const std::uint64_t end = tail ? 200 : first + 1;
    auto log = open();
    const LogStatus status = log->status();
    ASSERT_TRUE(status.damage);
    ASSERT_EQ(status.damaged.size(), 1u);
    EXPECT_EQ(status.damaged[0].first, Offset(first));
    EXPECT_EQ(status.damaged[0].last, Offset(end));
    EXPECT_EQ(status.durable_end, Offset(200)) << "lost is not the same as never written";
    for (const auto& [filter, parity] :
         {std::pair{ReadFilter{}, std::optional<std::uint64_t>{}},
          std::pair{ReadFilter{TopicId(1)}, std::optional<std::uint64_t>{0}},
          std::pair{ReadFilter{TopicId(2)}, std::optional<std::uint64_t>{1}}}) {
      const Seen seen = read_across(*log, Offset(0), filter);
      expect_all_but(seen, first, end, 200, parity);
      EXPECT_EQ(seen.errors.size(), 1u);
    }
    const auto refused = log->append(batch(TopicId(1), {"x"}));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kReadOnly);
    EXPECT_NE(refused.error().hint.find("kappa repair"), std::string::npos) << refused.error().hint;
  }
}

TEST_F(Damage, MissingLastSegmentIsReportedToWhoReadsPastIt) {
  write_segments();
  const Offset base = places(segments_.back())[0].header.base_offset;
  std::filesystem::remove(segments_.back());
  auto log = open();
  ASSERT_TRUE(log->status().damage);
  EXPECT_EQ(log->durable_end(), Offset(200));
  const Seen seen = read_across(*log, Offset(0), {});
  expect_all_but(seen, base.value(), 200, 200, std::nullopt);
  ASSERT_EQ(seen.errors.size(), 1u);
  EXPECT_NE(seen.errors[0].message.find(offsets_text(base.value(), 200)), std::string::npos)
      << seen.errors[0].message;
}

}  // namespace
}  // namespace kappa::log
