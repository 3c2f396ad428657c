// The per-segment index in memory and in its file.
#include "log/segment_index.h"

#include <algorithm>

namespace kappa::log {
namespace {
constexpr std::uint32_t kIndexMagic = 0x5844494b;  // "KIDX"
std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3113, "index file is damaged");
}
}  // namespace

SegmentIndex::SegmentIndex(const SegmentHeader& header) {
  summary_.number = header.number;
  summary_.base_offset = summary_.end_offset = header.base_offset;
  summary_.base_position = summary_.end_position = header.base_position;
  summary_.last_header_hash = header.previous_header_hash;  // An empty segment passes the chain on.
}

void SegmentIndex::add(const BatchHeader& header, std::uint64_t header_hash, std::uint64_t at) {
  if (summary_.batches == 0) summary_.first_append_time = header.append_time;
  summary_.last_append_time = header.append_time;
  ++summary_.batches;
  summary_.last_header_hash = chain_hash_of(header, header_hash);
  summary_.segment_hash = extend_segment_hash(summary_.segment_hash, header_hash);
  summary_.end_position = header.log_position + header.stored_bytes();
  summary_.end_offset = header.end_offset();
  if (header.kind == BatchKind::kGap) ++summary_.gaps;
  if (!header.has_offsets()) return;
  TopicBatches& topic = topics_[header.topic_id];
  if (topic.at.empty()) {
    topic.count.topic = header.topic_id;
    topic.count.first_sequence = header.base_sequence.value();
  }
  const bool first_events = sparse_.empty();
  topic.count.events += header.count;
  topic.at.push_back(static_cast<std::uint32_t>(at / kBatchAlignment));
  if (first_events || at - sparse_.back().at >= kSparseBytes)
    sparse_.push_back({header.base_offset, header.append_time, at});
  summary_.min_timestamp =
      first_events ? header.min_timestamp : std::min(summary_.min_timestamp, header.min_timestamp);
  summary_.max_timestamp =
      first_events ? header.max_timestamp : std::max(summary_.max_timestamp, header.max_timestamp);
}

std::uint64_t SegmentIndex::seek_offset(Offset offset) const {
  const auto after =
      std::upper_bound(sparse_.begin(), sparse_.end(), offset,
                       [](Offset wanted, const Sparse& entry) { return wanted < entry.offset; });
  return after == sparse_.begin() ? kSegmentHeaderBytes : std::prev(after)->at;
}

std::uint64_t SegmentIndex::seek_time(Timestamp time) const {
  // Append times never go back, so the last entry below `time` is before the first batch wanted.
  const auto first =
      std::lower_bound(sparse_.begin(), sparse_.end(), time,
                       [](const Sparse& entry, Timestamp wanted) { return entry.append_time < wanted; });
  return first == sparse_.begin() ? kSegmentHeaderBytes : std::prev(first)->at;
}

void SegmentIndex::topic_positions(TopicId topic, std::uint64_t from, std::size_t count,
                                   std::vector<std::uint64_t>& out) const {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return;
  const auto& at = found->second.at;
  auto it = std::lower_bound(at.begin(), at.end(), (from + kBatchAlignment - 1) / kBatchAlignment);
  for (; it != at.end() && count > 0; ++it, --count) out.push_back(std::uint64_t{*it} * kBatchAlignment);
}

std::optional<TopicCount> SegmentIndex::topic(TopicId topic) const {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return std::nullopt;
  return found->second.count;
}
std::size_t SegmentIndex::topic_batches(TopicId topic) const {
  const auto found = topics_.find(topic);
  return found == topics_.end() ? 0 : found->second.at.size();
}
std::uint64_t SegmentIndex::topic_batch_at(TopicId topic, std::size_t i) const {
  return std::uint64_t{topics_.at(topic).at[i]} * kBatchAlignment;
}

SegmentFooter SegmentIndex::footer() const {
  SegmentFooter footer = summary_;
  for (const auto& [id, topic] : topics_) footer.topics.push_back(topic.count);
  std::sort(footer.topics.begin(), footer.topics.end(),
            [](const TopicCount& a, const TopicCount& b) { return a.topic < b.topic; });
  return footer;
}

std::string SegmentIndex::encode(std::uint64_t seed) const {
  std::string out;
  ByteWriter w(out);
  w.u32(kIndexMagic);
  w.u32(kFormatVersion);
  const SegmentFooter summary = footer();
  w.sized_text(encode_footer(summary, seed));
  w.u64(sparse_.size());
  for (const Sparse& entry : sparse_) {
    w.u64(entry.offset.value());
    w.i64(entry.append_time.value());
    w.u64(entry.at);
  }
  for (const TopicCount& count : summary.topics) {
    const auto& at = topics_.at(count.topic).at;
    w.varint(at.size());
    std::uint32_t previous = 0;
    for (const std::uint32_t value : at) w.varint(value - std::exchange(previous, value));
  }
  w.u64(hash_bytes(as_bytes(out), seed));
  return out;
}

Expected<SegmentIndex> SegmentIndex::decode(Bytes bytes, const SegmentHeader& header, std::uint64_t seed) {
  if (bytes.size() < 24) return damaged();
  ByteReader tail(bytes.last(8));
  const Bytes content = bytes.first(bytes.size() - 8);
  if (tail.u64() != hash_bytes(content, seed)) return damaged();
  ByteReader r(content);
  if (r.u32() != kIndexMagic || r.u32() != kFormatVersion) return damaged();
  auto footer = decode_footer(as_bytes(r.sized_text()), seed);
  if (!footer || footer->number != header.number || footer->base_position != header.base_position)
    return damaged();
  SegmentIndex index(header);
  const std::uint64_t entries = r.u64();
  if (entries > r.remaining() / 24) return damaged();
  index.sparse_.reserve(entries);
  for (std::uint64_t i = 0; i < entries; ++i) {
    Sparse entry{};
    entry.offset = Offset(r.u64());
    entry.append_time = Timestamp(r.i64());
    entry.at = r.u64();
    index.sparse_.push_back(entry);
  }
  for (const TopicCount& count : footer->topics) {
    TopicBatches& topic = index.topics_[count.topic];
    topic.count = count;
    const std::uint64_t batches = r.varint();
    if (batches > r.remaining()) return damaged();
    topic.at.reserve(batches);
    std::uint64_t at = 0;
    for (std::uint64_t i = 0; i < batches; ++i)
      topic.at.push_back(static_cast<std::uint32_t>(at += r.varint()));
  }
  if (!r.done()) return damaged();
  footer->topics.clear();
  index.summary_ = std::move(*footer);
  return index;
}

}  // namespace kappa::log
