// Who sent what: per (topic, producer id) the epoch, the next sequence and the last few batches, so
// that a batch sent twice is in the log once.
//
// A pure function of the log: fed with the batches in log order, bounded by limits::kProducersMax,
// the producer that wrote longest ago (by log position) leaves first; no clock takes part. Not
// thread-safe.
#pragma once

#include <array>
#include <list>
#include <unordered_map>

#include "log/log.h"

namespace kappa::log {

class ProducerTable {
 public:
  // Batches whose offsets are remembered for the acknowledgement of a duplicate.
  static constexpr std::size_t kRecentBatches = 5;

  struct Key {
    TopicId topic;
    ProducerId producer;
    bool operator==(const Key&) const = default;
  };
  struct Recent {
    std::uint64_t sequence = 0;
    std::uint32_t count = 0;
    Offset base_offset;
    bool operator==(const Recent&) const = default;
  };
  struct Entry {
    Key key;
    std::uint32_t epoch = 0;
    std::uint64_t next_sequence = 0;
    Offset end_offset;
    std::array<Recent, kRecentBatches> recent;  // Oldest first, the first recent_count are set.
    std::size_t recent_count = 0;
    // As far as it is durable: what producers are told.
    std::uint32_t durable_epoch = 0;
    std::uint64_t durable_next_sequence = 0;
    Offset durable_end_offset;
  };

  explicit ProducerTable(std::size_t producers_max = limits::kProducersMax) : max_(producers_max) {}

  enum class Verdict : std::uint8_t {
    kAppend,     // Exactly the next sequence.
    kDuplicate,  // Wholly in the log already.
    kGap,        // Begins after the next sequence.
    kOldEpoch,   // A newer instance of the producer has written since.
    kOverlap,    // Begins in the log, ends after it: cannot be a repetition of a batch.
  };
  struct Check {
    Verdict verdict = Verdict::kAppend;
    std::uint64_t expected = 0;      // The next sequence.
    std::optional<Offset> original;  // kDuplicate: offset of its first event, if remembered.
  };
  // A higher epoch goes on at the same sequence and shuts the older ones out once it has written.
  [[nodiscard]] Check check(Key key, std::uint32_t epoch, std::uint64_t sequence, std::uint32_t count) const;
  // A batch that is in the log now.
  void apply(Key key, std::uint32_t epoch, std::uint64_t sequence, std::uint32_t count, Offset base_offset);
  void make_durable(Key key, std::uint32_t epoch, std::uint64_t next_sequence, Offset end_offset);
  [[nodiscard]] ProducerState durable_state(Key key) const;

  // Oldest first: feeding restore() in this order gives the same table.
  [[nodiscard]] const std::list<Entry>& entries() const { return order_; }
  void restore(Entry entry);
  void clear();

 private:
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return static_cast<std::size_t>((key.producer.value() ^ (std::uint64_t{key.topic.value()} << 40)) *
                                      0x9e3779b97f4a7c15u);
    }
  };
  Entry& youngest(Key key);

  std::size_t max_;
  std::list<Entry> order_;
  std::unordered_map<Key, std::list<Entry>::iterator, KeyHash> by_key_;
};

}  // namespace kappa::log
