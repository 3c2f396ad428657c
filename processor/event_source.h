// From the log to column vectors: the one decode path, used by live views, by builds and by bounded
// queries over a stream.
//
// An EventSource walks one topic and gives chunks of at most kVectorRows events. Each event is
// decoded once, with the union of the columns that any scan asks for; then each stream's WHERE picks
// its events, and each scan gets a ChangeBatch over the shared vectors. Chunks end anywhere between
// two events: what a view computes must not depend on where (tests cut them at random).
//
// Seam: a columnar cache of sealed segments is a second producer of Chunk with the same vectors;
// nothing after this file knows where they came from.
// One thread at a time. Vectors and text are valid until the next call of next().
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
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
  ChangeBatch changes;                       // The scan's output columns; the stream's WHERE applied.
  std::int64_t watermark = INT64_MIN;        // Greatest event time in `changes`; INT64_MIN: none.
  // Values of the wrong type that read as NULL, by output column of the scan; columns without any are
  // left out. Counts every sound event of the topic, also those that WHERE does not keep: a wrong
  // value may be why it does not.
  struct Failures {
    std::size_t column = 0;
    std::uint64_t count = 0;
  };
  std::vector<Failures> failures;
};

class EventSource {
 public:
  // `scans` are kStreamScan plans over streams of `topic`; kept alive by the caller.
  EventSource(log::Log& log, TopicId topic, Offset from, std::vector<const Plan*> scans);
  ~EventSource();
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  // Changes who is served, between two chunks.
  void set_scans(std::vector<const Plan*> scans);

  // Reads the next chunk: events of the topic below min(limit, durable end). True when the position
  // moved (perhaps over events of other topics only). Errors are the log reader's; the source is then of
  // no more use.
  [[nodiscard]] Expected<bool> next(Offset limit);

  // To be asked after the chunk was used and before what came of it is published: kCorrupt 3130 if the
  // disk failed to deliver bytes that the chunk points to (see log::LogReader::intact).
  [[nodiscard]] Status intact() const { return reader_->intact(); }

  // Every event of the topic below has been given.
  [[nodiscard]] Offset position() const { return position_; }
  // Of the last chunk.
  [[nodiscard]] std::size_t events() const { return rows_; }
  [[nodiscard]] std::uint64_t poison() const { return poison_; }
  [[nodiscard]] const ScanChunk& chunk(std::size_t scan) const { return chunks_[scan]; }

 private:
  struct Stream;
  void note_trouble(const RecordView& record, std::size_t row, bool sound);
  void clear_chunk();
  // Takes the next batch of the log; false when there is none below `limit`.
  [[nodiscard]] Expected<bool> open_batch(Offset limit);
  // Decodes events of the open batch until it ends, the chunk is full or `limit` is reached.
  [[nodiscard]] Status decode_batch(Offset limit);
  void finish_chunk();
  [[nodiscard]] std::size_t add_column(const StreamColumn& column);

  log::Log& log_;
  std::unique_ptr<log::LogReader> reader_;
  Offset position_;

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
  std::uint64_t poison_ = 0;
  Selection sound_;                       // Rows that are not poison; used when poison_ > 0.
};

}  // namespace kappa::processor
