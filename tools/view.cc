// kappa view: versions of views; what is done with them is one ALTER or DROP each.
#include "tools/view.h"

#include <CLI/CLI.hpp>

#include <cstdio>

#include "tools/definitions.h"
#include "tools/output.h"
#include "tools/sql_run.h"

namespace kappa::tools {
namespace {

struct ViewFlags {
  ConnectionFlags connection;
  std::string name;
  bool cascade = false;
};

int execute(Client& client, const ViewFlags& flags, const std::string& sql) {
  const auto end = client.sql(
      sql, query_options(flags.connection, {}), [](const std::vector<ClientColumn>&) { return true; },
      [](const std::vector<Row>&) { return true; });
  if (!end) {
    Error error = end.error();
    error.place.reset();  // Of a text that nobody has written.
    return fail_with(error);
  }
  std::fprintf(stderr, "%s\n", printable(end->notice.empty() ? end->tag : end->notice).c_str());
  return kExitOk;
}

// The name as the server has it.
Expected<Definition> serving(Client& client, const ViewFlags& flags) {
  KAPPA_TRY(const Definitions all, fetch_definitions(client, query_options(flags.connection, {})));
  KAPPA_TRY(const Definition found, resolve_version(all, flags.name));
  if (found.role != "serving" || find_role(all, flags.name, "serving") == nullptr) {
    const Definition* now = find_role(all, found.name, "serving");
    if (flags.name.find('@') != std::string::npos && now != nullptr)
      return fail(ErrorCode::kInvalid, 2010, "this is of a name, not of one of its versions", "write " + found.name);
  }
  return found;
}

int alter(const ViewFlags& flags, const char* action) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  const auto found = serving(**client, flags);
  if (!found) return fail_with(found.error());
  return execute(**client, flags, "ALTER " + found->kind + " " + quoted_name(found->name) + " " + action);
}

int drop(const ViewFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  const auto found = serving(**client, flags);
  if (!found) return fail_with(found.error());
  if (found->kind == "stream") {
    return fail_with({ErrorCode::kInvalid, 2010, "\"" + found->name + "\" is a stream",
                      "kappa sql 'DROP STREAM " + quoted_name(found->name) + "' drops it", 0, {}});
  }
  return execute(**client, flags, "DROP " + found->kind + " " + quoted_name(found->name) + (flags.cascade ? " CASCADE" : ""));
}

int list(const SqlFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  return run_statement(**client, "SHOW VIEWS", flags);
}

void add_alter(CLI::App& view, int& status, const char* name, const char* action, const char* summary, const char* text) {
  auto flags = std::make_shared<ViewFlags>();
  CLI::App* command = view.add_subcommand(name, summary);
  command->description(std::string("Examples:\n  kappa view ") + name + " page_hits\n\n" + text);
  command->add_option("view", flags->name, "View, table or stream")->required()->type_name("VIEW");
  add_connection_flags(*command, flags->connection);
  command->callback([flags, action, &status] { status = alter(*flags, action); });
}

void add_list(CLI::App& view, int& status) {
  auto flags = std::make_shared<SqlFlags>();
  CLI::App* command = view.add_subcommand("ls", "Lists every version of every view");
  command->description(R"(Examples:
  kappa view ls
  kappa view ls -o ndjson | jq -r 'select(.role == "next").view'

Lists every version of every view: which serves, its state, what it has applied and how far it is behind.)");
  add_output_flag(*command, flags->output);
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = list(*flags); });
}

void add_info(CLI::App& view, int& status) {
  auto flags = std::make_shared<ViewInfoFlags>();
  CLI::App* command = view.add_subcommand("info", "One view in full, with all its versions");
  command->description(R"(Examples:
  kappa view info page_hits
  kappa view info page_hits@2 -o json | jq -r '.versions[0].sql'

One view, table or stream in full: each of its versions with its text, what it reads, its state, what it has
applied, and how far its replay is.)");
  command->add_option("view", flags->name, "NAME, or NAME@VERSION for that one")->required()->type_name("VIEW");
  command->add_option("-o,--output", flags->output, "table or json (default: table on a terminal, else json)")
      ->check(CLI::IsMember({"table", "json"}));
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run_view_info(*flags); });
}

void add_diff(CLI::App& view, int& status) {
  auto flags = std::make_shared<ViewDiffFlags>();
  CLI::App* command = view.add_subcommand("diff", "Rows that two versions do not share");
  command->description(R"(Examples:
  kappa view diff page_hits@1 page_hits@2
  kappa view diff page_hits@1 page_hits -o ndjson | head

Rows that two versions, or two views, do not share: - of the first, + of the second, in key order; a summary
on stderr. Where both have the same key, rows are compared by key, else whole; columns that only one of them has
are not compared. If one is behind the other, it waits for it. Exit 0 if there is no difference, 1 if there is.)");
  command->add_option("first", flags->left, "NAME, or NAME@VERSION")->required()->type_name("VIEW");
  command->add_option("second", flags->right, "NAME, or NAME@VERSION")->required()->type_name("VIEW");
  add_output_flag(*command, flags->output);
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run_view_diff(*flags); });
}

void add_drop(CLI::App& view, int& status) {
  auto flags = std::make_shared<ViewFlags>();
  CLI::App* command = view.add_subcommand("drop", "Drops a view or table");
  command->description(R"(Examples:
  kappa view drop page_hits
  kappa view drop page_hits --cascade

Drops a view or table and all its versions. One that others read is refused with their names; --cascade drops
those too.)");
  command->add_option("view", flags->name, "View or table")->required()->type_name("VIEW");
  command->add_flag("--cascade", flags->cascade, "Also what reads it");
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = drop(*flags); });
}

}  // namespace

void add_view(CLI::App& app, int& status) {
  CLI::App* view = app.add_subcommand("view", "Views and their versions: list, compare, switch, go back");
  view->description(R"(Examples:
  kappa view ls
  kappa view info page_hits
  kappa view diff page_hits@1 page_hits@2
  kappa view cutover page_hits
  kappa view rollback page_hits

Views and their versions: list, compare, switch, go back.)");
  view->require_subcommand(1);
  add_list(*view, status);
  add_info(*view, status);
  add_diff(*view, status);
  add_alter(*view, status, "cutover", "CUTOVER", "Readers switch to the new version",
            "Readers switch to the new version, of the view and of what was replaced with it, in one step. After a\n"
            "rollback it switches forward again.");
  add_alter(*view, status, "rollback", "ROLLBACK", "Readers switch back to the version before",
            "Readers switch back to the version before, which is kept up to date for as long as keep_old says.");
  add_alter(*view, status, "pause", "PAUSE", "The building of the new version stops where it is",
            "The building of the new version stops where it is.");
  add_alter(*view, status, "resume", "RESUME", "The building of the new version goes on",
            "The building of the new version goes on.");
  add_alter(*view, status, "cancel", "CANCEL", "Drops the version that is being built",
            "Drops the version that is being built; what serves goes on.");
  add_drop(*view, status);
}

}  // namespace kappa::tools
