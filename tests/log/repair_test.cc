// Goal: a repair gives up exactly what is lost, keeps everything else with its offsets, and leaves a log
// that opens writable and verifies. Method: small logs of several segments, damaged in every way a disk or
// a hand can, one at a time and at random; each is repaired, read in full and compared with what was
// appended; the repair is also killed at every operation and run again.
#include "log/repair.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "log/file.h"
#include "log/format.h"
#include "log/gap.h"
#include "log/recover.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

struct Place {
  std::uint64_t at, end;
  BatchHeader header;
};

class Repair : public LogFixture {
 protected:
  static constexpr std::uint64_t kEvents = 160;

  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = 32 << 10;
    options_.prepared_segments = 0;
  }
  static std::string value_of(std::uint64_t i) { return "event " + std::to_string(i) + std::string(700, 'x'); }

  // kEvents events of two topics in turns; a system record and a producer's events among them.
  void write_log() {
    auto log = open();
    topic_a_ = *log->ensure_topic("a");
    topic_b_ = *log->ensure_topic("b");
    for (std::uint64_t i = 0; i < kEvents; ++i) {
      if (i == 5) {
        ASSERT_EQ(*log->append_system("record", "kept"), Offset(5));
        continue;
      }
      auto next = batch(i % 2 == 0 ? topic_a_ : topic_b_, {value_of(i)});
      if (i == 7) next.producer_id = ProducerId(77);
      ASSERT_TRUE(log->append(std::move(next)));
    }
    log.reset();
    segments_ = files_ending(".segment");
    ASSERT_GE(segments_.size(), 5u);
    whole_ = contents();
  }
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory))
      all[entry.path().filename().string()] = load(entry.path());
    return all;
  }
  void restore_whole() {
    std::filesystem::remove_all(options_.directory);
    std::filesystem::create_directory(options_.directory);
    for (const auto& [name, content] : whole_) store(options_.directory / name, content);
  }
  static std::vector<Place> places(const std::filesystem::path& path) {
    std::vector<Place> found;
    const std::string file = load(path);
    const auto segment = decode_segment_header(as_bytes(file));
    for (std::size_t at = kSegmentHeaderBytes; segment && at < file.size();) {
      const auto header = decode_batch_header(as_bytes(file).subspan(at), segment->log_id.low);
      if (!header) break;
      found.push_back({at, at + header->stored_bytes(), *header});
      at += header->stored_bytes();
    }
    return found;
  }
  void zero(const std::filesystem::path& path, std::uint64_t from, std::uint64_t to) {
    std::string content = load(path);
    for (std::uint64_t i = from; i < std::min<std::uint64_t>(to, content.size()); ++i) content[i] = '\0';
    store(path, content);
  }
  Expected<RepairReport> run(bool accept_loss, FileSystem* files = nullptr) {
    return repair({options_.directory, accept_loss, files}, {});
  }

  // Every event outside of the gaps is there, none inside; the log takes appends, and verifies.
  void expect_sound(const std::vector<GapRange>& gaps, const std::string& what) {
    SCOPED_TRACE(what);
    const auto report = verify_all();
    EXPECT_TRUE(report.damage.empty()) << report.damage[0];
    std::vector<GapRange> listed;
    for (const GapRange& gap : report.gaps) add_gap(listed, gap.first, gap.last);
    EXPECT_EQ(listed, gaps);
    for (int opening = 0; opening < 2; ++opening) {
      auto log = open();
      ASSERT_TRUE(log);
      const LogStatus status = log->status();
      ASSERT_FALSE(status.damage) << *status.damage;
      EXPECT_FALSE(status.read_only);
      EXPECT_EQ(status.gaps, gaps);
      std::vector<Offset> expected;
      const std::uint64_t end = std::max<std::uint64_t>(kEvents, status.durable_end.value());
      for (std::uint64_t i = 0; i < end; ++i)
        if (std::ranges::none_of(gaps, [&](const GapRange& g) { return Offset(i) >= g.first && Offset(i) < g.last; }))
          expected.emplace_back(i);
      for (const int filter : {0, 1, 2}) {
        std::vector<Offset> seen;
        auto reader = log->reader(Offset(0), filter == 0   ? ReadFilter{}
                                             : filter == 1 ? ReadFilter{topic_a_}
                                                           : ReadFilter{topic_b_});
        for (;;) {
          const auto view = reader->next();
          ASSERT_TRUE(view) << to_string(view.error());
          if (!*view) break;
          const Offset offset = (*view)->header.base_offset;
          seen.push_back(offset);
          if (offset.value() == 5 || offset.value() >= kEvents) continue;
          RecordReader records((*view)->body, 1);
          const auto record = records.next();
          ASSERT_TRUE(record && *record);
          EXPECT_EQ((*record)->value, value_of(offset.value()));
        }
        EXPECT_EQ(reader->position(), log->durable_end());
        auto wanted = expected;
        if (filter != 0)
          std::erase_if(wanted, [&](Offset o) {
            return o.value() == 5 || (o.value() < kEvents ? o.value() % 2 != static_cast<unsigned>(filter - 1)
                                                          : filter != 1);
          });
        EXPECT_EQ(seen, wanted) << "filter " << filter;
      }
      // Places can be named everywhere, inside a gap too.
      for (std::uint64_t i = 0; i <= log->durable_end().value(); ++i) EXPECT_TRUE(log->mark(Offset(i))) << i;
      const auto topic = log->find_topic("a");
      ASSERT_TRUE(topic);
      ASSERT_EQ(topic->id, topic_a_);
      const auto ack = log->append(batch(topic_a_, {"after"}));
      ASSERT_TRUE(ack) << to_string(ack.error());
      EXPECT_EQ(ack->base_offset, Offset(kEvents + static_cast<unsigned>(opening)));
      log.reset();
      const auto again = verify_all();
      EXPECT_TRUE(again.damage.empty()) << again.damage[0];
    }
  }

  // Damage is there, a look changes nothing, the repair loses exactly `lost`, and all is sound.
  void expect_repair(const std::vector<GapRange>& lost, const std::string& what) {
    SCOPED_TRACE(what);
    EXPECT_FALSE(verify_all().damage.empty());
    const auto before = contents();
    const auto look = run(false);
    ASSERT_TRUE(look) << to_string(look.error());
    EXPECT_EQ(look->lost, lost);
    EXPECT_FALSE(look->done);
    EXPECT_FALSE(look->actions.empty());
    EXPECT_EQ(contents(), before) << "a look changes nothing";
    const auto report = run(true);
    ASSERT_TRUE(report) << to_string(report.error());
    EXPECT_TRUE(report->done);
    EXPECT_EQ(report->lost, lost);
    EXPECT_TRUE(report->remaining.empty()) << report->remaining[0];
    const auto repaired = contents();
    const auto nothing = run(true);
    ASSERT_TRUE(nothing);
    EXPECT_TRUE(nothing->damage.empty()) << nothing->damage[0];
    EXPECT_FALSE(nothing->done);
    EXPECT_EQ(contents(), repaired) << "a second run has nothing to do";
    expect_sound(lost, what);
  }
  static GapRange range(const Place& from, const Place& to) {
    return {from.header.base_offset, to.header.end_offset()};
  }

  TopicId topic_a_, topic_b_;
  std::vector<std::filesystem::path> segments_;
  std::map<std::string, std::string> whole_;
};

TEST(GapBatches, TakeExactlyTheirBytesAndOffsets) {
  SegmentHeader segment;
  segment.log_id = {7, 8};
  segment.base_position = LogPosition(1000);
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    LostRange lost;
    lost.from = kSegmentHeaderBytes + 8 * (random() % 100);
    const std::uint64_t batches = 1 + random() % 40;
    lost.to = lost.from + batches * kBatchHeaderBytes + 8 * (random() % (std::uint64_t{1} << (random() % 23)));
    lost.first = Offset(random() % 1000);
    lost.last = lost.first + random() % (batches * limits::kBatchEventsMax + 1);
    lost.previous_hash = 11;
    lost.resume_hash = round % 2 == 0 ? 0 : 99;
    const auto gap = make_gap(segment, lost);
    ASSERT_TRUE(gap) << to_string(gap.error());
    std::uint64_t at = lost.from;
    Offset offset = lost.first;
    std::uint64_t hash = 11;
    for (const GapBatch& batch : gap->batches) {
      ASSERT_EQ(batch.at, at);
      const auto header = decode_batch_header(as_bytes(batch.header), 7);
      ASSERT_TRUE(header) << to_string(header.error());
      EXPECT_EQ(header->kind, BatchKind::kGap);
      EXPECT_EQ(header->base_offset, offset);
      EXPECT_EQ(header->log_position, position_at(segment, at));
      EXPECT_EQ(header->previous_header_hash, hash);
      EXPECT_EQ(header->body_hash, hash_body(as_bytes(std::string(batch.filler, '\0'))));
      hash = chain_hash_of(*header, stored_header_hash(as_bytes(batch.header)));
      at += header->stored_bytes();
      offset = header->end_offset();
    }
    EXPECT_EQ(at, lost.to);
    EXPECT_EQ(offset, lost.last);
    EXPECT_EQ(hash, gap->chain_hash);
    if (lost.resume_hash != 0) {
      EXPECT_EQ(hash, 99u);
    }
  }
  LostRange impossible;
  impossible.from = 4096;
  impossible.to = 4096 + 160;
  impossible.last = Offset(limits::kBatchEventsMax + 1);
  EXPECT_EQ(make_gap(segment, impossible).error().number, 3132);
}

TEST_F(Repair, SoundLogHasNothingToRepair) {
  write_log();
  const auto before = contents();
  const auto report = run(true);
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_TRUE(report->damage.empty());
  EXPECT_TRUE(report->actions.empty());
  EXPECT_EQ(contents(), before);
}

TEST_F(Repair, RunningServerIsNotTouched) {
  write_log();
  auto log = open();
  EXPECT_EQ(run(true).error().number, 3001);
  EXPECT_EQ(run(false).error().number, 3001);
}

TEST_F(Repair, RotInsideASealedSegment) {
  write_log();
  const auto batches = places(segments_[1]);
  flip_byte(segments_[1], batches[3].at + kBatchHeaderBytes + 9);
  expect_repair({range(batches[3], batches[3])}, "a body");
  // The damaged bytes are kept.
  const auto aside = options_.directory / ("damaged-" + std::to_string(batches[3].header.log_position.value()) + ".bin");
  std::string expected = whole_[segments_[1].filename().string()].substr(batches[3].at, batches[3].end - batches[3].at);
  expected[kBatchHeaderBytes + 9] = static_cast<char>(expected[kBatchHeaderBytes + 9] ^ 0x20);
  EXPECT_EQ(load(aside), expected);
  // Nothing else of the segment changed.
  const std::string now = load(segments_[1]);
  const std::string& old = whole_[segments_[1].filename().string()];
  EXPECT_EQ(now.substr(0, batches[3].at), old.substr(0, batches[3].at));
  EXPECT_EQ(now.substr(batches[4].at, batches.back().end - batches[4].at),
            old.substr(batches[4].at, batches.back().end - batches[4].at));

  restore_whole();
  flip_byte(segments_[1], batches[3].at + 60);
  expect_repair({range(batches[3], batches[3])}, "a header");
  restore_whole();
  const auto others = places(segments_[2]);
  zero(segments_[2], others[4].at + 20, others[7].at + 20);
  expect_repair({range(others[4], others[7])}, "several batches");
  restore_whole();
  flip_byte(segments_[1], batches.back().at + 30);
  flip_byte(segments_[2], others[2].at + 30);
  flip_byte(segments_[2], others.back().at + 170);
  expect_repair({range(batches.back(), batches.back()), range(others[2], others[2]), range(others.back(), others.back())},
                "the last batch of a segment, and two places in the next");
  restore_whole();
  flip_byte(segments_[2], others[0].at + 170);
  ASSERT_EQ(others[0].header.kind, BatchKind::kSnapshot);
  expect_repair({}, "a snapshot only");
}

TEST_F(Repair, DamagedSegmentFiles) {
  write_log();
  const auto first_of = [&](std::size_t i) { return places(segments_[i]).front().header.base_offset; };
  const Offset base1 = first_of(1), base2 = first_of(2), base3 = first_of(3), base_last = first_of(segments_.size() - 1);
  const auto later = places(segments_[2]);

  std::filesystem::remove(segments_[1]);
  expect_repair({{base1, base2}}, "a missing segment");
  restore_whole();
  std::filesystem::remove(segments_[0]);
  expect_repair({{Offset(0), base1}}, "the first segment is missing");
  restore_whole();
  std::filesystem::remove(segments_[1]);
  std::filesystem::remove(segments_[2]);
  expect_repair({{base1, base3}}, "two missing segments in a row");
  restore_whole();
  std::filesystem::remove(segments_.back());
  expect_repair({{base_last, Offset(kEvents)}}, "the last segment is missing");
  restore_whole();
  std::filesystem::resize_file(segments_[2], later[3].at + 40);
  expect_repair({{later[3].header.base_offset, base3}}, "a segment is cut");
  restore_whole();
  std::filesystem::resize_file(segments_[2], 0);
  expect_repair({{base2, base3}}, "an empty segment file");
  restore_whole();
  std::filesystem::copy_file(segments_[2], segments_[1], std::filesystem::copy_options::overwrite_existing);
  expect_repair({{base1, base2}}, "a copy of another segment");
  restore_whole();
  std::filesystem::rename(segments_[1], root_ / "x");
  std::filesystem::rename(segments_[2], segments_[1]);
  std::filesystem::rename(root_ / "x", segments_[2]);
  expect_repair({}, "two segments have each other's name");
}

TEST_F(Repair, WhatCanBeMadeAnewCostsNothing) {
  write_log();
  const auto original = [&](const std::filesystem::path& path) { return whole_[path.filename().string()]; };
  flip_byte(segments_[1], 100);
  expect_repair({}, "the header page of a sealed segment");
  restore_whole();
  flip_byte(segments_[1], 100);
  ASSERT_TRUE(run(true));
  EXPECT_EQ(load(segments_[1]), original(segments_[1])) << "bit by bit";
  restore_whole();
  const std::uint64_t end = places(segments_[1]).back().end;
  flip_byte(segments_[1], end + 20);
  expect_repair({}, "a footer");
  restore_whole();
  flip_byte(segments_[1], end + 20);
  ASSERT_TRUE(run(true));
  EXPECT_EQ(load(segments_[1]), original(segments_[1])) << "bit by bit";
  restore_whole();
  flip_byte(segments_.back(), 100);
  expect_repair({}, "the header page of the last segment");
  restore_whole();
  std::filesystem::remove(options_.directory / kManifestName);
  expect_repair({}, "the manifest is missing");
  restore_whole();
  flip_byte(options_.directory / kManifestName, 70);
  ASSERT_TRUE(run(true));
  EXPECT_EQ(load(options_.directory / kManifestName), whole_[kManifestName]) << "bit by bit";
  expect_sound({}, "the manifest is damaged");
  restore_whole();
  store(options_.directory / kControlName, std::string(2 * kControlPageBytes, '\0'));
  expect_repair({}, "both control pages are damaged");
  restore_whole();
  std::filesystem::remove(options_.directory / kControlName);
  std::filesystem::remove(options_.directory / kManifestName);
  expect_repair({}, "neither manifest nor control file");
}

TEST_F(Repair, RotInThePartThatTakesTheAppends) {
  write_log();
  const auto last = places(segments_.back());
  ASSERT_GT(last.size(), 6u);
  flip_byte(segments_.back(), last[3].at + 170);
  expect_repair({range(last[3], last[3])}, "one batch");
  restore_whole();
  zero(segments_.back(), last[3].at, last.back().end);
  expect_repair({range(last[3], last.back())}, "a zeroed end, which only W knows of");
  restore_whole();
  std::filesystem::resize_file(segments_.back(), last[3].at);
  expect_repair({range(last[3], last.back())}, "cut between two batches");
  restore_whole();
  zero(segments_.back(), 0, last[2].at + 8);
  expect_repair({range(last[1], last[2])}, "page, snapshot and the first batches");
  restore_whole();
  zero(segments_.back(), 0, last.back().end);
  expect_repair({range(last[1], last.back())}, "all of it");
}

TEST_F(Repair, TablesSurviveWhatTheirSnapshotDoesNot) {
  write_log();
  const auto last = places(segments_.back());
  ASSERT_EQ(last[0].header.kind, BatchKind::kSnapshot);
  flip_byte(segments_.back(), last[0].at + 170);
  ASSERT_TRUE(open()->status().damage);
  ASSERT_TRUE(run(true));
  auto log = open();
  ASSERT_FALSE(log->status().damage);
  ASSERT_EQ(log->system_records().size(), 1u);
  EXPECT_EQ(log->system_records()[0].value, "kept");
  EXPECT_EQ(log->producer(topic_b_, ProducerId(77)).next_sequence, 1u);
  EXPECT_EQ(log->find_topic("a")->next_sequence.value(), kEvents / 2);
  EXPECT_EQ(log->find_topic("b")->next_sequence.value(), kEvents / 2 - 1);
}

// Symptom that this is against: events of a topic whose name is lost cannot be applied, and the log would
// stay refused for ever.
TEST_F(Repair, TopicWhoseNameIsLostGetsAnother) {
  {
    auto log = open();
    const TopicId named = *log->ensure_topic("a");
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(log->append(batch(named, {value_of(0)})));
  }
  const auto path = files_ending(".segment")[0];
  const auto all = places(path);
  const auto topic = std::ranges::find_if(all, [](const Place& p) { return p.header.kind == BatchKind::kTopic; });
  ASSERT_NE(topic, all.end());
  flip_byte(path, topic->at + 40);
  const auto report = run(true);
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_TRUE(report->remaining.empty());
  auto log = open();
  ASSERT_FALSE(log->status().damage) << *log->status().damage;
  const auto found = log->find_topic("lost-topic-1");
  ASSERT_TRUE(found);
  EXPECT_EQ(read_values(*log, Offset(0), {found->id}).size(), 4u);
}

TEST_F(Repair, WithoutManifestAndFirstSegmentsTheLogBeginsBehindThemAndSaysSo) {
  write_log();
  const Offset base1 = places(segments_[1]).front().header.base_offset;
  std::filesystem::remove(options_.directory / kManifestName);
  std::filesystem::remove(segments_[0]);
  const auto report = run(true);
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_TRUE(report->remaining.empty());
  EXPECT_TRUE(report->lost.empty()) << "nobody can know";
  EXPECT_TRUE(std::ranges::any_of(report->damage, [&](const std::string& text) {
    return text.find("whether retention took them") != std::string::npos &&
           text.find("begins at offset " + std::to_string(base1.value())) != std::string::npos;
  }));
  auto log = open();
  ASSERT_FALSE(log->status().damage);
  EXPECT_EQ(log->start(), base1);
  EXPECT_EQ(read_values(*log, base1).size(), kEvents - base1.value());
  EXPECT_EQ(log->mark(base1 - 1).error().number, 3010);
}

TEST_F(Repair, SystemRecordThatNoSnapshotHasIsLostWithItsOffset) {
  {
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    ASSERT_EQ(*log->append_system("first", "kept"), Offset(0));
    ASSERT_EQ(*log->append_system("second", "lost"), Offset(1));
    ASSERT_TRUE(log->append(batch(topic, {value_of(2)})));
  }
  const auto path = files_ending(".segment")[0];
  const auto all = places(path);
  const auto record = std::ranges::find_if(all, [](const Place& p) { return p.header.base_offset == Offset(1); });
  ASSERT_NE(record, all.end());
  flip_byte(path, record->at + 170);
  const auto report = run(true);
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_EQ(report->lost, (std::vector<GapRange>{{Offset(1), Offset(2)}}));
  auto log = open();
  ASSERT_FALSE(log->status().damage) << *log->status().damage;
  ASSERT_EQ(log->system_records().size(), 1u);
  EXPECT_EQ(log->system_records()[0].key, "first");
}

TEST_F(Repair, ViewPlacesAtTheEndOfAGapAreStillFound) {
  write_log();
  const auto batches = places(segments_[1]);
  PrefixMark before, behind;
  {
    auto log = open();
    before = *log->mark(batches[4].header.base_offset);
    behind = *log->mark(batches[6].header.base_offset);
  }
  flip_byte(segments_[1], batches[3].at + 170);
  ASSERT_TRUE(run(true));
  auto log = open();
  EXPECT_EQ(*log->mark(batches[4].header.base_offset), before);
  EXPECT_EQ(*log->mark(batches[6].header.base_offset), behind);
}

// --- killed at any operation -----------------------------------------------------------------------

// Lets `left` changing operations through; then nothing works any more, as after a SIGKILL.
class DyingFiles final : public FileSystem {
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
  Status create_directory(const std::filesystem::path& path) override {
    return real_file_system().create_directory(path);
  }
  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override {
    return real_file_system().list(path);
  }

 private:
  struct Dying final : File {
    Dying(std::unique_ptr<File> file, DyingFiles& files) : file_(std::move(file)), files_(files) {}
    Status pwritev(std::span<const iovec> pieces, std::uint64_t at) override {
      if (Status alive = files_.spend(); !alive) {
        // Half of the first piece got through.
        const Bytes first(static_cast<const std::byte*>(pieces[0].iov_base), pieces[0].iov_len / 2);
        if (!std::exchange(files_.torn_, true)) static_cast<void>(file_->pwrite(first, at));
        return alive;
      }
      return file_->pwritev(pieces, at);
    }
    Expected<std::size_t> pread(std::span<std::byte> out, std::uint64_t at) override { return file_->pread(out, at); }
    Status fdatasync() override {
      KAPPA_CHECK_OK(files_.spend());
      return file_->fdatasync();
    }
    Status allocate(std::uint64_t bytes) override { return file_->allocate(bytes); }
    Status truncate(std::uint64_t bytes) override {
      KAPPA_CHECK_OK(files_.spend());
      return file_->truncate(bytes);
    }
    Expected<std::uint64_t> size() override { return file_->size(); }
    Expected<std::shared_ptr<const Mapping>> map() override { return file_->map(); }
    Expected<bool> lock(bool exclusive) override { return file_->lock(exclusive); }
    std::unique_ptr<File> file_;
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
