// Everything a log prefix says besides its events: topics, current records of the system topic,
// producers, the next offset and the last append time.
//
// A pure function of the batches applied in order. A snapshot of it opens every segment, so that the
// last segment alone restores it. Not thread-safe; the log locks.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "log/producer_table.h"

namespace kappa::log {

inline constexpr const char* kSystemTopicName = "$system";

struct TopicEntry {
  std::string name;
  std::uint64_t next_sequence = 0;
  std::uint64_t durable_sequence = 0;  // next_sequence as far as it is durable.
  bool registered = false;             // Its kTopic batch is in the log.
};

// Key to value and offset, in key order.
using SystemRecords = std::map<std::string, SystemRecord, std::less<>>;
// An empty value erases.
void put_record(SystemRecords& records, std::string_view key, std::string_view value, Offset offset);

class LogState {
 public:
  LogState();

  std::vector<TopicEntry> topics;  // By id; [0] is the system topic.
  std::unordered_map<std::string, TopicId> topic_by_name;
  SystemRecords system;
  ProducerTable producers;
  Offset next_offset;
  Timestamp last_append_time;

  TopicId add_topic(std::string_view name);

  // The topic keeps everything but its name.
  void rename_topic(TopicId id, std::string_view name);

  // Gives a topic whose name was lost in damage one to be found by: "lost-topic-<id>".
  void name_lost_topic(TopicId id);

  // Applies a verified batch of the log. Errors: kCorrupt 3120 for a control body that is not one
  // (possible only if the writer was wrong: hashes matched).
  Status apply(const BatchHeader& header, Bytes stored_body);
  // Everything applied so far is durable (after recovery).
  void all_durable();

  // Bodies of the snapshot batches, at least one, each within the batch limit.
  [[nodiscard]] std::vector<std::string> snapshot() const;

 private:
  Status apply_snapshot(Bytes body);
  void place_topic(TopicId id, std::string_view name, std::uint64_t next_sequence);
};

}  // namespace kappa::log
