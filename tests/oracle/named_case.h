// A kept mismatch: NAME.sql (definitions, then the SELECT of view v; its options and SQLite's text as
// comments), NAME.ndjson (one event a line, after its topic's name and a tab), NAME.expected (SQLite's rows
// after so many events, each row's values as text between " | ").
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace kappa::oracle {

struct NamedCase {
  struct Prefix {
    std::size_t events = 0;
    std::vector<std::string> rows;  // Sorted.
  };
  std::string name;
  std::vector<std::string> definitions;
  std::string options;  // "WITH (...) " of the view; mostly empty.
  std::string select;
  std::string oracle;
  std::vector<bool> approximate;                            // By column: within 1e-9.
  std::vector<std::pair<std::string, std::string>> events;  // Topic, JSON.
  std::vector<Prefix> expected;
};

void write_case(const NamedCase& named, const std::string& directory);
// All cases of a directory, by name. A file that cannot be read ends the process.
[[nodiscard]] std::vector<NamedCase> read_cases(const std::string& directory);

// Runs it with the view made before and after the events, batches of 1, 3 and all, with restarts. Empty:
// right.
[[nodiscard]] std::string check_case(const NamedCase& named);

}  // namespace kappa::oracle
