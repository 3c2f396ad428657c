// Chunking, decoding and fan-out. The hot loop is decode_batch(); everything else runs once a chunk.
#include "processor/event_source.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string_view>
#include <utility>

#include "processor/set_aside.h"
#include "processor/vector/evaluate.h"
#include "proto/check.h"

namespace kappa::processor {
namespace {

// A batch with fewer events is copied, so that one chunk can hold many batches: an append of one
// event each must not cost a whole vector dispatch.
constexpr std::uint32_t kCopyEventsMax = 256;
constexpr std::size_t kCopyBytesMax = std::size_t{256} << 10;  // Copied bytes of one chunk.
constexpr std::size_t kPadding = 64;                           // Readable bytes after a body (log::BatchView).

// Columns that an expression reads.
void collect_columns(const Expression& expression, std::vector<std::size_t>& columns) {
  if (expression.kind == ExpressionKind::kColumn) columns.push_back(expression.column);
  for (const ExpressionPtr& argument : expression.arguments) collect_columns(*argument, columns);
}

constexpr std::array<Type, 4> kPseudoTypes{kBigintType, kBigintType, kTextType, kTimestampType};

}  // namespace

// A stream of the topic: which vectors its columns are, and the events that its WHERE keeps.
struct EventSource::Stream {
  std::shared_ptr<const StreamDefinition> definition;
  std::vector<Vector*> columns;                       // columns, hidden, pseudo, letters; null where unused.
  std::vector<std::optional<std::size_t>> json;       // Per column and hidden: index into json_columns_.
  std::optional<ExpressionEvaluator> filter;          // Without: every event.
  std::optional<SetAside> aside;                      // on_error = 'dead_letter'.
  Selection selection;
  bool everything = false;                            // The selection is not used.
  std::int64_t watermark = INT64_MIN;
};

EventSource::EventSource(log::Log& log, TopicId topic, Offset from, std::vector<const Plan*> scans)
    : log_(log), reader_(log.reader(from, log::ReadFilter{topic})), position_(from) {
  set_scans(std::move(scans));
}

EventSource::~EventSource() = default;

std::size_t EventSource::add_column(const StreamColumn& column) {
  for (std::size_t i = 0; i < json_columns_.size(); ++i) {
    if (json_columns_[i].type == column.type && json_columns_[i].path == column.path) return i;
  }
  json_columns_.push_back(column);
  return json_columns_.size() - 1;
}

void EventSource::set_scans(std::vector<const Plan*> scans) {
  json_columns_.clear();
  streams_.clear();
  scans_.clear();
  pseudo_used_ = {};
  sets_aside_ = false;
  for (const Plan* plan : scans) {
    KAPPA_CHECK(plan->kind == PlanKind::kStreamScan, "an event source feeds stream scans");
    const StreamDefinition& definition = *plan->stream;
    const std::size_t declared = definition.columns.size();
    const std::size_t read = declared + definition.hidden.size();
    auto found = std::ranges::find_if(streams_, [&](const auto& s) { return s->definition == plan->stream; });
    if (found == streams_.end()) {
      auto stream = std::make_unique<Stream>();
      stream->definition = plan->stream;
      stream->json.resize(read);
      std::vector<std::size_t> wanted;
      if (definition.where) {
        collect_columns(*definition.where, wanted);
        stream->filter.emplace(definition.where);
      }
      if (definition.event_time) wanted.push_back(*definition.event_time);
      // Whether an event is set aside must not depend on who reads which columns.
      for (std::size_t i = 0; definition.dead_letter && i < declared; ++i) wanted.push_back(i);
      for (const std::size_t column : wanted) {
        if (column >= read) {
          pseudo_used_[column - read] = true;
        } else {
          stream->json[column] =
              add_column(column < declared ? definition.columns[column] : definition.hidden[column - declared]);
        }
      }
      streams_.push_back(std::move(stream));
      found = std::prev(streams_.end());
    }
    Stream& stream = **found;
    Scan scan{plan, static_cast<std::size_t>(found - streams_.begin()), {}};
    for (std::size_t output = 0; output < plan->stream_columns.size(); ++output) {
      const std::size_t column = plan->stream_columns[output];
      if (column >= read) {
        if (column - read < pseudo_.size()) pseudo_used_[column - read] = true;
        continue;
      }
      const std::size_t json =
          add_column(column < declared ? definition.columns[column] : definition.hidden[column - declared]);
      stream.json[column] = json;
      scan.json.emplace_back(output, json);
    }
    scans_.push_back(std::move(scan));
  }

  decoder_.emplace(json_columns_);
  failures_before_.assign(json_columns_.size(), 0);
  vectors_.clear();
  for (const StreamColumn& column : json_columns_) vectors_.emplace_back(column.type);
  for (const auto& stream : streams_) {
    stream->columns.assign(stream->json.size() + pseudo_.size() + 2, nullptr);
    for (std::size_t i = 0; i < stream->json.size(); ++i) {
      if (stream->json[i]) stream->columns[i] = &vectors_[*stream->json[i]];
    }
    for (std::size_t i = 0; i < pseudo_.size(); ++i) {
      if (pseudo_used_[i]) stream->columns[stream->json.size() + i] = &pseudo_[i];
    }
    if (!stream->definition->dead_letter) continue;
    std::vector<std::size_t> decoded;
    for (std::size_t i = 0; i < stream->definition->columns.size(); ++i) decoded.push_back(*stream->json[i]);
    const bool rows_wanted = std::ranges::any_of(scans, [&](const Plan* plan) {
      return plan->stream == stream->definition && plan->dead_letters;
    });
    stream->aside.emplace(stream->definition, std::move(decoded), rows_wanted);
    stream->columns[stream->json.size() + pseudo_.size()] = &stream->aside->reason();
    stream->columns[stream->json.size() + pseudo_.size() + 1] = &stream->aside->retried();
    sets_aside_ = true;
  }
  chunks_.assign(scans_.size(), {});
  for (std::size_t i = 0; i < scans_.size(); ++i) {
    const Stream& stream = *streams_[scans_[i].stream];
    for (const std::size_t column : scans_[i].plan->stream_columns) {
      chunks_[i].changes.columns.push_back(stream.columns[column]);
    }
    chunks_[i].changes.arena = &arena_;
  }
  rows_ = 0;
  poison_ = 0;
}

void EventSource::clear_chunk() {
  // Text of a half-decoded copied batch lives in the arena: it is the one thing that must survive.
  if (records_ && !borrowed_ && batch_) {
    // Decode the rest from the reader's bytes: they stay valid until the reader moves.
    RecordReader rest(batch_->body, batch_->header.count);
    for (std::uint32_t i = 0; i < index_; ++i) static_cast<void>(rest.next());
    records_.emplace(rest);
  }
  borrowed_ = records_.has_value();
  copied_bytes_ = 0;
  arena_.reset();
  rows_ = 0;
  poison_ = 0;
  sound_.clear();
  decoder_->start(vectors_);
  for (const auto& stream : streams_) {
    if (stream->aside) stream->aside->start_chunk();
  }
  for (std::size_t i = 0; i < pseudo_.size(); ++i) {
    if (pseudo_used_[i]) pseudo_[i].reset(kPseudoTypes[i], kVectorRows);
  }
}

Expected<bool> EventSource::open_batch(Offset limit) {
  if (!batch_) {
    // Read before the reader looks: when it then finds nothing, everything below was seen.
    const Offset end = log_.durable_end();
    KAPPA_TRY(batch_, reader_->next());
    if (!batch_) {
      position_ = std::max(position_, std::min(limit, end));
      return false;
    }
    index_ = 0;
    records_.reset();
  }
  const BatchHeader& header = batch_->header;
  if (header.base_offset + index_ >= limit) {
    position_ = std::max(position_, limit);  // What lies between is of other topics.
    return false;
  }
  if (!records_) {
    Bytes body = batch_->body;
    const bool small = header.count <= kCopyEventsMax && copied_bytes_ + body.size() <= kCopyBytesMax;
    if (small) {
      char* copy = arena_.allocate(body.size() + kPadding);
      std::memcpy(copy, body.data(), body.size());
      std::memset(copy + body.size(), 0, kPadding);
      KAPPA_CHECK_OK(reader_->intact());
      copied_bytes_ += body.size() + kPadding;
      body = {reinterpret_cast<const std::byte*>(copy), body.size()};
    } else {
      borrowed_ = true;
    }
    records_.emplace(body, header.count);
  }
  return true;
}

Status EventSource::decode_batch(Offset limit) {
  const BatchHeader& header = batch_->header;
  while (index_ < header.count && rows_ < kVectorRows) {
    const Offset offset = header.base_offset + index_;
    if (offset >= limit) return {};
    const auto decoded = records_->next();
    if (!decoded || !*decoded) KAPPA_CHECK_OK(reader_->intact());  // It may be the disk's fault.
    if (!decoded) return std::unexpected(decoded.error());
    const std::optional<RecordView>& record = *decoded;
    if (!record) return fail(ErrorCode::kCorrupt, 3105, "a batch ends before its last event");
    ++index_;
    if (offset < position_) continue;  // The first batch may begin before our position.
    const std::size_t row = rows_++;
    // The log promises readable bytes after a body, and a copy has them: always padded.
    const bool sound = decoder_->decode(record->value, row, vectors_, arena_, true);
    if (sets_aside_) note_trouble(*record, row, sound);
    if (sound) [[likely]] {
      if (poison_ > 0) sound_.push_back(static_cast<std::uint32_t>(row));
    } else {
      if (poison_++ == 0) {
        for (std::uint32_t i = 0; i < row; ++i) sound_.push_back(i);
      }
    }
    if (pseudo_used_[0]) {
      pseudo_[0].valid()[row] = 1;
      pseudo_[0].data<std::int64_t>()[row] = static_cast<std::int64_t>(offset.value());
    }
    if (pseudo_used_[1]) {
      pseudo_[1].valid()[row] = 1;
      pseudo_[1].data<std::int64_t>()[row] = static_cast<std::int64_t>(header.base_sequence.value()) + index_ - 1;
    }
    if (pseudo_used_[2] && record->key) {
      pseudo_[2].valid()[row] = 1;
      pseudo_[2].data<std::string_view>()[row] = *record->key;
    }
    if (pseudo_used_[3]) {
      pseudo_[3].valid()[row] = 1;
      pseudo_[3].data<std::int64_t>()[row] = header.append_time.value();
    }
    position_ = offset + 1;
  }
  return {};
}

void EventSource::note_trouble(const RecordView& record, std::size_t row, bool sound) {
  if (sound && decoder_->event_failures() == 0 && record.headers.empty()) return;
  const auto number = static_cast<std::uint32_t>(row);
  for (const auto& stream : streams_) {
    if (!stream->aside) continue;
    if (!sound) stream->aside->note_poison(number, record.value);
    if (decoder_->event_failures() > 0) stream->aside->note_failures(number, record.value, *decoder_);
    if (!record.headers.empty()) stream->aside->note_headers(number, record.headers);
  }
}

void EventSource::finish_chunk() {
  for (const auto& stream : streams_) {
    ChangeBatch all;
    all.count = rows_;
    all.columns = stream->columns;
    all.selection = poison_ > 0 ? &sound_ : nullptr;
    all.arena = &arena_;
    stream->everything = !stream->filter && poison_ == 0;
    if (stream->filter) {
      stream->filter->filter(all, stream->selection);
    } else if (poison_ > 0) {
      stream->selection = sound_;
    }
    if (stream->aside && !stream->aside->empty()) {
      if (stream->everything) {
        stream->selection.resize(rows_);
        std::iota(stream->selection.begin(), stream->selection.end(), 0U);
        stream->everything = false;
      }
      stream->aside->finish(all, stream->selection);
    }
    stream->watermark = INT64_MIN;
    if (stream->definition->event_time) {
      const Vector& times = *stream->columns[*stream->definition->event_time];
      ChangeBatch kept = all;
      kept.selection = stream->everything ? nullptr : &stream->selection;
      for_each_row(kept, [&](std::uint32_t row) {
        if (times.valid()[row]) {
          stream->watermark = std::max(stream->watermark, times.data<std::int64_t>()[row]);
        }
      });
    }
  }
  const std::vector<std::uint64_t>& failures = decoder_->conversion_failures();
  for (std::size_t i = 0; i < scans_.size(); ++i) {
    const Stream& stream = *streams_[scans_[i].stream];
    ScanChunk& chunk = chunks_[i];
    chunk.changes.count = rows_;
    chunk.failures.clear();
    if (scans_[i].plan->dead_letters) {
      chunk.changes.selection = &stream.aside->letters();
      continue;
    }
    chunk.changes.selection = stream.everything ? nullptr : &stream.selection;
    chunk.watermark = stream.watermark;
    for (const auto& [output, json] : scans_[i].json) {
      const std::uint64_t count = failures[json] - failures_before_[json];
      if (count > 0) chunk.failures.push_back({output, count});
    }
  }
  std::ranges::copy(failures, failures_before_.begin());
}

Expected<bool> EventSource::next(Offset limit) {
  const Offset before = position_;
  clear_chunk();
  while (rows_ < kVectorRows && position_ < limit) {
    if (!batch_ && borrowed_) break;  // The reader must not move while the chunk points into its bytes.
    auto opened = open_batch(limit);
    if (!opened && rows_ > 0) break;  // What was decoded is sound; the next call meets the error again.
    if (!opened) return std::unexpected(std::move(opened).error());
    if (!*opened) break;
    if (borrowed_ && rows_ > 0 && index_ == 0 && batch_->header.count >= kVectorRows) {
      // A large batch starts its own chunk, so that its chunks are full.
      records_.reset();
      borrowed_ = false;
      break;
    }
    KAPPA_CHECK_OK(decode_batch(limit));
    if (index_ == batch_->header.count) {
      batch_.reset();
      records_.reset();
    }
  }
  finish_chunk();
  return position_ != before;
}

}  // namespace kappa::processor
