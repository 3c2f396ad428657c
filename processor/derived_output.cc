#include "processor/derived_output.h"

#include <utility>

namespace kappa::processor {

Status DerivedOutput::open(log::Log& log) {
  if (writer_) return {};
  KAPPA_TRY(writer_, DerivedWriter::open(log, entry_.stream->topic,
                                         derived_producer(entry_.name, entry_.id, entry_.version), [wake = wake_] {
                                           const std::lock_guard lock(wake->mutex);
                                           if (wake->call) wake->call();
                                         }));
  return {};
}

Operator& DerivedOutput::begin(std::uint64_t rows) {
  sink_ = std::make_unique<DerivedSink>(*entry_.view, *entry_.stream, [this](const DerivedEvent& event) -> Status {
    if (writer_) return writer_->add(event);
    return fail(ErrorCode::kReadOnly, 4011, "this server is read-only: nothing is written");
  });
  sink_->set_number(rows);
  unsettled_.clear();
  hurried_ = false;
  settled_below_.store(0);
  return *sink_;
}

bool DerivedOutput::accept(std::uint64_t rows, Offset applied) {
  if (writer_ && rows > writer_->next()) {
    if (writer_->proven()) return false;
    writer_->start_at(rows);
  }
  settled_below_.store(applied.value());
  return true;
}

void DerivedOutput::applied(Offset applied) {
  if (!unsettled_.empty() && unsettled_.back().made == made()) {
    unsettled_.back().applied = applied;
  } else {
    unsettled_.push_back({applied, made()});
  }
  settle();
}

void DerivedOutput::settle() {
  const std::uint64_t durable = writer_ ? writer_->durable() : UINT64_MAX;
  while (!unsettled_.empty() && unsettled_.front().made <= durable) {
    settled_below_.store(unsettled_.front().applied.value());
    unsettled_.pop_front();
  }
  if (unsettled_.empty()) hurried_ = false;
}

Expected<std::optional<DerivedOutput::Clock::time_point>> DerivedOutput::go_on(Clock::time_point now) {
  if (!writer_) return std::nullopt;
  auto next = writer_->go_on(now);
  settle();
  auto refusal = writer_->refused();
  const std::lock_guard lock(mutex_);
  refused_ = std::move(refusal);
  return next;
}

bool DerivedOutput::should_wait() const {
  if (!writer_) return false;
  return (hurried_ && !settled()) || writer_->bytes() > kDerivedPendingBytesMax;
}

void DerivedOutput::wait() {
  if (!writer_) return;
  writer_->wait();
  settle();
}

void DerivedOutput::set_wake(std::function<void()> wake) {
  const std::lock_guard lock(wake_->mutex);
  wake_->call = std::move(wake);
}

std::optional<Error> DerivedOutput::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace kappa::processor
