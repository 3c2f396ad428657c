// From the log to column vectors: the one decode path, used by live views, by builds and by bounded
// queries over streams.
//
// An EventSource walks the topics of its scans and gives chunks. A chunk is every event of those topics
// between two offsets, at most kVectorRows of each topic; with several topics their batches are merged in
// the order of the log, each topic read by its own reader from its own batches only. Decoding is done a
// topic at a time (topic_events.h); vectors are per topic. Chunks end anywhere between two events: what a
// view computes must not depend on where (tests cut them at random; feeder.h cuts them further).
//
// Seam: a columnar cache of sealed segments is a second producer of ScanChunk with the same vectors;
// nothing after this file knows where they came from.
// One thread at a time. Vectors and text are valid until the next call of next().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/log.h"
#include "processor/sql/plan.h"
#include "processor/topic_events.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

class EventSource {
 public:
  // `scans` are kStreamScan plans, at least one; kept alive by the caller. A topic that the log does not
  // have (yet) is one without events, for as long as the source lives.
  EventSource(log::Log& log, Offset from, const std::vector<const Plan*>& scans);
  // The same at no place: it must go_to() one before next().
  EventSource(log::Log& log, const std::vector<const Plan*>& scans);
  ~EventSource();
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  // Changes who is served, between two chunks. The topics must be the same.
  void set_scans(const std::vector<const Plan*>& scans);

  // Reads the next chunk: events of the topics below min(limit, durable end). True when the position
  // moved (perhaps over events of other topics only). Errors are the log reader's; the source is then of
  // no more use, unless the error is retryable.
  [[nodiscard]] Expected<bool> next(Offset limit);

  // Places go from source to source, so that a range of the log is read on while chunks of it wait to be used; the
  // sources must have the same topics. See TopicEvents.
  struct Place {
    Offset position;
    std::vector<TopicEvents::Place> topics;
  };
  [[nodiscard]] Place place_at(Offset from) const;
  void go_to(Place place);
  // The chunk of the last next() is usable without the place with `keep` (errors: those of intact()), not at all
  // without. The source then needs a place again.
  [[nodiscard]] Expected<Place> leave(bool keep);

  // To be asked after the chunk was used and before what came of it is published: kCorrupt 3130 if the
  // disk failed to deliver bytes that the chunk points to (see log::LogReader::intact).
  [[nodiscard]] Status intact() const;

  // Every event of the topics below has been given.
  [[nodiscard]] Offset position() const { return position_; }
  // Of the last chunk.
  [[nodiscard]] std::size_t events() const;
  [[nodiscard]] std::uint64_t poison() const;
  [[nodiscard]] const ScanChunk& chunk(std::size_t scan) const {
    return topics_[places_[scan].first].events->chunk(places_[scan].second);
  }

 private:
  struct Topic {
    std::string name;
    std::unique_ptr<TopicEvents> events;
  };
  // The topic whose event comes next in the log; null when the chunk ends here.
  [[nodiscard]] Expected<TopicEvents*> find_next(Offset limit);

  log::Log& log_;
  Offset position_;
  std::vector<Topic> topics_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;  // Per scan: topic, scan of the topic.
};

}  // namespace kappa::processor
