// kappa bench: load on a running server, measured where the client stands. (nexmark: tools/bench_nexmark.cc.)
//
// append: every worker thread drives its share of the connections in turn; each connection keeps
// --pipeline batches of --batch events in flight. Building a batch validates every event, as `kappa
// append` does. The latency of a batch runs from its sending to its acknowledgement.
#include <CLI/CLI.hpp>

#include <malloc.h>

#include <atomic>
#include <cstdio>
#include <deque>
#include <thread>

#include "processor/vector/json_decode.h"
#include "proto/limits.h"
#include "tools/client/append_session.h"
#include "tools/bench_events.h"
#include "tools/command.h"
#include "tools/histogram.h"
#include "tools/machine.h"
#include "tools/output.h"

namespace kappa::tools {
namespace {

constexpr std::size_t kPoolEvents = 16'384;

struct BenchFlags {
  ConnectionFlags connection;
  std::string topic = "bench";
  std::string output;
  std::string duration;
  std::uint64_t events = 1'000'000;
  std::uint64_t groups = 1'000;
  std::size_t size = 200;
  unsigned clients = 1;
  unsigned threads = 1;
  unsigned pipeline = 16;
  std::uint32_t batch = 2'500;
};

// What one worker did.
struct Measured {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
  Histogram latency;  // Microseconds.
  Status status;
  std::string durability;
};

std::vector<std::string> event_pool(const BenchFlags& flags) {
  Random random(7);
  std::vector<std::string> pool;
  pool.reserve(kPoolEvents);
  for (std::size_t i = 0; i < kPoolEvents; ++i) pool.push_back(make_event(i, flags.size, flags.groups, random));
  return pool;
}

struct Connection {
  std::unique_ptr<Client> client;
  ProducerId producer;
  std::uint64_t sequence = 0;
  struct Sent {
    std::int64_t at;
    std::size_t bytes;
  };
  std::deque<Sent> in_flight;
};

// Shared by the workers: what is still to be sent, and when to stop.
struct Budget {
  std::atomic<std::int64_t> events_left;
  std::int64_t deadline_micros;
};

class AppendWorker {
 public:
  AppendWorker(const BenchFlags& flags, const std::vector<std::string>& pool, Budget& budget)
      : flags_(flags), pool_(pool), budget_(budget) {}

  [[nodiscard]] Status connect_all(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      KAPPA_TRY(auto client, connect(flags_.connection));
      connections_.push_back({std::move(client), random_producer(), 0, {}});
    }
    return {};
  }
  void run() {
    measured_.status = drive();
  }
  [[nodiscard]] const Measured& measured() const { return measured_; }

 private:
  [[nodiscard]] Status drive() {
    bool more = true;
    for (bool working = true; working;) {
      working = false;
      for (Connection& connection : connections_) {
        if (connection.in_flight.size() >= flags_.pipeline || !more) {
          if (connection.in_flight.empty()) continue;
          KAPPA_CHECK_OK(collect(connection));
        }
        while (more && connection.in_flight.size() < flags_.pipeline) {
          KAPPA_TRY(more, send(connection));
        }
        working = working || !connection.in_flight.empty();
      }
    }
    return {};
  }
  // False when the budget is spent.
  [[nodiscard]] Expected<bool> send(Connection& connection) {
    if (steady_micros() >= budget_.deadline_micros) return false;
    const std::int64_t left = budget_.events_left.fetch_sub(flags_.batch);
    if (left <= 0) return false;
    const auto count = static_cast<std::uint32_t>(std::min<std::int64_t>(left, flags_.batch));
    builder_.reserve(std::min<std::size_t>(count * (flags_.size + 16), limits::kBatchBytesMax));
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string& event = pool_[next_event_++ % pool_.size()];
      KAPPA_CHECK_OK(processor::validate_json_event(event));
      KAPPA_CHECK_OK(builder_.add({.value = event, .key = {}, .timestamp = {}, .headers = {}}));
      measured_.bytes += event.size();
    }
    ClientBatch batch;
    batch.body = builder_.take();
    batch.count = count;
    batch.producer_id = connection.producer;
    batch.producer_sequence = connection.sequence;
    connection.sequence += count;
    const std::size_t bytes = batch.body.size();
    connection.in_flight.push_back({steady_micros(), bytes});
    KAPPA_CHECK_OK(connection.client->send_append(flags_.topic, std::move(batch)));
    return true;
  }
  [[nodiscard]] Status collect(Connection& connection) {
    auto result = connection.client->collect(true);
    if (!result) return {};
    if (!*result) return std::unexpected(std::move(*result).error());
    measured_.latency.record(static_cast<std::uint64_t>(steady_micros() - connection.in_flight.front().at));
    measured_.events += (*result)->count;
    measured_.durability = (*result)->durability;
    connection.in_flight.pop_front();
    return {};
  }

  const BenchFlags& flags_;
  const std::vector<std::string>& pool_;
  Budget& budget_;
  std::vector<Connection> connections_;
  BatchBuilder builder_;
  std::size_t next_event_ = 0;
  Measured measured_;
};

void report(const BenchFlags& flags, const Measured& all, double seconds) {
  const double rate = static_cast<double>(all.events) / seconds;
  const double megabytes = static_cast<double>(all.bytes) / 1e6 / seconds;
  const auto at = [&](double share) { return static_cast<unsigned long long>(all.latency.percentile(share)); };
  const auto longest = static_cast<unsigned long long>(all.latency.max());
  if (flags.output == "json") {
    std::string where;
    append_json_string(machine(), where);
    std::printf(
        "{\"bench\":\"append\",\"events\":%llu,\"seconds\":%.6f,\"events_per_second\":%.1f,\"mb_per_second\":%.3f,"
        "\"size\":%zu,\"clients\":%u,\"pipeline\":%u,\"batch\":%u,\"latency_us\":{\"p50\":%llu,\"p90\":%llu,"
        "\"p99\":%llu,\"p999\":%llu,\"max\":%llu},\"durability\":\"%s\",\"machine\":%s}\n",
        static_cast<unsigned long long>(all.events), seconds, rate, megabytes, flags.size, flags.clients,
        flags.pipeline, flags.batch, at(.5), at(.9), at(.99), at(.999), longest, all.durability.c_str(),
        where.c_str());
    return;
  }
  std::printf("append: %llu events of %zu bytes in %.3f s\n", static_cast<unsigned long long>(all.events), flags.size,
              seconds);
  std::printf("  %.0f events/s, %.1f MB/s\n", rate, megabytes);
  std::printf("  latency of a batch: p50 %llu us, p90 %llu us, p99 %llu us, p99.9 %llu us, max %llu us\n", at(.5),
              at(.9), at(.99), at(.999), longest);
  std::printf("  %u connections, %u batches in flight each, %u events a batch\n", flags.clients, flags.pipeline,
              flags.batch);
  std::printf("  durability %s; %s\n", all.durability.c_str(), machine().c_str());
}

int run_append(const BenchFlags& flags) {
  // As in `kappa append`: bodies from warm heap pages.
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
  Budget budget{};
  budget.events_left = static_cast<std::int64_t>(flags.events);
  budget.deadline_micros = INT64_MAX;
  if (!flags.duration.empty()) {
    budget.deadline_micros = steady_micros() + parse_duration(flags.duration)->count() * 1000;
    budget.events_left = INT64_MAX / 2;
  }
  const std::vector<std::string> pool = event_pool(flags);
  const unsigned threads = std::max(1U, std::min(flags.threads, flags.clients));
  std::deque<AppendWorker> workers;
  for (unsigned i = 0; i < threads; ++i) {
    workers.emplace_back(flags, pool, budget);
    const unsigned share = flags.clients / threads + (i < flags.clients % threads ? 1 : 0);
    if (const Status ready = workers.back().connect_all(share); !ready) return fail_with(ready.error());
  }
  const std::int64_t start = steady_micros();
  {
    std::vector<std::jthread> running;
    for (AppendWorker& worker : workers) running.emplace_back([&worker] { worker.run(); });
  }
  const double seconds = static_cast<double>(steady_micros() - start) / 1e6;
  Measured all;
  for (const AppendWorker& worker : workers) {
    const Measured& part = worker.measured();
    if (!part.status) return fail_with(part.status.error());
    all.events += part.events;
    all.bytes += part.bytes;
    all.latency.merge(part.latency);
    all.durability = part.durability;
  }
  report(flags, all, seconds);
  return kExitOk;
}

}  // namespace

void add_bench(CLI::App& app, int& status) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand("bench", "Measure a running server, or the engine alone");
  command->description(R"(Examples:
  kappa bench append --events 10000000
  kappa bench append --clients 50 --pipeline 1 --batch 1 --duration 10s
  kappa bench append --events 100000 --batch 1 --pipeline 1 -o json

  kappa bench nexmark --queries q0,q5

append measures a running server with synthetic JSON events of --size bytes; nexmark needs no server.)");
  command->require_subcommand(1);
  CLI::App* append = command->add_subcommand("append", "Validate and append events, wait for the acks");
  append->add_option("--topic", flags->topic, "Topic")->capture_default_str();
  append->add_option("--events", flags->events, "How many in all")->capture_default_str();
  append->add_option("--duration", flags->duration, "Instead of --events: how long, as 10s")
      ->check([](const std::string& text) { return parse_duration(text) ? std::string() : "not a duration"; });
  append->add_option("--size", flags->size, "Bytes an event")->capture_default_str()->check(CLI::Range(120, 1'000'000));
  append->add_option("--groups", flags->groups, "Distinct values of \"page\"")->capture_default_str();
  append->add_option("--clients", flags->clients, "Connections")->capture_default_str()->check(CLI::Range(1, 10'000));
  append->add_option("--threads", flags->threads, "Threads that drive them")->capture_default_str();
  append->add_option("--pipeline", flags->pipeline, "Batches in flight a connection")
      ->capture_default_str()
      ->check(CLI::Range(1U, static_cast<unsigned>(kAppendsInFlightMax)));
  append->add_option("--batch", flags->batch, "Events a batch")->capture_default_str()->check(CLI::Range(1, 30'000));
  append->add_option("-o,--output", flags->output, "json")->check(CLI::IsMember({"json", "table"}));
  add_connection_flags(*append, flags->connection);
  append->callback([flags, &status] { status = run_append(*flags); });
  add_bench_get(*command, status);
  add_bench_nexmark(*command, status);
  add_bench_replay(*command, status);
}

}  // namespace kappa::tools
