// How fast one view takes events: N events of about 200 bytes into
//   SELECT page, count(*), sum(bytes) GROUP BY page
// with 1,000 groups. Two numbers: a build (the log is there, the view is new) and live (the view
// follows an appender that runs as fast as it can). Prints events/s of each and the resident memory.
//
//   view_bench [events (2000000)] [batch (1000)] [directory (a temporary one)]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "log/log.h"
#include "processor/engine.h"
#include "tests/support/events.h"
#include "tests/support/temp_dir.h"

using namespace kappa;
using Clock = std::chrono::steady_clock;

namespace {

class Ignore final : public processor::RowSink {
 public:
  bool columns(const std::vector<processor::Column>&) override { return true; }
  bool rows(std::vector<Row> rows) override {
    for (const Row& row : rows) std::printf("  %s\n", display(row.front()).c_str());
    return true;
  }
};

template <class T>
T must(Expected<T> value) {
  if (value) return std::move(*value);
  std::fprintf(stderr, "%s\n", to_string(value.error()).c_str());
  std::exit(1);
}

std::string memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return line;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000'000;
  const std::size_t batch = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000;
  test::TempDir temporary;
  const std::filesystem::path directory = argc > 3 ? argv[3] : temporary.path();
  log::LogOptions log_options;
  log_options.directory = directory / "log";
  const auto log = must(log::Log::open(log_options));
  processor::EngineOptions options;
  options.directory = directory / "views";
  const auto engine = must(processor::Engine::open(options, *log));
  const std::atomic<bool> cancelled{false};
  Ignore sink;
  const processor::Freshness fresh{std::nullopt, true, std::chrono::minutes(10)};
  const auto run = [&](const char* sql) { return must(engine->execute(sql, fresh, sink, cancelled)); };

  run("CREATE STREAM hits (ts TIMESTAMP, page TEXT, bytes BIGINT)");
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < batch; ++i) {
    std::string event = "{\"ts\":" + std::to_string(1'700'000'000'000 + i) + ",\"user_id\":\"user-" +
                        std::to_string(i % 5000) + "\",\"page\":\"/docs/page/" + std::to_string(i * 7919 % 1000) +
                        "\",\"bytes\":" + std::to_string(i % 900) +
                        ",\"ok\":true,\"agent\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"session\":\"";
    while (event.size() < 198) event += static_cast<char>('a' + (i + event.size()) % 26);
    lines.push_back(event + "\"}");
  }
  const auto append_all = [&] {
    const auto begin = Clock::now();
    for (std::size_t done = 0; done < events; done += batch) must(test::append_batch(*log, "hits", lines));
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  const auto report = [&](const char* what, double seconds) {
    std::printf("%-28s %6.2f s  %9.0f events/s  %s\n", what, seconds, static_cast<double>(events) / seconds,
                memory().c_str());
    std::fflush(stdout);
  };

  report("append, no view", append_all());
  auto begin = Clock::now();
  run("CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS n, sum(bytes) AS total FROM hits GROUP BY page");
  run("SELECT count(*) AS groups FROM pages");
  report("build of a new view", std::chrono::duration<double>(Clock::now() - begin).count());
  begin = Clock::now();
  report("append, view live", append_all());
  run("SELECT count(*) AS groups FROM pages");
  report("append and applied", std::chrono::duration<double>(Clock::now() - begin).count());
  for (const auto& view : engine->views()) {
    std::printf("view %s: %s, %llu rows, %llu commits, %llu bytes on disk\n", view.name.c_str(), view.state.c_str(),
                static_cast<unsigned long long>(view.rows), static_cast<unsigned long long>(view.commits),
                static_cast<unsigned long long>(view.bytes_on_disk));
  }
}
