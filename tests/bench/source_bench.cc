// How fast an event source decodes events of several kinds from one topic, and of two topics merged: events of
// about 200 bytes, 46 of 50 of one kind, as Nexmark's are, by the processor time of one thread.
//
//   source_bench [events (1000000)] [batch (1000)]
#include <ctime>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "log/log.h"
#include "processor/event_source.h"
#include "processor/sql/compile.h"
#include "tests/support/events.h"
#include "tests/support/temp_dir.h"

using namespace kappa;
using namespace kappa::processor;

namespace {

template <class T>
T must(Expected<T> value) {
  if (value) return std::move(*value);
  std::fprintf(stderr, "%s\n", to_string(value.error()).c_str());
  std::exit(1);
}

class Empty final : public CatalogReader {
  std::shared_ptr<const StreamDefinition> stream(std::string_view) const override { return nullptr; }
  std::optional<View> view(std::string_view) const override { return std::nullopt; }
  std::vector<std::string> names() const override { return {}; }
};

std::string event(std::size_t i) {
  const std::size_t kind = i % 50 == 0 ? 0 : i % 50 < 4 ? 1 : 2;
  const std::string n = std::to_string(i);
  std::string json = "{\"event_type\":" + std::to_string(kind);
  if (kind == 0) json += ",\"person\":{\"id\":" + n + ",\"name\":\"Walter Jones\",\"city\":\"Boise\",\"state\":\"ID\",\"extra\":\"";
  if (kind == 1) json += ",\"auction\":{\"id\":" + n + ",\"itemName\":\"w jkb\",\"seller\":" + n + ",\"category\":12,\"extra\":\"";
  if (kind == 2) {
    json += ",\"bid\":{\"auction\":" + std::to_string(i / 50) + ",\"bidder\":" + n +
            ",\"price\":" + std::to_string(100 + i % 9000) +
            ",\"channel\":\"Google\",\"url\":\"https://www.nexmark.com/xyz/abc/item.htm?query=1\",\"extra\":\"";
  }
  while (json.size() < 165) json += static_cast<char>('a' + (i + json.size()) % 26);
  return json + "\"},\"dateTime\":" + std::to_string(1'700'000'000'000 + i) + "}";
}

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

PlanPtr scan(std::string_view sql, std::vector<std::size_t> columns) {
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kStreamScan;
  auto statement = must(compile(sql, Empty()));
  plan->stream = std::get<CreateStream>(statement).definition;
  plan->stream_columns = std::move(columns);
  return plan;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const std::size_t batch = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000;
  test::TempDir directory;
  log::LogOptions options;
  options.directory = directory / "log";
  options.cached_bytes = UINT64_MAX;
  options.durability = log::Durability::kWritten;
  const auto log = must(log::Log::open(options));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < events;) {
    std::vector<std::string> values;
    for (std::size_t k = 0; k < batch && i < events; ++k, ++i) bytes += values.emplace_back(event(i)).size();
    static_cast<void>(must(test::append_batch(*log, (i / batch) % 2 == 0 ? "a" : "b", values)));
  }
  std::printf("%zu events of %zu bytes in batches of %zu, two topics in turn\n", events, bytes / events, batch);

  const auto streams = [](const std::string& topic) {
    const std::string with = ") WITH (topic = '" + topic + "', event_time = 'ts') WHERE event_type = ";
    return std::vector<PlanPtr>{
        scan("CREATE STREAM bid (auction BIGINT PATH '$.bid.auction', bidder BIGINT PATH '$.bid.bidder', price BIGINT "
             "PATH '$.bid.price', channel TEXT PATH '$.bid.channel', ts TIMESTAMP PATH '$.dateTime'" + with + "2",
             {0, 1, 2, 3, 4}),
        scan("CREATE STREAM auction (id BIGINT PATH '$.auction.id', seller BIGINT PATH '$.auction.seller', category BIGINT "
             "PATH '$.auction.category', ts TIMESTAMP PATH '$.dateTime'" + with + "1",
             {0, 1, 2, 3}),
        scan("CREATE STREAM person (id BIGINT PATH '$.person.id', name TEXT PATH '$.person.name', city TEXT PATH "
             "'$.person.city', ts TIMESTAMP PATH '$.dateTime'" + with + "0",
             {0, 1, 2, 3})};
  };
  const std::vector<PlanPtr> a = streams("a");
  const std::vector<PlanPtr> b = streams("b");
  const auto measure = [&](const char* what, const std::vector<const Plan*>& scans) {
    double best = 0;
    std::uint64_t seen = 0;
    for (int round = 0; round < 5; ++round) {
      EventSource source(*log, Offset(0), scans);
      const double begin = thread_seconds();
      seen = 0;
      while (must(source.next(Offset(UINT64_MAX)))) seen += source.events();
      best = std::max(best, static_cast<double>(seen) / (thread_seconds() - begin));
    }
    std::printf("%-44s %6.2f M events/s (%zu events)\n", what, best / 1e6, static_cast<std::size_t>(seen));
  };
  measure("one topic, one stream, 5 columns", {a[0].get()});
  measure("one topic, three streams, 11 columns", {a[0].get(), a[1].get(), a[2].get()});
  std::vector<const Plan*> many;
  for (int i = 0; i < 10; ++i) many.insert(many.end(), {a[0].get(), a[1].get(), a[2].get()});
  measure("the same for ten views", many);
  measure("two topics, one stream of each", {a[0].get(), b[0].get()});
  return 0;
}
