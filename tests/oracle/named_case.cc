// See named_case.h.
#include "tests/oracle/named_case.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/oracle/compare.h"
#include "tests/oracle/kappa_engine.h"

namespace kappa::oracle {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::abort();
  }
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> fields_of(const std::string& row) {
  std::vector<std::string> fields;
  std::size_t at = 0;
  for (std::size_t end = row.find(" | "); end != std::string::npos; end = row.find(" | ", at)) {
    fields.push_back(row.substr(at, end - at));
    at = end + 3;
  }
  fields.push_back(row.substr(at));
  return fields;
}

bool same_row(const std::string& a, const std::string& b, const std::vector<bool>& approximate) {
  if (a == b) return true;
  const auto x = fields_of(a), y = fields_of(b);
  if (x.size() != y.size() || x.size() != approximate.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i]) continue;
    if (!approximate[i] || x[i] == "NULL" || y[i] == "NULL") return false;
    const double p = std::strtod(x[i].c_str(), nullptr), q = std::strtod(y[i].c_str(), nullptr);
    if (!(std::fabs(p - q) <= 1e-9 * std::max({std::fabs(p), std::fabs(q), 1e-3}))) return false;
  }
  return true;
}

std::string mismatch(const NamedCase& named, const NamedCase::Prefix& expected, const Answer& answer,
                     const std::string& how) {
  const std::vector<std::string> rows = texts_of(answer.rows);
  const auto alike = [&](const std::string& a, const std::string& b) {
    return same_row(a, b, named.approximate);
  };
  if (rows.size() == expected.rows.size() && std::ranges::equal(rows, expected.rows, alike)) return {};
  std::string text = named.name + " after " + std::to_string(expected.events) + " events, " + how + "\n" +
                     named.select + "\n";
  for (const std::string& row : rows) text += "  actual:   " + row + "\n";
  for (const std::string& row : expected.rows) text += "  expected: " + row + "\n";
  return text;
}

std::string check_way(const NamedCase& named, std::size_t batch, bool restart, bool after) {
  const std::string how = "batches of " + std::to_string(batch) + (restart ? ", restarts" : "") +
                          (after ? ", view made last" : "");
  KappaEngine engine(EngineSettings{10, std::size_t{1} << 20});
  if (const Status status = engine.open(); !status) return to_string(status.error());
  std::vector<std::string> statements = named.definitions;
  if (!after) statements.push_back("CREATE MATERIALIZED VIEW v " + named.options + "AS " + named.select);
  for (const std::string& statement : statements) {
    const auto made = engine.execute(statement);
    if (!made) return named.name + ": " + to_string(made.error()) + "\n" + statement + "\n";
  }
  for (std::size_t done = 0; done < named.events.size();) {
    std::vector<std::string> values;
    const std::string topic = named.events[done].first;
    while (done < named.events.size() && values.size() < batch && named.events[done].first == topic)
      values.push_back(named.events[done++].second);
    if (const auto offset = engine.append(topic, values, std::nullopt); !offset)
      return to_string(offset.error());
    if (restart) {
      if (const Status status = engine.restart(); !status) return to_string(status.error());
    }
    if (after) continue;
    for (const NamedCase::Prefix& prefix : named.expected) {
      if (prefix.events != done) continue;
      const auto answer = engine.execute("SELECT * FROM v");
      if (!answer) return named.name + ": " + to_string(answer.error()) + "\n";
      if (const std::string text = mismatch(named, prefix, *answer, how); !text.empty()) return text;
    }
  }
  if (!after || named.expected.empty()) return {};
  if (const auto made = engine.execute("CREATE MATERIALIZED VIEW v " + named.options + "AS " + named.select);
      !made)
    return to_string(made.error());
  const auto answer = engine.execute("SELECT * FROM v");
  if (!answer) return named.name + ": " + to_string(answer.error()) + "\n";
  return mismatch(named, named.expected.back(), *answer, how);
}

}  // namespace

void write_case(const NamedCase& named, const std::string& directory) {
  std::filesystem::create_directories(directory);
  const auto path = [&](const char* extension) {
    return std::filesystem::path(directory) / (named.name + extension);
  };
  std::ofstream sql(path(".sql"), std::ios::binary);
  sql << "-- approximate:";
  for (const bool approximate : named.approximate) sql << (approximate ? " 1" : " 0");
  if (!named.options.empty()) sql << "\n-- options: " << named.options;
  sql << "\n-- sqlite: " << named.oracle << "\n";
  for (const std::string& definition : named.definitions) sql << definition << ";\n";
  sql << named.select << ";\n";
  std::ofstream events(path(".ndjson"), std::ios::binary);
  for (const auto& [topic, json] : named.events) events << topic << "\t" << json << "\n";
  std::ofstream expected(path(".expected"), std::ios::binary);
  for (const NamedCase::Prefix& prefix : named.expected) {
    expected << "after " << prefix.events << " events: " << prefix.rows.size() << " rows\n";
    for (const std::string& row : prefix.rows) expected << row << "\n";
  }
}

std::vector<NamedCase> read_cases(const std::string& directory) {
  std::vector<std::filesystem::path> paths;
  if (!std::filesystem::exists(directory)) return {};
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".sql") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<NamedCase> cases;
  for (std::filesystem::path path : paths) {
    NamedCase named;
    named.name = path.stem();
    std::vector<std::string> statements;
    for (std::string line : lines_of(read_file(path))) {
      if (line.starts_with("-- approximate:")) {
        for (const char c : line.substr(15)) {
          if (c != ' ') named.approximate.push_back(c == '1');
        }
      } else if (line.starts_with("-- options: ")) {
        named.options = line.substr(12);
      } else if (!line.starts_with("--") && !line.empty()) {
        if (line.ends_with(";")) line.pop_back();
        statements.push_back(line);
      }
    }
    if (statements.empty()) continue;
    named.select = statements.back();
    statements.pop_back();
    named.definitions = std::move(statements);
    for (const std::string& line : lines_of(read_file(path.replace_extension(".ndjson")))) {
      const std::size_t tab = line.find('\t');
      named.events.emplace_back(line.substr(0, tab), line.substr(tab + 1));
    }
    for (const std::string& line : lines_of(read_file(path.replace_extension(".expected")))) {
      std::size_t events = 0, rows = 0;
      if (std::sscanf(line.c_str(), "after %zu events: %zu rows", &events, &rows) == 2) {
        named.expected.push_back({events, {}});
      } else {
        named.expected.back().rows.push_back(line);
      }
    }
    cases.push_back(std::move(named));
  }
  return cases;
}

std::string check_case(const NamedCase& named) {
  for (const std::size_t batch : {std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
    for (const bool restart : {false, true}) {
      if (std::string text = check_way(named, batch, restart, false); !text.empty()) return text;
    }
  }
  return check_way(named, 1000, false, true);
}

}  // namespace kappa::oracle
