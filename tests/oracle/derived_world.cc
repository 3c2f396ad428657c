// See derived_world.h.
#include "tests/oracle/derived_world.h"

#include <algorithm>
#include <map>
#include <set>

#include "tests/oracle/compare.h"
#include "tests/oracle/grammar.h"
#include "tests/oracle/kappa_engine.h"
#include "tests/oracle/sqlite_functions.h"
#include "tests/oracle/sqlite_oracle.h"

namespace kappa::oracle {
namespace {

constexpr std::size_t kStreams = 5;
constexpr std::size_t kRowsMax = 150;  // Of an answer: it is asked for after each event.

// Where two rows of the answer may be told apart by what is not selected, an event may take one and give
// another that looks alike: then the stream has more than what the answers differ by.
constexpr const char* kHidden[] = {"group_by.not_selected",
                                   "from.subquery",
                                   "from.table",
                                   "join.inner",
                                   "join.left",
                                   "join.table",
                                   "order_by_limit",
                                   "top_k.row_number",
                                   "top_k.rank",
                                   "top_k.dense_rank",
                                   "as_of.inner",
                                   "as_of.left",
                                   "join.streams_left"};

class DerivedWorld {
 public:
  explicit DerivedWorld(std::uint64_t seed)
      : seed_(seed),
        random_(seed),
        schema_(random_schema(random_)),
        sqlite_(schema_),
        probe_(schema_),
        grammar_(random_, schema_, no_views_),
        engine_({static_cast<std::uint32_t>(random_.pick(std::vector<std::int64_t>{10, 50})),
                 std::size_t{1} << 20}) {}

  Outcome live() {
    EventSource source(random_, schema_);
    const std::size_t count = 40 + random_.below(120);
    while (events_.size() < count) events_.push_back(source.next());
    for (std::size_t i = 0; i < events_.size(); ++i) probe_.insert(events_[i], i + 1);
    if (!held(engine_.open(), "opening") || !define()) return std::move(outcome_);
    // Some are made when there are events already.
    const std::size_t first = random_.below(kStreams + 1);
    while (streams_.size() < first) make_stream();
    while (done_ < events_.size() && outcome_.problems.empty()) {
      if (!append() || !disturb()) break;
      if (streams_.size() < kStreams && random_.one_in(3)) make_stream();
      if (random_.one_in(3) || done_ == events_.size()) compare_all();
    }
    return std::move(outcome_);
  }

 private:
  struct Derived {
    std::string name;
    std::string definition;
    Query query;
    std::string watermark;        // Of EMIT ON WINDOW CLOSE.
    std::string copy;             // Of its events, a view or a stream; empty: none.
    bool exact = true;            // Else the stream may have more than `expected`.
    std::vector<Cells> expected;  // After the first `known` events.
    std::size_t known = 0;
    std::map<std::string, std::int64_t> before;  // The answer then, as a bag.
    std::map<std::string, Cells> had;            // Unless exact: every row that some answer had.
    std::int64_t closed_below = INT64_MIN;
  };

  bool define() {
    for (const Stream& stream : schema_.streams) {
      if (!execute(stream.definition(schema_.topics[stream.topic]))) return false;
    }
    for (const Table& table : schema_.tables) {
      if (!execute(table.definition)) return false;
    }
    return true;
  }

  bool execute(const std::string& statement) {
    const auto made = engine_.execute(statement);
    definitions_ += "  " + statement + ";\n";
    return made || problem("refused: " + to_string(made.error()) + "\n" + statement);
  }

  void make_stream() {
    for (int tries = 0; tries < 60; ++tries) {
      Derived derived;
      const bool on_close = random_.one_in(3);
      if (on_close) {
        Grammar::Windows windows = grammar_.windows();
        derived.query = std::move(windows.query);
        derived.watermark = "SELECT " + windows.watermark;
        derived.query.productions.insert("derived.on_close");
      } else {
        derived.query = grammar_.query();
        derived.exact = std::ranges::none_of(
            kHidden, [&](const char* production) { return derived.query.productions.contains(production); });
        derived.query.productions.insert(derived.exact ? "derived.changes" : "derived.changes_hidden");
      }
      const auto& columns = derived.query.columns;
      // A last bit that one side rounds otherwise would be a change.
      if (std::ranges::any_of(columns, [](const Column& c) { return !c.exact; })) continue;
      if (derived.query.text.sqlite.size() > 5'000) continue;
      const auto rows = probe_.query(derived.query.text.sqlite, UINT32_MAX, 300, kRowsMax);
      probe_.forget();
      if (had_long_list() || !rows || (rows->empty() && !random_.one_in(20))) continue;
      derived.name = "d" + std::to_string(streams_.size());
      derived.definition = "CREATE STREAM " + derived.name + " AS " +
                           without_marks(derived.query.text.kappa) +
                           (on_close            ? " EMIT ON WINDOW CLOSE"
                            : random_.one_in(2) ? " EMIT CHANGES"
                                                : "");
      if (const auto made = engine_.execute(derived.definition); !made) {
        outcome_.refusals.emplace(made.error().message, to_string(made.error()) + "\n" + derived.definition);
        continue;
      }
      // Rows that are there before any event are owed to none.
      if (!on_close) {
        const std::vector<Cells> at_start = answer(derived, 0);
        derived.before = bag(at_start);
        note_rows(derived, at_start);
      }
      if (random_.one_in(2)) {
        // A view of its events, or another stream of them.
        derived.copy = "copy_of_" + derived.name;
        const std::string what = random_.one_in(2) ? "CREATE MATERIALIZED VIEW " : "CREATE STREAM ";
        if (!execute(what + derived.copy + " AS SELECT * FROM " + derived.name)) return;
      }
      ++outcome_.queries;
      streams_.push_back(std::move(derived));
      return;
    }
  }

  bool append() {
    std::size_t left = 1 + random_.below(30);
    const std::size_t batch = random_.pick(std::vector<std::size_t>{1, 3, 50});
    while (left > 0 && done_ < events_.size()) {
      std::vector<std::string> values;
      const std::size_t begin = done_, topic = events_[done_].topic;
      for (; left > 0 && done_ < events_.size() && values.size() < batch && events_[done_].topic == topic;
           --left)
        values.push_back(events_[done_++].json);
      const auto offset = engine_.append(schema_.topics[topic].name, values, std::nullopt);
      if (!offset) return problem("append failed: " + to_string(offset.error()));
      for (std::size_t i = begin; i < done_; ++i) {
        sqlite_.insert(events_[i], *offset + (i - begin));
        ends_.push_back(*offset + (i - begin) + 1);
      }
    }
    return true;
  }

  bool disturb() {
    switch (random_.below(8)) {
      case 0:
      case 1: return held(engine_.restart(), "restart");
      case 2: return held(engine_.replay(), "replay");
      case 3: return held(engine_.keep_states(), "restart");
      case 4: return held(engine_.go_back(), "going back to an earlier commit");
      default: return true;
    }
  }

  std::vector<Cells> answer(const Derived& derived, std::uint64_t end) {
    return *sqlite_.query(derived.query.text.sqlite, end);
  }
  static std::map<std::string, std::int64_t> bag(const std::vector<Cells>& rows) {
    std::map<std::string, std::int64_t> counts;
    for (const Cells& row : rows) ++counts[text_of(row)];
    return counts;
  }

  static void note_rows(Derived& derived, const std::vector<Cells>& rows) {
    for (const Cells& row : rows) derived.had.emplace(text_of(row), row);
  }

  // Brings what the stream must have to all events that were appended.
  void foresee(Derived& derived) {
    for (; derived.known < done_; ++derived.known) {
      const std::uint64_t end = ends_[derived.known];
      const std::vector<Cells> rows = answer(derived, end);
      derived.watermark.empty() ? foresee_changes(derived, rows) : foresee_closes(derived, rows, end);
    }
  }
  static void foresee_changes(Derived& derived, const std::vector<Cells>& rows) {
    if (!derived.exact) note_rows(derived, rows);
    auto old = std::exchange(derived.before, bag(rows));
    for (const Cells& row : rows) {
      if (--old[text_of(row)] < 0) derived.expected.push_back(row);
    }
  }
  void foresee_closes(Derived& derived, const std::vector<Cells>& rows, std::uint64_t end) {
    const Cell watermark = sqlite_.query(derived.watermark, end)->front().front();
    const auto* reached = std::get_if<std::int64_t>(&watermark);
    if (reached == nullptr || *reached == derived.closed_below) return;
    const auto& columns = derived.query.columns;
    const auto column = static_cast<std::size_t>(
        std::ranges::find(columns, std::string("we"), &Column::name) - columns.begin());
    for (const Cells& row : rows) {
      const std::int64_t window_end = std::get<std::int64_t>(row[column]);
      if (window_end > derived.closed_below && window_end <= *reached) derived.expected.push_back(row);
    }
    derived.closed_below = *reached;
  }

  void compare_all() {
    for (Derived& derived : streams_) {
      foresee(derived);
      std::vector<Cells> expected = derived.expected;
      present_events(expected, derived.query.columns);
      const std::string& read = derived.copy.empty() || random_.one_in(2) ? derived.name : derived.copy;
      auto answer = engine_.execute("SELECT * FROM " + read);
      if (!answer) {
        problem(derived.name + " failed: " + to_string(answer.error()) + "\n" + derived.definition);
        return;
      }
      if (!derived.exact) leave_out_surplus(answer->rows, expected, derived);
      ++outcome_.comparisons;
      outcome_.productions.compared(derived.query.productions);
      const std::string found = difference(answer->rows, expected, derived.query.columns);
      if (found.empty()) continue;
      std::string text = read + " after " + std::to_string(done_) + " events\n" + found + definitions_ +
                         "  " + derived.definition + ";\nSQLite:\n  " + derived.query.text.sqlite +
                         "\nevents:\n";
      for (std::size_t i = 0; i < done_ && i < 40; ++i)
        text += "  " + schema_.topics[events_[i].topic].name + "  " + events_[i].json + "\n";
      if (!problem(text)) return;
    }
  }

  // The text of an event's time has no year 0.
  static void present_events(std::vector<Cells>& rows, const std::vector<Column>& columns) {
    present(rows, columns);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].kind != Kind::kTime) continue;
      for (Cells& row : rows) {
        const auto* time = std::get_if<std::int64_t>(&row[i]);
        if (time != nullptr && *time >= -62'167'219'200'000'000 && *time < -62'135'596'800'000'000) row[i] = {};
      }
    }
  }

  // Rows beyond the expected that it may give on the way: only those that some answer had.
  static void leave_out_surplus(std::vector<Cells>& rows, const std::vector<Cells>& expected, const Derived& derived) {
    std::vector<Cells> some;
    for (const auto& [text, row] : derived.had) some.push_back(row);
    present_events(some, derived.query.columns);
    const auto had = bag(some);
    auto wanted = bag(expected);
    std::erase_if(rows, [&](const Cells& row) {
      const std::string text = text_of(row);
      const bool surplus = --wanted[text] < 0;
      return surplus && had.contains(text);
    });
  }

  bool held(const Status& status, const char* what) {
    return status.has_value() || problem(std::string(what) + " failed: " + to_string(status.error()));
  }
  bool problem(std::string text) {
    outcome_.problems.push_back("KAPPA_SEED=" + std::to_string(seed_) + ": " + std::move(text));
    return false;
  }

  const std::uint64_t seed_;
  Random random_;
  const Schema schema_;
  SqliteOracle sqlite_;  // What was appended, by its offsets.
  SqliteOracle probe_;   // All events, to see whether a query is worth while.
  const std::vector<Relation> no_views_;
  Grammar grammar_;
  KappaEngine engine_;
  std::string definitions_;
  std::vector<Derived> streams_;
  std::vector<Event> events_;
  std::vector<std::uint64_t> ends_;  // Offset after each event appended.
  std::size_t done_ = 0;
  Outcome outcome_;
};

}  // namespace

Outcome live_derived(std::uint64_t seed) {
  return DerivedWorld(seed).live();
}

}  // namespace kappa::oracle
