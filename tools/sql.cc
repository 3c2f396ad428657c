// kappa sql: statements from arguments, a file or stdin; a shell on a terminal.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "tools/command.h"
#include "tools/output.h"
#include "tools/row_writer.h"
#include "tools/sql_run.h"
#include "tools/sql_split.h"

namespace kappa::tools {

int run_statement(Client& client, std::string_view sql, const SqlFlags& flags) {
  Output out;
  const auto writer = make_row_writer(choose_format(flags.output), out);
  bool has_rows = false;
  const auto end = client.sql(
      sql, query_options(flags.connection, flags.freshness),
      [&](const std::vector<ClientColumn>& columns) {
        has_rows = !columns.empty();
        if (has_rows) writer->columns(columns);
        return true;
      },
      [&](std::vector<Row> rows) {
        writer->rows(rows);
        out.flush();  // What a query over millions of events finds is shown when it is found.
        return true;
      });
  if (!end) {
    out.flush();
    print_error(end.error(), sql);
    if (end.error().code == ErrorCode::kTimeout) return kExitTimeout;
    const int code = exit_code_of(end.error());
    return code == kExitConnect || code == kExitCorrupt ? code : kExitRefused;
  }
  if (has_rows) {
    writer->finish();
  } else if (!flags.quiet) {
    std::fprintf(stderr, "%s\n", end->tag.c_str());
  }
  if (!end->notice.empty()) std::fprintf(stderr, "note: %s\n", end->notice.c_str());
  return kExitOk;
}

namespace {

int run_script(Client& client, std::string_view script, const SqlFlags& flags) {
  const SqlPieces pieces = split_sql(script);
  for (const std::string_view statement : pieces.statements) {
    if (const int code = run_statement(client, statement, flags); code != kExitOk) return code;
  }
  if (!is_blank_sql(pieces.rest)) return run_statement(client, pieces.rest, flags);
  return kExitOk;
}

int run(const SqlFlags& flags) {
  std::string script;
  for (const std::string& statement : flags.statements) script += statement + ";\n";
  if (!flags.file.empty()) {
    std::ifstream in(flags.file, std::ios::binary);
    if (!in) {
      std::fprintf(stderr, "error: cannot read %s\n", flags.file.c_str());
      return kExitUsage;
    }
    script.append(std::istreambuf_iterator<char>(in), {});
  }
  const bool from_stdin = flags.statements.empty() && flags.file.empty();
  if (from_stdin && !is_terminal(0)) script.assign(std::istreambuf_iterator<char>(std::cin), {});

  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  if (from_stdin && is_terminal(0)) return run_shell(**client, flags);
  // Arguments are statements of their own: the caret shows the line as it was given.
  if (flags.file.empty() && !from_stdin) {
    for (const std::string& statement : flags.statements) {
      if (const int code = run_script(**client, statement, flags); code != kExitOk) return code;
    }
    return kExitOk;
  }
  return run_script(**client, script, flags);
}

}  // namespace

void add_sql(CLI::App& app, int& status) {
  auto flags = std::make_shared<SqlFlags>();
  CLI::App* command = app.add_subcommand("sql", "Run SQL; a shell on a terminal");
  command->description(R"(Examples:
  kappa sql "SELECT * FROM page_hits ORDER BY n DESC LIMIT 10"
  kappa sql "SELECT count(*) FROM hits" --fresh -o csv
  kappa sql -f views.sql
  kappa sql < views.sql
  kappa sql

Runs SQL; without statements it is a shell on a terminal and a script otherwise. A script stops at
its first error.)");
  command->add_option("statement", flags->statements, "Statements")->type_name("STATEMENT");
  command->add_option("-f,--file", flags->file, "Script")->type_name("FILE");
  command->add_flag("-q,--quiet", flags->quiet, "Do not print what statements without rows did");
  add_output_flag(*command, flags->output);
  add_freshness_flags(*command, flags->freshness);
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
