// See world.h.
#include "tests/oracle/world.h"

#include <algorithm>
#include <memory>
#include <set>

#include "tests/oracle/compare.h"
#include "tests/oracle/grammar.h"
#include "tests/oracle/kappa_engine.h"
#include "tests/oracle/key_reads.h"
#include "tests/oracle/sqlite_functions.h"
#include "tests/oracle/sqlite_oracle.h"

namespace kappa::oracle {
namespace {

constexpr std::size_t kViews = 24;
constexpr std::size_t kRounds = 14;
constexpr std::size_t kProblemsMax = 3;  // Of one world; each is made small, which takes time.

struct View {
  std::string name;
  std::string definition;
  Query query;
  std::string directory;  // How its state's directory begins: "OFFSET-".
  bool wrong = false;     // Reported already.
};

std::string hexadecimal(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

// The first entries that two states do not have alike.
std::string state_difference(const State& lived, const State& again) {
  std::string text;
  int shown = 0;
  const auto show = [&](const char* side, const auto& entry, const State& other) {
    const auto found = other.find(entry.first);
    if ((found != other.end() && found->second == entry.second) || ++shown > 8) return;
    text += "  " + std::string(side) + " table " + std::to_string(entry.first.first) + " " +
            hexadecimal(entry.first.second) + " = " + hexadecimal(entry.second) + "\n";
  };
  for (const auto& entry : lived) show("lived:", entry, again);
  for (const auto& entry : again) show("again:", entry, lived);
  return text;
}

class World {
 public:
  World(std::uint64_t seed, std::string save_to, std::string only)
      : seed_(seed),
        save_to_(std::move(save_to)),
        only_(std::move(only)),
        random_(seed),
        schema_(random_schema(random_)),
        sqlite_(schema_),
        probe_(schema_),
        grammar_(random_, schema_, relations_),
        engine_({static_cast<std::uint32_t>(random_.pick(std::vector<std::int64_t>{10, 50, 500})),
                 static_cast<std::size_t>(
                     random_.pick(std::vector<std::int64_t>{16 << 10, 1 << 20, 64 << 20}))}) {}

  Outcome live() {
    EventSource source(random_, schema_);
    // Now and then more than one chunk of vectors (2048 events), over which fewer queries are worth while.
    large_ = random_.one_in(12);
    const std::size_t count = large_ ? 2'500 + random_.below(2'500) : 80 + random_.below(320);
    while (events_.size() < count) events_.push_back(source.next());
    for (std::size_t i = 0; i < events_.size(); ++i) probe_.insert(events_[i], i + 1);
    if (!held(engine_.open(), "opening") || !define()) return std::move(outcome_);
    const std::size_t first = kViews - random_.below(kViews / 2);
    while (views_.size() < (large_ ? first / 2 : first) && make_view()) {
    }
    for (std::size_t round = 0; round < rounds() && outcome_.problems.size() < kProblemsMax; ++round) {
      if (!append(round) || !disturb()) break;
      if (views_.size() < kViews && random_.one_in(2)) make_view();
      compare_all();
    }
    if (outcome_.problems.empty()) compare_ad_hoc();
    if (outcome_.problems.empty()) compare_states();
    return std::move(outcome_);
  }

 private:
  bool define() {
    for (const Stream& stream : schema_.streams) {
      definitions_.push_back({stream.name, stream.definition(schema_.topics[stream.topic])});
      const auto made = execute(definitions_.back().second);
      if (!made)
        return problem("CREATE STREAM was refused: " + to_string(made.error()) + "\n" +
                       definitions_.back().second);
    }
    for (const Table& table : schema_.tables) {
      const auto made = execute(table.definition);
      if (!made)
        return problem("CREATE TABLE was refused: " + to_string(made.error()) + "\n" + table.definition);
      definitions_.push_back({table.name, table.definition});
    }
    return true;
  }

  // A definition, kept if it was taken.
  Expected<Answer> execute(const std::string& statement) {
    auto made = engine_.execute(statement);
    if (made) journal_.push_back({statement, SIZE_MAX});
    return made;
  }

  // A query that SQLite answers in reasonable time, mostly with some rows.
  std::optional<Query> random_query(bool of_view = false) {
    for (int tries = 0; tries < (only_.empty() ? 60 : 3000); ++tries) {
      Query query = of_view && random_.one_in(16) ? grammar_.retained() : grammar_.query();
      if (!only_.empty() && !query.productions.contains(only_)) continue;
      if (query.text.sqlite.size() > 20'000 || query.needs.size() > 8) continue;
      const auto rows =
          probe_.query(query.text.sqlite, UINT32_MAX, large_ ? 10'000 : 3'000, large_ ? 6'000 : 3'000);
      probe_.forget();
      if (had_long_list() || !rows || (rows->empty() && !random_.one_in(20))) continue;
      return query;
    }
    return std::nullopt;
  }

  bool make_view() {
    std::optional<Query> query = random_query(true);
    if (!query) return false;
    View view;
    view.name = "v" + std::to_string(names_++);
    view.query = std::move(*query);
    view.definition = "CREATE MATERIALIZED VIEW " + view.name + " " + view.query.options + "AS " +
                      without_marks(view.query.text.kappa);
    view.directory = std::to_string(engine_.end()) + "-";
    const auto made = execute(view.definition);
    if (!made) {
      outcome_.refusals.emplace(made.error().message, to_string(made.error()) + "\n" + view.definition);
      return ++refusals_ < 200;
    }
    const bool readable = view.query.options.empty();  // A view over it would be planned without them.
    Relation relation;
    relation.text = {view.name, "(" + view.query.text.sqlite + ")"};
    relation.columns = view.query.columns;
    relation.needs = view.query.needs;
    relation.needs.push_back(view.name);
    if (readable) relations_.push_back(std::move(relation));
    definitions_.push_back({view.name, view.definition});
    views_.push_back(std::move(view));
    ++outcome_.queries;
    return true;
  }

  [[nodiscard]] std::size_t rounds() const { return large_ ? kRounds / 4 : kRounds; }

  bool append(std::size_t round) {
    const std::size_t left = events_.size() - done_;
    std::size_t count =
        round + 1 == rounds() ? left : std::min(left, random_.below(2 * left / (rounds() - round) + 2));
    const std::size_t batch = random_.pick(large_ ? std::vector<std::size_t>{200, 5000}
                                                  : std::vector<std::size_t>{1, 2, 7, 50, 1000});
    while (count > 0) {
      // Events of one topic that follow each other, at most `batch`.
      std::vector<std::string> values;
      const std::size_t topic = events_[done_].topic;
      std::optional<std::string> key;
      if (random_.one_in(3)) key = random_.pick({"key1", "key2", ""});
      const std::size_t begin = done_;
      while (count > 0 && values.size() < batch && events_[done_].topic == topic) {
        events_[done_].key = key;
        values.push_back(events_[done_].json);
        journal_.push_back({"", done_});
        ++done_, --count;
      }
      const auto offset = engine_.append(schema_.topics[topic].name, values, key);
      if (!offset) return problem("append failed: " + to_string(offset.error()));
      for (std::size_t i = begin; i < done_; ++i) {
        sqlite_.insert(events_[i], *offset + (i - begin));
        ends_.push_back(*offset + (i - begin) + 1);
      }
    }
    return true;
  }

  bool disturb() {
    switch (random_.below(14)) {
      case 0:
      case 1: return held(engine_.restart(), "restart");
      case 2: return held(engine_.replay(), "replay");
      case 3: return held(engine_.keep_states(), "restart");
      case 4: return held(engine_.go_back(), "going back to an earlier commit");
      default: return true;
    }
  }

  void compare_all() {
    for (View& view : views_) {
      const bool fresh = !random_.one_in(4);
      if (view.wrong) continue;
      view.wrong = !compare(view.query, "SELECT * FROM " + view.name, fresh, view.name);
      if (!view.wrong && fresh) compare_row_count(view);
      if (!view.wrong && random_.one_in(4)) compare_key_reads(view);
      if (outcome_.problems.size() >= kProblemsMax) return;
    }
  }

  void compare_ad_hoc() {
    for (const View& view : views_) {
      if (!view.query.options.empty()) continue;
      compare(view.query, without_marks(view.query.text.kappa), true, "the SELECT of " + view.name);
    }
    // And reads of views: filters, groups and orders over what is stored.
    for (std::size_t i = 0; i < kViews && outcome_.problems.empty(); ++i) {
      const std::optional<Query> query = random_query();
      if (query) compare(*query, without_marks(query->text.kappa), true, "an ad-hoc SELECT");
      if (query && query->needs.empty() && !ends_.empty()) compare_as_of(*query);
    }
  }

  // The SELECT over the events below an offset, all its streams cut there.
  void compare_as_of(const Query& query) {
    if (query.productions.contains("tumble.table_function") ||
        query.productions.contains("hop.table_function"))
      return;
    const std::uint64_t end = random_.pick(ends_);
    std::string select;
    for (const char c : query.text.kappa)
      select += c == kAsOfMark ? " AS OF OFFSET " + std::to_string(end) : std::string(1, c);
    auto answer = engine_.execute(select);
    std::set<std::string> used = query.productions;
    used.insert("as_of_offset");
    if (!answer) {
      outcome_.refusals.emplace(answer.error().message, to_string(answer.error()) + "\n" + select);
      return;
    }
    auto expected = sqlite_.query(query.text.sqlite, end);
    if (had_long_list()) return;
    const std::string found = difference(answer->rows, *expected, query.columns);
    ++outcome_.comparisons;
    outcome_.productions.compared(used);
    if (!found.empty()) problem("a SELECT " + select + "\n" + found + "SQLite:\n  " + query.text.sqlite);
  }

  // What was committed is a function of the log's prefix: the same bytes after this life, after a replay of
  // the same log, and in another engine that got the same events in other batches.
  void compare_states() {
    const auto settle = [&](KappaEngine& engine) {
      // Tables have states too.
      for (const Table& table : schema_.tables)
        static_cast<void>(engine.execute("SELECT count(*) FROM " + table.name));
      for (const View& view : views_) static_cast<void>(engine.execute("SELECT count(*) FROM " + view.name));
    };
    settle(engine_);
    const auto lived = engine_.states();
    if (!lived) {
      problem("reading the states failed: " + to_string(lived.error()));
      return;
    }
    if (!held(engine_.replay(), "replay")) return;
    settle(engine_);
    same_states(*lived, engine_.states(), "a replay");
    KappaEngine other({10, std::size_t{64} << 20});
    if (!held(other.open(), "opening")) return;
    const std::size_t batch =
        random_.pick(large_ ? std::vector<std::size_t>{100, 5000} : std::vector<std::size_t>{1, 3, 1000});
    for (std::size_t at = 0; at < journal_.size();) {
      if (journal_[at].event == SIZE_MAX) {
        if (const auto made = other.execute(journal_[at].statement); !made) {
          problem("the second engine refused: " + journal_[at].statement);
          return;
        }
        ++at;
        continue;
      }
      const Event& first = events_[journal_[at].event];
      std::vector<std::string> values;
      while (at < journal_.size() && values.size() < batch && journal_[at].event != SIZE_MAX &&
             events_[journal_[at].event].topic == first.topic &&
             events_[journal_[at].event].key == first.key) {
        values.push_back(events_[journal_[at++].event].json);
      }
      if (const auto offset = other.append(schema_.topics[first.topic].name, values, first.key); !offset) {
        problem("append failed: " + to_string(offset.error()));
        return;
      }
    }
    settle(other);
    same_states(*lived, other.states(), "batches of " + std::to_string(batch));
  }

  using States = std::map<std::string, State>;
  void same_states(const States& lived, const Expected<States>& again, const std::string& how) {
    if (!again) {
      problem("reading the states failed: " + to_string(again.error()));
      return;
    }
    if (again->size() != lived.size()) problem("another number of states after " + how);
    for (const auto& [name, state] : lived) {
      const auto found = again->find(name);
      if (found == again->end()) continue;
      ++outcome_.states;
      if (found->second == state) continue;
      std::string text =
          "state " + name + " differs after " + how + "\n" + state_difference(state, found->second);
      for (const View& view : views_) {
        if (!name.starts_with(view.directory)) continue;
        for (const auto& [needed, definition] : definitions_) {
          if (std::ranges::find(view.query.needs, needed) != view.query.needs.end())
            text += definition + ";\n";
        }
        text += view.definition + "\n";
      }
      if (!problem(text)) return;
    }
  }

  // False: a mismatch.
  bool compare(const Query& query, const std::string& select, bool fresh, const std::string& what) {
    auto answer = engine_.execute(select, fresh);
    if (!answer) {
      if (answer.error().number >= 2001 && answer.error().number <= 2009) {
        outcome_.refusals.emplace(answer.error().message,
                                  to_string(answer.error()) + "\n" + query.text.kappa);
      } else {
        problem(what + " failed: " + to_string(answer.error()) + "\n" + query.text.kappa);
      }
      return true;
    }
    auto expected = sqlite_.query(query.text.sqlite, answer->applied);
    if (had_long_list()) return true;
    const std::string found = difference(answer->rows, *expected, query.columns);
    ++outcome_.comparisons;
    outcome_.productions.compared(query.productions);
    if (!found.empty()) mismatch(query, *answer, what, found);
    return found.empty();
  }

  // The rows that the status counts, of a view that was right a moment ago. What HAVING or a condition over groups
  // hides is counted, since it is left out only when the view is read: such views are not compared.
  void compare_row_count(View& view) {
    for (const std::string& production : view.query.productions) {
      for (const std::string_view hides : {"having", "from.subquery", "view_over_view", "join.view", "retain", "window.over_any"})
        if (production.starts_with(hides)) return;
    }
    const auto expected = sqlite_.query(view.query.text.sqlite, engine_.end());
    if (had_long_list()) return;
    const auto counted = engine_.row_count(view.name);
    ++outcome_.comparisons;
    outcome_.productions.compared({"read.row_count"});
    if (counted && *counted == expected->size()) return;
    view.wrong = true;
    problem("the status of " + view.name + " counts " + (counted ? std::to_string(*counted) : "no") + " rows, SQLite has " +
            std::to_string(expected->size()) + "\n" + view.definition);
  }

  // Gets and scans of a view that was right a moment ago.
  void compare_key_reads(View& view) {
    auto expected = sqlite_.query(view.query.text.sqlite, engine_.end());
    if (had_long_list()) return;
    const std::string found =
        check_key_reads(engine_, random_, view.name, std::move(*expected), view.query.columns);
    ++outcome_.comparisons;
    outcome_.productions.compared({"read.by_key"});
    if (found.empty()) return;
    view.wrong = true;
    std::string text =
        "reads of " + view.name + " by its key, " + std::to_string(done_) + " events\n" + found;
    for (const auto& [name, definition] : definitions_) text += "  " + definition + ";\n";
    problem(text);
  }

  void mismatch(const Query& query, const Answer& answer, const std::string& what, const std::string& found) {
    const auto end = std::ranges::lower_bound(ends_, answer.applied);
    Scenario scenario;
    scenario.schema = &schema_;
    for (const auto& [name, definition] : definitions_) {
      // A stream is named by what reads it; tables' and views' names are in the list.
      const bool stream =
          std::ranges::any_of(schema_.streams, [&](const Stream& s) { return s.name == name; });
      const bool read = query.text.sqlite.find("FROM " + name + " WHERE") != std::string::npos ||
                        query.text.sqlite.find("FROM " + name + ", slides") != std::string::npos;
      if ((stream && read) || std::ranges::find(query.needs, name) != query.needs.end())
        scenario.definitions.push_back(definition);
    }
    scenario.query = query;
    const auto events = std::min(static_cast<std::size_t>(end - ends_.begin()) + 1, done_);
    scenario.events.assign(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(events));
    std::string text = what + " at offset " + std::to_string(answer.applied) + "\n" + found;
    if (const auto small = shrink(std::move(scenario))) {
      text += oracle::report(*small);
      if (!save_to_.empty())
        save(*small, save_to_,
             "seed_" + std::to_string(seed_) + "_" + std::to_string(outcome_.problems.size()));
    } else {
      text += "(not alone: it needs the whole world)\nKappa:\n  " + without_marks(query.text.kappa) +
              "\nSQLite:\n  " + query.text.sqlite + "\n";
      for (const auto& [name, definition] : definitions_) {
        if (std::ranges::find(query.needs, name) != query.needs.end()) text += "  " + definition + ";\n";
      }
    }
    problem(text);
  }

  bool held(const Status& status, const char* what) {
    return status.has_value() || problem(std::string(what) + " failed: " + to_string(status.error()));
  }
  bool problem(std::string text) {
    outcome_.problems.push_back("KAPPA_SEED=" + std::to_string(seed_) + ": " + std::move(text));
    return outcome_.problems.size() < kProblemsMax;
  }

  const std::uint64_t seed_;
  const std::string save_to_, only_;
  Random random_;
  const Schema schema_;
  SqliteOracle sqlite_;  // What was appended, by its offsets.
  SqliteOracle probe_;   // All events, to see whether a query is worth while.
  std::vector<Relation> relations_;
  Grammar grammar_;
  KappaEngine engine_;
  std::vector<std::pair<std::string, std::string>> definitions_;  // Name, statement; in order.
  std::vector<View> views_;
  std::vector<Event> events_;
  std::vector<std::uint64_t> ends_;  // Offset after each event appended.
  // What was done, in order: statements and events.
  struct Step {
    std::string statement;
    std::size_t event = SIZE_MAX;
  };
  std::vector<Step> journal_;
  std::size_t done_ = 0;
  std::size_t names_ = 0;
  std::size_t refusals_ = 0;
  bool large_ = false;
  Outcome outcome_;
};

}  // namespace

Outcome live(std::uint64_t seed, const std::string& save_to, const std::string& only) {
  return World(seed, save_to, only).live();
}

}  // namespace kappa::oracle
