#include "tools/line_reader.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace kappa::tools {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::size_t kHeadBytes = 64;
// JSON parsers read a little past a line; the bytes exist, whatever they are.
constexpr std::size_t kPaddingBytes = 128;

}  // namespace

LineReader::LineReader(int descriptor, std::size_t line_bytes_max)
    : descriptor_(descriptor),
      line_bytes_max_(line_bytes_max),
      capacity_(line_bytes_max + 1 + kBlockBytes),
      buffer_(new char[capacity_ + kPaddingBytes]()) {
  struct stat information {};
  regular_file_ = ::fstat(descriptor, &information) == 0 && S_ISREG(information.st_mode);
}

bool LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    scanned_ -= begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  ready_ = false;
  for (;;) {
    const ssize_t got = ::read(descriptor_, buffer_.get() + end_, std::min(kBlockBytes, capacity_ - end_));
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      bytes_read_ += static_cast<std::uint64_t>(got);
      return true;
    }
    if (got == 0) {
      at_end_ = true;
      return false;
    }
    if (errno == EINTR) continue;
    errno_ = errno;
    return false;
  }
}

LineReader::Event LineReader::take_last() {
  if (skipping_) {
    skipping_ = false;
    begin_ = scanned_ = end_;
    line_ = skipped_head_;
    ++line_number_;
    return Event::kTooLong;
  }
  if (begin_ == end_) return Event::kEnd;
  line_ = {buffer_.get() + begin_, end_ - begin_};
  begin_ = scanned_ = end_;
  ++line_number_;
  return Event::kLine;
}

LineReader::Event LineReader::next() {
  for (;;) {
    const char* const from = buffer_.get() + scanned_;
    const auto* const feed = static_cast<const char*>(std::memchr(from, '\n', end_ - scanned_));
    if (feed != nullptr) {
      const auto at = static_cast<std::size_t>(feed - buffer_.get());
      const std::size_t length = at - begin_;
      const bool too_long = skipping_ || length > line_bytes_max_;
      if (too_long && !skipping_) skipped_head_.assign(buffer_.get() + begin_, kHeadBytes);
      line_ = too_long ? std::string_view(skipped_head_) : std::string_view(buffer_.get() + begin_, length);
      begin_ = scanned_ = at + 1;
      skipping_ = false;
      ++line_number_;
      return too_long ? Event::kTooLong : Event::kLine;
    }
    scanned_ = end_;
    if (skipping_) {
      begin_ = end_;
    } else if (end_ - begin_ > line_bytes_max_) {
      skipped_head_.assign(buffer_.get() + begin_, kHeadBytes);
      skipping_ = true;
      begin_ = end_;
    }
    if (at_end_) return take_last();
    if (!regular_file_ && !ready_) return Event::kWait;
    if (!fill() && errno_ != 0) return Event::kError;
  }
}

bool LineReader::wait(int timeout_ms) {
  pollfd polled{descriptor_, POLLIN, 0};
  ready_ = ::poll(&polled, 1, timeout_ms) > 0;
  return ready_;
}

LineReader::Event LineReader::rest(std::size_t bytes_max) {
  while (!at_end_ && end_ - begin_ <= bytes_max) {
    if (!fill() && errno_ != 0) return Event::kError;
  }
  if (begin_ == end_) return Event::kEnd;
  ++line_number_;
  line_ = {buffer_.get() + begin_, std::min(end_ - begin_, bytes_max + 1)};
  const bool too_long = end_ - begin_ > bytes_max;
  begin_ = scanned_ = end_;
  return too_long ? Event::kTooLong : Event::kLine;
}

}  // namespace kappa::tools
