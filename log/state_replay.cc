#include "log/state_replay.h"

#include "proto/limits.h"

namespace kappa::log {

void StateReplay::apply(const FoundBatch& found) {
  const BatchHeader& header = found.header;
  if (header.kind == BatchKind::kSnapshot) {
    if (head_.open && !exact_) head_.snapshot.emplace_back(header, as_text(found.body));
    return;
  }
  end_head();
  const std::size_t id = header.topic_id.value();
  if (header.has_offsets() && id < limits::kTopicsMax &&
      (id >= state_.topics.size() || state_.topics[id].name.empty()))
    state_.name_lost_topic(header.topic_id);
  // A control batch that makes no sense although its hashes match changes nothing.
  static_cast<void>(state_.apply(header, found.body));
}

void StateReplay::end_head() {
  if (!std::exchange(head_.open, false) || head_.snapshot.empty()) return;
  LogState state;
  for (const auto& [header, body] : head_.snapshot)
    if (!state.apply(header, as_bytes(body))) return;
  state_ = std::move(state);
  exact_ = true;
}

void StateReplay::lose() {
  // A snapshot with a hole is worse than the tables as they were, unless there are none.
  if (head_.open && state_.topics.size() > 1) head_.snapshot.clear();
  end_head();
  exact_ = false;
}

}  // namespace kappa::log
