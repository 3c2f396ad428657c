// What a segment holds and where: summary (the footer), a sparse index by offset and append time,
// and every batch position of every topic, so that reading a small topic does not read a big one.
//
// Derived from the segment's batches alone: grown batch by batch for the active segment, written to
// one ".index" file when the segment is sealed, rebuilt by a scan when that file is missing or wrong.
// Not thread-safe; the owner (Segment) locks.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "log/format.h"

namespace kappa::log {

class SegmentIndex {
 public:
  // Bytes of batches between two entries of the sparse index: one read-ahead's worth to skip over.
  static constexpr std::uint64_t kSparseBytes = std::uint64_t{64} << 10;

  explicit SegmentIndex(const SegmentHeader& header);

  // The next batch of the segment, at file byte `at`.
  void add(const BatchHeader& header, std::uint64_t header_hash, std::uint64_t at);

  // File byte of a batch that begins at or before `offset` (the segment's first batch if none): a
  // scan from there meets the batch that holds it.
  [[nodiscard]] std::uint64_t seek_offset(Offset offset) const;
  // File byte from which a scan meets the first batch with events and append time >= `time`.
  [[nodiscard]] std::uint64_t seek_time(Timestamp time) const;
  // Appends to `out` up to `count` file bytes >= `from` of batches of `topic`, in order.
  void topic_positions(TopicId topic, std::uint64_t from, std::size_t count,
                       std::vector<std::uint64_t>& out) const;
  // Events of the topic in this segment; nullopt if it has none.
  [[nodiscard]] std::optional<TopicCount> topic(TopicId topic) const;
  // Number of batches of the topic, and the file byte of the i-th.
  [[nodiscard]] std::size_t topic_batches(TopicId topic) const;
  [[nodiscard]] std::uint64_t topic_batch_at(TopicId topic, std::size_t i) const;

  [[nodiscard]] SegmentFooter footer() const;  // With topics by id.
  [[nodiscard]] Timestamp last_append_time() const { return summary_.last_append_time; }
  // Of the last batch; the segment's base offset if it has none with offsets.
  [[nodiscard]] Offset end_offset() const { return summary_.end_offset; }

  [[nodiscard]] std::string encode(std::uint64_t seed) const;
  // kCorrupt 3113 for anything but a whole index of that segment.
  [[nodiscard]] static Expected<SegmentIndex> decode(Bytes bytes, const SegmentHeader& header,
                                                     std::uint64_t seed);

 private:
  struct Sparse {
    Offset offset;
    Timestamp append_time;
    std::uint64_t at;
  };
  struct TopicBatches {
    TopicCount count;
    std::vector<std::uint32_t> at;  // File bytes / 8.
  };
  SegmentFooter summary_;  // Without topics.
  std::vector<Sparse> sparse_;
  std::unordered_map<TopicId, TopicBatches> topics_;
};

}  // namespace kappa::log
