// See scenario.h.
#include "tests/oracle/scenario.h"

#include <algorithm>

#include "tests/oracle/compare.h"
#include "tests/oracle/kappa_engine.h"
#include "tests/oracle/named_case.h"
#include "tests/oracle/sqlite_oracle.h"

namespace kappa::oracle {
namespace {

Failure broken(std::size_t prefix, const Error& error) {
  return {prefix, "Kappa failed: " + to_string(error) + "\n", {}, {}};
}

std::string describe(const Way& way) {
  std::string text = "batches of " + std::to_string(way.batch);
  if (way.restart) text += ", restarts between them";
  if (way.view_after) text += ", the view made after the events";
  if (way.ad_hoc) text += ", as a SELECT and not a view";
  return text;
}

}  // namespace

std::optional<Failure> run(const Scenario& scenario, const Way& way) {
  KappaEngine engine(EngineSettings{10, std::size_t{1} << 20});
  if (const Status status = engine.open(); !status) return broken(0, status.error());
  for (const std::string& definition : scenario.definitions) {
    // What this version does not take cannot fail.
    if (!engine.execute(definition)) return std::nullopt;
  }
  if (way.ad_hoc && !scenario.query.options.empty()) return std::nullopt;
  const std::string create = "CREATE MATERIALIZED VIEW v " + scenario.query.options + "AS " +
                             without_marks(scenario.query.text.kappa);
  if (!way.view_after && !way.ad_hoc && !engine.execute(create)) return std::nullopt;
  SqliteOracle sqlite(*scenario.schema);
  const std::string select = way.ad_hoc ? without_marks(scenario.query.text.kappa) : "SELECT * FROM v";
  std::size_t done = 0, batches = 0;
  while (done < scenario.events.size()) {
    std::vector<std::string> values;
    std::size_t next = done;
    while (next < scenario.events.size() && next - done < way.batch &&
           scenario.events[next].topic == scenario.events[done].topic) {
      values.push_back(scenario.events[next++].json);
    }
    const auto offset = engine.append(scenario.schema->topics[scenario.events[done].topic].name, values,
                                      scenario.events[done].key);
    if (!offset) return broken(done, offset.error());
    for (std::size_t i = done; i < next; ++i) sqlite.insert(scenario.events[i], *offset + (i - done));
    done = next;
    if (way.restart && batches++ % 4 == 3) {
      if (const Status status = engine.restart(); !status) return broken(done, status.error());
    }
    const bool last = done == scenario.events.size();
    if (last && way.view_after && !way.ad_hoc && !engine.execute(create)) return std::nullopt;
    if (!last && (!way.every_prefix || way.view_after)) continue;
    auto answer = engine.execute(select);
    if (!answer) return broken(done, answer.error());
    auto expected = sqlite.query(scenario.query.text.sqlite, answer->applied);
    const std::string found = difference(answer->rows, *expected, scenario.query.columns);
    if (!found.empty()) return Failure{done, found, texts_of(answer->rows), texts_of(*expected)};
  }
  return std::nullopt;
}

std::optional<Reproduction> shrink(Scenario scenario) {
  static const Way ways[] = {{1, false, false, true, false},    {1000, false, false, false, false},
                             {1000, false, true, false, false}, {7, false, false, true, false},
                             {3, true, false, true, false},     {1000, false, false, false, true}};
  for (const Way& way : ways) {
    std::optional<Failure> failure = run(scenario, way);
    if (!failure) continue;
    scenario.events.resize(std::max<std::size_t>(failure->prefix, 1));
    // Pieces are left out as long as it still fails: halves first, single events last.
    int tries = 400;
    for (std::size_t piece = std::max<std::size_t>(scenario.events.size() / 2, 1); piece >= 1 && tries > 0;
         piece /= 2) {
      for (std::size_t at = 0; at < scenario.events.size() && tries > 0;) {
        Scenario smaller = scenario;
        const auto first = smaller.events.begin() + static_cast<std::ptrdiff_t>(at);
        smaller.events.erase(
            first, first + static_cast<std::ptrdiff_t>(std::min(piece, smaller.events.size() - at)));
        --tries;
        if (auto still = smaller.events.empty() ? std::nullopt : run(smaller, way)) {
          smaller.events.resize(std::max<std::size_t>(still->prefix, 1));
          scenario = std::move(smaller);
          failure = std::move(still);
        } else {
          at += piece;
        }
      }
    }
    return Reproduction{std::move(scenario), way, std::move(*failure)};
  }
  return std::nullopt;
}

std::string report(const Reproduction& reproduction) {
  const Scenario& scenario = reproduction.scenario;
  std::string text = "smallest reproduction, " + describe(reproduction.way) + ":\n";
  for (const std::string& definition : scenario.definitions) text += "  " + definition + ";\n";
  text += "events:\n";
  for (const Event& event : scenario.events)
    text += "  " + scenario.schema->topics[event.topic].name + "  " + event.json + "\n";
  text += "Kappa:\n  " + scenario.query.options + without_marks(scenario.query.text.kappa) + "\nSQLite:\n  " +
          scenario.query.text.sqlite + "\n";
  text +=
      "after " + std::to_string(reproduction.failure.prefix) + " events:\n" + reproduction.failure.difference;
  text += "Kappa's answer:\n";
  for (const std::string& row : reproduction.failure.kappa) text += "  " + row + "\n";
  text += "SQLite's answer:\n";
  for (const std::string& row : reproduction.failure.sqlite) text += "  " + row + "\n";
  return text;
}

void save(const Reproduction& reproduction, const std::string& directory, const std::string& name) {
  const Scenario& scenario = reproduction.scenario;
  NamedCase named;
  named.name = name;
  named.definitions = scenario.definitions;
  named.options = scenario.query.options;
  named.select = without_marks(scenario.query.text.kappa);
  named.oracle = scenario.query.text.sqlite;
  for (const Column& c : scenario.query.columns)
    named.approximate.push_back(c.kind == Kind::kDouble && !c.exact);
  SqliteOracle sqlite(*scenario.schema);
  for (std::size_t i = 0; i < scenario.events.size(); ++i) {
    const Event& event = scenario.events[i];
    named.events.push_back({scenario.schema->topics[event.topic].name, event.json});
    sqlite.insert(event, i + 1);
  }
  // At every prefix: what must be right in the middle must be right there too. Offsets in an answer are by
  // number of the event, from 1, so a query that shows them is kept at its own risk.
  for (std::size_t i = 1; i <= scenario.events.size(); ++i) {
    auto rows = sqlite.query(scenario.query.text.sqlite, i + 1);
    present(*rows, scenario.query.columns);
    named.expected.push_back({i, texts_of(*rows)});
  }
  write_case(named, directory);
}

}  // namespace kappa::oracle
