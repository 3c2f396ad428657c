// Goal: a repair gives up exactly what is lost, keeps everything else with its offsets, and leaves a log
// that opens writable and verifies. Method: small logs of several segments, damaged in every way a disk or
// a hand can; each is repaired, read in full and compared with what was appended.
#include <gtest/gtest.h>

#include <random>

#include "tests/log/repair_fixture.h"

namespace kappa::log {
namespace {

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
  const Error below = log->mark(base1 - 1).error();
  EXPECT_EQ(below.number, 3010);
  EXPECT_NE(below.message.find("or it was lost"), std::string::npos) << below.message;
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

}  // namespace
}  // namespace kappa::log
