// Replaying batches into the log's tables, and the snapshot batches that open a segment.
//
// Snapshot body: a sequence of entries, each u8 kind and
//   0 begin     u64 next offset, i64 last append time: forget everything before
//   1 topic     u32 id, u64 next sequence, u32 length, name
//   2 record    u64 offset, u32 length, key, u32 length, value
//   3 producer  u32 topic, u64 id, u32 epoch, u64 next sequence, u64 end offset, u8 count, then per
//               remembered batch u64 sequence, u32 count, u64 base offset; oldest producer first
#include "log/log_state.h"

#include "proto/batch.h"

namespace kappa::log {
namespace {

constexpr std::uint8_t kBegin = 0, kTopicEntry = 1, kRecordEntry = 2, kProducerEntry = 3;
// A part is closed once it is this large; with the largest entry it stays far below the batch limit.
constexpr std::size_t kPartBytes = std::size_t{4} << 20;
static_assert(kPartBytes + 2 * limits::kEventBytesMax < limits::kBatchBytesMax);

std::unexpected<Error> bad_control(const char* what) {
  return fail(ErrorCode::kCorrupt, 3120, std::string("control batch: ") + what);
}

}  // namespace

void put_record(SystemRecords& records, std::string_view key, std::string_view value, Offset offset) {
  if (value.empty()) {
    const auto found = records.find(key);
    if (found != records.end()) records.erase(found);
    return;
  }
  records.insert_or_assign(std::string(key), SystemRecord{std::string(key), std::string(value), offset});
}

LogState::LogState() {
  place_topic(kSystemTopic, kSystemTopicName, 0);
}

void LogState::place_topic(TopicId id, std::string_view name, std::uint64_t next_sequence) {
  if (topics.size() <= id.value()) topics.resize(id.value() + 1);
  TopicEntry& topic = topics[id.value()];
  topic.name = name;
  topic.next_sequence = next_sequence;
  topic.registered = true;
  topic_by_name.insert_or_assign(topic.name, id);
}

void LogState::rename_topic(TopicId id, std::string_view name) {
  const std::string before = topics[id.value()].name;
  const auto found = topic_by_name.find(before);
  if (found != topic_by_name.end() && found->second == id) topic_by_name.erase(found);
  place_topic(id, name, topics[id.value()].next_sequence);
}

void LogState::name_lost_topic(TopicId id) {
  place_topic(id, "lost-topic-" + std::to_string(id.value()), 0);
}

TopicId LogState::add_topic(std::string_view name) {
  const TopicId id(static_cast<std::uint32_t>(topics.size()));
  place_topic(id, name, 0);
  topics.back().registered = false;
  return id;
}

Status LogState::apply(const BatchHeader& header, Bytes stored_body) {
  last_append_time = header.append_time;
  next_offset = header.end_offset();
  switch (header.kind) {
    case BatchKind::kTopic:
      if (header.topic_id.value() >= limits::kTopicsMax || stored_body.size() > limits::kTopicNameBytesMax)
        return bad_control("topic out of bounds");
      if (header.topic_id.value() < topics.size() && topics[header.topic_id.value()].registered) {
        rename_topic(header.topic_id, as_text(stored_body));
      } else {
        place_topic(header.topic_id, as_text(stored_body), 0);
      }
      return {};
    case BatchKind::kSnapshot: return apply_snapshot(stored_body);
    case BatchKind::kGap: return {};
    case BatchKind::kCatalog:
    case BatchKind::kEvents: break;
  }
  if (header.topic_id.value() >= topics.size()) return bad_control("events of a topic that was never named");
  topics[header.topic_id.value()].next_sequence = header.base_sequence.value() + header.count;
  if (header.producer_id.value() != 0)
    producers.apply({header.topic_id, header.producer_id}, header.producer_epoch, header.producer_sequence,
                    header.count, header.base_offset);
  if (header.kind == BatchKind::kCatalog) {
    std::string plain;
    if (header.codec != Codec::kNone) {
      KAPPA_TRY(plain, decompress_body(stored_body, header.uncompressed_length));
      stored_body = as_bytes(plain);
    }
    RecordReader records(stored_body, header.count);
    for (Offset offset = header.base_offset;; ++offset) {
      KAPPA_TRY(const auto record, records.next());
      if (!record) break;
      put_record(system, record->key.value_or(std::string_view{}), record->value, offset);
    }
  }
  return {};
}

void LogState::all_durable() {
  for (TopicEntry& topic : topics) topic.durable_sequence = topic.next_sequence;
  for (const ProducerTable::Entry& entry : producers.entries())
    producers.make_durable(entry.key, entry.epoch, entry.next_sequence, entry.end_offset);
}

std::vector<std::string> LogState::snapshot() const {
  std::vector<std::string> parts(1);
  const auto entry = [&parts](std::uint8_t kind) {
    if (parts.back().size() >= kPartBytes) parts.emplace_back();
    ByteWriter w(parts.back());
    w.u8(kind);
    return w;
  };
  ByteWriter begin = entry(kBegin);
  begin.u64(next_offset.value());
  begin.i64(last_append_time.value());
  for (std::size_t id = 0; id < topics.size(); ++id) {
    if (!topics[id].registered) continue;
    ByteWriter w = entry(kTopicEntry);
    w.u32(static_cast<std::uint32_t>(id));
    w.u64(topics[id].next_sequence);
    w.sized_text(topics[id].name);
  }
  for (const auto& [key, record] : system) {
    ByteWriter w = entry(kRecordEntry);
    w.u64(record.offset.value());
    w.sized_text(key);
    w.sized_text(record.value);
  }
  for (const ProducerTable::Entry& producer : producers.entries()) {
    ByteWriter w = entry(kProducerEntry);
    w.u32(producer.key.topic.value());
    w.u64(producer.key.producer.value());
    w.u32(producer.epoch);
    w.u64(producer.next_sequence);
    w.u64(producer.end_offset.value());
    w.u8(static_cast<std::uint8_t>(producer.recent_count));
    for (std::size_t i = 0; i < producer.recent_count; ++i) {
      w.u64(producer.recent[i].sequence);
      w.u32(producer.recent[i].count);
      w.u64(producer.recent[i].base_offset.value());
    }
  }
  return parts;
}

Status LogState::apply_snapshot(Bytes body) {
  ByteReader r(body);
  while (r.ok() && r.remaining() > 0) {
    switch (r.u8()) {
      case kBegin: {
        topics.clear();
        topic_by_name.clear();
        system.clear();
        producers.clear();
        next_offset = Offset(r.u64());
        last_append_time = Timestamp(r.i64());
        break;
      }
      case kTopicEntry: {
        const std::uint32_t id = r.u32();
        const std::uint64_t next_sequence = r.u64();
        const std::string_view name = r.sized_text();
        if (!r.ok() || id >= limits::kTopicsMax) return bad_control("snapshot topic");
        place_topic(TopicId(id), name, next_sequence);
        break;
      }
      case kRecordEntry: {
        const Offset offset(r.u64());
        const std::string_view key = r.sized_text();
        const std::string_view value = r.sized_text();
        if (!r.ok()) return bad_control("snapshot record");
        put_record(system, key, value, offset);
        break;
      }
      case kProducerEntry: {
        ProducerTable::Entry entry;
        entry.key.topic = TopicId(r.u32());
        entry.key.producer = ProducerId(r.u64());
        entry.epoch = r.u32();
        entry.next_sequence = r.u64();
        entry.end_offset = Offset(r.u64());
        entry.recent_count = r.u8();
        if (!r.ok() || entry.recent_count > ProducerTable::kRecentBatches)
          return bad_control("snapshot producer");
        for (std::size_t i = 0; i < entry.recent_count; ++i) {
          entry.recent[i].sequence = r.u64();
          entry.recent[i].count = r.u32();
          entry.recent[i].base_offset = Offset(r.u64());
        }
        producers.restore(entry);
        break;
      }
      default: return bad_control("unknown snapshot entry");
    }
  }
  if (!r.done()) return bad_control("snapshot is cut short");
  return {};
}

}  // namespace kappa::log
