// Writes the fixtures of the compatibility tests with the code it is built from:
//
//   golden_writer DIRECTORY
//
// clean.pack   a log closed in order: two sealed segments and more, a stream, views, an erased catalog
//              record, producers with two epochs, zstd bodies, keys, timestamps and headers of events
// killed.pack  the same log as a SIGKILL leaves it: no clean end, an old watermark, half a batch behind
//              the last whole one
// events.txt   what a reader sees of both
// view.txt     the rows of the view by_page
//
// Kept fixtures are never written again: they stand for the version that wrote them. A new format
// version gets a directory of its own.
#include <cstdio>

#include "log/format.h"
#include "processor/engine.h"
#include "tests/log/golden_log.h"

namespace {

using namespace kappa;
namespace golden = log::golden;

struct StepClock final : log::Clock {
  std::int64_t micros = 1'704'067'200'000'000;  // 2024-01-01T00:00:00Z
  Timestamp now() override { return Timestamp(micros); }
};

struct Rows final : processor::RowSink {
  std::string text;
  bool columns(const std::vector<processor::Column>&) override { return true; }
  bool rows(std::vector<Row> rows) override {
    for (const Row& row : rows) {
      for (std::size_t i = 0; i < row.size(); ++i) text += (i == 0 ? "" : "|") + display(row[i]);
      text += '\n';
    }
    return true;
  }
};

Expected<std::string> run(processor::Engine& engine, std::string_view sql) {
  Rows rows;
  const std::atomic<bool> cancelled{false};
  KAPPA_TRY([[maybe_unused]] const auto result,
            engine.execute(sql, {std::nullopt, true, std::chrono::minutes(1)}, rows, cancelled));
  return rows.text;
}

Status append(log::Log& log, std::string_view topic, const BatchBuilder& events, Codec codec,
              std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence) {
  log::AppendBatch batch;
  KAPPA_TRY(batch.topic, log.ensure_topic(topic));
  batch.codec = codec;
  batch.count = events.count();
  batch.uncompressed_length = static_cast<std::uint32_t>(events.bytes());
  batch.body = codec == Codec::kZstd ? compress_body(events.body()) : events.body();
  batch.producer_id = ProducerId(producer);
  batch.producer_epoch = epoch;
  batch.producer_sequence = sequence;
  KAPPA_TRY([[maybe_unused]] const auto ack, log.append(std::move(batch)));
  return {};
}

std::string hit(int i) {
  return R"({"page":"/p)" + std::to_string(i * 31 % 11) + R"(","ms":)" + std::to_string(i * 37 % 100) +
         R"(,"n":)" + std::to_string(i) + "}";
}

// Batches 0..., each of its own shape; `from` and `to` number batches.
Status fill(log::Log& log, StepClock& clock, int from, int to, std::uint32_t epoch, std::uint64_t& sequence) {
  for (int i = from; i < to; ++i) {
    clock.micros += 1'000'003;
    BatchBuilder hits;
    for (int k = 0; k < 1 + i % 5; ++k)
      KAPPA_CHECK_OK(hits.add({.value = hit(i * 8 + k), .key = {}, .timestamp = {}, .headers = {}}));
    const bool named = i % 3 == 0;
    KAPPA_CHECK_OK(append(log, "hits", hits, i % 4 == 1 ? Codec::kZstd : Codec::kNone, named ? 77 : 0,
                          named ? epoch : 0, named ? sequence : 0));
    if (named) sequence += hits.count();
    if (i % 6 != 2) continue;
    const std::string bytes("\0\x01\xff\\ \n", 6);
    const std::vector<RecordHeader> headers = {{"trace", "tx"}, {"empty", ""}};
    BatchBuilder raw;
    KAPPA_CHECK_OK(raw.add({.value = bytes, .key = "k", .timestamp = Timestamp(i - 40), .headers = headers}));
    KAPPA_CHECK_OK(raw.add({.value = "", .key = "", .timestamp = {}, .headers = {}}));
    KAPPA_CHECK_OK(append(log, "raw", raw, Codec::kNone, 0, 0, 0));
  }
  return {};
}

Status write(const std::filesystem::path& out) {
  const std::filesystem::path scratch = out / "scratch";
  std::filesystem::remove_all(scratch);
  std::filesystem::create_directories(scratch);
  StepClock clock;
  log::LogOptions options;
  options.directory = scratch / "log";
  options.segment_bytes = limits::kSegmentBytesMin;
  options.prepared_segments = 0;
  options.clock = &clock;
  processor::EngineOptions engine_options;
  engine_options.directory = scratch / "views";
  std::uint64_t sequence = 0;
  {
    KAPPA_TRY(const auto log, log::Log::open(options));
    {
      KAPPA_TRY(const auto engine, processor::Engine::open(engine_options, *log));
      for (const char* sql : {"CREATE STREAM hits (page TEXT, ms BIGINT, n BIGINT) WITH (topic = 'hits')",
                              "CREATE MATERIALIZED VIEW gone AS SELECT count(*) AS n FROM hits",
                              "CREATE MATERIALIZED VIEW by_page AS SELECT page, count(*) AS n, sum(ms) AS "
                              "total FROM hits GROUP BY page",
                              "DROP VIEW gone"}) {
        KAPPA_TRY([[maybe_unused]] const std::string rows, run(*engine, sql));
      }
    }
    KAPPA_CHECK_OK(fill(*log, clock, 0, 70, 1, sequence));
  }
  golden::Files killed;
  std::string events, view;
  {
    KAPPA_TRY(const auto log, log::Log::open(options));
    const std::string old_control = golden::load(options.directory / log::kControlName);
    KAPPA_CHECK_OK(fill(*log, clock, 70, 100, 2, sequence));
    KAPPA_TRY(events, golden::listing(*log));
    for (;;) {  // Until the background has sealed what is full.
      killed = golden::read_directory(options.directory);
      KAPPA_TRY(const log::Manifest manifest, log::decode_manifest(killed["MANIFEST"]));
      std::size_t segments = 0;
      for (const auto& [name, content] : killed) segments += name.ends_with(".segment") ? 1 : 0;
      if (manifest.sealed.size() + 1 == segments && segments >= 3) break;
    }
    killed["CONTROL"] = old_control;
    std::string& active = std::prev(killed.upper_bound("9"))->second;
    std::size_t end = active.size();
    while (active[end - 1] == '\0') --end;
    active.replace((end + 7) / 8 * 8, 100, std::string(100, '\x5a'));
    KAPPA_TRY(const auto engine, processor::Engine::open(engine_options, *log));
    KAPPA_TRY(view, run(*engine, "SELECT * FROM by_page ORDER BY page"));
  }
  golden::store(out / "clean.pack", golden::pack(golden::read_directory(options.directory)));
  golden::store(out / "killed.pack", golden::pack(killed));
  golden::store(out / "events.txt", events);
  golden::store(out / "view.txt", view);
  std::filesystem::remove_all(scratch);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: golden_writer DIRECTORY\n");
    return 2;
  }
  if (const Status done = write(argv[1]); !done) {
    std::fprintf(stderr, "%s\n", to_string(done.error()).c_str());
    return 1;
  }
  return 0;
}
