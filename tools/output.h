// Data on stdout, in large writes; everything else on stderr.
//
// A reader that went away (EPIPE) ends the process quietly with status 0: `kappa read t | head` is
// not a failure. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kappa::tools {

class Output {
 public:
  // `descriptor` is borrowed.
  explicit Output(int descriptor = 1) : descriptor_(descriptor) {}
  ~Output() { flush(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view text) {
    buffer_.append(text);
    if (buffer_.size() >= kFlushBytes) flush();
  }
  // Text may be appended to this directly; call written() afterwards.
  std::string& buffer() { return buffer_; }
  void written() {
    if (buffer_.size() >= kFlushBytes) flush();
  }
  // Hands everything to the operating system. Any failure other than EPIPE ends the process with
  // status 1, since output that is silently short is worse than none.
  void flush();

 private:
  static constexpr std::size_t kFlushBytes = std::size_t{64} << 10;
  int descriptor_;
  std::string buffer_;
};

[[nodiscard]] bool is_terminal(int descriptor);
// Whether to colour what goes to `descriptor`: a terminal, and NO_COLOR is not set.
[[nodiscard]] bool use_color(int descriptor);

// `text` made safe for a terminal: control characters become \n, \t or \xNN.
[[nodiscard]] std::string printable(std::string_view text);
// Code points of valid UTF-8; what a terminal cell count is close to.
[[nodiscard]] std::size_t display_width(std::string_view text);

// One line on stderr that is rewritten in place: only on a terminal, from the second second on.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // True at most ten times a second, so that the caller formats only what is shown.
  [[nodiscard]] bool due();
  // `done` of `total` (0: unknown) units; `text` follows the bar.
  void show(std::uint64_t done, std::uint64_t total, std::string_view text);
  void clear();

 private:
  bool terminal_;
  bool shown_ = false;
  std::int64_t next_micros_;
};

// Monotonic microseconds.
[[nodiscard]] std::int64_t steady_micros();

}  // namespace kappa::tools
