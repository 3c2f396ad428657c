// The events of one topic as column vectors: batches of the log in, at most kVectorRows rows a chunk out.
//
// Each event is decoded once, with the union of the columns that any scan of the topic asks for; then each
// stream's WHERE picks its events, once a chunk however many scans the stream has, and each scan gets a
// ChangeBatch over the shared vectors.
//
// Invariant: a chunk points into the reader's bytes or into its own arena, and the reader does not move
// before the chunk is done with. One thread at a time; EventSource (event_source.h) is its only user.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "log/log.h"
#include "processor/sql/plan.h"
#include "processor/vector/json_decode.h"
#include "processor/vector/vector.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

// Per chunk, what one scan sees.
struct ScanChunk {
  ChangeBatch changes;                     // The scan's output columns; the stream's WHERE applied.
  std::span<const std::uint64_t> offsets;  // Of every row, also those that are not selected; ascending.
  const Vector* times = nullptr;           // Event times by row; null: the scan has none.
  std::int64_t latest = INT64_MIN;         // Greatest event time in `changes`; INT64_MIN: none.
  // Values of the wrong type that read as NULL, by output column of the scan; columns without any are
  // left out. Counts every sound event of the topic, also those that WHERE does not keep: a wrong
  // value may be why it does not. Of a scan of dead letters: the events set aside, at the reason's column.
  struct Failures {
    std::size_t column = 0;
    std::uint64_t count = 0;
  };
  std::vector<Failures> failures;
};

// Index of a column of dead letters in a scan's stream_columns.
[[nodiscard]] std::size_t letter_column(const StreamDefinition& stream, LetterColumn column);

// The column of the event that a scan's stream_columns name; null for a pseudo column.
[[nodiscard]] const StreamColumn* event_column(const StreamDefinition& stream, std::size_t column);

class TopicEvents {
 public:
  // nullopt: a topic that the log does not have, which is one without events. It must go_to() a place first.
  TopicEvents(log::Log& log, std::optional<TopicId> topic);
  ~TopicEvents();
  TopicEvents(const TopicEvents&) = delete;
  TopicEvents& operator=(const TopicEvents&) = delete;

  // Changes who is served, between two chunks: kStreamScan plans over streams of the topic; kept alive by
  // the caller.
  void set_scans(const std::vector<const Plan*>& scans);

  // Where it is in the log, between two events, with the reader that got it there. Belongs to nobody between
  // leave() and go_to(), which may be of another TopicEvents over the same topic, on another thread.
  struct Place {
    std::unique_ptr<log::LogReader> reader;
    Offset next;
    std::optional<log::BatchView> batch;
    std::optional<RecordReader> records;
    std::uint32_t index = 0;
  };
  [[nodiscard]] Place place_at(Offset from) const;
  // Between two chunks.
  void go_to(Place place);
  // After finish_chunk(): gives the place where the chunk ended. With `keep` the chunk stays usable by itself: its
  // text is copied from the reader's bytes, and kCorrupt 3130 as of intact() if those were not delivered. Otherwise
  // the chunk must not be used any more.
  [[nodiscard]] Expected<Place> leave(bool keep);

  void start_chunk();
  enum class Next : std::uint8_t {
    kEvent,    // There is one, at next().
    kNone,     // There is none below the limit.
    kBlocked,  // The chunk must end before there can be more.
  };
  // Looks for the next event below `limit`, which is at most the durable end. Errors are the log reader's.
  [[nodiscard]] Expected<Next> look(Offset limit);
  // Decodes events of the batch that look() found until it ends, the chunk is full or `limit` is reached.
  [[nodiscard]] Status decode(Offset limit);
  // Applies the WHEREs; the chunk's results are valid until start_chunk().
  void finish_chunk();

  // Every event of the topic below has been given.
  [[nodiscard]] Offset next() const { return next_; }
  [[nodiscard]] Status intact() const { return reader_ ? reader_->intact() : Status{}; }
  [[nodiscard]] std::size_t events() const { return rows_; }
  [[nodiscard]] std::uint64_t poison() const { return poison_; }
  // By index into set_scans().
  [[nodiscard]] const ScanChunk& chunk(std::size_t scan) const { return chunks_[scan]; }

 private:
  struct Stream;
  [[nodiscard]] std::size_t add_column(const StreamColumn& column);
  [[nodiscard]] std::size_t add_stream(const std::shared_ptr<const StreamDefinition>& definition);
  // Connects the stream's columns with the vectors.
  void connect(Stream& stream);
  void note_trouble(const RecordView& record, std::size_t row, bool sound);
  void filter(Stream& stream);
  [[nodiscard]] bool full() const { return rows_ == kVectorRows || value_bytes_ >= kChunkBytesMax; }
  // A half-decoded batch that was copied into the arena is read on from the reader's bytes.
  void leave_copy();
  void own_text(Vector& vector);

  // Of events in one chunk, so that decoded chunks that wait have a bound; more than any full vector of usual ones.
  static constexpr std::size_t kChunkBytesMax = std::size_t{2} << 20;

  log::Log& log_;
  const std::optional<TopicId> topic_;
  std::unique_ptr<log::LogReader> reader_;
  Offset next_;

  std::optional<log::BatchView> batch_;   // Being decoded.
  std::optional<RecordReader> records_;   // Over its body, or over our copy of it.
  std::uint32_t index_ = 0;               // Of the next record.
  bool borrowed_ = false;                 // The chunk points into the reader's bytes.
  std::size_t copied_bytes_ = 0;

  std::vector<StreamColumn> json_columns_;
  std::optional<JsonDecoder> decoder_;
  std::vector<Vector> vectors_;           // One per JSON column.
  std::array<Vector, 4> pseudo_;          // In the order of enum Pseudo.
  std::array<bool, 4> pseudo_used_{};
  std::vector<std::uint64_t> offsets_;    // Of the rows; kVectorRows of them.
  std::vector<std::unique_ptr<Stream>> streams_;
  bool sets_aside_ = false;               // One of the streams does.
  struct Scan {
    const Plan* plan = nullptr;
    std::size_t stream = 0;
    // Output columns that are read from the event, with their index into json_columns_.
    std::vector<std::pair<std::size_t, std::size_t>> json;
  };
  std::vector<Scan> scans_;
  std::vector<ScanChunk> chunks_;
  std::vector<std::uint64_t> failures_before_;
  Arena arena_;
  std::size_t rows_ = 0;
  std::size_t value_bytes_ = 0;           // Of the chunk's events.
  std::uint64_t poison_ = 0;
  Selection sound_;                       // Rows that are not poison; used when poison_ > 0.
};

}  // namespace kappa::processor
