// One world: a random schema, events, and views over them, lived through in one engine beside SQLite.
//
// Events come in random batches; between them the engine is closed and opened, its views are made again from
// the log, or put back to an earlier commit. Every view is compared at the offset that its answer names, at
// many prefixes. Everything derives from the seed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/productions.h"
#include "tests/oracle/scenario.h"

namespace kappa::oracle {

struct Outcome {
  std::uint64_t comparisons = 0;
  std::uint64_t queries = 0;  // Different ones that were compared.
  std::uint64_t states = 0;   // View states that were compared byte for byte.
  Productions productions;
  std::vector<std::string> problems;  // Mismatches with their reproduction, errors that nothing explains.
  // Statements of the dialect that were refused: by message, an example.
  std::map<std::string, std::string> refusals;
};

// `save_to`: a directory for reproductions as named cases; empty: none. `only`: queries that use this
// production.
[[nodiscard]] Outcome live(std::uint64_t seed, const std::string& save_to, const std::string& only);

}  // namespace kappa::oracle
