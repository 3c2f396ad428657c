#include "serving/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <string_view>

namespace kappa::serving {

namespace {

// The number after `name` in /proc/self/status.
std::uint64_t field(std::string_view status, std::string_view name) {
  const std::size_t at = status.find(name);
  if (at == std::string_view::npos) return 0;
  const std::size_t digits = status.find_first_of("0123456789", at + name.size());
  if (digits == std::string_view::npos) return 0;
  std::uint64_t value = 0;
  std::from_chars(status.data() + digits, status.data() + status.size(), value);
  return value;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

ProcessUsage process_usage() {
  ProcessUsage usage;
  char text[4096];
  if (const int fd = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC); fd >= 0) {
    const ssize_t got = ::read(fd, text, sizeof text);
    ::close(fd);
    const std::string_view status(text, got > 0 ? static_cast<std::size_t>(got) : 0);
    usage.rss_anon_bytes = field(status, "\nRssAnon:") * 1024;
    usage.rss_bytes = field(status, "\nVmRSS:") * 1024;
    usage.threads = field(status, "\nThreads:");
  }
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) == 0) usage.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  return usage;
}

}  // namespace kappa::serving
