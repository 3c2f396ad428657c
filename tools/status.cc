// kappa status: the log's end, the durable position, each view's applied offset and lag.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <thread>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/status_text.h"
#include "tools/view_status.h"

namespace kappa::tools {
namespace {

struct StatusFlags {
  ConnectionFlags connection;
  std::string output;
  bool watch = false;
};

int run(const StatusFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  const bool json = flags.output == "json" || (flags.output.empty() && !is_terminal(1));
  if (flags.watch) catch_interrupt();
  Output out;
  for (;;) {
    const auto status = (*client)->status();
    if (!status) return interrupted() ? int{kExitInterrupted} : fail_with(status.error());
    if (json) {
      out.write(*status);
      out.write("\n");
    } else {
      const auto text = status_text(*status);
      if (!text) return fail_with(text.error());
      const auto server = parse_server_state(*status);
      if (!server) return fail_with(server.error());
      if (flags.watch) out.write("\x1b[H\x1b[J");
      out.write(*text);
      out.write(replay_bars(*server));
    }
    out.flush();
    if (!flags.watch) return kExitOk;
    std::this_thread::sleep_for(std::chrono::seconds(1));  // A signal ends it early.
    if (interrupted()) return kExitInterrupted;
  }
}

}  // namespace

void add_status(CLI::App& app, int& status) {
  auto flags = std::make_shared<StatusFlags>();
  CLI::App* command = app.add_subcommand("status", "State of the server, its log and its views");
  command->description(R"(Examples:
  kappa status
  kappa status --watch
  kappa status -o json

State of the server: the log's end, what is durable, for each view the offset that it has applied and
how far it is behind, and a bar for each version that is being built.)");
  command->add_flag("--watch", flags->watch, "Again every second");
  command->add_option("-o,--output", flags->output, "table or json (default: table on a terminal, else json)")
      ->check(CLI::IsMember({"table", "json"}));
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
