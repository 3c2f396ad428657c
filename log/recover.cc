// Recovery's driver. The choice itself is in log/recovery.cc.
#include "log/recover.h"

#include <algorithm>
#include <cstring>

#include "log/refused_segment.h"
#include "log/state_replay.h"

namespace kappa::log {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

std::string range_text(const char* what, std::uint64_t from, std::uint64_t to) {
  return std::string(what) + " [" + std::to_string(from) + ", " + std::to_string(to) + ")";
}

// A footer of this segment at `at`, if a whole one stands there.
std::optional<SegmentFooter> footer_at(Bytes file, const SegmentHeader& header, std::uint64_t at) {
  if (at >= file.size()) return std::nullopt;
  auto footer = decode_footer(file.subspan(at), header.log_id.low);
  if (!footer || footer->number != header.number || footer->end_position != position_at(header, at))
    return std::nullopt;
  return *footer;
}

class Recovery {
 public:
  Recovery(FileSystem& files, std::filesystem::path directory, bool read_only)
      : files_(files), directory_(std::move(directory)), read_only_(read_only) {}

  Expected<Recovered> run() {
    KAPPA_CHECK_OK(load());
    KAPPA_CHECK_OK(check_sealed());
    KAPPA_CHECK_OK(scan_unsealed());
    const TailDecision decision = classify(facts_);
    if (decision == TailDecision::kRefuseControl)
      damaged("the control file is lost, so a loss could not be noticed");
    if (decision == TailDecision::kRefuseRot) report_rot();
    check_delivered();
    out_.summary = name_of(decision);
    if (!damage_.empty()) {
      KAPPA_CHECK_OK(rebuild_around_damage());
      out_.damage = damage_;
      out_.summary = "damaged, read-only";
    } else if (!read_only_) {
      KAPPA_CHECK_OK(carry_out(decision));
    } else {
      keep_chain();
    }
    if (out_.segments.empty())
      return fail(ErrorCode::kCorrupt, 3114, "the log has no segment that can be read");
    out_.state.all_durable();
    return std::move(out_);
  }

 private:
  struct Unsealed {
    std::shared_ptr<Segment> segment;
    std::shared_ptr<const Mapping> map;
    bool header_valid = false;
  };

  void damaged(const std::string& what) {
    if (!damage_.empty()) damage_ += "; ";
    damage_ += what;
  }

  void damaged(DamagedRange range, const std::string& what) {
    damaged(what);
    out_.damaged.push_back(std::move(range));
  }

  Status load() {
    auto bytes = files_.read_whole(directory_ / kManifestName, kManifestBytesMax);
    if (!bytes) {
      if (bytes.error().code == ErrorCode::kNotFound)
        return fail(ErrorCode::kNotFound, 3011, "no log in " + directory_.string());
      return std::unexpected(std::move(bytes).error());
    }
    KAPPA_TRY(out_.manifest, decode_manifest(*bytes));
    out_.bytes_read += bytes->size();
    const auto control = files_.read_whole(directory_ / kControlName, 4 * kControlPageBytes);
    if (control) out_.control = decode_control(as_bytes(*control));
    if (!control && out_of_handles(control.error())) return std::unexpected(control.error());
    if (out_.control && out_.control->log_id != out_.manifest.log_id) out_.control.reset();
    if (out_.control) facts_.watermark = out_.control->watermark;
    KAPPA_TRY(const auto names, files_.list(directory_));
    for (const std::string& name : names)
      if (const auto parsed = parse_segment_name(name)) names_.push_back(*parsed);
    return {};
  }

  // Existence, size and footer of every sealed segment; not their batches.
  Status check_sealed() {
    SegmentHeader header;
    header.log_id = out_.manifest.log_id;
    for (const ManifestEntry& entry : out_.manifest.sealed) {
      header.number = entry.number;
      header.base_offset = entry.base_offset;
      header.base_position = entry.base_position;
      // Retention took what the first one follows.
      if (out_.segments.empty() && entry.base_position != LogPosition(0)) chain_known_ = false;
      if (!chain_known_) read_previous_hash(entry);
      header.previous_header_hash = chain_.header_hash;
      auto segment = std::make_shared<Segment>(files_, directory_, header, nullptr);
      const std::uint64_t end = file_byte(header, entry.end_position);
      segment->close_at(end);
      segment->set_index_stored();
      const auto check = [&]() -> Status {
        KAPPA_TRY(const auto file, files_.open(segment->path(), OpenMode::kRead));
        KAPPA_TRY(const std::uint64_t size, file->size());
        if (size != entry.file_bytes)
          return fail(ErrorCode::kCorrupt, 3115,
                      "its size is " + std::to_string(size) + ", not " + std::to_string(entry.file_bytes));
        std::string footer(static_cast<std::size_t>(entry.file_bytes - end), '\0');
        KAPPA_TRY(const std::size_t got, file->pread(std::as_writable_bytes(std::span(footer)), end));
        out_.bytes_read += got;
        footer.resize(got);
        if (hash_bytes(as_bytes(footer), 0) != entry.footer_hash)
          return fail(ErrorCode::kCorrupt, 3115, "its footer is not the one in the manifest");
        KAPPA_TRY(const SegmentFooter decoded, decode_footer(as_bytes(footer), header.log_id.low));
        chain_.header_hash = decoded.last_header_hash;
        return decoded.gaps > 0 ? list_gaps(*segment) : Status{};
      };
      if (Status ok = check(); !ok) {
        if (out_of_handles(ok.error())) return ok;
        RefusedSegment refused = look_at_refused(*segment, entry.end_offset, ok.error().message);
        out_.bytes_read += entry.file_bytes;
        for (DamagedRange& range : refused.damaged) {
          std::string text = "segment file " + range.file + ": " + ok.error().message;
          text += range.first < range.last
                      ? "; " + range_text("offsets", range.first.value(), range.last.value()) + " are damaged"
                      : "; no event is lost with it";
          damaged(std::move(range), text);
        }
        chain_known_ = refused.last_hash.has_value();
        chain_.header_hash = refused.last_hash.value_or(0);
      } else {
        chain_known_ = true;
      }
      out_.bytes_on_disk += entry.file_bytes;
      chain_.next_offset = entry.end_offset;
      position_ = entry.end_position;
      out_.segments.push_back(std::move(segment));
    }
    return {};
  }

  // What the segment itself says stood before it, where nothing else does.
  void read_previous_hash(const ManifestEntry& entry) {
    const auto file = files_.open(directory_ / segment_name(entry.number, entry.base_offset), OpenMode::kRead);
    if (!file) return;
    std::string page(kSegmentHeaderBytes, '\0');
    if (const auto got = (*file)->pread(std::as_writable_bytes(std::span(page)), 0); !got || *got != page.size()) return;
    const auto header = decode_segment_header(as_bytes(page));
    if (header && header->log_id == out_.manifest.log_id && header->number == entry.number)
      chain_.header_hash = header->previous_header_hash;
  }

  // Only of a segment whose footer says that there are some.
  Status list_gaps(Segment& segment) {
    KAPPA_TRY(const auto map, segment.mapping());
    const Bytes file = map->bytes().first(std::min<std::uint64_t>(map->bytes().size(), segment.end()));
    for (std::uint64_t at = kSegmentHeaderBytes; at < file.size();) {
      auto found = batch_at(file, segment.header(), at, false);
      if (!found) {
        // Readers meet the damage by themselves.
        const auto next = find_batch(file, segment.header(), at + kBatchAlignment);
        if (!next) break;
        found = *next;
      }
      if (found->header.kind == BatchKind::kGap)
        add_gap(out_.gaps, found->header.base_offset, found->header.end_offset());
      at = found->end();
    }
    return {};
  }

  Status scan_unsealed() {
    const std::uint64_t first = out_.manifest.sealed.empty() ? 1 : out_.manifest.sealed.back().number + 1;
    bool broken = false;  // The chain ended in an earlier segment.
    std::uint64_t expected = first;
    for (const SegmentName& name : names_) {
      if (name.number < first) continue;
      Unsealed unsealed;
      SegmentHeader header;
      header.log_id = out_.manifest.log_id;
      header.number = name.number;
      header.base_offset = name.base_offset;
      header.base_position = position_;  // The best guess if its own page is damaged.
      header.previous_header_hash = chain_.header_hash;
      KAPPA_TRY(const auto file,
                files_.open(directory_ / segment_name(name.number, name.base_offset), OpenMode::kRead));
      KAPPA_TRY(unsealed.map, file->map());
      out_.bytes_on_disk += unsealed.map->bytes().size();
      out_.bytes_read += unsealed.map->bytes().size();
      ++out_.segments_scanned;
      auto page = decode_segment_header(unsealed.map->bytes());
      if (!page && page.error().code == ErrorCode::kUnsupported) return std::unexpected(page.error());
      if (page && page->log_id == header.log_id && page->number == name.number &&
          page->base_offset == name.base_offset) {
        unsealed.header_valid = true;
        header = *page;
      }
      const bool fits = unsealed.header_valid && name.number == expected &&
                        header.base_position == position_ && header.base_offset == chain_.next_offset &&
                        (!chain_known_ || header.previous_header_hash == chain_.header_hash);
      if (torn_footer_ && fits) {
        // This segment goes on exactly there: what stands behind the end of the one before is its
        // footer, torn while it was being sealed. It is sealed again.
        broken = false;
        facts_.tail = TailBytes::kZeros;
      }
      torn_footer_ = false;
      const bool continues = fits && !broken;
      unsealed.segment =
          std::make_shared<Segment>(files_, directory_, header, std::make_unique<SegmentIndex>(header));
      unsealed_.push_back(unsealed);
      if (!broken && !continues) {
        broken = true;
        stop_segment_ = unsealed_.size() - 1;
        stop_at_ = kSegmentHeaderBytes;
        stop_scanned_ = false;
        // A segment is made durable before the one before it is sealed, and the first one before it
        // gets its name.
        if (stop_segment_ == 0) {
          const std::string text = segment_name(name.number, name.base_offset);
          damaged({text, name.number, 0, unsealed.map->bytes().size(), chain_.next_offset,
                   watermark_offset(), "does not continue the log"},
                  "segment file " + text + " does not continue the log");
        }
        note_later(unsealed, kSegmentHeaderBytes);
        facts_.tail = TailBytes::kGarbage;
      } else if (broken) {
        note_later(unsealed, kSegmentHeaderBytes);
        facts_.tail = TailBytes::kGarbage;
      } else {
        chain_.header_hash = header.previous_header_hash;
        KAPPA_TRY(broken, scan_one(unsealed_.size() - 1));
      }
      ++expected;
    }
    facts_.end = position_;
    if (unsealed_.empty() || (ended_by_footer_ && !broken))
      damaged({"(missing)", expected, 0, 0, chain_.next_offset, watermark_offset(),
               "the segment file that takes the appends is missing"},
              "the segment file that takes the appends is missing, " +
                  range_text("offsets", chain_.next_offset.value(), watermark_offset().value()));
    return {};
  }

  // Where the log ended when W was stored, if that is behind the chain's end.
  Offset watermark_offset() const {
    return out_.control ? std::max(out_.control->watermark_offset, chain_.next_offset) : chain_.next_offset;
  }

  // Zeros that a failing disk left in a mapping must not pass for the end of the log.
  void check_delivered() {
    for (const Unsealed& unsealed : unsealed_) {
      const auto lost = unsealed.map->lost_byte(0, UINT64_MAX);
      if (!lost) continue;
      const std::string name = unsealed.segment->path().filename().string();
      const std::string what = "byte " + std::to_string(*lost) + " cannot be read from the disk";
      damaged({name, unsealed.segment->header().number, *lost, unsealed.map->bytes().size(),
               chain_.next_offset, watermark_offset(), what},
              "segment file " + name + ": " + what);
    }
  }

  // Follows the chain through one segment. True if nothing may follow it any more. kUnsupported for a
  // whole batch of a newer version: it must not be taken for a torn tail.
  Expected<bool> scan_one(std::size_t i) {
    Unsealed& unsealed = unsealed_[i];
    const SegmentHeader& header = unsealed.segment->header();
    const Bytes file = unsealed.map->bytes();
    std::uint64_t at = kSegmentHeaderBytes;
    bool followed = true;
    while (followed) {
      const auto found = batch_at(file, header, at);
      if (!found && found.error().code == ErrorCode::kUnsupported) return std::unexpected(found.error());
      followed = found && check_chain(chain_, *found) && out_.state.apply(found->header, found->body);
      if (!followed) break;
      extend_chain(chain_, *found);
      if (found->header.kind == BatchKind::kGap)
        add_gap(out_.gaps, found->header.base_offset, found->header.end_offset());
      unsealed.segment->change_index(
          [&](SegmentIndex& index) { index.add(found->header, found->header_hash, found->at); });
      at = found->end();
      position_ = position_at(header, at);
    }
    chain_known_ = true;
    stop_scanned_ = true;
    stop_segment_ = i;
    stop_at_ = at;
    ended_by_footer_ = footer_at(file, header, at).has_value();
    if (ended_by_footer_) {
      facts_.later_durable_upto = std::max(facts_.later_durable_upto.value_or(LogPosition{}), position_);
      return false;
    }
    if (end_of_bytes(file, std::min<std::uint64_t>(at, file.size())) <= at) {
      facts_.tail = TailBytes::kZeros;
      return false;  // A full segment may end without a footer yet; the next one says.
    }
    facts_.tail = TailBytes::kGarbage;
    torn_footer_ = !note_later(unsealed, at);
    return true;
  }

  // Evidence behind the end: any valid header or footer. True if there is one.
  bool note_later(const Unsealed& unsealed, std::uint64_t from) {
    const Bytes file = unsealed.map->bytes();
    const SegmentHeader& header = unsealed.segment->header();
    bool any = false;
    const auto note = [this, &any](LogPosition upto) {
      any = true;
      facts_.later_durable_upto = std::max(facts_.later_durable_upto.value_or(LogPosition{}), upto);
    };
    for (auto found = find_batch(file, header, from); found;
         found = find_batch(file, header, found->at + 8)) {
      note(found->header.durable_upto);
      if (!first_later_ && batch_at(file, header, found->at)) {
        first_later_ = found->header.base_offset;
        first_later_at_ = found->at;
      }
    }
    for (std::uint64_t at = from; at + 8 <= file.size(); at += kBatchAlignment)
      if (std::memcmp(file.data() + at, "KFTR", 4) == 0)
        if (const auto footer = footer_at(file, header, at)) note(footer->end_position);
    return any;
  }

  void report_rot() {
    const std::string name = unsealed_.empty() ? std::string("(missing)")
                                               : unsealed_[stop_segment_].segment->path().filename().string();
    const std::uint64_t from = chain_.next_offset.value();
    std::uint64_t to = first_later_ ? first_later_->value() : from;
    if (!first_later_ && out_.control) to = std::max(to, out_.control->watermark_offset.value());
    const bool known = !unsealed_.empty();
    const std::uint64_t number = known ? unsealed_[stop_segment_].segment->header().number : 0;
    damaged({name, number, stop_at_, std::max(first_later_at_, stop_at_), Offset(from), Offset(to),
             "durable bytes are damaged"},
            range_text("offsets", from, to) + " were durable and are damaged, segment file " + name +
            " from byte " + std::to_string(stop_at_));
  }

  // Read-only: everything that still verifies is served, across the damage.
  Status rebuild_around_damage() {
    keep_ordered();
    const std::size_t count = out_.segments.size();
    // Back to where the tables are known.
    std::size_t first = count < 2 ? 0 : count - 2;
    while (first > 0 && !snapshot_is_whole(*out_.segments[first])) --first;
    StateReplay tables;
    tables.begin_log(count > 0 && out_.segments[first]->header().base_position == LogPosition(0));
    for (std::size_t i = first; i < count; ++i) {
      Segment& segment = *out_.segments[i];
      tables.begin_segment();
      const SegmentHeader& header = segment.header();
      const auto map = segment.mapping();
      if (!map) {
        if (segment.end() != Segment::kOpenEnd) position_ = std::max(position_, position_at(header, segment.end()));
        tables.lose();
        continue;
      }
      const bool sealed = segment.end() != Segment::kOpenEnd;
      const Bytes file = (*map)->bytes().first(std::min<std::size_t>((*map)->bytes().size(), segment.end()));
      SegmentIndex index(header);
      std::vector<DamagedRange> holes;
      Offset next_offset = header.base_offset;
      std::uint64_t end = kSegmentHeaderBytes;
      std::uint64_t whole_end = end;
      const auto hole_upto = [&](std::uint64_t to, Offset last) {
        if (to > whole_end)
          holes.push_back({segment_name(header.number, header.base_offset), header.number, whole_end, to,
                           next_offset, last, "durable bytes are damaged"});
      };
      for (auto found = find_batch(file, header, kSegmentHeaderBytes); found;
           found = find_batch(file, header, end)) {
        auto whole = batch_at(file, header, found->at);
        end = found->at + kBatchAlignment;
        if (!whole) continue;
        if (whole->at > whole_end) tables.lose();
        hole_upto(whole->at, whole->header.base_offset);
        whole_end = end = whole->end();
        next_offset = whole->header.end_offset();
        tables.apply(*whole);
        index.add(whole->header, whole->header_hash, whole->at);
        extend_chain(chain_, *whole);
      }
      tables.end_head();
      if (!sealed) {
        // Where its batches must have ended: at the next segment's base, or at W.
        const LogPosition evidence = i + 1 < count  ? out_.segments[i + 1]->header().base_position
                                     : out_.control ? out_.control->watermark
                                                    : LogPosition{};
        end = whole_end;
        std::uint64_t lost = end_of_bytes(file, whole_end);
        if (evidence > position_at(header, end)) {
          if (evidence - header.base_position <= file.size()) end = file_byte(header, evidence);
          // Of a file that was cut, nothing is left that could be looked at.
          lost = std::max({lost, end, whole_end + kBatchAlignment});
        }
        if (lost > whole_end) tables.lose();
        hole_upto(lost, Offset(UINT64_MAX));
        segment.set_holes(std::move(holes));
        segment.change_index([&](SegmentIndex& live) { live = std::move(index); });
        if (i + 1 < count) segment.close_at(end);
      } else {
        end = segment.end();
        if (whole_end < end) tables.lose();
      }
      position_ = std::max(position_, position_at(header, end));  // A stray file's place is a guess.
      out_.end_at = end;
    }
    out_.state = tables.take();
    // The tables may not know of offsets whose batches are lost.
    for (const auto& segment : out_.segments)
      out_.state.next_offset = std::max(out_.state.next_offset, segment->header().base_offset);
    if (out_.control) {
      // What W says was there is part of the log, if only to be reported as lost.
      out_.state.next_offset = std::max(out_.state.next_offset, out_.control->watermark_offset);
      position_ = std::max(position_, out_.control->watermark);
    }
    chain_.next_offset = out_.state.next_offset;
    finish_end();
    return {};
  }

  // Readers search the segments by offset. What has no place in that order, a stray copy of a segment under
  // another name, is not searched; the damage that is reported names it.
  void keep_ordered() {
    Offset held = out_.manifest.sealed.empty() ? Offset(0) : out_.manifest.sealed.back().end_offset;
    for (std::size_t i = 0; i < unsealed_.size(); ++i) {
      const auto number = [](const Unsealed& unsealed) { return unsealed.segment->header().number; };
      const bool twice = i + 1 < unsealed_.size() && number(unsealed_[i]) == number(unsealed_[i + 1]);
      if (twice && !unsealed_[i].header_valid) continue;
      if (!out_.segments.empty()) {
        const SegmentHeader& before = out_.segments.back()->header();
        const SegmentHeader& here = unsealed_[i].segment->header();
        if (here.number <= before.number || here.base_offset < before.base_offset) continue;
        // Only its name says where it begins, and an earlier segment has events from there on.
        if (!unsealed_[i].header_valid && here.base_offset < held) continue;
      }
      held = std::max(held, held_upto(unsealed_[i].map->bytes(), unsealed_[i].segment->header()));
      out_.segments.push_back(unsealed_[i].segment);
      ++out_.unsealed;
    }
  }

  void finish_end() {
    out_.chain = chain_;
    out_.end_position = position_;
  }

  // Keeps the segments of the chain.
  void keep_chain() {
    const std::size_t keep = stop_segment_ + (stop_scanned_ ? 1 : 0);
    for (std::size_t i = 0; i < keep; ++i) {
      const SegmentHeader& header = unsealed_[i].segment->header();
      const bool last = i + 1 == keep;
      out_.end_at = file_byte(header, last ? position_ : unsealed_[i + 1].segment->header().base_position);
      if (!last) unsealed_[i].segment->close_at(out_.end_at);
      out_.segments.push_back(unsealed_[i].segment);
    }
    out_.unsealed = keep;
    finish_end();
  }

  Status carry_out(TailDecision decision) {
    const LogPosition watermark = *facts_.watermark;
    // Names that a killed process left behind may be known to the page cache only.
    KAPPA_CHECK_OK(files_.sync_directory(directory_));
    if (decision == TailDecision::kCutTornTail) {
      KAPPA_CHECK_OK(cut());
    }
    for (const Unsealed& unsealed : unsealed_) KAPPA_CHECK_OK(write_again(unsealed, watermark));
    stop_segment_ = unsealed_.size() - 1;
    stop_scanned_ = true;
    keep_chain();
    return {};
  }

  // Copies what stands behind the end aside, then takes it away.
  Status cut() {
    const std::string stem = "torn-" + std::to_string(position_.value());
    std::size_t keep = stop_segment_ + 1;
    std::uint64_t lost_bytes = 0;
    if (!stop_scanned_) {
      // The chain ends with the segment before: this one goes aside whole, and that one goes on.
      keep = stop_segment_;
    } else {
      const Unsealed& torn = unsealed_[stop_segment_];
      const Bytes file = torn.map->bytes();
      const std::uint64_t end = end_of_bytes(file, std::min<std::uint64_t>(stop_at_, file.size()));
      if (end > stop_at_) {
        lost_bytes = end - stop_at_;
        const std::string bytes(as_text(file.subspan(stop_at_, end - stop_at_)));
        if (torn.map->lost_byte(stop_at_, end))
          return fail(ErrorCode::kIo, 3131,
                      "segment file " + torn.segment->path().filename().string() + " cannot be read");
        KAPPA_CHECK_OK(files_.replace_whole(directory_ / (stem + ".bin"), bytes));
        KAPPA_TRY(const auto handle, files_.open(torn.segment->path(), OpenMode::kReadWrite));
        const std::string zeros(kPieceBytes, '\0');
        for (std::uint64_t at = stop_at_; at < end; at += zeros.size())
          KAPPA_CHECK_OK(
              handle->pwrite(as_bytes(zeros).first(std::min<std::size_t>(zeros.size(), end - at)), at));
        KAPPA_CHECK_OK(handle->fdatasync());
      }
    }
    for (std::size_t i = keep; i < unsealed_.size(); ++i) {
      const std::filesystem::path path = unsealed_[i].segment->path();
      const std::uint64_t end = end_of_bytes(unsealed_[i].map->bytes(), 0);
      lost_bytes += end;
      if (end == 0) {
        KAPPA_CHECK_OK(files_.unlink(path));
        continue;
      }
      const auto aside =
          directory_ / (stem + "-segment-" + std::to_string(unsealed_[i].segment->header().number) + ".bin");
      KAPPA_CHECK_OK(files_.rename(path, aside));
    }
    KAPPA_CHECK_OK(files_.sync_directory(directory_));
    unsealed_.resize(keep);
    stop_segment_ = keep - 1;
    const SegmentHeader& header = unsealed_.back().segment->header();
    stop_at_ = file_byte(header, position_);
    out_.summary = "cut a torn tail of " + std::to_string(lost_bytes) + " bytes at offset " +
                   std::to_string(chain_.next_offset.value()) + ", copied to " + stem +
                   "*.bin; the last acknowledged group may be in it";
    return {};
  }

  // Everything from W on is written once more and synced before anybody reads it: the page cache may
  // hold what the disk never got, and a sync of clean pages would not write them.
  Status write_again(const Unsealed& unsealed, LogPosition watermark) {
    const SegmentHeader& header = unsealed.segment->header();
    const std::size_t next = static_cast<std::size_t>(&unsealed - unsealed_.data()) + 1;
    const LogPosition segment_end =
        next < unsealed_.size() ? unsealed_[next].segment->header().base_position : position_;
    // A segment that begins at W has nothing durable yet, its header page included.
    if (segment_end <= watermark && header.base_position < watermark) return {};
    KAPPA_TRY(const auto file, files_.open(unsealed.segment->path(), OpenMode::kReadWrite));
    // The header page belongs to what may never have reached the disk.
    std::uint64_t at = watermark > header.base_position ? file_byte(header, watermark) : 0;
    const std::uint64_t end = file_byte(header, segment_end);
    while (at < end) {
      const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, end - at));
      // A copy: writing a page from its own mapping may deadlock in the kernel.
      const std::string piece(as_text(unsealed.map->bytes().subspan(at, n)));
      if (unsealed.map->lost_byte(at, at + n))
        return fail(ErrorCode::kIo, 3131,
                    "segment file " + unsealed.segment->path().filename().string() + " cannot be read at byte " +
                        std::to_string(at));
      KAPPA_CHECK_OK(file->pwrite(as_bytes(piece), at));
      at += n;
    }
    KAPPA_CHECK_OK(file->fdatasync());
    return files_.sync_directory(directory_);
  }

  FileSystem& files_;
  std::filesystem::path directory_;
  bool read_only_;
  Recovered out_;
  TailFacts facts_;
  std::string damage_;
  std::vector<SegmentName> names_;
  std::vector<Unsealed> unsealed_;
  ChainState chain_;
  bool chain_known_ = true;
  LogPosition position_;
  std::size_t stop_segment_ = 0;  // Where the chain ends: which unsealed segment, which file byte.
  std::uint64_t stop_at_ = kSegmentHeaderBytes;
  bool stop_scanned_ = false;  // Its batches were followed; else the segment itself does not belong.
  bool ended_by_footer_ = false;
  bool torn_footer_ = false;  // The bytes behind the last chain's end may be: nothing in them is valid.
  std::optional<Offset> first_later_;  // Of the first whole batch behind the damage.
  std::uint64_t first_later_at_ = 0;   // Its file byte.
};

}  // namespace

void add_gap(std::vector<GapRange>& gaps, Offset first, Offset last) {
  if (first >= last) return;
  if (!gaps.empty() && gaps.back().last == first)
    gaps.back().last = last;
  else
    gaps.push_back({first, last});
}

Expected<Recovered> recover(FileSystem& files, const std::filesystem::path& directory, bool read_only) {
  return Recovery(files, directory, read_only).run();
}

}  // namespace kappa::log
