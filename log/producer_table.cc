// Deduplication of idempotent producers.
#include "log/producer_table.h"

#include <algorithm>

namespace kappa::log {

ProducerTable::Check ProducerTable::check(Key key, std::uint32_t epoch, std::uint64_t sequence,
                                          std::uint32_t count) const {
  const auto found = by_key_.find(key);
  Check result;
  if (found == by_key_.end()) {
    // A producer the table does not know starts at 0: one that was evicted must take a new id.
    result.verdict = sequence == 0 ? Verdict::kAppend : Verdict::kGap;
    return result;
  }
  const Entry& entry = *found->second;
  result.expected = entry.next_sequence;
  if (epoch < entry.epoch) {
    result.verdict = Verdict::kOldEpoch;
  } else if (sequence == entry.next_sequence) {
    result.verdict = Verdict::kAppend;
  } else if (sequence > entry.next_sequence) {
    result.verdict = Verdict::kGap;
  } else if (count > entry.next_sequence - sequence) {
    result.verdict = Verdict::kOverlap;
  } else {
    result.verdict = Verdict::kDuplicate;
    for (std::size_t i = 0; i < entry.recent_count; ++i) {
      const Recent& recent = entry.recent[i];
      // The offsets of a batch are contiguous; those of two batches need not be.
      if (sequence >= recent.sequence && sequence + count <= recent.sequence + recent.count)
        result.original = recent.base_offset + (sequence - recent.sequence);
    }
  }
  return result;
}

ProducerTable::Entry& ProducerTable::youngest(Key key) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    order_.splice(order_.end(), order_, found->second);
    return *found->second;
  }
  if (order_.size() >= max_) {
    by_key_.erase(order_.front().key);
    order_.pop_front();
  }
  order_.emplace_back().key = key;
  by_key_.emplace(key, std::prev(order_.end()));
  return order_.back();
}

void ProducerTable::apply(Key key, std::uint32_t epoch, std::uint64_t sequence, std::uint32_t count,
                          Offset base_offset) {
  Entry& entry = youngest(key);
  entry.epoch = epoch;
  entry.next_sequence = sequence + count;
  entry.end_offset = base_offset + count;
  if (entry.recent_count == kRecentBatches) {
    std::move(entry.recent.begin() + 1, entry.recent.end(), entry.recent.begin());
    --entry.recent_count;
  }
  entry.recent[entry.recent_count++] = {sequence, count, base_offset};
}

void ProducerTable::make_durable(Key key, std::uint32_t epoch, std::uint64_t next_sequence,
                                 Offset end_offset) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  Entry& entry = *found->second;
  entry.durable_epoch = epoch;
  entry.durable_next_sequence = next_sequence;
  entry.durable_end_offset = end_offset;
}

ProducerState ProducerTable::durable_state(Key key) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return {};
  const Entry& entry = *found->second;
  return {entry.durable_epoch, entry.durable_next_sequence, entry.durable_end_offset};
}

void ProducerTable::restore(Entry entry) {
  Entry& place = youngest(entry.key);
  place = entry;
  place.durable_epoch = place.epoch;
  place.durable_next_sequence = place.next_sequence;
  place.durable_end_offset = place.end_offset;
}

void ProducerTable::clear() {
  order_.clear();
  by_key_.clear();
}

}  // namespace kappa::log
