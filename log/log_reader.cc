// Readers: batches straight from the mapped segments, verified, below the durable end.
#include <algorithm>

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
    hold_ = log_.hold(kReaderHold, offset);
    segment_.reset();
    map_.reset();
    topic_at_.clear();
    topic_next_ = 0;
    chain_hash_.reset();
    if (offset < log_.start()) return below_start();
    return {};
  }

  Expected<std::optional<BatchView>> next() override {
    auto batch = step();
    // Retention went over this reader (its hard cap does): whatever happened then, this is why.
    if (!batch && position_ < log_.start()) return below_start();
    return batch;
  }

 private:
  Expected<std::optional<BatchView>> step() {
    if (position_ < log_.start()) return below_start();
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
        KAPPA_TRY(const bool found, to_topic_batch());
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
      if (!found) {
        // On the way to a position behind the damage it is none of this reader's business.
        const auto later = find_batch(file, header, at_ + kBatchAlignment);
        if (!later || later->header.base_offset > position_) return damage(file, found.error());
        at_ = later->at;
        chain_hash_.reset();
        continue;
      }
      if (chain_hash_ && !filter_.topic && found->header.previous_header_hash != *chain_hash_)
        return damage(file,
                      Error{ErrorCode::kCorrupt, 3109, "batch does not follow the one before it", {}, 0, {}});
      const bool wanted = found->header.has_offsets() && found->header.end_offset() > position_ &&
                          (!filter_.topic || found->header.topic_id == *filter_.topic);
      if (!wanted) {
        advance(*found);
        continue;
      }
      if (found->header.base_offset > position_ && !filter_.topic && chain_hash_)
        return damage(file, Error{ErrorCode::kCorrupt, 3109, "batch offsets do not continue", {}, 0, {}});
      if (hash_body(found->body) != found->header.body_hash)
        return damage(file,
                      Error{ErrorCode::kCorrupt, 3108, "batch body does not match its hash", {}, 0, {}});
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
        if (!plain) return damage(file, plain.error());
        buffer_ = std::move(*plain);
        buffer_.append(kReadablePadding, '\0');
        view.body = as_bytes(buffer_).first(found->header.uncompressed_length);
      }
      position_ = found->header.end_offset();
      advance(*found);
      return std::optional<BatchView>(view);
    }
  }

  std::unexpected<Error> below_start() const { return below_log_start(position_, log_.start()); }

  void advance(const FoundBatch& found) {
    at_ = found.end();
    chain_hash_ = found.header_hash;
    if (filter_.topic) chain_hash_.reset();
  }

  Status enter(std::shared_ptr<Segment> segment) {
    if (!segment) return fail(ErrorCode::kCorrupt, 3114, "the log has no segment that can be read");
    auto map = segment->mapping();
    if (!map) {
      const auto next = log_.segments().after(segment->header().number);
      const Offset end = next ? next->header().base_offset : log_.durable_end();
      return fail(ErrorCode::kCorrupt, 3130,
                  "offsets [" + std::to_string(std::max(position_, segment->header().base_offset).value()) +
                      ", " + std::to_string(end.value()) + ") cannot be read: " + map.error().message);
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

  Status enter_next() {
    const auto chain = chain_hash_;
    const Offset base = position_;
    const auto next = log_.segments().after(segment_->header().number);
    if (next) position_ = std::max(position_, next->header().base_offset);
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

  // Says exactly what cannot be read: up to the next batch that verifies.
  std::unexpected<Error> damage(Bytes file, const Error& cause) const {
    std::uint64_t end = file.size();
    Offset to = log_.durable_end();
    if (const auto later = log_.segments().after(segment_->header().number)) to = later->header().base_offset;
    for (auto found = find_batch(file, segment_->header(), at_ + kBatchAlignment); found;
         found = find_batch(file, segment_->header(), found->at + kBatchAlignment)) {
      if (!batch_at(file, segment_->header(), found->at)) continue;
      end = found->at;
      to = found->header.base_offset;
      break;
    }
    return fail(ErrorCode::kCorrupt, 3130,
                "offsets [" + std::to_string(position_.value()) + ", " + std::to_string(to.value()) +
                    ") are damaged: segment file " + segment_->path().filename().string() + ", bytes [" +
                    std::to_string(at_) + ", " + std::to_string(end) + "): " + cause.message,
                "what comes after can be read from offset " + std::to_string(to.value()));
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
};

}  // namespace

std::unique_ptr<LogReader> LogImpl::reader(Offset from, ReadFilter filter) {
  return std::make_unique<ReaderImpl>(*this, from, filter);
}

}  // namespace kappa::log
