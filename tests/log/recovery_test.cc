// Goal: opening a log never guesses. Method: the classifier against every combination of its
// inputs; then real directories, damaged byte by byte: torn tails are cut and kept aside, rot is
// refused and reported with exact offsets, and nothing changes on disk when it is.
#include "log/recovery.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "log/format.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

TEST(RecoveryTable, EveryCombinationHasItsDecision) {
  const LogPosition end(1000);
  using enum TailDecision;
  struct Row {
    std::optional<LogPosition> watermark;
    std::optional<LogPosition> later;
    TailBytes tail;
    TailDecision decision;
  };
  const LogPosition below(500), above(1500);
  const auto zeros = TailBytes::kZeros, garbage = TailBytes::kGarbage;
  const Row rows[] = {
      // W lost: refuse whatever else is there.
      {std::nullopt, std::nullopt, zeros, kRefuseControl},
      {std::nullopt, std::nullopt, garbage, kRefuseControl},
      {std::nullopt, below, zeros, kRefuseControl},
      {std::nullopt, below, garbage, kRefuseControl},
      {std::nullopt, end, zeros, kRefuseControl},
      {std::nullopt, end, garbage, kRefuseControl},
      {std::nullopt, above, zeros, kRefuseControl},
      {std::nullopt, above, garbage, kRefuseControl},
      // W above the end: durable bytes are gone.
      {above, std::nullopt, zeros, kRefuseRot},
      {above, std::nullopt, garbage, kRefuseRot},
      {above, below, zeros, kRefuseRot},
      {above, below, garbage, kRefuseRot},
      {above, end, zeros, kRefuseRot},
      {above, end, garbage, kRefuseRot},
      {above, above, zeros, kRefuseRot},
      {above, above, garbage, kRefuseRot},
      // A later batch knows that the end was durable once.
      {end, above, zeros, kRefuseRot},
      {end, above, garbage, kRefuseRot},
      {below, above, zeros, kRefuseRot},
      {below, above, garbage, kRefuseRot},
      // Nothing says so: a torn tail, whatever follows it.
      {end, std::nullopt, garbage, kCutTornTail},
      {end, below, garbage, kCutTornTail},
      {end, end, garbage, kCutTornTail},
      {below, std::nullopt, garbage, kCutTornTail},
      {below, below, garbage, kCutTornTail},
      {below, end, garbage, kCutTornTail},
      // Nothing behind the end (a footer at the end may be known).
      {end, std::nullopt, zeros, kClean},
      {end, below, zeros, kClean},
      {end, end, zeros, kClean},
      {below, std::nullopt, zeros, kKeepUnproven},
      {below, below, zeros, kKeepUnproven},
      {below, end, zeros, kKeepUnproven},
  };
  EXPECT_EQ(std::size(rows), 4u * 4u * 2u) << "every combination has a row";
  for (const Row& row : rows) {
    const TailFacts facts{row.watermark, end, row.tail, row.later};
    EXPECT_STREQ(name_of(classify(facts)), name_of(row.decision))
        << "W " << (row.watermark ? std::to_string(row.watermark->value()) : "lost") << " later "
        << (row.later ? std::to_string(row.later->value()) : "none") << " tail "
        << (row.tail == TailBytes::kZeros ? "zeros" : "garbage");
  }
}

// The rows between `header` and the next line that is none, as cells without blanks around.
std::vector<std::vector<std::string>> table_below(const std::string& page, const std::string& header) {
  std::vector<std::vector<std::string>> rows;
  std::size_t at = page.find(header);
  if (at == std::string::npos) return rows;
  for (at = page.find('\n', at) + 1; at < page.size() && page[at] == '|';) {
    const std::size_t end = page.find('\n', at);
    std::vector<std::string> cells;
    for (std::size_t from = at + 1; from < end;) {
      const std::size_t to = page.find('|', from);
      std::string cell = page.substr(from, to - from);
      cell.erase(0, cell.find_first_not_of(' '));
      cell.erase(cell.find_last_not_of(' ') + 1);
      cells.push_back(std::move(cell));
      from = to + 1;
    }
    if (!cells[0].starts_with('-')) rows.push_back(std::move(cells));
    at = end + 1;
  }
  return rows;
}

TEST(RecoveryTable, TheTableOfThePageIsTheCode) {
  std::ifstream in(KAPPA_SOURCE_DIRECTORY "/docs/durability.md");
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  const auto rows = table_below(page, "| W | a later header's `durable_upto` | bytes behind the end | decision |");
  ASSERT_FALSE(rows.empty());
  const LogPosition end(1000);
  using Position = std::optional<LogPosition>;
  // What a cell says of a position; the columns share their words.
  const auto says = [&](const std::string& cell, Position position) {
    if (cell == "any") return true;
    if (!position) return cell.starts_with("lost") || cell.starts_with("none");
    const std::string where = *position < end ? "below the end" : *position > end ? "above the end" : "at the end";
    return cell == where || (*position <= end && cell.ends_with("at or below the end"));
  };
  std::vector<int> used(rows.size());
  const Position positions[] = {std::nullopt, LogPosition(500), end, LogPosition(1500)};
  for (const Position watermark : positions)
    for (const Position later : positions)
      for (const TailBytes tail : {TailBytes::kZeros, TailBytes::kGarbage}) {
        std::size_t row = 0;
        for (; row < rows.size(); ++row) {
          ASSERT_EQ(rows[row].size(), 4u);
          const bool tail_fits =
              rows[row][2] == "any" || rows[row][2] == (tail == TailBytes::kZeros ? "all zero" : "not all zero");
          if (says(rows[row][0], watermark) && says(rows[row][1], later) && tail_fits) break;
        }
        ASSERT_LT(row, rows.size()) << "a combination without a row";
        ++used[row];
        const std::string decision = name_of(classify({watermark, end, tail, later}));
        EXPECT_TRUE(rows[row][3].starts_with("**" + decision + "**")) << rows[row][3] << " is " << decision;
      }
  for (std::size_t row = 0; row < rows.size(); ++row) EXPECT_GT(used[row], 0) << "never reached: " << rows[row][3];
}

class Recovery : public LogFixture {
 protected:
  std::filesystem::path control() const { return options_.directory / kControlName; }
  std::filesystem::path active() const { return files_ending(".segment").back(); }

  // Appends three values; gives back what the directory looked like when W stood before the last.
  void write_three() {
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    ASSERT_TRUE(log->append(batch(topic, {"one"})));
    log.reset();
    control_after_one_ = load(control());
    log = open();
    ASSERT_TRUE(log->append(batch(topic, {"two"})));
    ASSERT_TRUE(log->append(batch(topic, {std::string(100, '3')})));
    log.reset();
  }
  // As a crash leaves it: W is old.
  void forget_watermark() { store(control(), control_after_one_); }

  void copy_directory(const std::filesystem::path& to) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(options_.directory, to, std::filesystem::copy_options::recursive);
  }
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory))
      all[entry.path().filename().string()] = load(entry.path());
    return all;
  }
  std::string control_after_one_;
};

TEST_F(Recovery, WholeBatchesAboveTheWatermarkAreKept) {
  write_three();
  forget_watermark();
  auto log = open();
  EXPECT_EQ(log->status().recovery, "keep unproven");
  EXPECT_EQ(read_values(*log), (std::vector<std::string>{"one", "two", std::string(100, '3')}));
}

TEST_F(Recovery, TornTailIsCutAtEveryPlaceAndKeptAside) {
  options_.segment_bytes = 64 << 10;
  options_.prepared_segments = 0;
  write_three();
  forget_watermark();
  const std::filesystem::path whole = root_ / "whole";
  copy_directory(whole);
  const std::filesystem::path name = active().filename();
  const std::string file = load(active());
  const Place last = batch_places(file).back();
  ASSERT_EQ(last.header.base_offset, Offset(2));
  for (std::uint64_t cut = last.at; cut < last.end; cut += 8) {
    for (const bool garbage : {false, true}) {
      options_.directory = root_ / "cut";
      std::filesystem::remove_all(options_.directory);
      std::filesystem::copy(whole, options_.directory, std::filesystem::copy_options::recursive);
      std::string torn = file;
      for (std::uint64_t i = cut; i < last.end; ++i) torn[i] = garbage ? static_cast<char>(i * 31 + 7) : '\0';
      store(options_.directory / name, torn);
      {
        auto log = open();
        ASSERT_TRUE(log);
        EXPECT_FALSE(log->status().damage);
        EXPECT_EQ(log->durable_end(), Offset(2)) << cut;
        EXPECT_EQ(read_values(*log), (std::vector<std::string>{"one", "two"}));
        const bool anything = garbage || cut > last.at;
        EXPECT_EQ(files_ending(".bin").size(), anything ? 1u : 0u) << cut;
        ASSERT_TRUE(log->append(batch(log->find_topic("a")->id, {"again"})));
      }
      EXPECT_TRUE(verify_all().damage.empty());
      auto log = open();
      EXPECT_EQ(read_values(*log), (std::vector<std::string>{"one", "two", "again"}));
      log.reset();
    }
  }
}

TEST_F(Recovery, ReadOnlyOpeningDoesNotCut) {
  write_three();
  forget_watermark();
  const Place last = batch_places(load(active())).back();
  flip_byte(active(), last.at + 170);
  const auto before = contents();
  options_.read_only = true;
  auto log = open();
  EXPECT_EQ(read_values(*log), (std::vector<std::string>{"one", "two"}));
  log.reset();
  EXPECT_EQ(contents(), before);
  EXPECT_EQ(verify_all().warnings.size(), 1u);
}

TEST_F(Recovery, RotBelowTheWatermarkIsRefusedWithExactOffsets) {
  write_three();
  const std::string file = load(active());
  const auto all = batch_places(file);
  const Place two = all[all.size() - 2];
  ASSERT_EQ(two.header.base_offset, Offset(1));
  for (const std::size_t at : {two.at + 3, two.at + 100, two.at + kBatchHeaderBytes + 1}) {
    store(active(), file);
    flip_byte(active(), at);
    const auto before = contents();
    auto log = open();
    ASSERT_TRUE(log);
    const LogStatus status = log->status();
    EXPECT_TRUE(status.read_only);
    ASSERT_TRUE(status.damage);
    EXPECT_NE(status.damage->find("offsets [1, 2)"), std::string::npos) << *status.damage;
    EXPECT_EQ(log->append(batch(TopicId(1), {"x"})).error().code, ErrorCode::kReadOnly);
    EXPECT_EQ(log->durable_end(), Offset(3));
    auto reader = log->reader(Offset(0), {});
    const auto one = reader->next();
    ASSERT_TRUE(one && *one);
    const auto damaged = reader->next();
    ASSERT_FALSE(damaged);
    EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(damaged.error().message.find("offsets [1, 2)"), std::string::npos) << damaged.error().message;
    EXPECT_NE(damaged.error().message.find("bytes [" + std::to_string(two.at) + ", " +
                                           std::to_string(two.end) + ")"),
              std::string::npos)
        << damaged.error().message;
    ASSERT_TRUE(reader->seek(Offset(2)));
    const auto three = reader->next();
    ASSERT_TRUE(three) << to_string(three.error());
    ASSERT_TRUE(*three);
    EXPECT_EQ((*three)->header.base_offset, Offset(2));
    reader.reset();
    log.reset();
    EXPECT_EQ(contents(), before) << "a damaged log is not touched";
    EXPECT_FALSE(verify_all().damage.empty());
  }
}

TEST_F(Recovery, LaterBatchProvesThatDamageAboveTheWatermarkIsRot) {
  write_three();
  forget_watermark();
  // Batch three was built when two was durable.
  const auto all = batch_places(load(active()));
  flip_byte(active(), all[all.size() - 2].at + kBatchHeaderBytes);
  auto log = open();
  ASSERT_TRUE(log->status().damage);
  EXPECT_NE(log->status().damage->find("offsets [1, 2)"), std::string::npos) << *log->status().damage;
}

TEST_F(Recovery, ZeroedBlockBelowTheWatermarkIsNotTheEnd) {
  write_three();
  std::string file = load(active());
  const auto all = batch_places(file);
  for (std::uint64_t i = all[all.size() - 2].at; i < file.size(); ++i) file[i] = '\0';
  store(active(), file);
  auto log = open();
  ASSERT_TRUE(log->status().damage);
  EXPECT_NE(log->status().damage->find("offsets [1, 3)"), std::string::npos) << *log->status().damage;
}

TEST_F(Recovery, LostControlFileIsRefused) {
  write_three();
  store(control(), std::string(8192, '\0'));
  auto log = open();
  ASSERT_TRUE(log);
  EXPECT_TRUE(log->status().damage);
  EXPECT_EQ(read_values(*log).size(), 3u);
}

TEST_F(Recovery, OneTornControlPageLeavesTheOther) {
  write_three();
  std::string bytes = load(control());
  // The page that the last write went to.
  const auto now = decode_control(as_bytes(bytes));
  ASSERT_TRUE(now);
  bytes[(now->generation % 2) * kControlPageBytes + 20] ^= 1;
  store(control(), bytes);
  const auto older = decode_control(as_bytes(load(control())));
  ASSERT_TRUE(older);
  EXPECT_EQ(older->generation, now->generation - 1);
  auto log = open();
  EXPECT_FALSE(log->status().damage);
  EXPECT_EQ(read_values(*log).size(), 3u);
}

class RecoveryOfSegments : public Recovery {
 protected:
  void write_segments() {
    options_.segment_bytes = 32 << 10;
    options_.prepared_segments = 0;
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    for (int i = 0; i < 120; ++i) ASSERT_TRUE(log->append(batch(topic, {std::string(1000, 'x')})));
  }
};

TEST_F(RecoveryOfSegments, MissingSwappedOrCutSealedSegmentsAreNoticed) {
  write_segments();
  const auto segments = files_ending(".segment");
  ASSERT_GE(segments.size(), 4u);
  const std::string first = load(segments[1]);
  const std::string second = load(segments[2]);
  const auto expect_damage = [&](const char* what) {
    auto log = open();
    ASSERT_TRUE(log) << what;
    ASSERT_TRUE(log->status().damage) << what;
    EXPECT_NE(log->status().damage->find(segments[1].filename().string()), std::string::npos)
        << what << ": " << *log->status().damage;
    auto reader = log->reader(Offset(0), {});
    for (;;) {
      const auto view = reader->next();
      if (!view) {
        EXPECT_EQ(view.error().code, ErrorCode::kCorrupt);
        break;
      }
      ASSERT_TRUE(*view) << what;
    }
    // What is behind it can be read.
    ASSERT_TRUE(reader->seek(log->durable_end() - 1));
    const auto last = reader->next();
    EXPECT_TRUE(last && *last) << what;
  };
  std::filesystem::remove(segments[1]);
  expect_damage("missing");
  store(segments[1], second);
  expect_damage("swapped");
  store(segments[1], first.substr(0, first.size() / 2));
  expect_damage("cut");
  store(segments[1], first);
  EXPECT_FALSE(open()->status().damage);
}

TEST_F(RecoveryOfSegments, RotInsideASealedSegmentIsFoundByReadersAndVerify) {
  write_segments();
  const auto segments = files_ending(".segment");
  const auto all = batch_places(load(segments[1]));
  flip_byte(segments[1], all[3].at + 200);
  const auto report = verify_all();
  ASSERT_EQ(report.damage.size(), 1u);
  const std::string offset = std::to_string(all[3].header.base_offset.value());
  EXPECT_NE(report.damage[0].find("offsets [" + offset + ", "), std::string::npos) << report.damage[0];
  auto log = open();
  auto reader = log->reader(all[3].header.base_offset, {});
  const auto view = reader->next();
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(reader->seek(all[4].header.base_offset));
  EXPECT_TRUE(reader->next());
}

TEST_F(RecoveryOfSegments, SealThatACrashCutShortIsFinished) {
  write_segments();
  // As if the manifest entry of the last sealed segment never became durable.
  Manifest manifest = *decode_manifest(load(options_.directory / kManifestName));
  ASSERT_GE(manifest.sealed.size(), 3u);
  manifest.sealed.pop_back();
  store(options_.directory / kManifestName, encode_manifest(manifest));
  const std::size_t before = manifest.sealed.size();
  {
    auto log = open();
    EXPECT_FALSE(log->status().damage);
    EXPECT_EQ(read_values(*log).size(), 120u);
  }
  EXPECT_EQ(decode_manifest(load(options_.directory / kManifestName))->sealed.size(), before + 1);
  EXPECT_TRUE(verify_all().damage.empty());
}

// Symptom of the bug: after a SIGKILL between a roll and the first group of the new segment, the next
// opening sealed the segment before, and the one after that had lost every topic, record and producer.
TEST_F(RecoveryOfSegments, SegmentWithoutItsSnapshotDoesNotLoseTheTables) {
  write_segments();
  TopicId topic;
  const ProducerId producer(77);
  {
    auto log = open();
    topic = *log->ensure_topic("numbered");
    auto first = batch(topic, {"a", "b"});
    first.producer_id = producer;
    ASSERT_TRUE(log->append(std::move(first)));
    ASSERT_TRUE(log->append_system("key", "value"));
  }
  // A new last segment that has its header page and its name, and nothing else.
  const auto last = files_ending(".segment").back();
  const auto header = decode_segment_header(as_bytes(load(last)));
  ASSERT_TRUE(header);
  SegmentHeader next = *header;
  {
    options_.read_only = true;
    auto log = open();
    next.number = header->number + 1;
    next.base_offset = log->durable_end();
    next.base_position = log->status().durable_position;
    next.previous_header_hash = log->mark(log->durable_end())->header_hash;
    options_.read_only = false;
  }
  std::string fresh = encode_segment_header(next);
  fresh.resize(32 << 10);
  store(options_.directory / segment_name(next.number, next.base_offset), fresh);
  for (int opening = 0; opening < 3; ++opening) {
    auto log = open();
    ASSERT_FALSE(log->status().damage) << *log->status().damage;
    EXPECT_EQ(log->producer(topic, producer).next_sequence, 2u) << "opening " << opening;
    ASSERT_TRUE(log->find_topic("numbered")) << "opening " << opening;
    ASSERT_EQ(log->system_records().size(), 1u) << "opening " << opening;
  }
  {
    auto log = open();
    auto more = batch(topic, {"c"});
    more.producer_id = producer;
    more.producer_sequence = 2;
    ASSERT_TRUE(log->append(std::move(more)));
  }
  {
    auto log = open();
    EXPECT_EQ(log->producer(topic, producer).next_sequence, 3u);
    EXPECT_EQ(log->system_records().size(), 1u);
  }
  EXPECT_TRUE(verify_all().damage.empty());
}

TEST_F(RecoveryOfSegments, SegmentWithoutItsFirstSyncIsTakenBack) {
  write_segments();
  // A crash just after the roll: the new segment's bytes are not all there, W is at its base or before.
  const auto segments = files_ending(".segment");
  std::string last = load(segments.back());
  const auto header = decode_segment_header(as_bytes(last));
  ASSERT_TRUE(header);
  Manifest manifest = *decode_manifest(load(options_.directory / kManifestName));
  manifest.sealed.pop_back();
  store(options_.directory / kManifestName, encode_manifest(manifest));
  ControlPage page = *decode_control(as_bytes(load(control())));
  page.watermark = manifest.sealed.back().end_position;
  page.watermark_offset = manifest.sealed.back().end_offset;
  store(control(), encode_control_page(page) + std::string(kControlPageBytes, '\0'));
  // The segment before is as it was before its seal.
  const auto previous = segments[segments.size() - 2];
  std::string unsealed = load(previous);
  unsealed.resize(kSegmentHeaderBytes + (header->base_position - manifest.sealed.back().end_position));
  unsealed.resize(32 << 10);
  store(previous, unsealed);
  for (const bool zero_header : {true, false}) {
    std::string torn = last;
    for (std::size_t i = zero_header ? 0 : kSegmentHeaderBytes + 300; i < torn.size(); ++i)
      torn[i] = i % 2 ? '\0' : 'g';
    if (!zero_header)
      for (std::size_t i = kSegmentHeaderBytes; i < kSegmentHeaderBytes + 300; ++i) torn[i] = 'g';
    store(segments.back(), torn);
    const std::filesystem::path keep = root_ / "keep";
    copy_directory(keep);
    {
      auto log = open();
      ASSERT_TRUE(log);
      EXPECT_FALSE(log->status().damage) << *log->status().damage;
      EXPECT_EQ(log->durable_end(), header->base_offset);
      EXPECT_FALSE(files_ending(".bin").empty());
      ASSERT_TRUE(log->append(batch(log->find_topic("a")->id, {std::string(20'000, 'n')})));
      EXPECT_EQ(read_values(*log).back(), std::string(20'000, 'n'));
    }
    EXPECT_TRUE(verify_all().damage.empty());
    std::filesystem::remove_all(options_.directory);
    std::filesystem::copy(keep, options_.directory, std::filesystem::copy_options::recursive);
  }
}

TEST_F(Recovery, InterruptedCreationStartsAgain) {
  open().reset();
  for (const auto& file : files_ending(".segment")) std::filesystem::remove(file);
  ControlPage page = *decode_control(as_bytes(load(control())));
  page.writer_epoch = WriterEpoch(0);
  page.generation = 1;
  store(control(), std::string(kControlPageBytes, '\0') + encode_control_page(page));
  auto log = open();
  ASSERT_TRUE(log);
  EXPECT_TRUE(log->append(batch(*log->ensure_topic("a"), {"x"})));
}

// Found by fuzzing: with the manifest and every segment lost, a new log was begun over the old one's control
// file, in silence.
TEST_F(Recovery, ControlFileAloneIsNotTakenForANewLog) {
  write_three();
  for (const char* suffix : {"MANIFEST", ".segment"})
    for (const auto& file : files_ending(suffix)) std::filesystem::remove(file);
  const std::string control = load(options_.directory / "CONTROL");
  const auto log = Log::open(options_);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().number, 3112);
  EXPECT_EQ(load(options_.directory / "CONTROL"), control);
}

TEST_F(Recovery, LostManifestIsNotTakenForANewLog) {
  write_three();
  std::filesystem::remove(options_.directory / kManifestName);
  for (const bool read_only : {false, true}) {
    options_.read_only = read_only;
    const auto log = Log::open(options_);
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(log.error().number, 3112);
    EXPECT_NE(log.error().hint.find("kappa repair"), std::string::npos) << to_string(log.error());
  }
}

TEST_F(Recovery, WhatOnlyALogLeavesIsNotTakenForANewLog) {
  for (const char* left :
       {"RETENTION", "torn-4096.bin", "damaged-4096.bin", "prepared-7.ready", "prepared-8.unfinished",
        "0000000003-00000000000000000500.index", "repair-0000000003-00000000000000000500.segment"}) {
    options_.directory = fresh_directory();
    std::filesystem::create_directory(options_.directory);
    store(options_.directory / left, "x");
    const auto log = Log::open(options_);
    ASSERT_FALSE(log) << left;
    EXPECT_EQ(log.error().number, 3112) << left;
    EXPECT_NE(log.error().message.find(left), std::string::npos) << log.error().message;
    EXPECT_FALSE(std::filesystem::exists(options_.directory / kControlName)) << "something was made";
  }
}

// A mount point has lost+found; creation leaves the others when a crash cuts it short.
TEST_F(Recovery, WhatIsNoFileOfALogDoesNotKeepANewOneFromBeingMade) {
  options_.directory = fresh_directory();
  std::filesystem::create_directories(options_.directory / "lost+found");
  for (const char* left : {"LOCK", "CONTROL.tmp", "MANIFEST.tmp", "first.unfinished", "README"})
    store(options_.directory / left, "");
  const auto log = open();
  ASSERT_TRUE(log);
  EXPECT_TRUE(log->append(batch(*log->ensure_topic("a"), {"x"})));
}

TEST_F(Recovery, ADirectoryWithoutALogIsLeftAloneWhenNoneMayBeMade) {
  for (const bool read_only : {false, true}) {
    for (const bool exists : {false, true}) {
      options_.directory = fresh_directory();
      options_.create = false;
      options_.read_only = read_only;
      if (exists) std::filesystem::create_directory(options_.directory);
      const auto log = Log::open(options_);
      ASSERT_FALSE(log);
      EXPECT_EQ(log.error().code, ErrorCode::kNotFound);
      EXPECT_EQ(log.error().number, 3011) << to_string(log.error());
      EXPECT_EQ(std::filesystem::exists(options_.directory), exists);
      if (exists) {
        EXPECT_TRUE(std::filesystem::is_empty(options_.directory));
      }
    }
  }
}

TEST_F(Recovery, RandomDamageIsNeverServedAsData) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  options_.segment_bytes = 32 << 10;
  options_.prepared_segments = 0;
  std::vector<std::string> expected;
  {
    auto log = open();
    const TopicId topic = *log->ensure_topic("a");
    for (int i = 0; i < 90; ++i) {
      expected.push_back(std::to_string(i) + std::string(random() % 1500, 'x'));
      ASSERT_TRUE(log->append(batch(topic, {expected.back()})));
    }
  }
  const std::filesystem::path whole = root_ / "whole";
  copy_directory(whole);
  for (int round = 0; round < 150; ++round) {
    std::filesystem::remove_all(options_.directory);
    std::filesystem::copy(whole, options_.directory, std::filesystem::copy_options::recursive);
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory))
      if (std::filesystem::file_size(entry.path()) > 0) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    const auto& file = files[random() % files.size()];
    std::string content = load(file);
    const std::size_t at = random() % content.size();
    const std::size_t n = std::min<std::size_t>(content.size() - at, 1 + random() % 5000);
    switch (random() % 3) {
      case 0: content[at] = static_cast<char>(content[at] ^ (1 << random() % 8)); break;
      case 1: std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(at), n, '\0'); break;
      default: content.resize(at); break;
    }
    store(file, content);
    auto log = Log::open(options_);
    if (!log) continue;
    auto reader = (*log)->reader(Offset(0), {});
    Offset next(0);
    bool damaged = (*log)->status().damage.has_value();
    while (next < Offset(expected.size())) {
      const auto view = reader->next();
      if (view && *view) {
        RecordReader records((*view)->body, (*view)->header.count);
        const auto record = records.next();
        ASSERT_TRUE(record && *record);
        EXPECT_EQ((*record)->value, expected[(*view)->header.base_offset.value()]) << file;
        next = (*view)->header.end_offset();
        continue;
      }
      if (view) {
        // Only a log that says so may end early.
        EXPECT_TRUE(damaged) << "silent loss at " << next.value() << " after damage to " << file << " at "
                             << at;
        break;
      }
      damaged = true;
      ++next;
      ASSERT_TRUE(reader->seek(next));
    }
  }
}

}  // namespace
}  // namespace kappa::log
