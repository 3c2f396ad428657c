// The interactive shell of `kappa sql`: line editing and history by libedit, statements that end
// with a semicolon, however many lines they take.
#include <editline/readline.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/sql_run.h"
#include "tools/sql_split.h"

namespace kappa::tools {
namespace {

constexpr int kHistoryLines = 5'000;

std::string history_file() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0') {
    const std::filesystem::path directory = std::filesystem::path(state) / "kappa";
    std::error_code problem;
    std::filesystem::create_directories(directory, problem);
    return (directory / "history").string();
  }
  const char* home = std::getenv("HOME");
  return home == nullptr ? std::string() : std::string(home) + "/.kappa_history";
}

constexpr const char* kHelp = R"(  SELECT ...;            statements end with a semicolon and may take several lines
  .views .tables         what there is (also .streams .topics)
  \q                     leave (also Ctrl-D)
  \?                     this help
  Ctrl-C                 drop the line, or stop the running statement
)";

// The statement of a dot command; empty if there is no such command.
std::string_view dot_command(std::string_view line) {
  if (line == ".tables") return "SHOW TABLES";
  if (line == ".views") return "SHOW VIEWS";
  if (line == ".streams") return "SHOW STREAMS";
  if (line == ".topics") return "SHOW TOPICS";
  return {};
}

// Statements with row and tag output; Ctrl-C stops the statement, not the shell.
void run_interruptible(Client& client, std::string_view sql, const SqlFlags& flags) {
  const InterruptWatch watch([&client] { client.interrupt(); });
  static_cast<void>(run_statement(client, sql, flags));
}

std::string_view without_end_space(std::string_view line) {
  const std::size_t last = line.find_last_not_of(" \t\r");
  return last == std::string_view::npos ? std::string_view() : line.substr(0, last + 1);
}

}  // namespace

int run_shell(Client& client, const SqlFlags& flags) {
  ::rl_initialize();
  ::using_history();
  ::stifle_history(kHistoryLines);
  const std::string history = history_file();
  if (!history.empty()) ::read_history(history.c_str());

  std::fprintf(stderr, "kappa %s, server %s; \\? for help, \\q to leave\n", kVersion,
               client.server().version.c_str());
  std::string pending;
  for (;;) {
    char* text = ::readline(pending.empty() ? "kappa> " : "  ...> ");
    if (text == nullptr) break;
    const std::string line(without_end_space(text));
    std::free(text);
    if (pending.empty()) {
      if (line == "\\q" || line == ".quit" || line == ".exit") break;
      if (line == "\\?" || line == ".help") {
        std::fputs(kHelp, stderr);
        continue;
      }
      if (!line.empty() && line.front() == '.') {
        const std::string_view statement = dot_command(line);
        if (statement.empty()) {
          std::fprintf(stderr, "no command %s; \\? lists them\n", line.c_str());
        } else {
          run_interruptible(client, statement, flags);
        }
        ::add_history(line.c_str());
        continue;
      }
    }
    if (line.empty() && pending.empty()) continue;
    pending += pending.empty() ? line : "\n" + line;
    const SqlPieces pieces = split_sql(pending);
    if (pieces.statements.empty()) {
      if (is_blank_sql(pieces.rest) && !pieces.open) pending.clear();
      continue;
    }
    std::string entry = pending;
    for (char& c : entry) {
      if (c == '\n') c = ' ';
    }
    ::add_history(entry.c_str());
    for (const std::string_view statement : pieces.statements) run_interruptible(client, statement, flags);
    const std::string rest(pieces.rest);
    pending = is_blank_sql(rest) ? std::string() : rest;
  }
  if (!history.empty()) ::write_history(history.c_str());
  std::fputc('\n', stderr);
  return kExitOk;
}

}  // namespace kappa::tools
