// Goal: a log directory written by an older version of the same format opens, reads byte for byte, goes
// on, and what is written today is what was written then; a newer format is refused and left alone.
// Method: directories kept as fixtures in tests/data/golden_log_v1 (tests/log/golden_writer.cc wrote
// them once, with the first release of version 1), opened as copies; and the fixture's own inputs
// appended again to a log with the same id and clock, compared file by file.
#include "log/format.h"
#include "log/segment_scan.h"
#include "tests/log/golden_log.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {
namespace {

constexpr const char* kGolden = KAPPA_SOURCE_DIRECTORY "/tests/data/golden_log_v1/";

class Compatibility : public LogFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = limits::kSegmentBytesMin;
    options_.prepared_segments = 0;
    options_.clock = &clock_;
    clock_.time = Timestamp(1'800'000'000'000'000);
  }
  // Unpacks the fixture into the directory of options_.
  golden::Files place(const std::string& name) {
    auto files = golden::unpack(golden::load(kGolden + name));
    EXPECT_TRUE(files) << to_string(files.error());
    if (!files) return {};
    golden::write_directory(*files, options_.directory);
    golden::store(options_.directory / kLockName, "");
    return std::move(*files);
  }
  static std::string expected_events() { return golden::load(std::string(kGolden) + "events.txt"); }
  static std::string events_of(Log& log) {
    auto text = golden::listing(log);
    EXPECT_TRUE(text) << to_string(text.error());
    return text.value_or("");
  }
  AppendAck append_one(Log& log, const std::string& value) {
    const auto topic = log.ensure_topic("hits");
    EXPECT_TRUE(topic);
    auto ack = log.append(batch(*topic, {value}));
    EXPECT_TRUE(ack) << to_string(ack.error());
    return ack.value_or(AppendAck{});
  }
  ManualClock clock_;
};

TEST_P(Compatibility, OlderDirectoryOpensReadsAndGoesOn) {
  const golden::Files files = place(GetParam());
  ASSERT_GE(decode_manifest(files.at("MANIFEST"))->sealed.size(), 2U)
      << "two sealed segments and an active one";
  const std::string expected = expected_events();
  ASSERT_GT(expected.size(), 10'000U);
  Offset end;
  {
    options_.read_only = true;
    const auto log = open();
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(events_of(*log), expected);
  }
  options_.read_only = false;
  {
    const auto log = open();
    ASSERT_NE(log, nullptr);
    EXPECT_FALSE(log->status().damage) << *log->status().damage;
    EXPECT_EQ(log->status().writer_epoch, WriterEpoch(3));
    EXPECT_EQ(events_of(*log), expected);
    // Tables: topics, catalog without the erased record, the producer with its last epoch.
    const auto hits = log->find_topic("hits");
    ASSERT_TRUE(hits);
    EXPECT_EQ(hits->next_sequence, TopicSequence(300));
    ASSERT_TRUE(log->find_topic("raw"));
    EXPECT_EQ(log->find_topic("raw")->next_sequence, TopicSequence(34));
    std::vector<std::string> keys;
    for (const SystemRecord& record : log->system_records()) keys.push_back(record.key);
    EXPECT_EQ(keys, (std::vector<std::string>{"stream/hits", "view/by_page"}));
    const ProducerState producer = log->producer(hits->id, ProducerId(77));
    EXPECT_EQ(producer.epoch, 2U);
    EXPECT_EQ(producer.next_sequence, 102U);
    end = log->durable_end();
    // A batch sent again is known; a gap is refused.
    AppendBatch again = batch(hits->id, {"{}"});
    again.producer_id = ProducerId(77);
    again.producer_epoch = 2;
    again.producer_sequence = producer.next_sequence - 1;
    const auto ack = log->append(std::move(again));
    ASSERT_TRUE(ack) << to_string(ack.error());
    EXPECT_TRUE(ack->duplicate);
    EXPECT_EQ(append_one(*log, "{\"new\":1}").base_offset, end);
    // Over the next rolls, too.
    for (int i = 0; i < 40; ++i) append_one(*log, std::string(1'000, 'x'));
  }
  const auto log = open();
  ASSERT_NE(log, nullptr);
  const std::string text = events_of(*log);
  EXPECT_EQ(text.substr(0, expected.size()), expected);
  EXPECT_EQ(log->durable_end(), end + 41);
  EXPECT_NE(text.find("\n  " + std::to_string(end.value()) + " value {\"new\":1}\n"), std::string::npos);
  EXPECT_TRUE(verify(options_.directory, {}).error().number == 3001) << "the lock is held";
}

TEST_P(Compatibility, VerifyIsContentWithIt) {
  place(GetParam());
  const VerifyReport report = verify_all();
  EXPECT_TRUE(report.damage.empty()) << report.damage.front();
  EXPECT_EQ(report.events, 338U);
  EXPECT_EQ(report.warnings.size(), std::string_view(GetParam()) == "killed.pack" ? 1U : 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Version1, Compatibility, ::testing::Values("clean.pack", "killed.pack"), [](const auto& parameter) {
      return std::string(parameter.param).substr(0, std::string_view(parameter.param).find('.'));
    });

using CompatibilityOfWriting = Compatibility;

// Every batch of the fixture as an input again: same id, clock and order give the same bytes.
TEST_F(CompatibilityOfWriting, TheSameInputsGiveTheSameFiles) {
  const golden::Files files = *golden::unpack(golden::load(std::string(kGolden) + "clean.pack"));
  const Manifest manifest = *decode_manifest(files.at("MANIFEST"));
  // A log that was created up to its first segment: the id is already drawn.
  golden::Files start;
  Manifest empty;
  empty.log_id = manifest.log_id;
  start["MANIFEST"] = encode_manifest(empty);
  ControlPage page;
  page.log_id = manifest.log_id;
  page.generation = 1;
  start["CONTROL"] = std::string(kControlPageBytes, '\0') + encode_control_page(page);
  golden::write_directory(start, options_.directory);

  std::unique_ptr<Log> log;
  WriterEpoch epoch;
  int batches = 0;
  for (const auto& [name, content] : files) {
    if (!name.ends_with(".segment")) continue;
    const SegmentHeader header = *decode_segment_header(as_bytes(content));
    for (std::uint64_t at = kSegmentHeaderBytes; at < content.size();) {
      const auto found = batch_at(as_bytes(content), header, at);
      if (!found) break;
      const BatchHeader& h = found->header;
      at = found->end();
      if (h.writer_epoch != epoch) {
        log.reset();
        log = open();
        ASSERT_NE(log, nullptr);
        epoch = h.writer_epoch;
      }
      clock_.time = h.append_time;
      ++batches;
      if (h.kind == BatchKind::kTopic) {
        EXPECT_EQ(log->ensure_topic(as_text(found->body)).value(), h.topic_id);
      } else if (h.kind == BatchKind::kCatalog) {
        RecordReader records(found->body, h.count);
        const auto record = records.next();
        ASSERT_TRUE(record && *record);
        ASSERT_TRUE(log->append_system(std::string(*(*record)->key), std::string((*record)->value)));
      } else if (h.kind == BatchKind::kEvents) {
        AppendBatch again;
        again.topic = h.topic_id;
        again.codec = h.codec;
        again.count = h.count;
        again.uncompressed_length = h.uncompressed_length;
        again.body = as_text(found->body);
        again.producer_id = h.producer_id;
        again.producer_epoch = h.producer_epoch;
        again.producer_sequence = h.producer_sequence;
        const auto ack = log->append(std::move(again));
        ASSERT_TRUE(ack) << to_string(ack.error());
        EXPECT_EQ(ack->base_offset, h.base_offset);
      }
    }
  }
  EXPECT_GT(batches, 100);
  log.reset();
  const golden::Files written = golden::read_directory(options_.directory);
  for (const auto& [name, content] : files) {
    ASSERT_TRUE(written.contains(name)) << name;
    if (name == "CONTROL") {
      // How often W was stored in between depends on how long that took.
      const auto expected = *decode_control(as_bytes(content));
      const auto actual = *decode_control(as_bytes(written.at(name)));
      EXPECT_EQ(actual.watermark, expected.watermark);
      EXPECT_EQ(actual.watermark_offset, expected.watermark_offset);
      EXPECT_EQ(actual.writer_epoch, expected.writer_epoch);
    } else {
      EXPECT_TRUE(written.at(name) == content) << name << " has other bytes than version 1 wrote";
    }
  }
  EXPECT_EQ(written.size(), files.size());
}

// What a newer version would write, hashed as it would hash it: in the manifest, in the header page of
// the segment that takes the appends, in a batch there (the last place where only recovery looks).
TEST_F(CompatibilityOfWriting, ANewerFormatIsRefusedAndNothingChanges) {
  const golden::Files files = place("clean.pack");
  const std::string last = std::prev(files.lower_bound("A"))->first;
  ASSERT_TRUE(last.ends_with(".segment"));
  struct Place {
    const char* what;
    std::string file;
    std::size_t at;         // Of the structure.
    std::size_t number_at;  // In it: becomes what this version does not know.
    std::size_t hash_at;    // In it: of all before.
    std::uint64_t seed;
  };
  const auto magic = [&](const std::string& file) { return ByteReader(as_bytes(files.at(file))).u32(); };
  const std::uint64_t id = decode_manifest(files.at("MANIFEST"))->log_id.low;
  std::size_t batch_at_byte = kSegmentHeaderBytes;
  {
    // Not the first: everything before it verifies.
    const SegmentHeader header = *decode_segment_header(as_bytes(files.at(last)));
    for (int i = 0; i < 3; ++i)
      batch_at_byte = batch_at(as_bytes(files.at(last)), header, batch_at_byte)->end();
  }
  const std::vector<Place> places = {
      {"manifest", "MANIFEST", 0, 4, files.at("MANIFEST").size() - 8, magic("MANIFEST")},
      {"segment page", last, 0, 4, kSegmentHeaderBytes - 8, magic(last)},
      {"batch version", last, batch_at_byte, 6, 152, id},
      {"batch attributes", last, batch_at_byte, 10, 152, id},
  };
  for (const Place& place : places) {
    golden::Files newer = files;
    std::string& content = newer[place.file];
    content[place.at + place.number_at] = 2;
    std::string hash;
    ByteWriter(hash).u64(hash_bytes(as_bytes(content).subspan(place.at, place.hash_at), place.seed));
    content.replace(place.at + place.hash_at, 8, hash);
    options_.directory = fresh_directory();
    golden::write_directory(newer, options_.directory);
    const auto log = Log::open(options_);
    ASSERT_FALSE(log) << place.what;
    EXPECT_EQ(log.error().code, ErrorCode::kUnsupported) << place.what << ": " << to_string(log.error());
    EXPECT_EQ(log.error().number, 3103) << place.what;
    EXPECT_TRUE(golden::read_directory(options_.directory) == newer) << place.what;
  }
}

}  // namespace
}  // namespace kappa::log
