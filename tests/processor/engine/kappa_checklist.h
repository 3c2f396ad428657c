// What the tests of the Kappa checklist share: a stream of hits, a view of it, and replacements that say what serves.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "tests/processor/engine/engine_fixture.h"
#include "tests/processor/engine/state_digests.h"

namespace kappa::processor::test {

class KappaChecklist : public EngineFixture {
 protected:
  static constexpr std::uint64_t kNever = UINT64_MAX;
  using Set = std::set<std::string>;

  KappaChecklist() {
    log_options_.segment_bytes = std::size_t{64} << 10;
    options_.commit_interval_ms = 10;
    options_.replay.nice = 0;
    options_.replay.checkpoint_ms = 10;
  }
  void SetUp() override {
    open();
    run("CREATE STREAM hits (page TEXT, n BIGINT, ts TIMESTAMP) WITH (event_time = 'ts')");
  }

  // Event i is of page i % 7, and a minute in ten is late.
  static std::vector<std::string> hits(int from, int to) {
    std::vector<std::string> events;
    for (int i = from; i < to; ++i) {
      const long long at = 1'700'000'000'000LL + i * 1000LL - (i % 10 == 0 ? 600'000 : 0);
      events.push_back(R"({"page":"/p)" + std::to_string(i % 7) + R"(","n":)" + std::to_string(i) + R"(,"ts":)" +
                       std::to_string(at) + "}");
    }
    return events;
  }
  std::uint32_t serving(std::string_view name) {
    for (const ViewStatus& view : engine_->views())
      if (view.name == name && view.role == "serving") return view.version;
    return 0;
  }
  Set versions() {
    Set all;
    for (const ViewStatus& view : engine_->views()) all.insert(view.name + "@" + std::to_string(view.version) + " " + view.role);
    return all;
  }
  void until_serving(std::string_view name, std::uint32_t version) {
    until([&] { return serving(name) == version; });
  }
  ViewStatus version_status(std::string_view name, std::uint32_t version) {
    for (ViewStatus& view : engine_->views())
      if (view.name == name && view.version == version) return view;
    ADD_FAILURE() << "no " << name << "@" << version;
    return {};
  }
  std::size_t states_on_disk() const {
    std::size_t states = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(options_.directory)) ++states;
    return states;
  }
  void replay_with(unsigned threads, std::uint64_t unit = 64, unsigned share = 100) {
    options_.replay.events_min = 1;
    options_.replay.threads = threads;
    options_.replay.unit = unit;
    options_.replay.share_percent = share;
  }
  // Threads of this process with a name that begins like this.
  static std::size_t threads_named(const std::string& prefix) {
    std::size_t found = 0;
    std::error_code gone;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", gone)) {
      std::ifstream file(task.path() / "comm");
      std::string name;
      if (std::getline(file, name) && name.starts_with(prefix)) ++found;
    }
    return found;
  }
};

inline constexpr const char* kCounts = "CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page";
inline constexpr const char* kSums =
    "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT page, sum(n) AS n FROM hits GROUP BY page";
inline constexpr const char* kManualSums =
    "CREATE OR REPLACE MATERIALIZED VIEW v WITH (cutover = 'manual') AS SELECT page, sum(n) AS n FROM hits GROUP BY page";

}  // namespace kappa::processor::test
