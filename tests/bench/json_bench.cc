// How fast events of about 200 bytes and 8 members decode into 3 columns, and validate, on one thread.
#include <chrono>
#include <cstdio>
#include <string>

#include "processor/vector/json_decode.h"

using namespace kappa;
using namespace kappa::processor;

int main() {
  std::string bytes;
  std::vector<std::pair<std::size_t, std::size_t>> events;
  for (std::size_t i = 0; i < 20'000; ++i) {
    std::string event =
        "{\"ts\":" + std::to_string(1'700'000'000'000 + i) + ",\"user_id\":\"user-" +
        std::to_string(i % 5000) + "\",\"page\":\"/docs/page/" + std::to_string(i % 1000) +
        "\",\"ms\":" + std::to_string(i % 900) +
        ",\"ok\":true,\"price\":12.75,\"agent\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"session\":\"";
    while (event.size() < 197) event += static_cast<char>('a' + (i + event.size()) % 26);
    event += "\"}";
    events.emplace_back(bytes.size(), event.size());
    bytes += event;
  }
  bytes.append(64, ' ');
  const auto column = [](const char* name, Type type) {
    return StreamColumn{name, type, {{std::string(name), 0}}};
  };
  JsonDecoder decoder({column("ts", kTimestampType), column("page", kTextType), column("ms", kBigintType)});
  std::vector<Vector> out;
  Arena arena;
  const auto measure = [&](const char* what, auto&& body) {
    double best = 0;
    for (int round = 0; round < 15; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      std::size_t good = 0;
      for (std::size_t i = 0; i < events.size(); ++i)
        good += body(i, std::string_view(bytes).substr(events[i].first, events[i].second));
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      if (good != events.size()) return;
      best = std::max(best, static_cast<double>(events.size()) / seconds.count());
    }
    std::printf("%-28s %6.2f M events/s\n", what, best / 1e6);
  };
  measure("decode 3 of 8 columns", [&](std::size_t i, std::string_view event) {
    if (i % kVectorRows == 0) {
      decoder.start(out);
      arena.reset();
    }
    return decoder.decode(event, i % kVectorRows, out, arena, true);
  });
  measure("validate",
          [](std::size_t, std::string_view event) { return validate_json_event(event).has_value(); });
}
