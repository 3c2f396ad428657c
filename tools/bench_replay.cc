// kappa bench replay: how fast the log of a data directory becomes a view, or the answer of a SELECT.
//
// Needs no server and changes nothing: the log is opened read-only (one that a server has is fine), the view is built
// in a temporary directory. Reading, checking hashes, parsing and validating every event and the operators are on the
// clock; the last commit is given apart.
#include <CLI/CLI.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "log/log.h"
#include "processor/replay/measure.h"
#include "tools/command.h"
#include "tools/machine.h"
#include "tools/output.h"
#include "tools/sql_split.h"

namespace kappa::tools {
namespace {

struct ReplayFlags {
  std::filesystem::path data = "./kappa-data";
  std::string sql;
  std::string output = "table";
  std::string directory = std::filesystem::temp_directory_path();
  std::string memory = "256MiB";
  unsigned rounds = 1;
  processor::ReplayOptions replay;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Expected<int> run(const ReplayFlags& flags) {
  log::LogOptions log_options;
  log_options.directory = flags.data / "log";
  log_options.read_only = true;
  log_options.cached_bytes = UINT64_MAX;  // The replay is measured, not the disk, if the log is in memory.
  KAPPA_TRY(const auto log, log::Log::open(log_options));
  std::vector<std::string> statements;
  const std::string script = flags.sql + ";";
  for (const std::string_view statement : split_sql(script).statements) statements.emplace_back(statement);
  for (unsigned round = 0; round < flags.rounds; ++round) {
    processor::EngineOptions options;
    options.directory = std::filesystem::path(flags.directory) /
                        ("kappa-replay-" + std::to_string(::getpid()) + "-" + std::to_string(round));
    options.memory_bytes = static_cast<std::size_t>(*parse_size(flags.memory));
    options.replay = flags.replay;
    const double cpu = cpu_seconds();
    KAPPA_TRY(const auto measured, processor::measure_replay(*log, statements, options));
    const double used = cpu_seconds() - cpu;
    const double events = static_cast<double>(measured.events);
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    if (flags.output == "json") {
      std::printf("{\"bench\":\"replay\",\"events\":%llu,\"seconds\":%.6f,\"events_per_second\":%.1f,"
                  "\"committed_seconds\":%.6f,\"cpu_seconds\":%.6f,\"rows\":%llu,\"state_bytes\":%llu,"
                  "\"resident_bytes_max\":%llu}\n",
                  static_cast<unsigned long long>(measured.events), measured.seconds, events / measured.seconds,
                  measured.committed_seconds, used, static_cast<unsigned long long>(measured.rows),
                  static_cast<unsigned long long>(measured.state_bytes),
                  static_cast<unsigned long long>(usage.ru_maxrss) * 1024);
    } else {
      std::printf("replay: %.0f events/s (%llu events in %.3f s, committed after %.3f s), %.0f ns of processor time an "
                  "event, %llu rows\n",
                  events / measured.seconds, static_cast<unsigned long long>(measured.events), measured.seconds,
                  measured.committed_seconds, used / events * 1e9, static_cast<unsigned long long>(measured.rows));
    }
    std::fflush(stdout);
  }
  return kExitOk;
}

}  // namespace

void add_bench_replay(CLI::App& bench, int& status) {
  auto flags = std::make_shared<ReplayFlags>();
  CLI::App* command = bench.add_subcommand("replay", "From the log of a data directory to a view, or a SELECT's answer");
  command->description(R"(Examples:
  kappa bench replay -d ./kappa-data --sql "CREATE VIEW v AS SELECT page, count(*) FROM hits GROUP BY page"
  kappa bench replay -d ./kappa-data --threads 1 --rounds 5 --sql "SELECT page, count(*) FROM hits GROUP BY page"

Needs no server and changes nothing: the view is built in a temporary directory. Streams that are not in the catalog
can be created before, in the same --sql, separated by semicolons.)");
  command->add_option("-d,--data", flags->data, "The data directory")->capture_default_str();
  command->add_option("--sql", flags->sql, "CREATE STREAMs if need be, then one CREATE VIEW or SELECT")->required();
  command->add_option("--threads", flags->replay.threads, "Threads; 0: one for each processor")
      ->capture_default_str()
      ->check(CLI::Range(0U, processor::kReplayThreadsMax));
  command->add_option("--nice", flags->replay.nice, "Added to the nice value of the threads")
      ->capture_default_str()
      ->check(CLI::Range(0, 19));
  command->add_option("--memory", flags->memory, "Memory for the view's state")
      ->capture_default_str()
      ->check([](const std::string& text) { return parse_size(text) ? std::string() : "not a size"; });
  command->add_option("--rounds", flags->rounds, "How often")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_option("--directory", flags->directory, "Where the temporary directory is made")->capture_default_str();
  command->add_option("-o,--output", flags->output, "table or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "json"}));
  command->callback([flags, &status] {
    const auto done = run(*flags);
    status = done ? *done : fail_with(done.error());
  });
}

}  // namespace kappa::tools
