// Lines out of a descriptor, read in large blocks, given as views: no allocation per line.
//
// A line longer than the limit is skipped to its end without being kept; it is reported, not given.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace kappa::tools {

class LineReader {
 public:
  // `descriptor` is borrowed. `line_bytes_max` without the line feed.
  LineReader(int descriptor, std::size_t line_bytes_max);

  enum class Event {
    kLine,     // line() is the next line, without its line feed; valid until the next call.
    kTooLong,  // A line over the limit has been skipped; line() is its first bytes, for messages.
    kWait,     // Nothing complete is there; wait() then try again.
    kEnd,      // The input has ended; a last line without a line feed came before.
    kError,    // read() failed; system_errno() says why.
  };
  // Never blocks longer than one read() of the descriptor; kWait is given before a read that could
  // block (pipes, terminals), never for a regular file.
  [[nodiscard]] Event next();
  // After kWait: waits for input at most `timeout_ms` (-1: without end). True if there is some (or the
  // end), false on timeout or a signal.
  [[nodiscard]] bool wait(int timeout_ms);
  // The whole rest of the input, at most `bytes_max` (else kTooLong), as one view. Blocks.
  [[nodiscard]] Event rest(std::size_t bytes_max);

  [[nodiscard]] std::string_view line() const { return line_; }
  // Of the line given last, 1-based.
  [[nodiscard]] std::uint64_t line_number() const { return line_number_; }
  // Bytes taken from the descriptor so far.
  [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] int system_errno() const { return errno_; }

 private:
  // Moves the unfinished line to the front and reads a block behind it. False at the end or on error.
  bool fill();
  Event take_last();

  const int descriptor_;
  const std::size_t line_bytes_max_;
  const std::size_t capacity_;
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;    // Of what is not given yet.
  std::size_t scanned_ = 0;  // No line feed in [begin_, scanned_).
  std::size_t end_ = 0;
  bool at_end_ = false;
  bool skipping_ = false;
  bool regular_file_ = false;
  bool ready_ = false;  // wait() saw input.
  int errno_ = 0;
  std::string skipped_head_;
  std::string_view line_;
  std::uint64_t line_number_ = 0;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace kappa::tools
