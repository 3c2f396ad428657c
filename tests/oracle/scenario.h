// One query over one sequence of events, alone: how a mismatch is repeated, made small and kept.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/events.h"
#include "tests/oracle/schema.h"

namespace kappa::oracle {

struct Scenario {
  const Schema* schema = nullptr;
  std::vector<std::string> definitions;  // Streams, tables and views that the query needs, in order.
  Query query;
  std::vector<Event> events;
};

// How the events come.
struct Way {
  std::size_t batch = 1;     // Events of an append, all of one topic.
  bool restart = false;      // Closed and opened between batches, once in four.
  bool view_after = false;   // The view is made when all events are there.
  bool every_prefix = true;  // Compared after each batch; else at the end only.
  bool ad_hoc = false;       // The SELECT itself, no view.
};

struct Failure {
  std::size_t prefix = 0;  // Events.
  std::string difference;
  std::vector<std::string> kappa, sqlite;  // Both answers, sorted.
};

// nullopt: every comparison held (or Kappa does not take the query).
[[nodiscard]] std::optional<Failure> run(const Scenario& scenario, const Way& way);

struct Reproduction {
  Scenario scenario;
  Way way;
  Failure failure;
};
// The smallest that still fails; nullopt if it does not fail alone.
[[nodiscard]] std::optional<Reproduction> shrink(Scenario scenario);

[[nodiscard]] std::string report(const Reproduction& reproduction);
// Writes directory/NAME.sql, .ndjson and .expected (named_case.h).
void save(const Reproduction& reproduction, const std::string& directory, const std::string& name);

}  // namespace kappa::oracle
