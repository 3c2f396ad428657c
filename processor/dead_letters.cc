#include "processor/dead_letters.h"

#include <simdjson.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "processor/operators/build.h"
#include "processor/vector/functions.h"
#include "proto/base64.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kLettersAtOnce = 256;                     // Read from the state under one snapshot.
constexpr std::size_t kGiveBytes = std::size_t{256} << 10;      // Events in one call of `give`, about.

// Of the view's rows.
constexpr std::size_t kOffsetColumn = 0;
constexpr std::size_t kReasonColumn = 1;
constexpr std::size_t kRetryOfColumn = 2;

ViewPlan plan_of(const std::shared_ptr<const StreamDefinition>& stream) {
  const std::size_t read = stream->columns.size() + stream->hidden.size();
  auto scan = std::make_shared<Plan>();
  scan->kind = PlanKind::kStreamScan;
  scan->stream = stream;
  scan->dead_letters = true;
  scan->output = {{"_offset", kBigintType}, {"reason", kTextType}, {"retry_of", kBigintType}};
  scan->stream_columns = {read + static_cast<std::size_t>(Pseudo::kOffset),
                          letter_column(*stream, LetterColumn::kReason),
                          letter_column(*stream, LetterColumn::kRetryOf)};
  auto root = std::make_shared<Plan>();
  root->kind = PlanKind::kProject;
  root->output = scan->output;
  for (std::size_t i = 0; i < scan->output.size(); ++i) {
    root->expressions.push_back(make_column(i, scan->output[i].type));
  }
  root->input = std::move(scan);
  ViewPlan plan;
  plan.visible_columns = root->output.size();
  plan.root = std::move(root);
  plan.key_columns = {kOffsetColumn};
  plan.append_only_key = true;
  return plan;
}

// Events of a topic by offset; fast where the offsets ascend within a batch.
class EventReader {
 public:
  EventReader(log::Log& log, TopicId topic) : reader_(log.reader(log.start(), log::ReadFilter{topic})) {}

  struct Event {
    std::string value;
    Timestamp append_time;
  };
  // nullopt: the log has it no more.
  [[nodiscard]] Expected<std::optional<Event>> at(Offset offset) {
    if (!batch_ || offset >= batch_->header.end_offset() || offset < next_) {
      batch_.reset();
      if (const Status sought = reader_->seek(offset); !sought) return gone(sought.error());
      auto batch = reader_->next();
      if (!batch) return gone(batch.error());
      batch_ = *batch;
      if (!batch_ || batch_->header.base_offset > offset) return std::nullopt;
      records_.emplace(batch_->body, batch_->header.count);
      next_ = batch_->header.base_offset;
    }
    std::optional<Event> event;
    while (next_ <= offset) {
      KAPPA_TRY(const auto record, records_->next());
      if (!record) return fail(ErrorCode::kCorrupt, 3105, "a batch ends before its last event");
      if (next_ == offset) event = Event{std::string(record->value), batch_->header.append_time};
      next_ += 1;
    }
    KAPPA_CHECK_OK(reader_->intact());
    return event;
  }

 private:
  static Expected<std::optional<Event>> gone(const Error& error) {
    if (error.code == ErrorCode::kNotFound) return std::nullopt;
    return std::unexpected(error);
  }
  std::unique_ptr<log::LogReader> reader_;
  std::optional<log::BatchView> batch_;
  std::optional<RecordReader> records_;
  Offset next_;  // Of the next record of records_.
};

// Goes over the rows of the view, a few under each snapshot, so that none is held while somebody waits.
class Letters {
 public:
  explicit Letters(LiveView::Served served) : served_(std::move(served)) {}

  // The next rows, empty at the end.
  [[nodiscard]] Expected<std::vector<Row>> next() {
    std::vector<Row> rows;
    KAPPA_TRY(const auto snapshot, served_.store->snapshot());
    const auto cursor = snapshot->scan(served_.reader->table(), {from_, std::nullopt}, false);
    while (rows.size() < kLettersAtOnce) {
      KAPPA_TRY(const auto entry, cursor->next());
      if (!entry) break;
      from_.assign(entry->key);
      from_ += '\0';
      KAPPA_TRY(auto stored, served_.reader->decode(entry->key, entry->value));
      if (stored) rows.push_back(std::move(stored->row));
    }
    return rows;
  }

 private:
  LiveView::Served served_;
  std::string from_;
};

}  // namespace

CatalogEntryPtr dead_letters_entry(const CatalogEntry& stream) {
  if (!stream.stream || !stream.stream->dead_letter) return nullptr;
  CatalogEntry entry = stream;
  entry.name = "dead letters of " + stream.name;
  entry.view = std::make_shared<const ViewPlan>(plan_of(stream.stream));
  entry.stream = nullptr;  // With both it would be a derived stream.
  return std::make_shared<const CatalogEntry>(std::move(entry));
}

std::vector<Column> dead_letter_columns() {
  return {{"stream", kTextType},       {"offset", kBigintType},        {"reason", kTextType},
          {"event", kTextType},        {"event_base64", kTextType},    {"append_time", kTimestampType},
          {"retry_of", kBigintType},   {"retried_by", kBigintType}};
}

Expected<std::uint64_t> read_dead_letters(const std::string& name, const LiveView& letters, log::Log& log,
                                          const std::function<bool(std::vector<Row>)>& give) {
  KAPPA_TRY(const LiveView::Served served, letters.served());
  // The newest retry of each event.
  std::map<std::int64_t, std::int64_t> retried;
  for (Letters all(served);;) {
    KAPPA_TRY(const std::vector<Row> rows, all.next());
    if (rows.empty()) break;
    for (const Row& row : rows) {
      if (!row[kRetryOfColumn].is_null()) retried[row[kRetryOfColumn].as_int64()] = row[kOffsetColumn].as_int64();
    }
  }
  const auto topic = log.find_topic(letters.scans().front()->stream->topic);
  std::optional<EventReader> events;
  if (topic) events.emplace(log, topic->id);
  std::uint64_t given = 0;
  std::vector<Row> piece;
  std::size_t piece_bytes = 0;
  for (Letters all(served);;) {
    KAPPA_TRY(std::vector<Row> rows, all.next());
    for (Row& row : rows) {
      if (row[kReasonColumn].is_null()) continue;  // A retry that is sound.
      const std::int64_t offset = row[kOffsetColumn].as_int64();
      Value text = Value::null(kTextType);
      Value bytes = Value::null(kTextType);
      Value time = Value::null(kTimestampType);
      std::optional<EventReader::Event> event;
      if (events) {
        KAPPA_TRY(event, events->at(Offset(static_cast<std::uint64_t>(offset))));
      }
      if (event) {
        time = Value::timestamp(event->append_time.value());
        piece_bytes += event->value.size();
        if (simdjson::validate_utf8(event->value.data(), event->value.size())) {
          text = Value::text(std::move(event->value));
        } else {
          bytes = Value::text(encode_base64(event->value));
        }
      }
      const auto again = retried.find(offset);
      piece.push_back({Value::text(name), std::move(row[kOffsetColumn]), std::move(row[kReasonColumn]), std::move(text),
                       std::move(bytes), std::move(time), std::move(row[kRetryOfColumn]),
                       again == retried.end() ? Value::null(kBigintType) : Value::bigint(again->second)});
      ++given;
      if (piece_bytes < kGiveBytes && piece.size() < kLettersAtOnce) continue;
      if (!give(std::exchange(piece, {}))) return given;
      piece_bytes = 0;
    }
    if (rows.empty()) break;
  }
  if (!piece.empty()) static_cast<void>(give(std::move(piece)));
  return given;
}

}  // namespace kappa::processor
