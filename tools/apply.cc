// kappa apply FILE: makes the server hold what a script says.
//
// Each statement is compared with the text that the server holds; only what differs is run, in the order of the file,
// so a second run does nothing. Changes go together, as one replacement, as far as the order of the file allows it. A
// statement that needs a name that is being replaced waits for its cutover.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <thread>

#include "tools/apply_plan.h"
#include "tools/command.h"
#include "tools/output.h"
#include "tools/row_writer.h"

namespace kappa::tools {
namespace {

using Clock = std::chrono::steady_clock;
using Action = ApplyStep::Action;

constexpr std::uint16_t kIsBeingReplaced = 2016;
constexpr std::chrono::milliseconds kPoll{50};

struct ApplyFlags {
  ConnectionFlags connection;
  std::string output;
  std::string file;
  bool dry_run = false;
  bool wait = false;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void print_plan(const ApplyPlan& plan, const std::vector<ScriptStatement>& script, const std::string& format) {
  Output out;
  const auto writer = make_row_writer(choose_format(format), out);
  writer->columns({{"name", kTextType},
                   {"kind", kTextType},
                   {"action", kTextType},
                   {"events", kBigintType},
                   {"seconds", kDoubleType},
                   {"note", kTextType}});
  std::vector<Row> rows;
  for (const ApplyStep& step : plan.steps) {
    const ScriptStatement& statement = script[step.statement];
    std::string note = step.note;
    if (!step.with.empty()) note += (note.empty() ? "with it: " : "; with it: ") + joined(step.with);
    const bool replays = step.action == Action::kNew || step.action == Action::kChanged;
    rows.push_back({Value::text(statement.name), Value::text(statement.kind), Value::text(std::string(name_of(step.action))),
                    replays ? Value::bigint(static_cast<std::int64_t>(step.events)) : Value::null(kBigintType),
                    // A tenth of a second is as exact as an estimate is.
                    replays ? Value::real(std::round(step.seconds * 10) / 10) : Value::null(kDoubleType),
                    Value::text(std::move(note))});
  }
  for (const Definition& one : plan.left_alone) {
    rows.push_back({Value::text(one.name), Value::text(one.kind), Value::text("left alone"), Value::null(kBigintType),
                    Value::null(kDoubleType), Value::text("not in the file")});
  }
  writer->rows(rows);
  writer->finish();
}

class Applier {
 public:
  Applier(Client& client, const ApplyFlags& flags, std::string_view script)
      : client_(client), flags_(flags), script_(script), options_(query_options(flags.connection, {})) {}

  // Exit status.
  int run(const ApplyStep& step, const ScriptStatement& statement) {
    concerned_.insert(statement.name);
    concerned_.insert(step.with.begin(), step.with.end());
    bool back = step.action == Action::kBack;
    if (back) {
      const auto kept = is_kept(statement.name, step.kept);
      if (!kept) return fail_with(kept.error());
      back = *kept;
    }
    // What was kept may be gone meanwhile, or its time be over: a new version it is then.
    auto done = execute(step.action == Action::kBack && !back ? with_or_replace(statement) : step.sql, back);
    if (back && !done && done.error().code == ErrorCode::kInvalid) {
      back = false;
      done = execute(with_or_replace(statement), false);
    }
    if (!done) {
      Error error = done.error();
      if (back) error.place.reset();  // Of a text that is not in the file.
      const bool replaced = step.action == Action::kChanged || (step.action == Action::kBack && !back);
      if (replaced) error = without_or_replace(std::move(error), statement);
      return failed(placed_in_script(std::move(error), statement));
    }
    std::fprintf(stderr, "%s %s\n", done->tag.c_str(), printable(statement.name).c_str());
    if (!done->notice.empty()) std::fprintf(stderr, "note: %s\n", printable(done->notice).c_str());
    return kExitOk;
  }

  // Changes that are one replacement: they may only go together, and one replay serves all. Exit status.
  int run_together(const std::vector<const ApplyStep*>& steps, const std::vector<ScriptStatement>& script) {
    std::string text;
    std::vector<std::uint32_t> lines;  // Where each statement begins in the text.
    std::uint32_t line = 1;
    for (const ApplyStep* step : steps) {
      concerned_.insert(script[step->statement].name);
      concerned_.insert(step->with.begin(), step->with.end());
      lines.push_back(line);
      text += step->sql + ";\n";
      line += static_cast<std::uint32_t>(std::ranges::count(step->sql, '\n')) + 1;
    }
    const auto done = execute(text, false);
    if (!done) {
      Error error = done.error();
      std::size_t at = 0;
      if (error.place) {
        while (at + 1 < lines.size() && lines[at + 1] <= error.place->line) ++at;
        error.place->line -= lines[at] - 1;
      }
      const ScriptStatement& statement = script[steps[at]->statement];
      return failed(placed_in_script(without_or_replace(std::move(error), statement), statement));
    }
    for (const ApplyStep* step : steps) {
      const ScriptStatement& statement = script[step->statement];
      std::string tag = "CREATE " + statement.kind;
      std::ranges::transform(tag, tag.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
      std::fprintf(stderr, "%s %s\n", tag.c_str(), printable(statement.name).c_str());
    }
    if (!done->notice.empty()) std::fprintf(stderr, "note: %s\n", printable(done->notice).c_str());
    return kExitOk;
  }

  // Until nothing is being built that serves without anybody's doing.
  int wait_for_all() {
    Patience patience(options_.timeout);
    for (;;) {
      const auto pending = pending_builds(true);
      if (!pending) return fail_with(pending.error());
      if (pending->failed) return fail_with(*pending->failed);
      if (pending->views.empty()) break;
      if (!patience.goes_on(pending->done)) return fail_with(timed_out(pending->views.front()));
      show(pending->views);
      std::this_thread::sleep_for(kPoll);
    }
    progress_.clear();
    return kExitOk;
  }

  int failed(const Error& error) {
    progress_.clear();
    std::fprintf(stderr, "%s:%u:%u: ", flags_.file.c_str(), error.place->line, error.place->column);
    print_error(error, script_);
    if (error.code == ErrorCode::kTimeout) return kExitTimeout;
    const int code = exit_code_of(error);
    return code == kExitConnect || code == kExitCorrupt ? code : kExitRefused;
  }

 private:
  // --timeout is for waiting without getting on.
  class Patience {
   public:
    explicit Patience(std::chrono::milliseconds timeout) : timeout_(timeout), until_(Clock::now() + timeout) {}
    bool goes_on(std::uint64_t done) {
      if (std::exchange(done_, done) != done) until_ = Clock::now() + timeout_;
      return Clock::now() < until_;
    }

   private:
    std::chrono::milliseconds timeout_;
    Clock::time_point until_;
    std::uint64_t done_ = 0;
  };
  struct Pending {
    std::vector<ViewProgress> views;  // Being built, and switched to without anybody's doing.
    std::uint64_t done = 0;
    std::optional<Error> failed;
  };

  // Whether that version still waits for a rollback or a cutover, and none is being built.
  Expected<bool> is_kept(std::string_view name, std::uint32_t version) {
    KAPPA_TRY(const Definitions definitions, fetch_definitions(client_, options_));
    const Definition* kept = find_role(definitions, name, "kept");
    return kept != nullptr && kept->version == version && find_role(definitions, name, "next") == nullptr;
  }

  // `ready_soon`: what is busy is only not quite as far as what serves.
  Expected<QueryEnd> execute(const std::string& sql, bool ready_soon) {
    Patience patience(options_.timeout);
    bool nothing_pending = false;
    for (;;) {
      auto end = client_.sql(
          sql, options_, [](const std::vector<ClientColumn>&) { return true; },
          [](const std::vector<Row>&) { return true; });
      if (end || end.error().number != kIsBeingReplaced || end.error().code != ErrorCode::kBusy) {
        progress_.clear();
        return end;
      }
      KAPPA_TRY(const Pending pending, pending_builds(false));
      // The cutover may have come between the two looks; the statement is tried once more then.
      if (pending.views.empty() && !ready_soon && std::exchange(nothing_pending, true)) return end;
      if (pending.views.empty() && !patience.goes_on(0)) return end;
      if (!pending.views.empty()) {
        nothing_pending = false;
        if (!patience.goes_on(pending.done)) return std::unexpected(timed_out(pending.views.front()));
        if (!std::exchange(said_, true)) std::fprintf(stderr, "waiting: %s\n", end.error().message.c_str());
        show(pending.views);
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  // Replacements; if `first`, first versions too.
  Expected<Pending> pending_builds(bool first) {
    KAPPA_TRY(const Definitions definitions, fetch_definitions(client_, options_));
    KAPPA_TRY(const std::string json, client_.status());
    KAPPA_TRY(const ServerState state, parse_server_state(json));
    Pending pending;
    for (const Definition& one : definitions) {
      const bool next = one.role == "next" && !one.manual;
      if (!next && !(first && one.role == "serving")) continue;
      ViewProgress view;
      view.name = one.name;
      view.version = one.version;
      if (const ViewProgress* known = state.find(one.name, one.version)) view = *known;
      if (view.state == "failed") {
        if (!concerned_.contains(one.name)) continue;
        pending.failed = Error{ErrorCode::kInvalid, 2010, one.at() + " failed: " + view.error,
                               next ? "kappa view cancel " + one.name + " drops it; what serves goes on" : "", 0, {}};
        continue;
      }
      if (!next && !view.building()) continue;
      pending.done += view.applied;
      pending.views.push_back(std::move(view));
    }
    return pending;
  }

  static Error timed_out(const ViewProgress& view) {
    return Error{ErrorCode::kTimeout, 4005, view.at() + " did not get on in time",
                 "give a longer --timeout; kappa view info " + view.name + " says how far it is", 0, {}};
  }

  void show(const std::vector<ViewProgress>& views) {
    if (!progress_.due()) return;
    std::uint64_t done = 0, total = 0;
    for (const ViewProgress& view : views) {
      done += view.done;
      total += view.total;
    }
    progress_.show(done, total, "events of " + views.front().at() + (views.size() > 1 ? " and others" : ""));
  }

  Client& client_;
  const ApplyFlags& flags_;
  std::string_view script_;
  Client::QueryOptions options_;
  Progress progress_;
  bool said_ = false;
  std::set<std::string> concerned_;  // What this run made, and what goes with it.
};

bool read_script(const std::string& file, std::string& script) {
  if (file == "-") {
    script.assign(std::istreambuf_iterator<char>(std::cin), {});
    return true;
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) return false;
  script.assign(std::istreambuf_iterator<char>(in), {});
  return !in.bad();
}

int run(const ApplyFlags& flags) {
  std::string script;
  if (!read_script(flags.file, script)) {
    std::fprintf(stderr, "error: cannot read %s\n", flags.file.c_str());
    return kExitUsage;
  }
  const auto failed_before = [&](const Error& error) {
    std::fprintf(stderr, "%s:%u:%u: ", flags.file.c_str(), error.place->line, error.place->column);
    print_error(error, script);
    return int{kExitRefused};
  };
  const auto statements = parse_definitions(script);
  if (!statements) return failed_before(statements.error());

  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  const auto definitions = fetch_definitions(**client, query_options(flags.connection, {}));
  if (!definitions) return fail_with(definitions.error());
  const auto json = (*client)->status();
  if (!json) return fail_with(json.error());
  const auto server = parse_server_state(*json);
  if (!server) return fail_with(server.error());
  const auto plan = plan_apply(*statements, *definitions, *server);
  if (!plan) return failed_before(plan.error());
  print_plan(*plan, *statements, flags.output);
  if (flags.dry_run) return kExitOk;

  Applier applier(**client, flags, script);
  std::set<std::size_t> done;
  for (std::size_t i = 0; i < plan->steps.size(); ++i) {
    if (plan->steps[i].sql.empty() || done.contains(i)) continue;
    std::vector<const ApplyStep*> together;
    for (const std::size_t member : goes_together(*plan, *statements, i)) {
      together.push_back(&plan->steps[member]);
      done.insert(member);
    }
    const int code = together.size() > 1 ? applier.run_together(together, *statements)
                                         : applier.run(plan->steps[i], (*statements)[plan->steps[i].statement]);
    if (code != kExitOk) return code;
  }
  return flags.wait ? applier.wait_for_all() : int{kExitOk};
}

}  // namespace

void add_apply(CLI::App& app, int& status) {
  auto flags = std::make_shared<ApplyFlags>();
  CLI::App* command = app.add_subcommand("apply", "Make the server hold what a file of definitions says");
  command->description(R"(Examples:
  kappa apply views.sql --dry-run
  kappa apply views.sql
  kappa apply views.sql --wait --timeout 10m
  kappa apply - < views.sql

Makes the server hold the streams, tables and views that a file of CREATE statements says: what is new is
created, what is changed is replaced beside the old version (the replay that it needs is named), what is
unchanged is left alone, and so is what the file does not name. White space, comments and the case of words
are no change. DROP statements drop what exists. Running it again does nothing.

Statements run in the order of the file and stop at the first that fails; changes are one replacement, with one
replay, so that definitions that only fit together can change together; --timeout is also for waiting for
a replacement that does not get on. --dry-run only says what would be done.)");
  command->add_option("file", flags->file, "Script of CREATE and DROP statements (- is stdin)")->required()->type_name("FILE");
  command->add_flag("--dry-run", flags->dry_run, "Only say what would be done");
  command->add_flag("--wait", flags->wait, "Until what is new or changed is built and serves, unless its cutover is manual");
  add_output_flag(*command, flags->output);
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
