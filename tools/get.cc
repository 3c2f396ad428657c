// kappa get VIEW KEY...: one row by its key.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "tools/command.h"
#include "tools/row_writer.h"

namespace kappa::tools {
namespace {

struct GetFlags {
  ConnectionFlags connection;
  FreshnessFlags freshness;
  std::string output;
  std::string view;
  std::vector<std::string> key;
};

int run(const GetFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  auto result = (*client)->get(flags.view, key_values(flags.key), query_options(flags.connection, flags.freshness));
  if (!result) return fail_with(result.error());
  if (!result->row) {
    std::fprintf(stderr, "no such key in \"%s\" (applied offset %llu)\n", flags.view.c_str(),
                 static_cast<unsigned long long>(result->applied.value()));
    return kExitNotFound;
  }
  Output out;
  const auto writer = make_row_writer(choose_format(flags.output), out);
  writer->columns(result->columns);
  writer->rows({*result->row});
  writer->finish();
  return kExitOk;
}

}  // namespace

void add_get(CLI::App& app, int& status) {
  auto flags = std::make_shared<GetFlags>();
  CLI::App* command = app.add_subcommand("get", "One row of a view, by its key");
  command->description(R"(Examples:
  kappa get page_hits /index.html
  kappa get sales_1m shop-7 2024-05-01T10:00:00Z -o json
  kappa get page_hits /index.html --fresh

One row of a view, by its key: the GROUP BY columns in order. Exit 4 if there is none.)");
  command->add_option("view", flags->view, "View")->required()->type_name("VIEW");
  command->add_option("key", flags->key, "Key columns, in order")->type_name("KEY");
  add_output_flag(*command, flags->output);
  add_freshness_flags(*command, flags->freshness);
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
