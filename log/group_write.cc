// The writer role: turns queued batches into one group with offsets, sequences and positions, and
// writes it with one pwritev. Rolls to the next segment when the current one is full.
#include <algorithm>
#include <array>

#include "log/log_impl.h"

namespace kappa::log {
namespace {

// Smaller bodies are copied beside their headers: one long piece is cheaper than many short ones.
constexpr std::size_t kCopyBytesMax = std::size_t{4} << 10;
constexpr std::size_t kFooterFixedReserve = 4096;
constexpr std::size_t kFooterTopicReserve = 24;
constexpr std::uint64_t kZeroPadding = 0;
// Writes end with a whole page of this size, which every system's page size divides or multiplies.
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::array<std::byte, kPageBytes> kZeroPage{};

std::string describe(const ProducerTable::Key& key) {
  return "producer " + std::to_string(key.producer.value()) + " in topic " +
         std::to_string(key.topic.value());
}

}  // namespace

void Gather::clear() {
  arena.clear();
  pieces.clear();
  kept.clear();
  added.clear();
  bytes = 0;
}

void Gather::in_arena(std::size_t at, std::size_t n) {
  if (!pieces.empty() && pieces.back().data == nullptr && pieces.back().at + pieces.back().bytes == at)
    pieces.back().bytes += n;
  else
    pieces.push_back({nullptr, at, n});
  bytes += n;
}

void Gather::body(std::string text) {
  const std::size_t padding = (kBatchAlignment - text.size() % kBatchAlignment) % kBatchAlignment;
  if (text.size() <= kCopyBytesMax) {
    const std::size_t at = arena.size();
    arena += text;
    arena.append(padding, '\0');
    in_arena(at, text.size() + padding);
    return;
  }
  kept.push_back(std::move(text));
  pieces.push_back({kept.back().data(), 0, kept.back().size()});
  bytes += kept.back().size();
  if (padding != 0) {
    pieces.push_back({&kZeroPadding, 0, padding});
    bytes += padding;
  }
}

void LogImpl::settle(Pending& pending, Group& group, Expected<AppendAck> result) {
  if (pending.done)
    group.completions.push_back({std::move(pending.done), std::move(result), Durability::kSync});
}

// Moves batches from `work` into the group. True when the next one needs a new segment.
bool LogImpl::build(std::deque<Pending>& work, Group& group, Gather& gather) {
  std::lock_guard guard(state_mutex_);
  state_.last_append_time = std::max(state_.last_append_time, clock_.now());
  const LogPosition durable = durable_position();
  const SegmentHeader& segment = active_->header();
  const auto free_bytes = [&] {
    const std::uint64_t used =
        write_at_ + gather.bytes + kFooterFixedReserve + kFooterTopicReserve * state_.topics.size();
    return used < capacity_ ? capacity_ - used : 0;
  };
  // Fills in what the log decides, and adds header and body.
  const auto emit = [&](BatchHeader header, std::string body) {
    header.body_length = static_cast<std::uint32_t>(body.size());
    header.base_offset = state_.next_offset;
    const std::uint64_t at = write_at_ + gather.bytes;
    header.log_position = position_at(segment, at);
    header.durable_upto = durable;
    header.writer_epoch = epoch_;
    header.previous_header_hash = previous_hash_;
    header.append_time = state_.last_append_time;
    const std::size_t arena_at = gather.arena.size();
    gather.arena.resize(arena_at + kBatchHeaderBytes);
    previous_hash_ =
        encode_batch_header(header, id_.low, reinterpret_cast<std::byte*>(gather.arena.data() + arena_at));
    gather.in_arena(arena_at, kBatchHeaderBytes);
    gather.body(std::move(body));
    gather.added.push_back({header, previous_hash_, at});
    state_.next_offset = header.end_offset();
  };
  const auto emit_control = [&](BatchKind kind, TopicId topic, std::string body) {
    BatchHeader header;
    header.kind = kind;
    header.topic_id = topic;
    header.uncompressed_length = static_cast<std::uint32_t>(body.size());
    header.min_timestamp = header.max_timestamp = state_.last_append_time;
    header.body_hash = hash_body(as_bytes(body));
    emit(header, std::move(body));
  };

  bool need_snapshot = (write_at_ == kSegmentHeaderBytes || snapshot_due_) && gather.bytes == 0;
  while (!work.empty() && gather.bytes < limits::kGroupBytesMax) {
    Pending& pending = work.front();
    AppendBatch& batch = pending.batch;
    TopicEntry& topic = state_.topics[batch.topic.value()];
    if (pending.kind == BatchKind::kTopic && topic.registered && !pending.renames_topic) {
      work.pop_front();
      continue;
    }
    const ProducerTable::Key key{batch.topic, batch.producer_id};
    if (batch.producer_id.value() != 0) {
      const auto check =
          state_.producers.check(key, batch.producer_epoch, batch.producer_sequence, batch.count);
      const auto refuse = [&](std::uint16_t number, const char* what) {
        settle(pending, group,
               fail(ErrorCode::kSequence, number,
                    describe(key) + ": sequence " + std::to_string(batch.producer_sequence) + what +
                        "; the log expects " + std::to_string(check.expected)));
      };
      using enum ProducerTable::Verdict;
      if (check.verdict != kAppend) {
        switch (check.verdict) {
          case kAppend: break;
          case kGap: refuse(3030, " leaves a gap"); break;
          case kOldEpoch: refuse(3030, " comes from an older epoch of the producer"); break;
          case kOverlap:
            refuse(3031, " begins with events that are in the log and ends with new ones");
            break;
          case kDuplicate:
            // Settled with this group: by then everything before it, its original too, is durable, and W
            // covers it if this is strict.
            group.strict = group.strict || pending.durability == Durability::kStrict;
            settle(pending, group,
                   AppendAck{check.original.value_or(Offset{}), batch.count, true, check.original.has_value(),
                             pending.durability});
            break;
        }
        work.pop_front();
        continue;
      }
    }
    if (need_snapshot) {
      for (std::string& part : state_.snapshot())
        emit_control(BatchKind::kSnapshot, kSystemTopic, std::move(part));
      need_snapshot = snapshot_due_ = false;
    }
    const std::size_t needed = pending.bytes() + 2 * kBatchAlignment +
                               (topic.registered ? 0 : kBatchHeaderBytes + topic.name.size());
    if (needed > free_bytes()) return true;
    if (!topic.registered) {
      emit_control(BatchKind::kTopic, batch.topic, topic.name);
      topic.registered = true;
    }
    if (pending.kind == BatchKind::kTopic) {
      if (pending.renames_topic) {
        state_.rename_topic(batch.topic, batch.body);
        emit_control(BatchKind::kTopic, batch.topic, std::move(batch.body));
      }
      work.pop_front();
      continue;
    }

    BatchHeader header;
    header.kind = pending.kind;
    header.codec = batch.codec;
    header.all_timestamps_explicit = pending.summary.all_timestamps_explicit;
    header.uncompressed_length = batch.uncompressed_length;
    header.count = batch.count;
    header.base_sequence = TopicSequence(topic.next_sequence);
    header.topic_id = batch.topic;
    header.min_timestamp = pending.summary.min_timestamp;
    header.max_timestamp = pending.summary.max_timestamp;
    if (!header.all_timestamps_explicit) {
      // Events without a timestamp have the append time. Both zero means that none had one.
      const Timestamp time = state_.last_append_time;
      const bool any = header.min_timestamp.value() != 0 || header.max_timestamp.value() != 0;
      header.min_timestamp = any ? std::min(header.min_timestamp, time) : time;
      header.max_timestamp = any ? std::max(header.max_timestamp, time) : time;
    }
    header.producer_id = batch.producer_id;
    header.producer_epoch = batch.producer_epoch;
    header.producer_sequence = batch.producer_sequence;
    header.body_hash = *batch.body_hash;
    const Offset base = state_.next_offset;
    emit(header, std::move(batch.body));
    topic.next_sequence += batch.count;

    DurableChange change{batch.topic,
                         topic.next_sequence,
                         batch.producer_id,
                         batch.producer_epoch,
                         batch.producer_sequence + batch.count,
                         base + batch.count};
    if (batch.producer_id.value() != 0)
      state_.producers.apply(key, batch.producer_epoch, batch.producer_sequence, batch.count, base);
    group.changes.push_back(change);
    group.events += batch.count;
    if (pending.kind == BatchKind::kCatalog) {
      put_record(state_.system, pending.system_key, pending.system_value, base);
      group.records.push_back({std::move(pending.system_key), std::move(pending.system_value), base});
    }
    group.strict = group.strict || pending.durability == Durability::kStrict;
    if (pending.done)
      group.completions.push_back({std::move(pending.done),
                                   AppendAck{base, batch.count, false, true, pending.durability},
                                   pending.durability});
    work.pop_front();
  }
  return false;
}

Status LogImpl::write_group(std::deque<Pending>& work, Group& group) {
  if (!epoch_begun_) KAPPA_CHECK_OK(begin_epoch());
  gather_.clear();
  Gather& gather = gather_;
  const bool full = build(work, group, gather);
  if (full && gather.bytes == 0) {
    KAPPA_CHECK_OK(roll(work.front().bytes() + limits::kTopicNameBytesMax + 2 * kBatchHeaderBytes, group));
    static_cast<void>(build(work, group, gather));
  }
  group.file = active_file_;
  group.bytes = gather.bytes;
  if (gather.bytes == 0) {
    group.end_position = LogPosition(written_position_.load());
    group.end_offset = Offset(written_offset_.load());
    return {};
  }
  if (held_seal_) group.seal_before = std::exchange(held_seal_, std::nullopt);
  active_->change_index([&](SegmentIndex& index) {
    for (const Gather::Added& added : gather.added) index.add(added.header, added.hash, added.at);
  });
  return write_gathered(group);
}

// Writes gather_, which is the group's. kFull leaves the log as it was, but for bytes that the same call
// writes again.
Status LogImpl::write_gathered(Group& group) {
  std::vector<iovec> pieces;
  pieces.reserve(gather_.pieces.size());
  for (const Gather::Piece& piece : gather_.pieces)
    pieces.push_back({piece.data != nullptr ? const_cast<void*>(piece.data) : gather_.arena.data() + piece.at,
                      piece.bytes});
  // The rest of the last page is zeros on disk already; written again, the page is whole, and the
  // kernel does not read the old one first.
  const std::uint64_t after = write_at_ + gather_.bytes;
  const std::uint64_t page_end = std::min(capacity_, (after + kPageBytes - 1) / kPageBytes * kPageBytes);
  if (page_end > after) pieces.push_back({const_cast<std::byte*>(kZeroPage.data()), page_end - after});
  KAPPA_CHECK_OK(active_file_->pwritev(pieces, write_at_));
  write_at_ += gather_.bytes;
  const BatchHeader& last = gather_.added.back().header;
  group.end_position = last.log_position + last.stored_bytes();
  group.end_offset = last.end_offset();
  written_position_.store(group.end_position.value(), std::memory_order_relaxed);
  written_offset_.store(group.end_offset.value(), std::memory_order_relaxed);
  bytes_appended_.fetch_add(gather_.bytes, std::memory_order_relaxed);
  events_appended_.fetch_add(group.events, std::memory_order_relaxed);
  return {};
}

Status LogImpl::roll(std::uint64_t bytes_needed, Group& group) {
  // At most two segments are ever without a manifest entry: recovery reads no more.
  KAPPA_CHECK_OK(preparer_->wait_sealed());
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t footer_bytes = 0;
  SegmentHeader header;
  {
    std::lock_guard guard(state_mutex_);
    for (const std::string& part : state_.snapshot())
      snapshot_bytes += kBatchHeaderBytes + part.size() + kBatchAlignment;
    footer_bytes = kFooterFixedReserve + kFooterTopicReserve * state_.topics.size();
    header.base_offset = state_.next_offset;
  }
  KAPPA_TRY(PreparedFile prepared,
            preparer_->take((kSegmentHeaderBytes + snapshot_bytes + bytes_needed + footer_bytes + 4095) /
                            4096 * 4096));
  header.log_id = id_;
  header.number = active_->header().number + 1;
  header.base_position = position_at(active_->header(), write_at_);
  header.previous_header_hash = previous_hash_;
  if (Status begun = prepared.file->pwrite(as_bytes(encode_segment_header(header)), 0); !begun) {
    preparer_->give_back(std::move(prepared));
    return begun;
  }
  auto next =
      std::make_shared<Segment>(files_, options_.directory, header, std::make_unique<SegmentIndex>(header));
  // Durable with the sync of the first group in it.
  if (Status named = files_.rename(prepared.path, next->path()); !named) {
    preparer_->give_back(std::move(prepared));
    return named;
  }
  active_->close_at(write_at_);
  group.seal_before = SealJob{active_, active_file_};
  bytes_on_disk_.fetch_add(prepared.bytes, std::memory_order_relaxed);
  {
    std::lock_guard guard(state_mutex_);
    active_ = next;
    active_file_ = std::move(prepared.file);
  }
  write_at_ = kSegmentHeaderBytes;
  capacity_ = prepared.bytes;
  segments_.add(std::move(next));
  return {};
}

}  // namespace kappa::log
