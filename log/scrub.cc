// One batch after the other, read from the file itself.
#include "log/scrub.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace kappa::log {
namespace {

constexpr std::size_t kWindowBytes = std::size_t{1} << 20;
constexpr std::size_t kFooterBytesMax = std::size_t{4} << 20;
constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::seconds kIdle{10};

}  // namespace

// Bytes [at, at + bytes) of the segment's file, fewer at its end.
Expected<Bytes> Scrub::window(std::uint64_t at, std::size_t bytes) {
  if (at < buffer_at_ || at + bytes > buffer_at_ + buffer_.size()) {
    buffer_.resize(std::max(bytes, kWindowBytes));
    buffer_at_ = at;
    auto got = file_->pread_cold(std::as_writable_bytes(std::span(buffer_)), at);
    if (!got && buffer_.size() > bytes) {
      // The bad place may be behind what is wanted.
      buffer_.resize(bytes);
      got = file_->pread_cold(std::as_writable_bytes(std::span(buffer_)), at);
    }
    if (!got) {
      buffer_.clear();
      return std::unexpected(std::move(got).error());
    }
    status_.bytes_read += *got;
    buffer_.resize(*got);
  }
  const Bytes all = as_bytes(buffer_).subspan(at - buffer_at_);
  return all.first(std::min(bytes, all.size()));
}

// Opens the next sealed segment of the pass; false if there is none (any more).
Scrub::Next Scrub::next_segment() {
  const auto segments = options_.segments.all();
  status_.segments_total = segments.empty() ? 0 : segments.size() - 1;
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    const auto& segment = segments[i];
    if (segment->header().number <= last_number_ || segment->end() == Segment::kOpenEnd) continue;
    segment_ = segment;
    const std::uint64_t before = std::exchange(last_number_, segment_->header().number);
    sound_ = true;
    buffer_.clear();
    at_ = 0;
    batches_ = 0;
    segment_hash_ = 0;
    chain_ = ChainState{segment_->header().base_offset, segment_->header().previous_header_hash};
    auto file = options_.files.open(segment_->path(), OpenMode::kRead);
    const auto size = file ? (*file)->size() : Expected<std::uint64_t>(0);
    if (!file || !size) {
      file_.reset();
      file_bytes_ = 0;
      if (!file && out_of_handles(file.error())) {
        // Again with the next step.
        last_number_ = before;
        segment_.reset();
        return Next::kLater;
      }
      // Retention may have taken it meanwhile.
      const SegmentHeader& header = segment_->header();
      if (options_.segments.first()->header().number <= header.number) {
        const auto& next = segments[i + 1];
        DamagedRange range{segment_->path().filename().string(), header.number, 0, segment_->end(), header.base_offset,
                           next->header().base_offset,
                           (file ? size.error() : file.error()).message};
        if (options_.damage.add(std::move(range))) ++status_.damaged_found;
      }
      segment_.reset();
      continue;
    }
    file_ = std::move(*file);
    file_bytes_ = *size;
    status_.segment = last_number_;
    return Next::kFound;
  }
  return Next::kNone;
}

void Scrub::found_damage(std::uint64_t at, std::string what) {
  sound_ = false;
  const SegmentHeader& header = segment_->header();
  const auto next = options_.segments.after(header.number);
  const auto map = segment_->mapping();
  DamagedRange range =
      damaged_range(map ? (*map)->bytes() : Bytes{}, header, kSegmentHeaderBytes,
                    std::max<std::uint64_t>(at, kSegmentHeaderBytes), segment_->end(),
                    next ? next->header().base_offset : header.base_offset);
  range.what = std::move(what);
  if (options_.damage.add(range)) ++status_.damaged_found;
  at_ = std::max(range.to, at_ + kBatchAlignment);
  chain_.reset();
}

// The page, one batch, or the footer. False when the segment is done.
bool Scrub::check_piece() {
  const SegmentHeader& header = segment_->header();
  const std::uint64_t end = segment_->end();
  if (at_ == 0) {
    const auto bytes = window(0, kSegmentHeaderBytes);
    const auto page = bytes ? decode_segment_header(*bytes) : std::unexpected(bytes.error());
    at_ = kSegmentHeaderBytes;
    if (page && page->log_id == header.log_id && page->number == header.number &&
        page->base_position == header.base_position)
      return true;
    sound_ = false;
    DamagedRange range{segment_->path().filename().string(), header.number, 0, kSegmentHeaderBytes,
                       header.base_offset, header.base_offset,
                       page ? "the header page is another segment's" : page.error().message};
    if (options_.damage.add(std::move(range))) ++status_.damaged_found;
    return true;
  }
  if (at_ < end) {
    const std::uint64_t at = at_;
    const auto head = window(at, kBatchHeaderBytes);
    auto decoded = head ? decode_batch_header(*head, header.log_id.low) : std::unexpected(head.error());
    if (!decoded) return found_damage(at, decoded.error().message), true;
    const BatchHeader batch = *decoded;
    if (batch.log_position != position_at(header, at) || at + batch.stored_bytes() > end)
      return found_damage(at, "batch was written for another place"), true;
    const std::uint64_t hash = stored_header_hash(*head);
    const auto whole = window(at, kBatchHeaderBytes + batch.body_length);
    if (!whole) return found_damage(at, whole.error().message), true;
    if (whole->size() != kBatchHeaderBytes + batch.body_length ||
        hash_body(whole->subspan(kBatchHeaderBytes)) != batch.body_hash)
      return found_damage(at, "batch body does not match its hash"), true;
    FoundBatch found{batch, hash, at, {}};
    if (chain_ && !check_chain(*chain_, found))
      return found_damage(at, "batch does not follow the one before it"), true;
    chain_.emplace();
    extend_chain(*chain_, found);
    segment_hash_ = extend_segment_hash(segment_hash_, hash);
    ++batches_;
    at_ = found.end();
    return true;
  }
  const std::uint64_t left = file_bytes_ > end ? file_bytes_ - end : 0;
  // A segment that waits for its seal is as long as it was prepared, and has no footer yet.
  const auto next = options_.segments.after(header.number);
  const bool unsealed = !next || !options_.segments.after(next->header().number);
  const auto bytes = window(end, static_cast<std::size_t>(std::min<std::uint64_t>(left, kFooterBytesMax)));
  const auto footer = bytes ? decode_footer(*bytes, header.log_id.low) : std::unexpected(bytes.error());
  const bool right = footer && footer->number == header.number && footer->end_position == position_at(header, end) &&
                     (!sound_ || (footer->segment_hash == segment_hash_ && footer->batches == batches_));
  // Of a file that was cut, the lost batches say it all.
  const bool said = !sound_ && file_bytes_ <= end;
  if (!right && !said && !(unsealed && !footer)) {
    sound_ = false;
    DamagedRange range{segment_->path().filename().string(), header.number, end, std::max(end, file_bytes_),
                       Offset{}, Offset{}, footer ? "the footer does not describe the segment" : footer.error().message};
    range.first = range.last = chain_ ? chain_->next_offset : header.base_offset;
    if (options_.damage.add(std::move(range))) ++status_.damaged_found;
  }
  return false;
}

void Scrub::finish_segment() {
  ++status_.segments_done;
  if (sound_ && options_.may_clear) options_.damage.forget(segment_->header().number);
  segment_.reset();
  file_.reset();
  buffer_ = {};
  status_.segment = 0;
}

std::uint64_t Scrub::step(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  options_.look_at_active();
  const std::int64_t now = options_.clock.now().value();
  if (!in_pass_) {
    const bool due = status_.passes == 0 || now < pass_began_ || now - pass_began_ >= kPassInterval;
    if (!due || options_.segments.size() < 2) return 0;
    in_pass_ = true;
    pass_began_ = now;
    last_number_ = 0;
    status_.segments_done = 0;
  }
  const std::uint64_t before = status_.bytes_read;
  while (status_.bytes_read - before < bytes) {
    const Next next = segment_ ? Next::kFound : next_segment();
    if (next == Next::kNone) {
      in_pass_ = false;
      ++status_.passes;
      status_.last_pass = options_.clock.now();
    }
    if (next != Next::kFound) break;
    if (!check_piece()) finish_segment();
    publish();
  }
  publish();
  return status_.bytes_read - before;
}

void Scrub::run() {
  std::unique_lock lock(stop_mutex_);
  while (!stopping_) {
    lock.unlock();
    const std::uint64_t budget = std::max<std::uint64_t>(1, options_.bytes_per_second / (1000 / kTick.count()));
    const std::uint64_t read = step(budget);
    lock.lock();
    // A batch larger than the budget is paid for afterwards.
    const auto pause = read == 0 ? std::chrono::duration_cast<std::chrono::milliseconds>(kIdle)
                                 : std::max(kTick, std::chrono::milliseconds(read * 1000 / options_.bytes_per_second));
    wake_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

void Scrub::stop() {
  std::lock_guard lock(stop_mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void Scrub::publish() {
  std::lock_guard lock(status_mutex_);
  published_ = status_;
}

ScrubStatus Scrub::status() const {
  std::lock_guard lock(status_mutex_);
  ScrubStatus status = published_;
  status.bytes_per_second = options_.bytes_per_second;
  return status;
}

}  // namespace kappa::log
