// Writes the events of one derived stream to its topic: each once, in order, whatever is killed when.
//
// An event is known by its number in the stream, which follows from the log (derived_sink.h). It carries it, with
// its source and ordinal, in the header kappa-source: "<source offset>/<ordinal>/<number>". At opening the last
// event of the stream that the topic holds says from which number on events are missing; those below it are left
// out when they are made again. The batches are those of one idempotent producer, so the log itself refuses one
// that would repeat or miss an event. Whoever keeps the stream's state commits it at an offset only when
// durable() covers the events made below that offset: then what a crash forgets is made again from the state, and
// what it does not forget is left out.
//
// A full log refuses batches; they wait, in order, and are sent again (go_on()). Memory is bounded by whoever
// makes the events: they stop when bytes() is over kDerivedPendingBytesMax.
// Threads: one thread for everything; acknowledgements come from the log's threads into a part of their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/log.h"
#include "processor/derived_sink.h"
#include "proto/batch.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

inline constexpr std::string_view kSourceHeader = "kappa-source";
// Bytes of events that are not durable yet: above it no more should be made.
inline constexpr std::size_t kDerivedPendingBytesMax = std::size_t{8} << 20;

// The producer of a derived stream: its catalog record's offset and version, so that one that is created
// again is another.
[[nodiscard]] ProducerId derived_producer(const std::string& name, Offset id, std::uint32_t version);

class DerivedWriter {
 public:
  using Clock = std::chrono::steady_clock;

  // Looks what the topic has of the producer. `wake` is called, from any thread, when go_on() has something to
  // do or durable() grew. kFull (no room to register the topic) and the errors of reading the log.
  [[nodiscard]] static Expected<std::unique_ptr<DerivedWriter>> open(log::Log& log, const std::string& topic,
                                                                     ProducerId producer, std::function<void()> wake);
  // Waits for what was handed to the log; what was not is forgotten, the state's next life makes it again.
  ~DerivedWriter();
  DerivedWriter(const DerivedWriter&) = delete;
  DerivedWriter& operator=(const DerivedWriter&) = delete;

  // The number of the first event that the topic does not have and nobody has given to add().
  [[nodiscard]] std::uint64_t next() const { return next_; }
  // False if the log could not say what the topic had (retention removed it): a state that says it had more is
  // right then. start_at() tells.
  [[nodiscard]] bool proven() const { return proven_; }
  void start_at(std::uint64_t number);

  // Takes an event; one below next() is left out. kTooLarge 1007 for one over the limits of an event.
  [[nodiscard]] Status add(const DerivedEvent& event);
  // What was added since the last send() is given to the log, or ...
  void send();
  // ... is forgotten.
  void discard();

  // Sends again what was refused, when it is time. The next time; nullopt: an acknowledgement will wake. An
  // error is final: the log takes no more, or another writes in the stream's name.
  [[nodiscard]] Expected<std::optional<Clock::time_point>> go_on(Clock::time_point now);

  // Every event below this number is durable.
  [[nodiscard]] std::uint64_t durable() const;
  [[nodiscard]] std::size_t bytes() const;
  // Why the log takes nothing at the moment; nullopt if it does.
  [[nodiscard]] std::optional<Error> refused() const;
  // Blocks until everything sent is acknowledged or refused.
  void wait();

 private:
  struct Batch;
  struct Shared;
  DerivedWriter(log::Log& log, TopicId topic, ProducerId producer, std::function<void()> wake);
  [[nodiscard]] Status find_start(const std::string& name);
  void seal();
  // Hands batches to the log, as many as may be under way.
  void submit();

  log::Log& log_;
  const TopicId topic_;
  const ProducerId producer_;
  std::uint32_t epoch_ = 0;
  std::uint64_t next_ = 0;
  bool proven_ = true;
  std::uint64_t sequence_ = 0;  // Of the producer: of the next batch to be sealed.
  BatchBuilder builder_;
  std::vector<Batch> sealed_;   // Since the last send().
  std::shared_ptr<Shared> shared_;  // With the acknowledgements.
};

}  // namespace kappa::processor
