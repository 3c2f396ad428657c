// A range of the log decoded by many threads and given in the order of the log: the parallel form of EventSource.
//
// The range is cut into units of some ten thousand events. Whoever calls step() either gives the next chunk in
// order to the consumer, if it is decoded and nobody else is giving one, or decodes a chunk of the lowest unit that
// needs it. So the consumer sees the same chunks' events in the same order as from one EventSource, one call at a
// time, on changing threads, while decoding (reading, checksums, JSON, WHERE of the streams) runs on all of them.
// This is morsel-driven parallelism (Leis, Boncz, Kemper, Neumann, SIGMOD 2014) with an ordered sink.
//
// Bounds: sources_max chunks exist at most, each of at most kVectorRows events or about 2 MiB of them. One of them
// is kept for the lowest unit, so that it can always go on.
// A chunk that its own thread can give at once is used in place; only one that waits has its text copied out of the
// reader's bytes. So one thread alone does what an EventSource does.
// Thread-safe, except where said.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "processor/event_source.h"
#include "processor/replay/bell.h"
#include "proto/error.h"

namespace kappa::processor {

// Offsets of a unit that holds about as many events of `scans`' topics as pay for opening it: topics that are a
// small part of the log get longer units.
[[nodiscard]] std::uint64_t unit_offsets(const log::Log& log, const std::vector<const Plan*>& scans);

class OrderedScan {
 public:
  // Takes the chunks, one call at a time and in order.
  class Consumer {
   public:
    virtual ~Consumer() = default;
    // False: not now (a wish; a take() may come that was decided before). Must not block.
    [[nodiscard]] virtual bool ready() = 0;
    // Uses the chunk. False: no more of this scan.
    [[nodiscard]] virtual bool take(const EventSource& chunk) = 0;
  };

  struct Options {
    std::uint64_t unit = 1 << 15;  // Offsets of a unit.
    std::size_t units_max = 4;     // That are decoded at the same time; at least one a thread.
    std::size_t sources_max = 64;  // At least 2.
  };
  // Events of the scans' topics in [from, end); `end` at most the durable end. `scans` are kept alive by the caller,
  // who rings `bell` for nothing else than work.
  OrderedScan(log::Log& log, Offset from, Offset end, std::vector<const Plan*> scans, Options options, Bell& bell);
  OrderedScan(const OrderedScan&) = delete;
  OrderedScan& operator=(const OrderedScan&) = delete;

  enum class Step : std::uint8_t {
    kMoved,   // Something was done.
    kIdle,    // There is nothing for this thread at the moment; the bell tells.
    kEnded,   // Everything was taken, or the consumer wanted no more.
    kFailed,  // Everything below what cannot be read was taken; see error().
  };
  // A piece of work of about a millisecond. `consumer`: null if this thread must not give chunks.
  [[nodiscard]] Step step(Consumer* consumer);
  // Of kFailed: the log reader's.
  [[nodiscard]] Error error() const;
  // No step() begins anything after this.
  void stop();

 private:
  struct Unit {
    Offset to;
    EventSource::Place place;                            // While nobody decodes it.
    std::deque<std::unique_ptr<EventSource>> chunks;     // Decoded and not taken.
    bool opened = false;
    bool busy = false;
    bool done = false;                                   // Everything in it is decoded, or it has an error.
    std::optional<Error> error;
  };
  using Lock = std::unique_lock<std::mutex>;
  [[nodiscard]] Unit* next_to_decode();
  [[nodiscard]] std::unique_ptr<EventSource> take_source();
  [[nodiscard]] std::size_t sources_left() const { return free_.size() + (options_.sources_max - made_); }
  // Of the lock's holder, who loses it meanwhile.
  void decode(Unit& unit, Consumer* consumer, Lock& lock);
  [[nodiscard]] bool give(Consumer& consumer, const EventSource& chunk, Lock& lock);
  void drop_finished_units();

  log::Log& log_;
  const Offset end_;
  const std::vector<const Plan*> scans_;
  const Options options_;
  Bell& bell_;

  mutable std::mutex mutex_;  // Guards what follows.
  Offset next_unit_;          // Where the next one begins.
  std::deque<std::unique_ptr<Unit>> units_;
  std::vector<std::unique_ptr<EventSource>> free_;
  std::size_t made_ = 0;
  bool giving_ = false;
  bool stopped_ = false;
  std::optional<Error> error_;
};

}  // namespace kappa::processor
