// kappa bench nexmark: the throughput of the Nexmark queries, from the durable log to committed views.
//
// Writes the events of tools/nexmark/generator.h to a log of its own. Then, for each query, a fresh engine
// builds the query's view: reading, checking and parsing every JSON event, the operators, and the commits to
// disk are on the clock. "per core" divides by the processor time of all threads until the last commit, so it
// does not depend on how many cores there are.
#include <CLI/CLI.hpp>

#include <sched.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "log/log.h"
#include "processor/engine.h"
#include "proto/batch.h"
#include "tools/command.h"
#include "tools/machine.h"
#include "tools/nexmark/generator.h"
#include "tools/nexmark/queries.h"
#include "tools/output.h"
#include "tools/sql_split.h"

namespace kappa::tools {
namespace {

constexpr std::uint64_t kBatchEvents = 2'500;
constexpr std::chrono::minutes kPatience{60};

struct NexmarkFlags {
  std::uint64_t events = 1'000'000;
  std::vector<std::string> queries;
  unsigned cores = 0;
  std::string directory = std::filesystem::temp_directory_path();
  std::string output = "table";
  nexmark::GeneratorOptions generator;
};

// Published thousands of events a second and core; 0: none. Flink: the suite's guide, 3 workers of 8 cores,
// RocksDB, events made in process and results thrown away. RisingWave: its documentation, one node of 8
// cores, JSON from Kafka. docs/benchmarks.md has the sources.
struct Published {
  std::string_view query;
  double flink, risingwave;
};
constexpr Published kPublished[] = {{"q0", 155, 118}, {"q1", 158, 119}, {"q2", 175, 127}, {"q3", 152, 97},
                                    {"q4", 34, 14},   {"q5", 22, 5.2},  {"q7", 12, 20},   {"q8", 146, 61},
                                    {"q9", 14, 8.2},  {"q11", 40, 0},   {"q14", 161, 45}, {"q15", 72, 79},
                                    {"q16", 19, 8.1}, {"q17", 117, 17}, {"q18", 54, 9.8}, {"q19", 44, 0},
                                    {"q20", 19, 13},  {"q21", 98, 89},  {"q22", 130, 111}};

struct Measured {
  std::string_view query;
  Published published{};
  std::string error;       // Why it was not measured.
  double seconds = 0;      // Until every event is applied.
  double cpu_seconds = 0;  // Until it is committed too.
  std::uint64_t rows = 0;
  std::uint64_t state_bytes = 0;
};

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent) {
    std::string pattern = parent + "/kappa-nexmark-XXXXXX";
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class NoRows final : public processor::RowSink {
 public:
  bool columns(const std::vector<processor::Column>&) override { return true; }
  bool rows(std::vector<Row>) override { return true; }
};

// Of all threads, those that ended included.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Threads that are started from here on run on the first `cores` processors that the process may use.
Status use_cores(unsigned cores) {
  cpu_set_t allowed, chosen;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return fail_errno(4000, "sched_getaffinity", errno);
  CPU_ZERO(&chosen);
  for (int cpu = 0; cpu < CPU_SETSIZE && cores > 0; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    CPU_SET(cpu, &chosen);
    --cores;
  }
  if (::sched_setaffinity(0, sizeof chosen, &chosen) != 0)
    return fail_errno(4000, "sched_setaffinity", errno);
  return {};
}

// Appends the events and waits until they are durable; gives their bytes.
Expected<std::uint64_t> load(const NexmarkFlags& flags, log::Log& log) {
  KAPPA_TRY(const TopicId topic, log.ensure_topic(nexmark::kTopic));
  const nexmark::Generator generator(flags.generator);
  Progress progress;
  BatchBuilder builder;
  std::uint64_t bytes = 0;
  for (std::uint64_t n = 0; n < flags.events;) {
    for (const std::uint64_t end = std::min(flags.events, n + kBatchEvents); n < end; ++n) {
      const std::string json = to_json(generator.event(n));
      bytes += json.size();
      KAPPA_CHECK_OK(builder.add({.value = json, .key = {}, .timestamp = {}, .headers = {}}));
    }
    log::AppendBatch batch;
    batch.topic = topic;
    batch.count = builder.count();
    batch.body = builder.take();
    batch.uncompressed_length = static_cast<std::uint32_t>(batch.body.size());
    KAPPA_TRY([[maybe_unused]] const auto ack, log.append(std::move(batch)));
    if (progress.due()) progress.show(n, flags.events, "events written");
  }
  progress.clear();
  return bytes;
}

Expected<processor::ViewStatus> status_of(const processor::Engine& engine, std::string_view view) {
  for (processor::ViewStatus& status : engine.views()) {
    if (status.name != view) continue;
    if (status.state == "failed") return fail(ErrorCode::kInvalid, 4000, "the view failed: " + status.error);
    return std::move(status);
  }
  return fail(ErrorCode::kNotFound, 2003, "no view " + std::string(view));
}

Status run_script(processor::Engine& engine, std::string_view script) {
  NoRows sink;
  const std::atomic<bool> cancelled{false};
  for (const std::string_view statement : split_sql(script).statements) {
    KAPPA_TRY([[maybe_unused]] const auto result, engine.execute(statement, {}, sink, cancelled));
  }
  return {};
}

// From the view's creation to its last commit.
Status build_view(const NexmarkFlags& flags, const nexmark::Query& query, processor::Engine& engine,
                  Measured& measured) {
  KAPPA_CHECK_OK(run_script(engine, nexmark::streams_sql()));
  const double cpu_before = cpu_seconds();
  const std::int64_t start = steady_micros();
  KAPPA_CHECK_OK(run_script(engine, query.sql));
  std::promise<Status> applied;
  engine.wait(query.name, {std::nullopt, true, kPatience},
              [&](Status status) { applied.set_value(std::move(status)); });
  KAPPA_CHECK_OK(applied.get_future().get());
  measured.seconds = static_cast<double>(steady_micros() - start) / 1e6;
  for (;;) {
    KAPPA_TRY(const auto status, status_of(engine, query.name));
    if (status.committed >= status.applied) {
      measured.cpu_seconds = cpu_seconds() - cpu_before;
      measured.rows = status.rows;
      measured.state_bytes = status.bytes_on_disk;
      if (status.events_applied >= flags.events && status.poison + status.conversion_failures == 0) return {};
      return fail(ErrorCode::kInvalid, 4000, "not every event was read as it should");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// In an engine of its own. Afterwards the catalog, which is in the log, is as before.
Status measure(const NexmarkFlags& flags, const nexmark::Query& query, const std::filesystem::path& directory,
               log::Log& log, Measured& measured) {
  processor::EngineOptions options;
  options.directory = directory;
  KAPPA_TRY(const auto engine, processor::Engine::open(options, log));
  const Status built = build_view(flags, query, *engine, measured);
  for (const std::string_view stream : {"person", "auction", "bid"}) {
    KAPPA_CHECK_OK(run_script(*engine, "DROP STREAM IF EXISTS " + std::string(stream) + " CASCADE;"));
  }
  return built;
}

std::string ratio(double rate, double published) {
  if (published == 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1fx", rate / (published * 1e3));
  return text;
}

void print_table_row(const NexmarkFlags& flags, const Measured& measured) {
  if (!measured.error.empty()) {
    std::printf("%-4s  %s\n", std::string(measured.query).c_str(), measured.error.c_str());
    return;
  }
  const double events = static_cast<double>(flags.events);
  const double core = events / measured.cpu_seconds;
  const Published& published = measured.published;
  std::printf("%-4s %10.0f %10.0f %8.0f %7s %10.0f %7s %10llu %9.1f\n", std::string(measured.query).c_str(),
              events / measured.seconds, core, published.flink * 1e3, ratio(core, published.flink).c_str(),
              published.risingwave * 1e3, ratio(core, published.risingwave).c_str(),
              static_cast<unsigned long long>(measured.rows),
              static_cast<double>(measured.state_bytes) / 1e6);
  std::fflush(stdout);
}

void print_json_row(const NexmarkFlags& flags, const Measured& measured, bool first) {
  const double events = static_cast<double>(flags.events);
  std::printf("%s{\"query\":\"%s\",", first ? "" : ",", std::string(measured.query).c_str());
  if (!measured.error.empty()) {
    std::string error;
    append_json_string(measured.error, error);
    std::printf("\"error\":%s}", error.c_str());
    return;
  }
  std::printf(
      "\"events_per_second\":%.1f,\"events_per_core_second\":%.1f,\"seconds\":%.6f,\"cpu_seconds\":%.6f,"
      "\"flink_per_core\":%.0f,\"risingwave_per_core\":%.0f,\"rows\":%llu,\"state_bytes\":%llu}",
      events / measured.seconds, events / measured.cpu_seconds, measured.seconds, measured.cpu_seconds,
      measured.published.flink * 1e3, measured.published.risingwave * 1e3,
      static_cast<unsigned long long>(measured.rows), static_cast<unsigned long long>(measured.state_bytes));
}

Expected<std::vector<nexmark::Query>> chosen_queries(const NexmarkFlags& flags) {
  const auto all = nexmark::queries();
  if (flags.queries.empty()) return std::vector(all.begin(), all.end());
  std::vector<nexmark::Query> chosen;
  for (const std::string& name : flags.queries) {
    const auto found = std::ranges::find(all, name, &nexmark::Query::name);
    if (found == all.end()) {
      return fail(ErrorCode::kInvalid, 1000, "no query " + name, "there are q0 to q9, q11 and q14 to q22");
    }
    chosen.push_back(*found);
  }
  return chosen;
}

Expected<int> run(const NexmarkFlags& flags) {
  KAPPA_TRY(const auto queries, chosen_queries(flags));
  if (flags.cores > 0) KAPPA_CHECK_OK(use_cores(flags.cores));
  const TemporaryDirectory directory(flags.directory);
  if (directory.path().empty())
    return fail_errno(4000, "no temporary directory in " + flags.directory, errno);
  log::LogOptions log_options;
  log_options.directory = directory.path() / "log";
  log_options.cached_bytes = UINT64_MAX;  // The queries are measured, not the disk.
  KAPPA_TRY(const auto log, log::Log::open(log_options));

  const std::int64_t start = steady_micros();
  KAPPA_TRY(const std::uint64_t bytes, load(flags, *log));
  const double load_seconds = static_cast<double>(steady_micros() - start) / 1e6;
  const char* const durability = log::name_of(log->status().durability);
  const bool json = flags.output == "json";
  if (json) {
    std::string where;
    append_json_string(machine(), where);
    std::printf(
        "{\"bench\":\"nexmark\",\"events\":%llu,\"bytes\":%llu,\"seed\":%llu,\"rate\":%llu,"
        "\"out_of_order_group\":%llu,\"cores\":%u,\"durability\":\"%s\",\"machine\":%s,\"queries\":[",
        static_cast<unsigned long long>(flags.events), static_cast<unsigned long long>(bytes),
        static_cast<unsigned long long>(flags.generator.seed),
        static_cast<unsigned long long>(flags.generator.events_per_second),
        static_cast<unsigned long long>(flags.generator.out_of_order_group), flags.cores, durability,
        where.c_str());
  } else {
    std::printf("nexmark: %llu events, %.1f MB of JSON, made and written in %.1f s; durability %s; %s%s\n",
                static_cast<unsigned long long>(flags.events), static_cast<double>(bytes) / 1e6, load_seconds,
                durability, machine().c_str(),
                flags.cores > 0 ? ("; on " + std::to_string(flags.cores) + " core(s)").c_str() : "");
    std::printf("%-4s %10s %10s %8s %7s %10s %7s %10s %9s\n", "", "events/s", "per core", "Flink", "",
                "RisingWave", "", "rows", "state MB");
  }
  std::fflush(stdout);
  bool first = true, failed = false;
  for (const nexmark::Query& query : queries) {
    Measured measured;
    measured.query = query.name;
    const auto* const published = std::ranges::find(kPublished, query.name, &Published::query);
    if (published != std::end(kPublished)) measured.published = *published;
    const auto views = directory.path() / query.name;
    if (const Status status = measure(flags, query, views, *log, measured); !status) {
      measured.error = to_string(status.error());
      failed = true;
    }
    if (json) {
      print_json_row(flags, measured, first);
    } else {
      print_table_row(flags, measured);
    }
    first = false;
    std::error_code ignored;
    std::filesystem::remove_all(views, ignored);
  }
  if (json) std::printf("]}\n");
  return failed ? kExitRefused : kExitOk;
}

}  // namespace

void add_bench_nexmark(CLI::App& bench, int& status) {
  auto flags = std::make_shared<NexmarkFlags>();
  CLI::App* command =
      bench.add_subcommand("nexmark", "The Nexmark queries, from a durable log to committed views");
  command->description(R"(Examples:
  kappa bench nexmark
  kappa bench nexmark --queries q0,q5 --events 10000000 --cores 1 -o json

Needs no server: writes the events to a log of its own, which is removed afterwards, and builds the view of each
query from it. "per core" is per second of processor time, commits included; beside it the published figures of
others, and the ratio.)");
  command->add_option("--events", flags->events, "How many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--queries", flags->queries, "Which, as q0,q5; all if not given")->delimiter(',');
  command->add_option("--cores", flags->cores, "Use so many processors; 0: all")->capture_default_str();
  command->add_option("--directory", flags->directory, "Where the temporary directory is made")
      ->capture_default_str();
  command->add_option("--seed", flags->generator.seed, "Of the events")->capture_default_str();
  command->add_option("--rate", flags->generator.events_per_second, "Events a second of event time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  command
      ->add_option("--out-of-order", flags->generator.out_of_order_group, "Shuffle blocks of so many events")
      ->capture_default_str()
      ->check(CLI::Range(1, 952));
  command->add_option("-o,--output", flags->output, "table or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"json", "table"}));
  command->callback([flags, &status] {
    const auto done = run(*flags);
    status = done ? *done : fail_with(done.error());
  });
}

}  // namespace kappa::tools
