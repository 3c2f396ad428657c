#include "tools/serve.h"

#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>
#include <system_error>
#include <vector>

#include "log/backup.h"
#include "log/file.h"
#include "log/missing_log.h"
#include "processor/engine.h"
#include "processor/orphans.h"
#include "serving/server.h"
#include "tools/command.h"

namespace kappa::tools {

namespace {

// Threads of this process share two heaps: a heap per thread would keep what bursts leave behind.
// Batch bodies come from the heap, not from fresh mappings, whose first touch costs more than the
// copy; what a burst leaves is given back when the server has become quiet.
void prepare_heap() {
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

sigset_t block_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Until a signal comes or the log fails. One look a second: for a failed sync that no connection
// heard of, and to give memory back after a burst.
std::optional<Error> wait_for_end(const sigset_t& signals, log::Log& log) {
  std::uint64_t appended = 0;
  bool busy = true;
  for (;;) {
    const timespec second{1, 0};
    const int signal = ::sigtimedwait(&signals, nullptr, &second);
    if (auto fatal = log.fatal_error()) return fatal;
    if (signal > 0) return std::nullopt;
    const std::uint64_t now = log.status().events_appended;
    if (std::exchange(appended, now) != now) {
      busy = true;
    } else if (std::exchange(busy, false)) {
      ::malloc_trim(0);
    }
  }
}

// Every connection, segment and view takes a descriptor: as many as the system lets us have. The soft limit
// is often 1024 for the sake of programs that cannot count further.
Status prepare_descriptors() {
  constexpr rlim_t kDescriptorsMin = 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  if (limit.rlim_cur != limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur >= kDescriptorsMin) return {};
  return fail(ErrorCode::kUnsupported, 4009,
              "this process may have " + std::to_string(limit.rlim_cur) + " files open, and a server needs " +
                  std::to_string(kDescriptorsMin),
              "raise the hard limit (ulimit -Hn), for example to 65536");
}

Status prepare_directory(const ServeOptions& options) {
  std::error_code error;
  std::filesystem::path missing = std::filesystem::absolute(options.data / "", error).parent_path();
  std::vector<std::filesystem::path> created;
  while (!error && missing.has_relative_path() && !std::filesystem::exists(missing, error)) {
    created.push_back(missing);
    missing = missing.parent_path();
  }
  std::filesystem::create_directories(options.data, error);
  if (error) return fail_errno(3000, "cannot create " + options.data.string(), error.value());
  // The names too must survive a power cut: the log syncs what is below.
  for (const std::filesystem::path& path : created)
    KAPPA_CHECK_OK(log::real_file_system().sync_directory(path.parent_path()));
  return {};
}

// Where the Unix socket is. One that was not asked for is left out where it cannot be.
std::filesystem::path socket_path(const ServeOptions& options) {
  if (options.socket == "none" || (options.socket.empty() && options.read_only)) return {};
  if (!options.socket.empty()) return options.socket;
  std::filesystem::path path = options.data / "kappa.sock";
  if (path.string().size() < sizeof(sockaddr_un::sun_path)) return path;
  spdlog::info("no Unix socket: {} is longer than the system allows; --socket names another", path.string());
  return {};
}

Status serve(const ServeOptions& options, const sigset_t& signals) {
  KAPPA_CHECK_OK(prepare_descriptors());
  std::error_code error;
  if (std::filesystem::exists(options.data / log::kBackupName, error))
    return fail(ErrorCode::kInvalid, 3188, options.data.string() + " is a backup, which is not served itself",
                "`kappa restore " + options.data.string() + " -d NEW` makes a data directory of it; serve that");
  if (!options.read_only) KAPPA_CHECK_OK(prepare_directory(options));
  log::LogOptions log_options;
  log_options.directory = options.data / "log";
  log_options.segment_bytes = options.segment_bytes;
  log_options.durability = options.durability;
  log_options.read_only = options.read_only;
  log_options.scrub_bytes_per_second = options.scrub_bytes_per_second;
  log_options.retention = options.retention;
  log_options.disk_reserve_bytes = options.disk_reserve_bytes;
  // Views without the log they were made from: it is lost, or its disk is not mounted. A new one would
  // make them worthless.
  const bool states = processor::holds_states(options.data / "views");
  log_options.create = !states;
  auto opened = log::Log::open(log_options);
  if (!opened && opened.error().number == log::kNoLog && states)
    return std::unexpected(processor::log_is_missing(log_options.directory, options.data / "views"));
  if (!opened) return std::unexpected(std::move(opened).error());
  const auto log = std::move(*opened);
  const log::LogStatus status = log->status();
  if (status.full) spdlog::warn("log: no appends until there is space: {}", status.full_reason);
  if (!status.recovery.empty()) spdlog::info("log: {}", status.recovery);
  if (status.damage) {
    spdlog::error("log is damaged and was opened read-only: {}", *status.damage);
    spdlog::error("run `kappa verify -d {}` for the whole report", options.data.string());
  }

  processor::EngineOptions engine_options;
  engine_options.directory = options.data / "views";
  engine_options.commit_interval_ms = options.commit_interval_ms;
  engine_options.replay = options.replay;
  engine_options.memory_bytes = static_cast<std::size_t>(options.memory_bytes);
  engine_options.read_only = options.read_only || status.read_only;
  KAPPA_TRY(const auto engine, processor::Engine::open(engine_options, *log));

  serving::ServerOptions server_options = options.server;
  server_options.listen = options.listen;
  server_options.socket = socket_path(options);
  server_options.version = kVersion;
  server_options.on_fatal = [](const Error&) { ::kill(::getpid(), SIGTERM); };
  KAPPA_TRY(const auto server, serving::Server::start(server_options, *log, *engine));
  // Not before the views and the subscribers have said what they still need.
  log->begin_retention();

  const auto& socket = server_options.socket;
  std::printf("kappa %s ready: listening on %s%s%s%s, data %s, durability %s%s\n", kVersion, server->address().c_str(),
              options.server.tls_certificate.empty() ? "" : " (TLS)", socket.empty() ? "" : " and ", socket.c_str(),
              options.data.c_str(), log::name_of(options.durability), status.read_only ? ", read-only" : "");
  std::fflush(stdout);

  auto fatal = wait_for_end(signals, *log);
  if (fatal) {
    // Nobody must wait for an acknowledgement that cannot come: no drain.
    spdlog::critical("the log failed; unacknowledged events are unknown until the next start");
    return std::unexpected(std::move(*fatal));
  }
  spdlog::info("draining");
  server->drain(options.drain_timeout);
  return {};
}

}  // namespace

int run_serve(const ServeOptions& options) {
  prepare_heap();
  const sigset_t signals = block_signals();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "kappa", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  if (auto served = serve(options, signals); !served) {
    print_error(served.error());
    if (served.error().number == log::kNoLog) return kExitNotFound;
    return served.error().code == ErrorCode::kCorrupt ? kExitCorrupt : kExitRefused;
  }
  return kExitOk;
}

}  // namespace kappa::tools
