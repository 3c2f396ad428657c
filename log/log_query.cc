// Questions about the log that need no reader: topics, producers, times, marks, status.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "log/log_impl.h"
#include "log/lost_name.h"

namespace kappa::log {
namespace {

// The first batch behind the damage at `at` whose header can be read.
Expected<FoundBatch> next_header(Bytes file, const SegmentHeader& segment, std::uint64_t at) {
  if (const auto found = find_batch(file, segment, at + kBatchAlignment)) return *found;
  return fail(ErrorCode::kCorrupt, 3130, "the batch is damaged");
}

TopicInfo info_of(std::size_t id, const TopicEntry& topic) {
  return {TopicId(static_cast<std::uint32_t>(id)), topic.name, TopicSequence(topic.durable_sequence)};
}

}  // namespace

std::unexpected<Error> below_log_start(Offset offset, Offset start) {
  const std::string first = std::to_string(start.value());
  return fail(ErrorCode::kNotFound, 3010,
              "offset " + std::to_string(offset.value()) + " is below the log's start: retention removed it, "
              "or it was lost; the first offset that is kept is " + first,
              "begin at offset " + first + " or later, or at the start");
}

PrefixMatch compare_prefix(const PrefixMark& log, const PrefixMark& committed) {
  if (log.offset != committed.offset) return PrefixMatch::kOther;
  if (log.header_hash == committed.header_hash) return PrefixMatch::kSame;
  // Behind offset 0 a hash of 0 stands for one that a repair did not find.
  const bool known = log.header_hash != 0 && committed.header_hash != 0;
  return log.lost || (!known && log.offset != Offset(0)) ? PrefixMatch::kUnknown : PrefixMatch::kOther;
}

std::optional<TopicInfo> LogImpl::find_topic(std::string_view name) const {
  std::lock_guard guard(state_mutex_);
  const auto found = state_.topic_by_name.find(std::string(name));
  if (found == state_.topic_by_name.end()) return std::nullopt;
  return info_of(found->second.value(), state_.topics[found->second.value()]);
}

std::optional<TopicInfo> LogImpl::topic(TopicId id) const {
  std::lock_guard guard(state_mutex_);
  if (id.value() >= state_.topics.size() || state_.topics[id.value()].name.empty()) return std::nullopt;
  return info_of(id.value(), state_.topics[id.value()]);
}

std::vector<TopicInfo> LogImpl::topics() const {
  std::lock_guard guard(state_mutex_);
  std::vector<TopicInfo> all;
  for (std::size_t id = 0; id < state_.topics.size(); ++id)
    if (!state_.topics[id].name.empty()) all.push_back(info_of(id, state_.topics[id]));
  return all;
}

std::vector<SystemRecord> LogImpl::system_records() const {
  std::lock_guard guard(state_mutex_);
  std::vector<SystemRecord> records;
  records.reserve(durable_records_.size());
  for (const auto& [key, record] : durable_records_) records.push_back(record);
  std::sort(records.begin(), records.end(),
            [](const SystemRecord& a, const SystemRecord& b) { return a.offset < b.offset; });
  return records;
}

ProducerState LogImpl::producer(TopicId topic, ProducerId id) const {
  std::lock_guard guard(state_mutex_);
  return state_.producers.durable_state({topic, id});
}

Expected<LogImpl::Located> LogImpl::locate(Offset offset) {
  Located located;
  located.segment = segments_.find(offset);
  if (!located.segment) return fail(ErrorCode::kCorrupt, 3114, "the log has no segment that can be read");
  KAPPA_TRY(located.map, located.segment->mapping());
  segments_.touch(located.segment);
  const SegmentHeader& header = located.segment->header();
  KAPPA_TRY(std::uint64_t at,
            located.segment->with_index(
                may_repair_indexes(), [&](const SegmentIndex& index) { return index.seek_offset(offset); }));
  const std::uint64_t end = std::min(located.segment->end(), file_byte(header, durable_position()));
  const Bytes file = located.map->bytes().first(std::min<std::size_t>(located.map->bytes().size(), end));
  while (at < end) {
    auto found = batch_at(file, header, at, false);
    if (!found || located.map->lost_byte(at, at + kBatchHeaderBytes)) {
      // Damage in front of the offset is not asked for.
      found = next_header(file, header, at);
      if (!found || found->header.base_offset > offset)
        return unreadable(*located.segment, at, found ? "the batch is damaged" : found.error().message);
    }
    located.batch = *found;
    if (located.batch.header.covers_offsets() && located.batch.header.end_offset() > offset) return located;
    at = located.batch.end();
  }
  return unreadable(*located.segment, at, "offset " + std::to_string(offset.value()) + " is not where it should be");
}

std::unexpected<Error> LogImpl::unreadable(Segment& segment, std::uint64_t at, std::string what) {
  const SegmentHeader& header = segment.header();
  const auto map = segment.mapping();
  if (!map && out_of_handles(map.error())) return std::unexpected(map.error());
  const auto next = segments_.after(header.number);
  DamagedRange range = damaged_range(
      map ? (*map)->bytes() : Bytes{}, header, kSegmentHeaderBytes, at,
      std::min(segment.end(), std::max(file_byte(header, durable_position()), at)),
      next ? next->header().base_offset : durable_end());
  range.what = map ? std::move(what) : map.error().message;
  damaged_.add(range);
  return std::unexpected(damage_error(range));
}

// The scrub's. A file that is gone would only be missed at the next opening.
void LogImpl::look_at_active() {
  std::shared_ptr<Segment> segment;
  std::shared_ptr<File> file;
  const auto look = [&] {
    std::lock_guard guard(state_mutex_);
    return std::pair(active_, active_file_);
  };
  std::tie(segment, file) = look();
  if (!file || has_its_name(*file, *segment)) return;
  const std::uint64_t end = file_byte(segment->header(), durable_position());
  const Offset end_offset = durable_end();
  if (look().first != segment) return;  // It is sealed: then the preparer looks.
  const SegmentHeader& header = segment->header();
  DamagedRange range{segment->path().filename().string(), header.number, 0, end, header.base_offset, end_offset,
                     "the file was removed or replaced while it was written; it is written back when it is full "
                     "or when the server is stopped"};
  if (std::exchange(nameless_, header.number) != header.number) spdlog::error("log: {}", describe(range));
  damaged_.add(std::move(range));
}

// Retention may take segments away while one is looked at: then the question is asked again.
template <class Ask>
auto LogImpl::over_kept(Ask ask) -> decltype(ask()) {
  for (;;) {
    const Offset before = start();
    auto answer = ask();
    if (answer || start() == before) return answer;
  }
}

Expected<Offset> LogImpl::offset_at_time(Timestamp time) {
  return over_kept([&] { return find_time(time); });
}
Expected<Offset> LogImpl::offset_before_end(TopicId topic, std::uint64_t count) {
  return over_kept([&] { return find_before_end(topic, count); });
}

Expected<TopicSequence> LogImpl::sequence_at(TopicId topic, Offset offset) {
  return over_kept([&] { return find_sequence(topic, offset); });
}

Expected<Offset> LogImpl::find_time(Timestamp time) {
  const Offset end = durable_end();
  const auto segments = segments_.all();
  // The last segment that begins before `time` holds the answer, or the segment after it begins with it.
  std::size_t low = 0;
  std::size_t high = segments.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const auto& segment = segments[middle];
    KAPPA_TRY(const Timestamp last, segment->with_index(may_repair_indexes(), [](const SegmentIndex& index) {
      return index.last_append_time();
    }));
    segments_.touch(segment);
    if (last < time)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < segments.size(); ++low) {
    const auto& segment = segments[low];
    const SegmentHeader& header = segment->header();
    KAPPA_TRY(const auto map, segment->mapping());
    KAPPA_TRY(std::uint64_t at, segment->with_index(may_repair_indexes(), [&](const SegmentIndex& index) {
      return index.seek_time(time);
    }));
    const LogPosition durable = durable_position();
    if (durable < header.base_position) break;
    const std::uint64_t limit = std::min(segment->end(), file_byte(header, durable));
    const Bytes file = map->bytes().first(std::min<std::size_t>(map->bytes().size(), limit));
    while (at < limit) {
      const auto batch = batch_at(file, header, at, false);
      if (!batch || map->lost_byte(at, at + kBatchHeaderBytes))
        return unreadable(*segment, at, batch ? "the disk could not deliver it" : batch.error().message);
      if (batch->header.has_offsets() && batch->header.append_time >= time) return batch->header.base_offset;
      at = batch->end();
    }
  }
  return end;
}

Expected<Offset> LogImpl::find_before_end(TopicId topic, std::uint64_t count) {
  std::uint64_t next = 0;
  const Offset end = durable_end();
  {
    std::lock_guard guard(state_mutex_);
    if (topic.value() >= state_.topics.size() || state_.topics[topic.value()].name.empty())
      return fail(ErrorCode::kNotFound, 3024, "no topic has the id " + std::to_string(topic.value()));
    next = state_.topics[topic.value()].durable_sequence;
  }
  if (count == 0 || next == 0) return end;
  const std::uint64_t wanted = next > count ? next - count : 0;
  // From the newest segment back to the one that holds the wanted sequence, or the oldest kept.
  std::optional<Offset> oldest;
  const auto segments = segments_.all();
  for (std::size_t i = segments.size(); i-- > 0;) {
    const auto& segment = segments[i];
    if (segment->header().base_position > durable_position()) continue;
    KAPPA_TRY(const auto map, segment->mapping());
    std::optional<std::pair<std::uint64_t, std::string>> bad;  // Where, and why.
    const auto sequence_at = [&](std::uint64_t at) -> Expected<FoundBatch> {
      auto batch = batch_at(map->bytes(), segment->header(), at, false);
      if (batch && map->lost_byte(at, at + kBatchHeaderBytes))
        batch = fail(ErrorCode::kCorrupt, 3130, "the disk could not deliver it");
      if (!batch) bad = {at, batch.error().message};
      return batch;
    };
    KAPPA_TRY(const auto answer,
              segment->with_index(
                  may_repair_indexes(), [&](const SegmentIndex& index) -> Expected<std::optional<Offset>> {
                    const auto held = index.topic(topic);
                    if (!held) return std::optional<Offset>{};
                    std::size_t low = 0;
                    std::size_t high = index.topic_batches(topic);
                    // The last batch that begins at or before the wanted sequence.
                    while (high - low > 1) {
                      const std::size_t middle = (low + high) / 2;
                      KAPPA_TRY(const FoundBatch batch, sequence_at(index.topic_batch_at(topic, middle)));
                      (batch.header.base_sequence.value() <= wanted ? low : high) = middle;
                    }
                    KAPPA_TRY(const FoundBatch batch, sequence_at(index.topic_batch_at(topic, low)));
                    const std::uint64_t base = batch.header.base_sequence.value();
                    oldest = batch.header.base_offset;
                    if (base > wanted) return std::optional<Offset>{};
                    return std::optional<Offset>(batch.header.base_offset + (wanted - base));
                  }));
    segments_.touch(segment);
    if (bad) return unreadable(*segment, bad->first, bad->second);
    if (!answer) return std::unexpected(answer.error());
    if (*answer) return **answer;
  }
  return oldest.value_or(end);
}

Expected<TopicSequence> LogImpl::find_sequence(TopicId topic, Offset offset) {
  const Offset end = durable_end();
  TopicSequence next;
  {
    std::lock_guard guard(state_mutex_);
    if (topic.value() >= state_.topics.size() || state_.topics[topic.value()].name.empty())
      return fail(ErrorCode::kNotFound, 3024, "no topic has the id " + std::to_string(topic.value()));
    next = TopicSequence(state_.topics[topic.value()].durable_sequence);
  }
  if (offset >= end) return next;
  for (auto segment = segments_.find(offset); segment; segment = segments_.after(segment->header().number)) {
    if (segment->header().base_position > durable_position()) break;
    KAPPA_TRY(const auto map, segment->mapping());
    std::uint64_t at = 0;
    // The last batch of the topic that begins at or before the offset, or its first.
    KAPPA_TRY(const auto batch, segment->with_index(
        may_repair_indexes(), [&](const SegmentIndex& index) -> Expected<std::optional<FoundBatch>> {
          const auto read = [&](std::size_t i) {
            at = index.topic_batch_at(topic, i);
            return batch_at(map->bytes(), segment->header(), at, false);
          };
          std::size_t low = 0;
          std::size_t high = index.topic_batches(topic);
          if (high == 0) return std::optional<FoundBatch>{};
          while (high - low > 1) {
            const std::size_t middle = (low + high) / 2;
            KAPPA_TRY(const FoundBatch found, read(middle));
            (found.header.base_offset <= offset ? low : high) = middle;
          }
          KAPPA_TRY(const FoundBatch found, read(low));
          return std::optional<FoundBatch>(found);
        }));
    segments_.touch(segment);
    if (!batch) return unreadable(*segment, at, batch.error().message);
    if (!*batch) continue;
    if (map->lost_byte(at, at + kBatchHeaderBytes))
      return unreadable(*segment, at, "the disk could not deliver it");
    const BatchHeader& header = (*batch)->header;
    const std::uint64_t below =
        header.base_offset >= offset ? 0 : std::min<std::uint64_t>(header.count, offset - header.base_offset);
    return TopicSequence(header.base_sequence.value() + below);
  }
  return next;
}

Expected<PrefixMark> LogImpl::mark(Offset offset) {
  if (offset > durable_end())
    return fail(ErrorCode::kInvalid, 3012,
                "offset " + std::to_string(offset.value()) + " is past the durable end");
  const Offset first = start();
  if (offset < first) return below_log_start(offset, first);
  PrefixMark mark;
  mark.offset = offset;
  if (offset.value() == 0) return mark;
  if (offset == first) {
    // The batch itself is gone; the header page of the first segment names its hash.
    const auto segment = segments_.first();
    KAPPA_TRY(const auto map, segment->mapping());
    KAPPA_TRY(const SegmentHeader page, decode_segment_header(map->bytes()));
    mark.header_hash = page.previous_header_hash;
    if (start() == first) return mark;
  }
  const auto located = locate(offset - 1);
  if (!located) {
    if (offset < start()) return below_log_start(offset, start());
    return std::unexpected(located.error());
  }
  mark.writer_epoch = located->batch.header.writer_epoch;
  const BatchHeader& batch = located->batch.header;
  mark.header_hash = located->batch.header_hash;
  if (batch.kind == BatchKind::kGap) {
    // A view that stood at the end of what a gap now covers still finds its place, if the gap knows it.
    if (batch.end_offset() == offset && batch.resume_hash != 0)
      mark.header_hash = batch.resume_hash;
    else
      mark.lost = true;
  }
  return mark;
}

LogStatus LogImpl::status() const {
  LogStatus status;
  status.log_id = id_.text();
  status.start = start();
  status.durable_position = durable_position();
  status.durable_end = durable_end();
  status.written_position = LogPosition(written_position_.load());
  status.written_end = Offset(written_offset_.load());
  status.writer_epoch = epoch_;
  status.durability = options_.durability;
  status.segments = segments_.size();
  status.bytes_on_disk = bytes_on_disk_.load();
  status.events_appended = events_appended_.load();
  status.bytes_appended = bytes_appended_.load();
  status.syncs = syncs_.load();
  status.sync_micros_total = sync_micros_.load();
  status.read_only = read_only_;
  status.damage = damage_;
  status.damaged = damaged_.list();
  // Not those that went with retention.
  std::copy_if(gaps_.begin(), gaps_.end(), std::back_inserter(status.gaps),
               [from = start()](const GapRange& gap) { return gap.last > from; });
  status.scrub = scrub_.status();
  status.recovery = recovery_;
  status.recovery_segments_scanned = recovery_segments_scanned_;
  status.recovery_bytes_read = recovery_bytes_read_;
  status.retention = options_.retention;
  status.lowest_hold = holds_->lowest();
  status.disk_free_bytes = reserve_.free_bytes();
  status.disk_reserve_bytes = reserve_.bytes();
  if (!read_only_) {
    if (const Status room = reserve_.check(0); !room) status.full_reason = room.error().message;
  }
  {
    std::lock_guard guard(retention_mutex_);
    if (retention_) {
      const Retention::Report report = retention_->report();
      status.segments_removed = report.segments_removed;
      status.bytes_removed = report.bytes_removed;
      status.retention_note = report.note;
    }
  }
  std::lock_guard guard(queue_mutex_);
  status.queue_bytes = queue_bytes_;
  // What the reserve says now is newer than what an append was refused for.
  if (full_ && status.full_reason.empty()) status.full_reason = full_->message;
  status.full = !status.full_reason.empty();
  return status;
}

std::optional<Error> LogImpl::fatal_error() const {
  std::lock_guard guard(queue_mutex_);
  return fatal_;
}

}  // namespace kappa::log
