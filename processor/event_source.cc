// Merging topics in the order of the log.
//
// A batch has consecutive offsets and one topic, so the merge is by batch: of the topics' next events the
// lowest comes first, and its whole batch with it. Where the lowest that is possible is of a topic that
// cannot be looked at further in this chunk, the chunk ends.
#include "processor/event_source.h"

#include <algorithm>
#include <numeric>

#include "proto/check.h"

namespace kappa::processor {

EventSource::EventSource(log::Log& log, Offset from, const std::vector<const Plan*>& scans)
    : EventSource(log, scans) {
  go_to(place_at(from));
}

EventSource::EventSource(log::Log& log, const std::vector<const Plan*>& scans) : log_(log) {
  for (const Plan* scan : scans) {
    const std::string& name = scan->stream->topic;
    if (std::ranges::find(topics_, name, &Topic::name) != topics_.end()) continue;
    const auto topic = log.find_topic(name);
    const auto id = topic ? std::optional(topic->id) : std::nullopt;
    topics_.push_back({name, std::make_unique<TopicEvents>(log, id)});
  }
  set_scans(scans);
}

EventSource::~EventSource() = default;

EventSource::Place EventSource::place_at(Offset from) const {
  Place place{from, {}};
  for (const Topic& topic : topics_) place.topics.push_back(topic.events->place_at(from));
  return place;
}

void EventSource::go_to(Place place) {
  position_ = place.position;
  for (std::size_t i = 0; i < topics_.size(); ++i) topics_[i].events->go_to(std::move(place.topics[i]));
}

Expected<EventSource::Place> EventSource::leave(bool keep) {
  Place place{position_, {}};
  for (const Topic& topic : topics_) {
    KAPPA_TRY(TopicEvents::Place left, topic.events->leave(keep));
    place.topics.push_back(std::move(left));
  }
  return place;
}

void EventSource::set_scans(const std::vector<const Plan*>& scans) {
  std::vector<std::vector<const Plan*>> by_topic(topics_.size());
  places_.clear();
  for (const Plan* scan : scans) {
    const auto found = std::ranges::find(topics_, scan->stream->topic, &Topic::name);
    KAPPA_CHECK(found != topics_.end(), "an event source keeps its topics");
    const auto topic = static_cast<std::size_t>(found - topics_.begin());
    places_.emplace_back(topic, by_topic[topic].size());
    by_topic[topic].push_back(scan);
  }
  for (std::size_t i = 0; i < topics_.size(); ++i) topics_[i].events->set_scans(by_topic[i]);
}

Expected<TopicEvents*> EventSource::find_next(Offset limit) {
  TopicEvents* first = nullptr;
  TopicEvents::Next what = TopicEvents::Next::kNone;
  for (const Topic& topic : topics_) {
    KAPPA_TRY(const TopicEvents::Next found, topic.events->look(limit));
    if (first != nullptr && first->next() <= topic.events->next()) continue;
    first = topic.events.get();
    what = found;
  }
  return what == TopicEvents::Next::kEvent ? first : nullptr;
}

Expected<bool> EventSource::next(Offset limit) {
  // Before a reader looks: when it then finds nothing, everything below was seen.
  limit = std::min(limit, log_.durable_end());
  for (const Topic& topic : topics_) topic.events->start_chunk();
  Offset given = position_;
  for (;;) {
    auto found = find_next(limit);
    if (!found && events() == 0) return std::unexpected(std::move(found).error());
    if (!found || *found == nullptr) break;  // What was decoded is sound; the next call meets an error again.
    KAPPA_CHECK_OK((*found)->decode(limit));
    // All of the others below: what lies between was one batch. They may not know it, if they are blocked.
    given = (*found)->next();
  }
  Offset end = limit;
  for (const Topic& topic : topics_) {
    topic.events->finish_chunk();
    end = std::min(end, topic.events->next());
  }
  const Offset before = position_;
  position_ = std::max(given, end);
  return position_ > before;
}

Status EventSource::intact() const {
  for (const Topic& topic : topics_) KAPPA_CHECK_OK(topic.events->intact());
  return {};
}

std::size_t EventSource::events() const {
  return std::accumulate(topics_.begin(), topics_.end(), std::size_t{0},
                         [](std::size_t sum, const Topic& topic) { return sum + topic.events->events(); });
}

std::uint64_t EventSource::poison() const {
  return std::accumulate(topics_.begin(), topics_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Topic& topic) { return sum + topic.events->poison(); });
}

}  // namespace kappa::processor
