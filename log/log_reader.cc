// Readers: batches straight from the mapped segments, verified, below the durable end.
#include <algorithm>
#include <utility>

#include "log/log_impl.h"

namespace kappa::log {
namespace {

// Positions of a topic's batches fetched from the index at a time.
constexpr std::size_t kPositionsAtATime = 256;
constexpr const char* kReaderHold = "a reader";

class ReaderImpl final : public LogReader {
 public:
  ReaderImpl(LogImpl& log, Offset from, ReadFilter filter)
      : log_(log), filter_(filter), position_(from), hold_(log.hold(kReaderHold, from)) {}

  Offset position() const override { return position_; }

  Status seek(Offset offset) override {
    position_ = offset;
    view_end_ = view_at_;
    hold_ = log_.hold(kReaderHold, offset);
    segment_.reset();
    map_.reset();
    topic_at_.clear();
    topic_next_ = 0;
    chain_hash_.reset();
    if (offset < log_.start() || offset < hold_.offset()) return below_start();
    return {};
  }

  Expected<std::optional<BatchView>> next() override {
    view_end_ = view_at_;
    if (view_map_) view_map_.reset();
    auto batch = step();
    // Retention went over this reader (its hard cap does): whatever happened then, this is why.
    if (!batch && position_ < log_.start()) return below_start();
    return batch;
  }

  Status intact() override {
    const Mapping* used = view_map_ ? view_map_.get() : map_.get();
    if (used == nullptr || !used->lost_byte(view_at_, view_end_)) [[likely]]
      return {};
    const std::uint64_t next = std::exchange(at_, view_at_);
    auto error = damage("the disk could not deliver it");
    at_ = next;
    return error;
  }

 private:
  Expected<std::optional<BatchView>> step() {
    if (position_ < log_.start() || position_ < hold_.offset()) return below_start();
    for (;;) {
      // The offset first: what the position covers then is at least as much.
      const Offset durable_offset = log_.durable_end();
      const LogPosition durable = log_.durable_position();
      if (position_ >= durable_offset) return std::optional<BatchView>{};
      if (!segment_) KAPPA_CHECK_OK(enter(log_.segments().find(position_)));
      const SegmentHeader& header = segment_->header();
      const std::uint64_t end = segment_->end();
      const bool closed = end != Segment::kOpenEnd;
      if (filter_.topic) {
        const std::uint64_t before = at_;
        KAPPA_TRY(const bool found, to_topic_batch());
        // What lies in a hole of the index may be of this topic; what is behind the end is not the log's.
        const auto hole = segment_->hole_within(before, found ? at_ : UINT64_MAX, position_);
        if (hole && hole->from < end && position_at(header, hole->from) < durable) {
          at_ = hole->from;
          return damage(hole->what);
        }
        if (!found) {
          if (closed && position_at(header, end) <= durable) {
            KAPPA_CHECK_OK(enter_next());
            continue;
          }
          // Everything below the durable end was looked through.
          if (durable > position_at(header, at_)) at_ = file_byte(header, durable);
          position_ = std::max(position_, durable_offset);
          return std::optional<BatchView>{};
        }
      }
      if (closed && at_ >= end) {
        if (position_at(header, end) > durable) return std::optional<BatchView>{};
        KAPPA_CHECK_OK(enter_next());
        continue;
      }
      if (position_at(header, at_) >= durable) return std::optional<BatchView>{};
      const std::uint64_t limit = std::min(end, std::max(file_byte(header, durable), at_));
      const Bytes file = map_->bytes().first(std::min<std::size_t>(map_->bytes().size(), limit));
      auto found = batch_at(file, header, at_, false);
      if (found) KAPPA_CHECK_OK(delivered(at_, at_ + kBatchHeaderBytes));
      if (!found) {
        // On the way to a position behind the damage it is none of this reader's business.
        const auto later = find_batch(file, header, at_ + kBatchAlignment);
        if (!later || later->header.base_offset > position_) return damage(found.error().message);
        at_ = later->at;
        chain_hash_.reset();
        continue;
      }
      if (chain_hash_ && !filter_.topic && found->header.previous_header_hash != *chain_hash_)
        return damage("batch does not follow the one before it");
      const bool wanted = found->header.has_offsets() && found->header.end_offset() > position_ &&
                          (!filter_.topic || found->header.topic_id == *filter_.topic);
      if (!wanted) {
        advance(*found);
        continue;
      }
      if (found->header.base_offset > position_ && !filter_.topic && chain_hash_)
        return damage("batch offsets do not continue");
      if (hash_body(found->body) != found->header.body_hash)
        return damage("batch body does not match its hash");
      BatchView view;
      view.header = found->header;
      view.header_hash = found->header_hash;
      if (found->header.codec == Codec::kNone) {
        view.body = found->body;
        // The footer or the zeros behind the last batch keep the promise of readable padding; a file
        // that lost its end does not.
        if (found->end() + kReadablePadding > map_->bytes().size()) {
          buffer_.assign(as_text(found->body));
          buffer_.append(kReadablePadding, '\0');
          view.body = as_bytes(buffer_).first(found->body.size());
        }
      } else {
        auto plain = decompress_body(found->body, found->header.uncompressed_length);
        if (!plain) return damage(plain.error().message);
        buffer_ = std::move(*plain);
        buffer_.append(kReadablePadding, '\0');
        view.body = as_bytes(buffer_).first(found->header.uncompressed_length);
      }
      KAPPA_CHECK_OK(delivered(at_, found->end()));
      view_at_ = at_;
      view_end_ = view.body.data() == found->body.data() ? found->end() : at_;
      position_ = found->header.end_offset();
      advance(*found);
      return std::optional<BatchView>(view);
    }
  }

  // A removal that is under way shows in the hold before it shows in the log's start.
  std::unexpected<Error> below_start() const {
    return below_log_start(position_, std::max(log_.start(), hold_.offset()));
  }

  void advance(const FoundBatch& found) {
    at_ = found.end();
    chain_hash_ = found.chain_hash();
    // Nothing can be given of a gap; LogStatus lists it.
    if (found.header.kind == BatchKind::kGap) position_ = std::max(position_, found.header.end_offset());
    if (filter_.topic) chain_hash_.reset();
  }

  Status enter(std::shared_ptr<Segment> segment) {
    if (!segment) return missing(log_.durable_end());  // None is left at all.
    auto map = segment->mapping();
    if (!map) {
      if (out_of_handles(map.error())) return std::unexpected(std::move(map).error());
      const auto next = log_.segments().after(segment->header().number);
      const Offset end = next ? next->header().base_offset : log_.durable_end();
      DamagedRange range;
      range.file = segment->path().filename().string();
      range.segment = segment->header().number;
      range.to = segment->end() != Segment::kOpenEnd ? segment->end() : kSegmentHeaderBytes;
      range.first = segment->header().base_offset;
      range.last = std::max(range.first, end);
      range.what = map.error().message;
      log_.damage().add(range);
      return std::unexpected(damage_error(range));
    }
    log_.segments().touch(segment);
    std::uint64_t at = kSegmentHeaderBytes;
    if (position_ > segment->header().base_offset) {
      KAPPA_TRY(at, segment->with_index(log_.may_repair_indexes(),
                                        [&](const SegmentIndex& i) { return i.seek_offset(position_); }));
    }
    segment_ = std::move(segment);
    map_ = std::move(*map);
    hold_.advance(position_);
    at_ = at;
    topic_at_.clear();
    topic_next_ = 0;
    chain_hash_.reset();
    return {};
  }

  // The segment after this one has no file.
  std::unexpected<Error> missing(Offset last) {
    DamagedRange range;
    range.file = "(missing)";
    range.segment = segment_ ? segment_->header().number + 1 : 0;
    range.first = position_;
    range.last = last;
    range.what = "the segment file is missing";
    log_.damage().add(range);
    return std::unexpected(damage_error(range));
  }

  Status enter_next() {
    const auto chain = chain_hash_;
    const Offset base = position_;
    const auto next = log_.segments().after(segment_->header().number);
    const Offset upto = next ? next->header().base_offset : log_.durable_end();
    if (upto > position_) {
      // Of a topic, the rest of this segment may be none of this reader's. More is lost: a file is missing.
      KAPPA_TRY(const Offset end, segment_->with_index(log_.may_repair_indexes(),
                                                       [](const SegmentIndex& index) { return index.end_offset(); }));
      position_ = std::max(position_, end);
      if (upto > position_) return missing(upto);
    }
    position_ = std::max(position_, upto);
    if (!next) return {};
    if (Status entered = enter(next); !entered) {
      position_ = std::max(base, position_);
      return entered;
    }
    if (!filter_.topic) chain_hash_ = chain;
    return {};
  }

  // Moves at_ to the topic's next batch in this segment; false if there is none yet.
  Expected<bool> to_topic_batch() {
    while (topic_next_ < topic_at_.size() && topic_at_[topic_next_] < at_) ++topic_next_;
    if (topic_next_ == topic_at_.size()) {
      topic_at_.clear();
      topic_next_ = 0;
      KAPPA_CHECK_OK(segment_->with_index(log_.may_repair_indexes(), [&](const SegmentIndex& index) {
        index.topic_positions(*filter_.topic, at_, kPositionsAtATime, topic_at_);
        return true;
      }));
      if (topic_at_.empty()) return false;
    }
    at_ = topic_at_[topic_next_];
    return true;
  }

  // The bytes of the segment that were just used are the file's.
  Status delivered(std::uint64_t from, std::uint64_t to) {
    if (!map_->lost_byte(from, to)) [[likely]]
      return {};
    return damage("the disk could not deliver it");
  }

  // Says exactly what cannot be read around at_, and remembers it.
  std::unexpected<Error> damage(std::string what) {
    if (const auto lost = map_->lost_byte(0, UINT64_MAX)) {
      // A new mapping shows what the file is now: shorter, or with a place that the disk cannot read.
      // The old one stays while a view may point into it, and still knows what it lost.
      if (auto fresh = segment_->mapping()) {
        if (!view_map_) view_map_ = map_;
        map_ = std::move(*fresh);
      }
      what = map_->bytes().size() <= *lost ? "the file ends at byte " + std::to_string(map_->bytes().size())
                                           : std::string("the disk could not deliver it");
    }
    const SegmentHeader& header = segment_->header();
    const auto next = log_.segments().after(header.number);
    DamagedRange range = damaged_range(
        map_->bytes(), header, kSegmentHeaderBytes, at_,
        std::min(segment_->end(), std::max(file_byte(header, log_.durable_position()), at_)),
        next ? next->header().base_offset : log_.durable_end());
    range.what = std::move(what);
    log_.damage().add(range);
    return std::unexpected(damage_error(range));
  }

  LogImpl& log_;
  ReadFilter filter_;
  Offset position_;
  Hold hold_;  // Keeps what was not read yet from retention.
  std::shared_ptr<Segment> segment_;  // Shared with the log's list.
  std::shared_ptr<const Mapping> map_;
  std::uint64_t at_ = 0;
  std::vector<std::uint64_t> topic_at_;
  std::size_t topic_next_ = 0;
  std::optional<std::uint64_t> chain_hash_;  // Of the batch just before at_, if it was seen.
  std::string buffer_;
  // Bytes of map_ that the view given last points into; empty if it was copied.
  std::uint64_t view_at_ = 0;
  std::uint64_t view_end_ = 0;
  std::shared_ptr<const Mapping> view_map_;  // What it points into, if that is not map_ any more.
};

}  // namespace

std::unique_ptr<LogReader> LogImpl::reader(Offset from, ReadFilter filter) {
  return std::make_unique<ReaderImpl>(*this, from, filter);
}

}  // namespace kappa::log
