// What a derived stream's view has instead of rows: a sink that makes events, a writer that appends them, and how
// far what was applied is in the log.
//
// Progress::rows of such a view is the number of events made below its applied offset. It may be committed when
// those are durable (settled()), so that a crash forgets no event: what the state does not know is made again
// from the log, and the writer leaves out what the topic has (derived_writer.h).
// Owned by a LiveView. Processor thread, except wake(), refused() and settled_below().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "log/log.h"
#include "processor/catalog.h"
#include "processor/derived_sink.h"
#include "processor/derived_writer.h"
#include "processor/feeder.h"
#include "proto/error.h"

namespace kappa::processor {

class DerivedOutput final : public CutListener {
 public:
  using Clock = DerivedWriter::Clock;

  // `entry` outlives it.
  explicit DerivedOutput(const CatalogEntry& entry) : entry_(entry) {}
  ~DerivedOutput() override { set_wake({}); }

  // Looks what the topic has, the first time.
  [[nodiscard]] Status open(log::Log& log);
  // A new sink for a dataflow that goes on after `rows` events; without open() it takes nothing.
  [[nodiscard]] Operator& begin(std::uint64_t rows);
  // A state with so many events below its applied offset `applied` is opened. False if the topic has fewer: the
  // state cannot be used then.
  [[nodiscard]] bool accept(std::uint64_t rows, Offset applied);

  Status begin_cut(Offset source) override { return sink_->begin_cut(source); }
  [[nodiscard]] Status end_cut() { return sink_->end_cut(); }
  [[nodiscard]] std::uint64_t made() const { return sink_->number(); }
  // Everything below `applied` was made; it may be sent.
  void applied(Offset applied);
  // What was made since the last applied() is forgotten.
  void discard() { if (writer_) writer_->discard(); }
  void send() { if (writer_) writer_->send(); }

  // Sends again what the log refused; the next time (DerivedWriter::go_on()).
  [[nodiscard]] Expected<std::optional<Clock::time_point>> go_on(Clock::time_point now);
  // Everything that was made is durable.
  [[nodiscard]] bool settled() const { return !writer_ || writer_->durable() >= made(); }
  // A commit waits for that: nothing more should be made meanwhile.
  void hurry() { hurried_ = true; }
  [[nodiscard]] bool should_wait() const;
  // Waits for what was sent.
  void wait();

  // --- any thread ---
  // Called, from any thread, when go_on() has something to do.
  void set_wake(std::function<void()> wake);
  // Why the log takes nothing at the moment.
  [[nodiscard]] std::optional<Error> refused() const;
  // The events made below this offset are durable.
  [[nodiscard]] Offset settled_below() const { return Offset(settled_below_.load()); }

 private:
  struct Wake {
    std::mutex mutex;
    std::function<void()> call;
  };
  void settle();

  const CatalogEntry& entry_;
  std::unique_ptr<DerivedSink> sink_;
  std::unique_ptr<DerivedWriter> writer_;
  std::shared_ptr<Wake> wake_ = std::make_shared<Wake>();
  struct Step {
    Offset applied;
    std::uint64_t made = 0;
  };
  std::deque<Step> unsettled_;
  bool hurried_ = false;
  std::atomic<std::uint64_t> settled_below_{0};
  mutable std::mutex mutex_;
  std::optional<Error> refused_;  // As of the last go_on().
};

}  // namespace kappa::processor
