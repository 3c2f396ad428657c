// kappa watch VIEW [KEY...]: the rows of a view, then every change of them, as NDJSON.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/row_writer.h"

namespace kappa::tools {
namespace {

constexpr std::chrono::milliseconds kReconnectPause{100};

struct WatchFlags {
  ConnectionFlags connection;
  std::string view;
  std::vector<std::string> key;
  std::string output = "ndjson";
  bool no_snapshot = false;
  bool reset = false;
  std::uint64_t limit = UINT64_MAX;
};

const char* reset_reason(std::uint8_t reset) {
  switch (reset) {
    case 0: return "snapshot";
    case 1: return "behind";
    case 2: return "replaced";
    case 3: return "rebuilt";
    default: return "not resumed";
  }
}

// Prints changes, and remembers where a new watch would go on.
class Printer final : public Client::Watcher {
 public:
  Printer(const WatchFlags& flags, Output& out) : csv_(flags.output == "csv"), left_(flags.limit), out_(out) {}

  bool columns(const std::vector<ClientColumn>& columns) override {
    columns_ = columns;
    if (!csv_) return true;
    std::vector<ClientColumn> all{{"op", kTextType}, {"offset", kBigintType}};
    all.insert(all.end(), columns.begin(), columns.end());
    writer_ = make_row_writer(Format::kCsv, out_);
    writer_->columns(all);
    return true;
  }
  bool step(const Client::WatchStep& step) override {
    offset_ = step.applied.value();
    // The first snapshot is what was asked for; after anything else the rows so far do not hold any more.
    if (!step.reset || *step.reset == 0) return true;
    if (csv_) {
      out_.flush();
      std::fprintf(stderr, "reset (%s): the rows above do not hold any more\n", reset_reason(*step.reset));
    } else {
      out_.write("{\"op\":\"reset\",\"offset\":" + std::to_string(offset_) + ",\"reason\":\"" +
                 reset_reason(*step.reset) + "\"}\n");
    }
    return true;
  }
  bool change(bool added, const Row& row) override {
    if (left_ == 0) return false;
    if (csv_) {
      Row all{Value::text(added ? "+" : "-"), Value::bigint(static_cast<std::int64_t>(offset_))};
      all.insert(all.end(), row.begin(), row.end());
      writer_->rows({all});
    } else {
      std::string& out = out_.buffer();
      out += added ? "{\"op\":\"+\",\"offset\":" : "{\"op\":\"-\",\"offset\":";
      out += std::to_string(offset_);
      out += ",\"row\":";
      append_json_object(columns_, row, out);
      out += "}\n";
      out_.written();
    }
    return --left_ > 0;
  }
  bool mark(const Client::WatchStep& mark) override {
    out_.flush();
    mark_ = mark;
    return !interrupted();
  }
  [[nodiscard]] bool done() const { return left_ == 0; }
  // The last mark.
  [[nodiscard]] const std::optional<Client::WatchStep>& last() const { return mark_; }

 private:
  const bool csv_;
  std::uint64_t left_;
  Output& out_;
  std::unique_ptr<RowWriter> writer_;
  std::vector<ClientColumn> columns_;
  std::uint64_t offset_ = 0;
  std::optional<Client::WatchStep> mark_;
};

// Whether a new watch may go on where this one ended.
bool is_passing(const Error& error) {
  return error.code == ErrorCode::kClosed || error.code == ErrorCode::kTimeout || error.code == ErrorCode::kBusy ||
         (error.code == ErrorCode::kIo && error.number == 1001);
}

int run(const WatchFlags& flags) {
  catch_interrupt();
  Output out;
  Printer printer(flags, out);
  Client::Watch watch;
  watch.view = flags.view;
  watch.prefix = key_values(flags.key);
  watch.snapshot = !flags.no_snapshot;
  watch.reset_at_cutover = flags.reset;
  if (flags.limit == 0) return kExitOk;
  const auto patience = parse_duration(flags.connection.timeout).value_or(std::chrono::milliseconds(30'000));
  std::optional<std::chrono::steady_clock::time_point> give_up;
  bool said = false;
  while (!interrupted()) {
    auto client = connect(flags.connection);
    Status ended;
    if (client) {
      const auto before = printer.last();
      const InterruptWatch interrupt([&client] { (*client)->interrupt(); });
      ended = (*client)->watch(watch, printer);
      const bool moved = printer.last() && (!before || before->applied != printer.last()->applied);
      if (moved) give_up.reset();
      if (moved) said = false;
    } else {
      ended = std::unexpected(client.error());
    }
    out.flush();
    if (ended || printer.done()) return kExitOk;
    if (interrupted() || ended.error().number == 1016) break;
    // What never worked is not tried again.
    if (!is_passing(ended.error()) || !printer.last()) return fail_with(ended.error());
    const auto now = std::chrono::steady_clock::now();
    if (!give_up) give_up = now + patience;
    if (now >= *give_up) return fail_with(ended.error());
    if (!std::exchange(said, true)) std::fprintf(stderr, "%s; trying again\n", ended.error().message.c_str());
    watch.resume = printer.last();
    std::this_thread::sleep_for(kReconnectPause);
  }
  out.flush();
  return kExitInterrupted;
}

}  // namespace

void add_watch(CLI::App& app, int& status) {
  auto flags = std::make_shared<WatchFlags>();
  CLI::App* command = app.add_subcommand("watch", "The rows of a view, then their changes as they happen");
  command->description(R"(Examples:
  kappa watch page_hits
  kappa watch sales_1m shop-7 --no-snapshot
  kappa watch page_hits -n 100 -o csv

The rows of a view, then what every change took ("op":"-") and gave ("op":"+"), a line each:
  {"op":"+","offset":1000,"row":{"page":"/","n":17}}
Added up, the lines up to and with one offset are the view at that applied offset. Changes of one row that
come faster than they are read become one. A KEY names the first key columns: only rows that have them.

When another version of the view begins to serve, the difference between the two comes as one change, or with
--reset the rows anew. A watcher too slow for what it left waiting (4 MiB) gets {"op":"reset"}: the lines so far
do not hold any more, and the rows follow (with --no-snapshot only what happens from there on). After a lost
connection or a restart of the server it watches again, for --timeout: it goes on exactly where it was if nothing
happened meanwhile, and begins with a reset otherwise. A view that is dropped ends it (exit 4).)");
  command->add_option("view", flags->view, "View, or VIEW@VERSION")->required()->type_name("VIEW");
  command->add_option("key", flags->key, "Only rows with these first key columns")->type_name("KEY");
  command->add_flag("--no-snapshot", flags->no_snapshot, "Only changes, not the rows that there are");
  command->add_flag("--reset", flags->reset, "At a cutover all rows anew instead of the difference");
  command->add_option("-n,--limit", flags->limit, "Exit after this many lines");
  command->add_option("-o,--output", flags->output, "ndjson or csv")
      ->capture_default_str()
      ->check(CLI::IsMember({"ndjson", "json", "csv"}));
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
