#include "tools/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tools/exit_code.h"

namespace kappa::tools {

void Output::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t done = ::write(descriptor_, rest.data(), rest.size());
    if (done > 0) {
      rest.remove_prefix(static_cast<std::size_t>(done));
    } else if (errno == EPIPE) {
      ::_exit(kExitOk);
    } else if (errno != EINTR) {
      std::fprintf(stderr, "error: cannot write the output: %s\n", std::strerror(errno));
      ::_exit(kExitRefused);
    }
  }
  buffer_.clear();
}

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

bool use_color(int descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  return is_terminal(descriptor) && (no_color == nullptr || *no_color == '\0');
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", unsigned{byte});
      out += escaped;
    } else {
      out += c;
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::int64_t steady_micros() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

Progress::Progress() : terminal_(is_terminal(2)), next_micros_(steady_micros() + 1'000'000) {}

bool Progress::due() {
  if (!terminal_) return false;
  const std::int64_t now = steady_micros();
  if (now < next_micros_) return false;
  next_micros_ = now + 100'000;
  return true;
}

void Progress::show(std::uint64_t done, std::uint64_t total, std::string_view text) {
  constexpr std::uint64_t kCells = 30;
  std::string bar;
  if (total > 0) {
    const std::uint64_t filled = std::min(kCells, done * kCells / total);
    bar = "[" + std::string(filled, '#') + std::string(kCells - filled, '.') + "] ";
  }
  std::fprintf(stderr, "\r\x1b[K%s%.*s", bar.c_str(), static_cast<int>(text.size()), text.data());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace kappa::tools
