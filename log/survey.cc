// Looking at a whole log directory.
#include "log/survey.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "log/recover.h"
#include "log/state_replay.h"
#include "log/survey_files.h"

namespace kappa::log {
namespace {

// Segments in a row that can be lost.
constexpr std::uint64_t kLostSegmentsMax = 4096;

class Surveyor {
 public:
  Surveyor(FileSystem& files, std::filesystem::path directory,
           const std::function<void(std::string_view)>& line)
      : files_(files), directory_(std::move(directory)), line_(line) {}

  Expected<Survey> run() {
    KAPPA_CHECK_OK(load());
    place_segments();
    KAPPA_CHECK_OK(find_evidence());
    KAPPA_CHECK_OK(walk_all());
    check_end();
    return std::move(out_);
  }

 private:
  void say(const std::string& text) {
    if (line_) line_(text);
  }
  void damage(std::string text) {
    say("damage: " + text);
    out_.damage.push_back(std::move(text));
  }
  void warn(std::string text) {
    say("warning: " + text);
    out_.warnings.push_back(std::move(text));
  }

  Status load() {
    KAPPA_TRY(SurveyedFiles found, survey_files(files_, directory_));
    for (std::string& text : found.damage) damage(std::move(text));
    out_.log_id = found.log_id;
    out_.manifest = std::move(found.manifest);
    out_.control = found.control;
    if (out_.control) out_.epoch = out_.control->writer_epoch;
    out_.extra = std::move(found.extra);
    entries_ = std::move(found.entries);
    taken_ = std::move(found.segments);
    return {};
  }

  std::optional<SegmentHeader> known_header(std::uint64_t number) const {
    if (const auto found = taken_.find(number); found != taken_.end() && found->second.known)
      return found->second.header;
    if (const auto entry = entries_.find(number); entry != entries_.end()) {
      SegmentHeader header;
      header.log_id = out_.log_id;
      header.number = number;
      header.base_offset = entry->second.base_offset;
      header.base_position = entry->second.base_position;
      return header;
    }
    return std::nullopt;
  }
  // Of the nearest segment behind `number` that is known.
  std::optional<SegmentHeader> known_after(std::uint64_t number) const {
    auto file = taken_.upper_bound(number);
    while (file != taken_.end() && !file->second.known) ++file;
    const auto entry = entries_.upper_bound(number);
    std::uint64_t next = UINT64_MAX;
    if (file != taken_.end()) next = file->first;
    if (entry != entries_.end()) next = std::min(next, entry->first);
    return next > last_number_ ? std::nullopt : known_header(next);
  }

  // Which numbers there must be, and from which on they are not sealed.
  void place_segments() {
    std::uint64_t first = taken_.empty() ? 1 : taken_.begin()->first;
    if (out_.manifest) {
      if (!entries_.empty())
        first = entries_.begin()->first;
      else if (out_.manifest->log_start == Offset(0))
        first = 1;
      first_unsealed_ = entries_.empty() ? first : entries_.rbegin()->first + 1;
      out_.log_start = out_.manifest->log_start;
    } else {
      // A segment whose file ends with its footer was sealed, and so was everything before it.
      first_unsealed_ = first;
      for (const auto& [number, candidate] : taken_)
        if (candidate.known && has_footer(candidate)) first_unsealed_ = number + 1;
      if (const auto header = known_header(first)) out_.log_start = header->base_offset;
      if (first > 1)
        damage("no segment before number " + std::to_string(first) +
               " is there, and without MANIFEST nobody can know whether retention took them; the log begins at offset " +
               std::to_string(out_.log_start.value()));
    }
    leave_out_strays(std::max(first, entries_.empty() ? 0 : entries_.rbegin()->first));
    last_number_ = std::max(first_unsealed_, taken_.empty() ? 0 : taken_.rbegin()->first);
    first_number_ = first;
    // What retention gave up may still be there.
    for (auto it = taken_.begin(); it != taken_.end() && it->first < first;) it = taken_.erase(it);
  }

  // A file whose number is far above all others' belongs to no log that ever was; every number in between
  // would be a lost segment.
  void leave_out_strays(std::uint64_t last) {
    auto file = taken_.begin();
    for (; file != taken_.end() && (file->first <= last || file->first - last <= kLostSegmentsMax); ++file)
      last = std::max(last, file->first);
    while (file != taken_.end()) {
      damage("segment file " + file->second.file + ": its number is far above that of the segment before it, " +
             std::to_string(last) + "; it is left out");
      out_.extra.push_back(file->second.file);
      file = taken_.erase(file);
    }
  }

  bool has_footer(const SurveyedFile& candidate) {
    const auto map = open_map(candidate.file);
    return map && find_footer((*map)->bytes(), candidate.header).has_value();
  }
  // The position below which bytes of the unsealed part were durable.
  Status find_evidence() {
    if (out_.control) evidence_ = {out_.control->watermark, out_.control->watermark_offset};
    for (const auto& [number, candidate] : taken_) {
      if (number < first_unsealed_ || !candidate.known) continue;
      KAPPA_TRY(const auto map, open_map(candidate.file));
      const Bytes file = map->bytes();
      for (auto found = find_batch(file, candidate.header, kSegmentHeaderBytes); found;
           found = find_batch(file, candidate.header, found->at + kBatchAlignment)) {
        out_.epoch = std::max(out_.epoch, found->header.writer_epoch);
        // Its own place stands for the durable end it names: what is between was written before it.
        if (found->header.durable_upto > evidence_.position)
          evidence_ = {found->header.durable_upto, Offset(UINT64_MAX)};
        // On behind the body where there is one.
        if (batch_at(file, candidate.header, found->at)) found->at = found->end() - kBatchAlignment;
      }
      if (const auto place = find_footer(file, candidate.header)) {
        const auto footer = decode_footer(file.subspan(*place), out_.log_id.low);
        if (footer && footer->end_position > evidence_.position)
          evidence_ = {footer->end_position, footer->end_offset};
      }
    }
    return {};
  }

  Expected<std::shared_ptr<const Mapping>> open_map(const std::string& name) {
    KAPPA_TRY(const auto file, files_.open(directory_ / name, OpenMode::kRead));
    return file->map();
  }

  Status walk_all() {
    for (std::uint64_t number = first_number_; number <= last_number_; ++number) {
      if (ended_) {
        if (const auto found = taken_.find(number); found != taken_.end())
          out_.extra.push_back(found->second.file);
        continue;
      }
      SurveyedSegment segment;
      const auto entry = entries_.find(number);
      const auto found = taken_.find(number);
      segment.sealed = number < first_unsealed_;
      auto header = known_header(number);
      const bool first = number == first_number_;
      if (!header) {
        header.emplace();
        header->log_id = out_.log_id;
        header->number = number;
        header->base_offset = chain_.next_offset;
        header->base_position = position_;
        header->previous_header_hash = chain_.header_hash;
      }
      const bool has_page = found != taken_.end() && found->second.page.has_value();
      if (!has_page) {
        const bool named = found != taken_.end() && found->second.previous_hash;
        header->previous_header_hash = named ? *found->second.previous_hash : chain_.header_hash;
      }
      if (first) {
        position_ = header->base_position;
        chain_ = {header->base_offset, header->previous_header_hash};
        tables_.begin_log(position_ == LogPosition(0));
      }
      if (found != taken_.end()) segment.file = found->second.file;
      if (header->base_position != position_ || header->base_offset != chain_.next_offset) {
        // Only where the part before is damaged beyond what anything says of it.
        damage("segment file " + segment_name(number, header->base_offset) + ": it does not continue the log at " +
               bracket("offsets", chain_.next_offset.value(), header->base_offset.value()));
        out_.tail_damaged = true;
        if (segment.file) out_.extra.push_back(*segment.file);
        ended_ = true;
        continue;
      }
      segment.header = *header;
      segment.page_damaged = segment.file && !has_page;
      KAPPA_CHECK_OK(walk_one(segment, entry == entries_.end() ? nullptr : &entry->second));
      if (dropped_) {
        dropped_ = false;
        if (segment.file) out_.extra.push_back(*segment.file);
        continue;
      }
      out_.segments.push_back(std::move(segment));
    }
    return {};
  }

  // Where the batches of the segment must end, if anything says so.
  struct End {
    std::uint64_t at = 0;
    Offset offset;
    std::optional<std::uint64_t> hash;  // What the next batch names as the one before it.
  };
  std::optional<End> end_of(const SurveyedSegment& segment, const ManifestEntry* entry) const {
    std::optional<End> end;
    if (entry != nullptr) end = End{file_byte(segment.header, entry->end_position), entry->end_offset, {}};
    const auto next = known_after(segment.header.number);
    if (next && next->base_position >= segment.header.base_position &&
        next->base_offset >= segment.header.base_offset) {
      if (!end) end = End{file_byte(segment.header, next->base_position), next->base_offset, {}};
      const auto found = taken_.find(next->number);
      if (found != taken_.end() && next->base_offset == end->offset) end->hash = found->second.previous_hash;
    }
    return end;
  }

  Status walk_one(SurveyedSegment& segment, const ManifestEntry* entry) {
    const SegmentHeader& header = segment.header;
    const std::string name = segment.name();
    std::shared_ptr<const Mapping> map;
    if (segment.file) {
      KAPPA_TRY(map, open_map(*segment.file));
    }
    const Bytes whole = map ? map->bytes() : Bytes{};
    segment.file_bytes = whole.size();
    std::optional<End> end = end_of(segment, entry);
    const bool open_end = !segment.sealed;
    if (!end && segment.sealed) {
      // Without a manifest the last sealed segment has only its own footer to say where it ends.
      if (const auto at = find_footer(whole, header))
        if (const auto footer = decode_footer(whole.subspan(*at), out_.log_id.low))
          end = End{*at, footer->end_offset, footer->last_header_hash};
    }
    if (open_end && !map && header.base_position >= evidence_.position && header.number == last_number_) {
      // Nothing that was durable was in it.
      damage("the segment file that takes the appends is missing; no event is lost with it");
      out_.tail_damaged = true;
      dropped_ = true;
      ended_ = true;
      return {};
    }
    SegmentIndex index(header);
    ChainState chain{header.base_offset, header.previous_header_hash};
    std::uint64_t at = kSegmentHeaderBytes;
    LostRange last_batch;  // As if it were lost.
    const auto limit = [&] {
      if (end) return end->at;
      const bool reaches = evidence_.position > header.base_position;
      return std::max<std::uint64_t>(whole.size(), reaches ? file_byte(header, evidence_.position) : 0);
    };
    const std::uint64_t known_file =
        std::min<std::uint64_t>(whole.size(), end && segment.sealed ? end->at : whole.size());
    const Bytes file = whole.first(known_file);
    bool stop = false;
    tables_.begin_segment();
    while (!stop && at < limit()) {
      auto found = map ? batch_at(file, header, at) : fail(ErrorCode::kCorrupt, 3115, "the segment file is missing");
      if (found && map->lost_byte(at, found->end()))
        found = fail(ErrorCode::kCorrupt, 3130, "the disk could not deliver it");
      Status chained = found ? check_chain(chain, *found) : Status{};
      if (found && chained && (!end || found->end() <= end->at)) {
        accept(segment, index, *found, chain, last_batch);
        at = found->end();
        continue;
      }
      if (open_end && position_at(header, at) >= evidence_.position) break;  // The end, or a torn tail.
      // Not damage: a repair must not give it up.
      if (!found && found.error().code == ErrorCode::kUnsupported) return std::unexpected(found.error());
      std::string what = !found ? found.error().message : !chained ? chained.error().message
                                                                   : "batch runs into the next segment";
      KAPPA_CHECK_OK(lose(segment, file, map.get(), chain, at, end, std::move(what), stop));
    }
    tables_.end_head();
    healed();
    // The chain must lead on to what follows.
    if (end && !stop && at == end->at && end->hash && segment.lost.empty() && *end->hash != chain.header_hash &&
        last_batch.to == at && at > kSegmentHeaderBytes) {
      last_batch.what = "the next segment does not follow it";
      last_batch.resume_hash = *end->hash;
      report_lost(segment, last_batch);
      chain.header_hash = *end->hash;
    }
    segment.end = at;
    segment.end_offset = chain.next_offset;
    if (open_end && end && at < end->at) {
      // The next segment begins behind a torn tail: it goes with it.
      end.reset();
      ended_ = true;
    }
    check_file(segment, whole, index, entry, map.get());
    position_ = position_at(header, at);
    chain_ = chain;
    say("segment file " + name + ": " + std::to_string(segment.batches) + " batches, " +
        bracket("offsets", header.base_offset.value(), segment.end_offset.value()));
    return {};
  }

  void accept(SurveyedSegment& segment, SegmentIndex& index, const FoundBatch& found, ChainState& chain,
              LostRange& last_batch) {
    const BatchHeader& header = found.header;
    if (header.codec != Codec::kNone && !decompress_body(found.body, header.uncompressed_length))
      damage(place(segment, found.at, found.end(), header.base_offset, header.end_offset()) +
             ": does not decompress");
    last_batch = {found.at, found.end(), header.base_offset, header.end_offset(), chain.header_hash, 0,
                  append_time_, header.writer_epoch, {}};
    index.add(header, found.header_hash, found.at);
    extend_chain(chain, found);
    append_time_ = header.append_time;
    out_.epoch = std::max(out_.epoch, header.writer_epoch);
    ++segment.batches;
    if (header.has_offsets()) segment.events += header.count;
    if (header.kind == BatchKind::kGap) {
      add_gap(out_.gaps, header.base_offset, header.end_offset());
      say("gap: " + bracket("offsets", header.base_offset.value(), header.end_offset().value()) +
          " were given up by a repair, " + segment.name() + " byte " + std::to_string(found.at));
    }
    tables_.apply(found);
    healed();
  }

  // The damage at `at`: up to the next batch that verifies and can follow, or to the end.
  Status lose(SurveyedSegment& segment, Bytes file, const Mapping* map, ChainState& chain, std::uint64_t& at,
              const std::optional<End>& end, std::string what, bool& stop) {
    const SegmentHeader& header = segment.header;
    LostRange range;
    range.from = at;
    range.first = chain.next_offset;
    range.previous_hash = chain.header_hash;
    range.append_time = append_time_;
    range.epoch = out_.epoch;
    range.what = std::move(what);
    const std::uint64_t from = at + (map != nullptr && batch_at(file, header, at) ? kBatchHeaderBytes : 8);
    std::optional<FoundBatch> next;
    for (auto later = find_batch(file, header, from); later;
         later = find_batch(file, header, later->at + kBatchAlignment)) {
      const auto whole = batch_at(file, header, later->at);
      if (!whole || whole->header.base_offset < chain.next_offset || map->lost_byte(later->at, whole->end()) ||
          (end && (whole->end() > end->at || whole->header.end_offset() > end->offset)))
        continue;
      next = *whole;
      break;
    }
    if (next) {
      range.to = next->at;
      range.last = next->header.base_offset;
      range.resume_hash = next->header.previous_header_hash;
      range.epoch = next->header.writer_epoch;
    } else if (end) {
      range.to = end->at;
      range.last = std::max(end->offset, chain.next_offset);
      range.resume_hash = end->hash.value_or(0);
    } else {
      KAPPA_CHECK_OK(lose_to_evidence(header, file, range));
      stop = true;
    }
    // A sound header whose body rotted still says which batch it was: the place of a view behind it is known.
    if (range.resume_hash == 0) range.resume_hash = last_lost_hash(header, file, range);
    report_lost(segment, range);
    note_definitions(header, file, range);
    tables_.lose();
    at = range.to;
    chain = {range.last, range.resume_hash};
    if (!segment.sealed) out_.tail_damaged = true;
    return {};
  }

  // What a batch behind the range would name as the one before it; 0 if no header says.
  static std::uint64_t last_lost_hash(const SegmentHeader& header, Bytes file, const LostRange& range) {
    for (auto lost = find_batch(file, header, range.from); lost && lost->at < range.to;
         lost = find_batch(file, header, lost->at + kBatchAlignment))
      if (lost->end() == range.to && lost->header.end_offset() == range.last) return lost->chain_hash();
    return 0;
  }

  // Bytes that are not verified are asked for nothing but names to show to somebody.
  void note_definitions(const SegmentHeader& header, Bytes file, const LostRange& range) {
    bool events_only = true;
    std::uint64_t known_to = range.from;
    for (auto lost = find_batch(file, header, range.from); lost && lost->at < range.to;
         lost = find_batch(file, header, lost->at + kBatchAlignment)) {
      const BatchKind kind = lost->header.kind;
      // The tables need no snapshot as long as nothing was lost before it.
      const bool needless = kind == BatchKind::kEvents || (kind == BatchKind::kSnapshot && tables_.exact());
      events_only = events_only && lost->at == known_to && needless;
      known_to = lost->end();
      if (needless || kind == BatchKind::kGap) continue;
      const auto bytes = batch_at(file, header, lost->at, false);
      if (!bytes) continue;  // Cut off.
      LogState read;
      static_cast<void>(read.apply(bytes->header, bytes->body));
      for (const TopicEntry& topic : read.topics)
        if (!topic.name.empty()) out_.lost_definitions.topics.push_back(topic.name);
      for (const auto& [key, record] : read.system) out_.lost_definitions.system_keys.push_back(key);
    }
    if (events_only && known_to == range.to) return;
    std::vector<GapRange>& offsets = out_.lost_definitions.offsets;
    if (!offsets.empty() && offsets.back().last == range.first)
      offsets.back().last = range.last;
    else
      offsets.push_back({range.first, range.last});
  }

  // What a whole snapshot repeats is not lost.
  void healed() {
    if (tables_.exact()) out_.lost_definitions = {};
  }

  // Nothing whole follows: the log ends where W, or a header that can be read, says that it was durable.
  Status lose_to_evidence(const SegmentHeader& header, Bytes file, LostRange& range) const {
    const LogPosition from = position_at(header, range.from);
    if (out_.control && out_.control->watermark >= evidence_.position) {
      range.to = file_byte(header, std::max(out_.control->watermark, from));
      range.last = std::max(out_.control->watermark_offset, range.first);
      return {};
    }
    range.to = file_byte(header, std::max(evidence_.position, from));
    range.last = evidence_.offset == Offset(UINT64_MAX) ? range.first : std::max(range.first, evidence_.offset);
    for (auto later = find_batch(file, header, range.from + kBatchAlignment); later;
         later = find_batch(file, header, later->at + kBatchAlignment)) {
      if (position_at(header, later->at) < evidence_.position || later->header.base_offset < range.first) continue;
      range.to = later->at;
      range.last = later->header.base_offset;
      break;
    }
    return {};
  }

  std::string place(const SurveyedSegment& segment, std::uint64_t from, std::uint64_t to, Offset first,
                    Offset last) const {
    return "segment file " + segment.name() + ", " + bracket("bytes", from, to) + ", " +
           bracket("offsets", first.value(), last.value());
  }

  void report_lost(SurveyedSegment& segment, const LostRange& range) {
    damage(place(segment, range.from, range.to, range.first, range.last) + ": " + range.what);
    segment.lost.push_back(range);
  }

  // Page, footer, manifest entry, index and name.
  void check_file(SurveyedSegment& segment, Bytes whole, const SegmentIndex& index, const ManifestEntry* entry,
                  const Mapping* map) {
    const std::string name = segment.name();
    if (segment.misplaced())
      damage("segment file " + *segment.file + ": it holds segment " + std::to_string(segment.header.number) +
             ", whose name is " + name);
    if (segment.page_damaged) {
      damage("segment file " + name + ", bytes [0, 4096): its header page is damaged; no event is lost with it");
      if (!segment.sealed) out_.tail_damaged = true;
    }
    if (!map) return;
    if (segment.sealed) {
      const auto footer =
          decode_footer(whole.subspan(std::min<std::uint64_t>(whole.size(), segment.end)), out_.log_id.low);
      const std::string expected = encode_footer(index.footer(), out_.log_id.low);
      const bool right_size = whole.size() == segment.end + expected.size();
      if (segment.lost.empty() && (!footer || *footer != index.footer() || !right_size)) {
        segment.footer_damaged = true;
        damage("segment file " + name + ", " + bracket("bytes", segment.end, whole.size()) +
               ": its footer is damaged; no event is lost with it");
      }
      if (!segment.lost.empty()) segment.footer_damaged = true;
      if (out_.manifest && segment.lost.empty() && !segment.footer_damaged &&
          (entry == nullptr || entry->footer_hash != hash_bytes(as_bytes(expected), 0) ||
           entry->file_bytes != whole.size())) {
        segment.entry_damaged = true;
        damage("segment file " + name + ": the manifest describes another one");
      }
      const auto stored =
          files_.read_whole(directory_ / index_name(segment.header.number, segment.header.base_offset),
                            std::size_t{1} << 30);
      if (segment.lost.empty() && (!stored || *stored != index.encode(out_.log_id.low)))
        warn("index of " + name + " is missing or damaged; it is rebuilt when needed");
    } else {
      segment.torn_end = end_of_bytes(whole, std::min<std::uint64_t>(whole.size(), segment.end));
      const auto footer =
          decode_footer(whole.subspan(std::min<std::uint64_t>(whole.size(), segment.end)), out_.log_id.low);
      if (footer && footer->number == segment.header.number &&
          footer->end_position == position_at(segment.header, segment.end)) {
        segment.torn_end = segment.end;
        footer_ends_ = true;
      } else {
        footer_ends_ = false;
      }
      // In front of a segment that goes on exactly there it is a footer torn while it was written.
      const bool last = ended_ || segment.header.number == last_number_;
      if (segment.torn_end > segment.end && last && !out_.tail_damaged)
        warn("the log ends in a torn tail, which the next start cuts off and keeps aside");
    }
  }

  void check_end() {
    out_.end_position = position_;
    out_.end_offset = chain_.next_offset;
    out_.end_hash = chain_.header_hash;
    out_.state = tables_.take();
    LostDefinitions& lost = out_.lost_definitions;
    if (lost.offsets.empty()) lost = {};
    std::erase_if(lost.topics, [&](const std::string& name) { return out_.state.topic_by_name.contains(name); });
    std::erase_if(lost.system_keys, [&](const std::string& key) { return out_.state.system.contains(key); });
    for (auto* names : {&lost.topics, &lost.system_keys}) {
      std::ranges::sort(*names);
      names->erase(std::ranges::unique(*names).begin(), names->end());
    }
    out_.state.next_offset = chain_.next_offset;
    if (!out_.segments.empty() && !out_.tail_damaged &&
        (out_.segments.back().sealed || (footer_ends_ && !ended_))) {
      damage("the segment file that takes the appends is missing; no event is lost with it");
      out_.tail_damaged = true;
    }
    out_.state.all_durable();
  }

  FileSystem& files_;
  std::filesystem::path directory_;
  const std::function<void(std::string_view)>& line_;
  Survey out_;
  std::map<std::uint64_t, ManifestEntry> entries_;
  std::map<std::uint64_t, SurveyedFile> taken_;
  std::uint64_t first_number_ = 1, first_unsealed_ = 1, last_number_ = 1;
  struct {
    LogPosition position;
    Offset offset;
  } evidence_;
  LogPosition position_;
  ChainState chain_;
  Timestamp append_time_;
  bool ended_ = false;    // Nothing behind the last walked segment belongs to the log.
  bool dropped_ = false;  // The segment walked last is none.
  bool footer_ends_ = false;
  StateReplay tables_;
};

}  // namespace

Expected<Survey> survey(FileSystem& files, const std::filesystem::path& directory,
                        const std::function<void(std::string_view)>& line) {
  KAPPA_TRY(Survey found, Surveyor(files, directory, line).run());
  if (!found.sound()) return found;
  // What opening would refuse is never called sound.
  KAPPA_TRY(const Recovered recovered, recover(files, directory, true));
  if (!recovered.damage) return found;
  found.tail_damaged = true;
  found.damage.push_back(*recovered.damage);
  if (line) line("damage: " + *recovered.damage);
  return found;
}

}  // namespace kappa::log
