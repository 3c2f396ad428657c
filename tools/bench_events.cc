#include "tools/bench_events.h"

#include <cstdio>

namespace kappa::tools {

std::string make_event(std::uint64_t index, std::size_t bytes, std::uint64_t groups, Random& random) {
  static constexpr const char* kActions[] = {"view", "click", "search", "buy", "share", "login"};
  char text[256];
  const int length = std::snprintf(
      text, sizeof text,
      "{\"ts\":%llu,\"user\":\"u%06llu\",\"page\":\"/p/%04llu\",\"action\":\"%s\",\"bytes\":%llu,\"ms\":%llu.%llu",
      1'700'000'000'000ULL + index * 2ULL, static_cast<unsigned long long>(random.below(100'000)),
      static_cast<unsigned long long>(random.below(groups)), kActions[random.below(6)],
      static_cast<unsigned long long>(200 + random.below(60'000)), static_cast<unsigned long long>(random.below(900)),
      static_cast<unsigned long long>(random.below(10)));
  std::string event(text, static_cast<std::size_t>(length));
  constexpr std::size_t kFillFrame = 9;  // ,"ref":"" and the closing brace.
  if (event.size() + kFillFrame <= bytes) {
    event += ",\"ref\":\"";
    while (event.size() + 2 < bytes) event += "0123456789abcdef"[random.below(16)];
    event += '"';
  }
  return event + '}';
}

}  // namespace kappa::tools
