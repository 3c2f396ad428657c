// Decoding and fan-out of one topic. The hot loop is decode(); everything else runs once a batch or a chunk.
#include "processor/topic_events.h"

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

std::size_t letter_column(const StreamDefinition& stream, LetterColumn column) {
  return stream.columns.size() + stream.hidden.size() + static_cast<std::size_t>(column);
}

const StreamColumn* event_column(const StreamDefinition& stream, std::size_t column) {
  const std::size_t declared = stream.columns.size();
  if (column < declared) return &stream.columns[column];
  return column - declared < stream.hidden.size() ? &stream.hidden[column - declared] : nullptr;
}

// A stream of the topic: which vectors its columns are, and the events that its WHERE keeps.
struct TopicEvents::Stream {
  std::shared_ptr<const StreamDefinition> definition;
  std::vector<Vector*> columns;                       // columns, hidden, pseudo, letters; null where unused.
  std::vector<std::optional<std::size_t>> json;       // Per column and hidden: index into json_columns_.
  std::optional<ExpressionEvaluator> filter;          // Without: every event.
  std::optional<SetAside> aside;                      // on_error = 'dead_letter'.
  bool letters_wanted = false;                        // Somebody reads what is set aside.
  Selection selection;
  bool everything = false;                            // The selection is not used.
  const Vector* times = nullptr;
  std::int64_t latest = INT64_MIN;
};

TopicEvents::TopicEvents(log::Log& log, std::optional<TopicId> topic) : log_(log), topic_(topic) {
  offsets_.resize(kVectorRows);
}

TopicEvents::~TopicEvents() = default;

TopicEvents::Place TopicEvents::place_at(Offset from) const {
  Place place;
  if (topic_) place.reader = log_.reader(from, log::ReadFilter{*topic_});
  place.next = from;
  return place;
}

void TopicEvents::go_to(Place place) {
  reader_ = std::move(place.reader);
  next_ = place.next;
  batch_ = std::move(place.batch);
  records_ = std::move(place.records);
  index_ = place.index;
  borrowed_ = false;
  rows_ = 0;
}

void TopicEvents::leave_copy() {
  if (!records_ || borrowed_ || !batch_) return;
  RecordReader rest(batch_->body, batch_->header.count);
  for (std::uint32_t i = 0; i < index_; ++i) static_cast<void>(rest.next());
  records_.emplace(rest);
}

void TopicEvents::own_text(Vector& vector) {
  const std::uint8_t* const valid = vector.valid();
  std::string_view* const texts = vector.data<std::string_view>();
  std::size_t bytes = 0;
  for (std::size_t row = 0; row < rows_; ++row) {
    if (valid[row] == 0) texts[row] = {};  // Nobody may look where it pointed.
    bytes += texts[row].size();
  }
  char* out = arena_.allocate(bytes);
  for (std::size_t row = 0; row < rows_; ++row) {
    const std::size_t size = texts[row].size();
    if (size == 0) continue;
    std::memcpy(out, texts[row].data(), size);
    texts[row] = {out, size};
    out += size;
  }
}

Expected<TopicEvents::Place> TopicEvents::leave(bool keep) {
  if (keep && borrowed_) {
    for (Vector& vector : vectors_) {
      if (physical_of(vector.type().id) == Physical::kText) own_text(vector);
    }
    if (pseudo_used_[2]) own_text(pseudo_[2]);
  }
  if (keep) KAPPA_CHECK_OK(intact());
  leave_copy();
  Place place{std::move(reader_), next_, std::move(batch_), std::move(records_), index_};
  batch_.reset();
  records_.reset();
  return place;
}

std::size_t TopicEvents::add_column(const StreamColumn& column) {
  for (std::size_t i = 0; i < json_columns_.size(); ++i) {
    if (json_columns_[i].type == column.type && json_columns_[i].path == column.path) return i;
  }
  json_columns_.push_back(column);
  return json_columns_.size() - 1;
}

std::size_t TopicEvents::add_stream(const std::shared_ptr<const StreamDefinition>& definition) {
  const auto found = std::ranges::find_if(streams_, [&](const auto& s) { return s->definition == definition; });
  if (found != streams_.end()) return static_cast<std::size_t>(found - streams_.begin());
  auto stream = std::make_unique<Stream>();
  stream->definition = definition;
  const std::size_t read = definition->columns.size() + definition->hidden.size();
  stream->json.resize(read);
  std::vector<std::size_t> wanted;
  if (definition->where) {
    collect_columns(*definition->where, wanted);
    stream->filter.emplace(definition->where);
  }
  if (definition->event_time) wanted.push_back(*definition->event_time);
  // Whether an event is set aside must not depend on who reads which columns.
  for (std::size_t i = 0; definition->dead_letter && i < definition->columns.size(); ++i) wanted.push_back(i);
  for (const std::size_t column : wanted) {
    if (const StreamColumn* place = event_column(*definition, column)) {
      stream->json[column] = add_column(*place);
    } else {
      pseudo_used_[column - read] = true;
    }
  }
  streams_.push_back(std::move(stream));
  return streams_.size() - 1;
}

void TopicEvents::set_scans(const std::vector<const Plan*>& scans) {
  json_columns_.clear();
  streams_.clear();
  scans_.clear();
  pseudo_used_ = {};
  sets_aside_ = false;
  for (const Plan* plan : scans) {
    KAPPA_CHECK(plan->kind == PlanKind::kStreamScan, "an event source feeds stream scans");
    const std::size_t number = add_stream(plan->stream);
    Stream& stream = *streams_[number];
    const std::size_t read = stream.json.size();
    stream.letters_wanted |= plan->dead_letters;
    Scan scan{plan, number, {}};
    for (std::size_t output = 0; output < plan->stream_columns.size(); ++output) {
      const std::size_t column = plan->stream_columns[output];
      if (const StreamColumn* place = event_column(*plan->stream, column)) {
        const std::size_t json = add_column(*place);
        stream.json[column] = json;
        scan.json.emplace_back(output, json);
      } else if (column - read < pseudo_.size()) {
        pseudo_used_[column - read] = true;
      }
    }
    scans_.push_back(std::move(scan));
  }

  decoder_.emplace(json_columns_);
  failures_before_.assign(json_columns_.size(), 0);
  vectors_.clear();
  for (const StreamColumn& column : json_columns_) vectors_.emplace_back(column.type);
  for (const auto& stream : streams_) connect(*stream);
  chunks_.assign(scans_.size(), {});
  for (std::size_t i = 0; i < scans_.size(); ++i) {
    const Stream& stream = *streams_[scans_[i].stream];
    for (const std::size_t column : scans_[i].plan->stream_columns) {
      chunks_[i].changes.columns.push_back(stream.columns[column]);
    }
    chunks_[i].changes.arena = &arena_;
    if (!scans_[i].plan->dead_letters) chunks_[i].times = stream.times;
  }
  rows_ = 0;
  poison_ = 0;
}

void TopicEvents::connect(Stream& stream) {
  const std::size_t read = stream.json.size();
  stream.columns.assign(read + pseudo_.size() + 2, nullptr);
  for (std::size_t i = 0; i < read; ++i) {
    if (stream.json[i]) stream.columns[i] = &vectors_[*stream.json[i]];
  }
  for (std::size_t i = 0; i < pseudo_.size(); ++i) {
    if (pseudo_used_[i]) stream.columns[read + i] = &pseudo_[i];
  }
  const StreamDefinition& definition = *stream.definition;
  if (definition.event_time) stream.times = stream.columns[*definition.event_time];
  if (!definition.dead_letter) return;
  std::vector<std::size_t> decoded;
  for (std::size_t i = 0; i < definition.columns.size(); ++i) decoded.push_back(*stream.json[i]);
  stream.aside.emplace(stream.definition, std::move(decoded), stream.letters_wanted);
  stream.columns[read + pseudo_.size()] = &stream.aside->reason();
  stream.columns[read + pseudo_.size() + 1] = &stream.aside->retried();
  sets_aside_ = true;
}

void TopicEvents::start_chunk() {
  // Text of a half-decoded copied batch lives in the arena: it is the one thing that must survive.
  leave_copy();  // The reader's bytes stay valid until it moves.
  borrowed_ = records_.has_value();
  copied_bytes_ = 0;
  arena_.reset();
  rows_ = 0;
  value_bytes_ = 0;
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

Expected<TopicEvents::Next> TopicEvents::look(Offset limit) {
  if (!batch_) {
    if (!reader_) {
      next_ = std::max(next_, limit);
      return Next::kNone;
    }
    // The reader must not move while the chunk points into its bytes.
    if (borrowed_ || full()) return Next::kBlocked;
    KAPPA_TRY(batch_, reader_->next());
    if (!batch_) {
      next_ = std::max(next_, limit);
      return Next::kNone;
    }
    index_ = 0;
    records_.reset();
  }
  const BatchHeader& header = batch_->header;
  next_ = std::max(next_, header.base_offset + index_);
  if (next_ >= limit) return Next::kNone;  // What lies between is of other topics.
  if (full()) return Next::kBlocked;
  if (records_) return Next::kEvent;
  Bytes body = batch_->body;
  if (header.count <= kCopyEventsMax && copied_bytes_ + body.size() <= kCopyBytesMax) {
    char* copy = arena_.allocate(body.size() + kPadding);
    std::memcpy(copy, body.data(), body.size());
    std::memset(copy + body.size(), 0, kPadding);
    KAPPA_CHECK_OK(reader_->intact());
    copied_bytes_ += body.size() + kPadding;
    body = {reinterpret_cast<const std::byte*>(copy), body.size()};
  } else {
    // A large batch starts its own chunk, so that its chunks are full.
    if (rows_ > 0 && header.count >= kVectorRows) return Next::kBlocked;
    borrowed_ = true;
  }
  records_.emplace(body, header.count);
  return Next::kEvent;
}

Status TopicEvents::decode(Offset limit) {
  const BatchHeader& header = batch_->header;
  while (index_ < header.count && !full()) {
    const Offset offset = header.base_offset + index_;
    if (offset >= limit) return {};
    const auto decoded = records_->next();
    if (!decoded || !*decoded) KAPPA_CHECK_OK(reader_->intact());  // It may be the disk's fault.
    if (!decoded) return std::unexpected(decoded.error());
    if (!*decoded) return fail(ErrorCode::kCorrupt, 3105, "a batch ends before its last event");
    const RecordView& record = **decoded;
    ++index_;
    if (offset < next_) continue;  // The first batch may begin before our position.
    const std::size_t row = rows_++;
    value_bytes_ += record.value.size();
    offsets_[row] = offset.value();
    // The log promises readable bytes after a body, and a copy has them: always padded.
    const bool sound = decoder_->decode(record.value, row, vectors_, arena_, true);
    if (sets_aside_) note_trouble(record, row, sound);
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
    if (pseudo_used_[2] && record.key) {
      pseudo_[2].valid()[row] = 1;
      pseudo_[2].data<std::string_view>()[row] = *record.key;
    }
    if (pseudo_used_[3]) {
      pseudo_[3].valid()[row] = 1;
      pseudo_[3].data<std::int64_t>()[row] = header.append_time.value();
    }
    next_ = offset + 1;
  }
  if (index_ == header.count) {
    batch_.reset();
    records_.reset();
  }
  return {};
}

void TopicEvents::note_trouble(const RecordView& record, std::size_t row, bool sound) {
  if (sound && decoder_->event_failures() == 0 && record.headers.empty()) return;
  const auto number = static_cast<std::uint32_t>(row);
  for (const auto& stream : streams_) {
    if (!stream->aside) continue;
    if (!sound) stream->aside->note_poison(number, record.value);
    if (decoder_->event_failures() > 0) stream->aside->note_failures(number, record.value, *decoder_);
    if (!record.headers.empty()) stream->aside->note_headers(number, record.headers);
  }
}

void TopicEvents::filter(Stream& stream) {
  ChangeBatch all;
  all.count = rows_;
  all.columns = stream.columns;
  all.selection = poison_ > 0 ? &sound_ : nullptr;
  all.arena = &arena_;
  stream.everything = !stream.filter && poison_ == 0;
  if (stream.filter) {
    stream.filter->filter(all, stream.selection);
  } else if (poison_ > 0) {
    stream.selection = sound_;
  }
  if (stream.aside && !stream.aside->empty()) {
    if (stream.everything) {
      stream.selection.resize(rows_);
      std::iota(stream.selection.begin(), stream.selection.end(), 0U);
      stream.everything = false;
    }
    stream.aside->finish(all, stream.selection);
  }
  stream.latest = INT64_MIN;
  if (stream.times == nullptr) return;
  const std::uint8_t* valid = stream.times->valid();
  const std::int64_t* times = stream.times->data<std::int64_t>();
  all.selection = stream.everything ? nullptr : &stream.selection;
  for_each_row(all, [&](std::uint32_t row) {
    if (valid[row]) stream.latest = std::max(stream.latest, times[row]);
  });
}

void TopicEvents::finish_chunk() {
  for (Vector& vector : vectors_) vector.offer_codes(rows_);
  for (const auto& stream : streams_) filter(*stream);
  const std::vector<std::uint64_t>& failures = decoder_->conversion_failures();
  for (std::size_t i = 0; i < scans_.size(); ++i) {
    const Stream& stream = *streams_[scans_[i].stream];
    ScanChunk& chunk = chunks_[i];
    chunk.changes.count = rows_;
    chunk.offsets = std::span(offsets_).first(rows_);
    chunk.failures.clear();
    if (scans_[i].plan->dead_letters) {
      chunk.changes.selection = &stream.aside->letters();
      const auto& columns = scans_[i].plan->stream_columns;
      const auto reason = std::ranges::find(columns, letter_column(*stream.definition, LetterColumn::kReason));
      if (reason != columns.end() && stream.aside->count() > 0) {
        chunk.failures.push_back({static_cast<std::size_t>(reason - columns.begin()), stream.aside->count()});
      }
      continue;
    }
    chunk.changes.selection = stream.everything ? nullptr : &stream.selection;
    chunk.latest = stream.latest;
    for (const auto& [output, json] : scans_[i].json) {
      const std::uint64_t count = failures[json] - failures_before_[json];
      if (count > 0) chunk.failures.push_back({output, count});
    }
  }
  std::ranges::copy(failures, failures_before_.begin());
}

}  // namespace kappa::processor
