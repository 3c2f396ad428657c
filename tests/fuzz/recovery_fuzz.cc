// Opening a log directory in which anything may have happened. Promises, whatever the bytes: opening
// ends, with a log or an error, and never crashes. Against rot and mishaps (nothing forged): every event
// below the watermark is served as it was written, or its reading fails, or opening fails or reports
// damage; no other bytes are ever served; a refusal changes nothing on disk; `verify` sees what readers
// see; opening again gives the same answer; what is appended afterwards is there at the next opening.
//
// Input: edits of the small log, see edits.h.
#include <spdlog/spdlog.h>

#include "log/log.h"
#include "tests/fuzz/edits.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 512;
constexpr std::size_t kEditsMax = 6;
constexpr std::uint64_t kOffsetsMax = 64;  // More than the small log has.
constexpr std::uint32_t kTopicsMax = 4;    // The system's, two of the small log, one appended.

struct FixedClock final : log::Clock {
  Timestamp now() override { return Timestamp(1'700'000'100'000'000); }
};

log::LogOptions options_of(MemoryFiles& files, log::Clock& clock) {
  log::LogOptions options;
  options.directory = "log";
  options.segment_bytes = limits::kSegmentBytesMin;
  options.prepared_segments = 0;
  options.files = &files;
  options.clock = &clock;
  return options;
}

// What reading finds at each offset: a value, "an error" (nullopt), or the end of the vector.
using Answers = std::vector<std::optional<std::string>>;

Answers read_all(log::Log& log) {
  Answers answers;
  const std::uint64_t end = std::min(log.durable_end().value(), kOffsetsMax);
  for (Offset offset(0); offset.value() < end; ++offset) {
    const auto reader = log.reader(offset, {});
    const auto view = reader->next();
    std::optional<std::string>& answer = answers.emplace_back();
    // An error says what cannot be read. No batch, or one that begins later, would be an event skipped in
    // silence; a file with a name from the future may only make the log seem longer than it ever was.
    if (view) {
      const bool there =
          *view && (*view)->header.base_offset <= offset && offset < (*view)->header.end_offset();
      KAPPA_CHECK(there || offset.value() >= small_log().values.size(),
                  "an event below the durable end is skipped");
      if (!there) continue;
      RecordReader records((*view)->body, (*view)->header.count);
      for (Offset at = (*view)->header.base_offset;; ++at) {
        const auto record = records.next();
        if (!record || !*record) break;
        if (at == offset) answer = std::string((*record)->value);
      }
    }
  }
  return answers;
}

// Reads without promises, for directories with forged hashes.
void read_anything(log::Log& log) {
  for (std::uint64_t start = 0; start < 20; start += 3) {
    const auto reader = log.reader(Offset(start), {});
    for (int i = 0; i < 8; ++i) {
      const auto view = reader->next();
      if (!view || !*view) break;
      RecordReader records((*view)->body, (*view)->header.count);
      for (auto record = records.next(); record && *record; record = records.next()) {
      }
    }
    static_cast<void>(log.mark(Offset(start)));
  }
  for (const log::TopicInfo& topic : log.topics()) {
    const auto reader = log.reader(Offset(0), {topic.id});
    for (int i = 0; i < 8; ++i)
      if (const auto view = reader->next(); !view || !*view) break;
    static_cast<void>(log.offset_before_end(topic.id, 2));
  }
  static_cast<void>(log.offset_at_time(Timestamp(1'700'000'000'000'500)));
  static_cast<void>(log.system_records());
}

// The next offset at the watermark that the directory itself still tells; 0 if it tells none.
std::uint64_t promised_end(const Directory& files) {
  const auto control = files.find(log::kControlName);
  if (control == files.end()) return 0;
  const auto page = log::decode_control(as_bytes(control->second));
  return page && page->log_id == small_log().id ? page->watermark_offset.value() : 0;
}

// Everything but the lock file and files that may be made again from others.
Directory lasting(Directory files) {
  std::erase_if(
      files, [](const auto& file) { return file.first == log::kLockName || file.first.ends_with(".index"); });
  return files;
}

// A reader of one topic serves the same events; together the topics have all of them.
void read_topics(log::Log& log, const Answers& answers) {
  std::uint64_t events = 0;
  bool whole = true;
  for (std::uint32_t topic = 0; topic < kTopicsMax; ++topic) {
    const auto reader = log.reader(Offset(0), {TopicId(topic)});
    for (std::uint64_t i = 0; i < kOffsetsMax; ++i) {
      const auto view = reader->next();
      if (!view) whole = false;
      if (!view || !*view) break;
      RecordReader records((*view)->body, (*view)->header.count);
      for (Offset at = (*view)->header.base_offset;; ++at) {
        const auto record = records.next();
        if (!record || !*record) break;
        ++events;
        KAPPA_CHECK(at.value() < answers.size(), "a topic's reader goes past the end");
        KAPPA_CHECK(!answers[at.value()] || *answers[at.value()] == (*record)->value,
                    "a topic's reader serves another event");
      }
    }
  }
  whole = whole && std::ranges::all_of(answers, [](const auto& answer) { return answer.has_value(); });
  KAPPA_CHECK(!whole || events == answers.size(), "the topics together miss an event");
}

// What one opening of the directory said.
struct Opened {
  bool open = false;
  bool damaged = false;
  Answers answers;
};

Opened open_and_read(MemoryFiles& files, bool read_only, bool append) {
  FixedClock clock;
  log::LogOptions options = options_of(files, clock);
  options.read_only = read_only;
  Opened out;
  auto log = log::Log::open(options);
  if (!log) return out;
  out.open = true;
  out.damaged = (*log)->status().damage.has_value();
  out.answers = read_all(**log);
  read_topics(**log, out.answers);
  if (!append || out.damaged) return out;
  const auto topic = (*log)->ensure_topic("appended");
  KAPPA_CHECK(topic.has_value(), "a sound log refuses a topic");
  BatchBuilder body;
  KAPPA_CHECK(body.add({.value = "appended", .key = {}, .timestamp = {}, .headers = {}}).has_value(),
              "an event");
  log::AppendBatch batch;
  batch.topic = *topic;
  batch.count = 1;
  batch.body = body.take();
  batch.uncompressed_length = static_cast<std::uint32_t>(batch.body.size());
  const auto ack = (*log)->append(std::move(batch));
  KAPPA_CHECK(ack.has_value(), "a sound log refuses an event");
  KAPPA_CHECK(ack->base_offset.value() == out.answers.size(), "an event is not appended at the end");
  out.answers.emplace_back("appended");
  return out;
}

void check_served(const Answers& answers) {
  const std::vector<std::string>& written = small_log().values;
  for (std::size_t offset = 0; offset < answers.size(); ++offset) {
    if (!answers[offset]) continue;
    KAPPA_CHECK(offset < written.size(), "an event is served that was never written");
    KAPPA_CHECK(*answers[offset] == written[offset], "an event is served with other bytes");
  }
}

void check_rot(const Directory& directory) {
  MemoryFiles files(directory);
  const std::uint64_t promised = promised_end(directory);
  const auto report = log::verify("log", {}, &files);
  KAPPA_CHECK(lasting(files.content()) == lasting(directory), "verify changes the directory");
  const Opened reading = open_and_read(files, true, false);
  KAPPA_CHECK(lasting(files.content()) == lasting(directory), "opening for reading changes the directory");
  check_served(reading.answers);

  const Opened first = open_and_read(files, false, true);
  if (!first.open || first.damaged) {
    KAPPA_CHECK(lasting(files.content()) == lasting(directory), "a refusal changes the directory");
    KAPPA_CHECK(!first.open || !report || !report->damage.empty(), "verify sees less than opening");
    check_served(first.answers);
    const Opened again = open_and_read(files, false, false);
    KAPPA_CHECK(again.open == first.open && again.damaged == first.damaged && again.answers == first.answers,
                "a refusal says something else the second time");
    return;
  }
  const Answers served(first.answers.begin(), first.answers.end() - 1);
  check_served(served);
  KAPPA_CHECK(served.size() >= promised, "events below the watermark are lost in silence");
  // A new log is made only where there is none.
  if (reading.open) {
    KAPPA_CHECK(!reading.damaged, "damage is reported to readers alone");
    KAPPA_CHECK(reading.answers == served, "opening for writing serves other events than for reading");
    KAPPA_CHECK(report.has_value(), "verify fails where opening does not");
    const bool whole = std::ranges::all_of(served, [](const auto& answer) { return answer.has_value(); });
    KAPPA_CHECK(whole || !report->damage.empty(), "verify misses what a reader meets");
  }
  const Opened again = open_and_read(files, false, false);
  KAPPA_CHECK(again.open && !again.damaged, "a log that was opened is refused the second time");
  KAPPA_CHECK(again.answers == first.answers, "the second opening serves other events");
}

void open_forged(const Directory& directory) {
  MemoryFiles files(directory);
  static_cast<void>(log::verify("log", {}, &files));
  FixedClock clock;
  for (const bool read_only : {true, false}) {
    log::LogOptions options = options_of(files, clock);
    options.read_only = read_only;
    if (auto log = log::Log::open(options)) read_anything(**log);
  }
}

}  // namespace

int fuzz_recovery(const std::uint8_t* data, std::size_t size) {
  spdlog::set_level(spdlog::level::off);
  Input in(data, std::min(size, kInputBytesMax));
  const EditedLog edited = edit_small_log(in, kEditsMax);
  if (edited.forged) {
    open_forged(edited.files);
  } else {
    check_rot(edited.files);
  }
  return 0;
}

}  // namespace kappa::fuzz
