// Who does what next: the one decision of step(), and the two kinds of work.
#include "processor/replay/ordered_scan.h"

#include <algorithm>
#include <utility>

namespace kappa::processor {
namespace {

// Opening a unit costs a look at the index and, where a batch crosses its border, that batch's hash twice: about
// 2 % of this many events.
constexpr std::uint64_t kUnitEvents = std::uint64_t{1} << 14;

}  // namespace

std::uint64_t unit_offsets(const log::Log& log, const std::vector<const Plan*>& scans) {
  std::vector<std::string> topics;
  for (const Plan* scan : scans) topics.push_back(scan->stream->topic);
  std::ranges::sort(topics);
  topics.erase(std::ranges::unique(topics).begin(), topics.end());
  std::uint64_t events = 0;
  for (const std::string& name : topics) {
    if (const auto topic = log.find_topic(name)) events += topic->next_sequence.value();
  }
  const std::uint64_t end = log.durable_end().value();
  if (events >= end) return kUnitEvents;
  return events == 0 ? std::max(end, kUnitEvents) : end / events * kUnitEvents;
}

OrderedScan::OrderedScan(log::Log& log, Offset from, Offset end, std::vector<const Plan*> scans, Options options,
                         Bell& bell)
    : log_(log), end_(end), scans_(std::move(scans)), options_(options), bell_(bell), next_unit_(from) {}

OrderedScan::Step OrderedScan::step(Consumer* consumer) {
  Lock lock(mutex_);
  if (stopped_) return Step::kEnded;
  drop_finished_units();
  if (units_.empty() && next_unit_ >= end_) return Step::kEnded;
  if (!giving_ && !units_.empty()) {
    Unit& first = *units_.front();
    if (first.chunks.empty() && first.error && !first.busy) {
      error_ = first.error;
      return Step::kFailed;
    }
    if (consumer != nullptr && !first.chunks.empty() && consumer->ready()) {
      std::unique_ptr<EventSource> chunk = std::move(first.chunks.front());
      first.chunks.pop_front();
      if (!give(*consumer, *chunk, lock)) stopped_ = true;
      free_.push_back(std::move(chunk));
      drop_finished_units();
      lock.unlock();
      bell_.ring();
      return Step::kMoved;
    }
  }
  Unit* const unit = next_to_decode();
  if (unit == nullptr) return Step::kIdle;
  decode(*unit, consumer, lock);
  lock.unlock();
  bell_.ring();
  return Step::kMoved;
}

void OrderedScan::drop_finished_units() {
  while (!units_.empty() && !giving_) {
    const Unit& first = *units_.front();
    if (!first.done || first.busy || !first.chunks.empty() || first.error) return;
    units_.pop_front();
  }
}

OrderedScan::Unit* OrderedScan::next_to_decode() {
  const std::size_t left = sources_left();
  if (left == 0) return nullptr;
  for (const auto& unit : units_) {
    if (unit->error) return nullptr;  // What is behind it is of no use.
    if (unit->done || unit->busy) continue;
    // The last source is the lowest unit's.
    return left > 1 || unit == units_.front() ? unit.get() : nullptr;
  }
  if (next_unit_ >= end_ || units_.size() >= options_.units_max || (left == 1 && !units_.empty())) return nullptr;
  const std::uint64_t length = std::min(options_.unit, end_ - next_unit_);
  auto unit = std::make_unique<Unit>();
  unit->place.position = next_unit_;
  next_unit_ = next_unit_ + length;
  unit->to = next_unit_;
  units_.push_back(std::move(unit));
  return units_.back().get();
}

std::unique_ptr<EventSource> OrderedScan::take_source() {
  if (free_.empty()) {
    ++made_;
    return nullptr;
  }
  auto source = std::move(free_.back());
  free_.pop_back();
  return source;
}

bool OrderedScan::give(Consumer& consumer, const EventSource& chunk, Lock& lock) {
  giving_ = true;
  lock.unlock();
  const bool more = consumer.take(chunk);
  lock.lock();
  giving_ = false;
  return more;
}

void OrderedScan::decode(Unit& unit, Consumer* consumer, Lock& lock) {
  unit.busy = true;
  std::unique_ptr<EventSource> source = take_source();
  EventSource::Place place = std::move(unit.place);
  const bool opened = std::exchange(unit.opened, true);
  lock.unlock();

  if (!source) source = std::make_unique<EventSource>(log_, scans_);
  source->go_to(opened ? std::move(place) : source->place_at(place.position));
  const auto moved = source->next(unit.to);

  lock.lock();
  if (!moved) {
    unit.error = moved.error();
    unit.done = true;
    unit.busy = false;
    free_.push_back(std::move(source));
    return;
  }
  unit.done = !*moved || source->position() >= unit.to;
  const bool at_once = consumer != nullptr && !giving_ && !stopped_ && units_.front().get() == &unit &&
                       unit.chunks.empty() && consumer->ready();
  if (at_once && !give(*consumer, *source, lock)) stopped_ = true;
  lock.unlock();
  auto left = source->leave(!at_once);
  lock.lock();
  unit.busy = false;
  if (!left) {
    unit.error = left.error();
    unit.done = true;
    free_.push_back(std::move(source));
    return;
  }
  if (!unit.done) unit.place = std::move(*left);
  if (at_once) {
    free_.push_back(std::move(source));
  } else {
    unit.chunks.push_back(std::move(source));
  }
}

Error OrderedScan::error() const {
  const std::lock_guard lock(mutex_);
  return error_ ? *error_ : Error{};
}

void OrderedScan::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
}

}  // namespace kappa::processor
