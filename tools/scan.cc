// kappa scan VIEW: the rows of a view in key order.
#include <CLI/CLI.hpp>

#include "tools/command.h"
#include "tools/row_writer.h"

namespace kappa::tools {
namespace {

struct ScanFlags {
  ConnectionFlags connection;
  FreshnessFlags freshness;
  std::string output;
  std::string view;
  std::vector<std::string> prefix, from, to;
  std::uint64_t limit = UINT64_MAX;
};

int run(const ScanFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  Output out;
  const auto writer = make_row_writer(choose_format(flags.output), out);
  Client::Scan scan;
  scan.view = flags.view;
  scan.prefix = key_values(flags.prefix);
  scan.from = key_values(flags.from);
  scan.to = key_values(flags.to);
  scan.limit = flags.limit;
  const auto end = (*client)->scan(
      scan, query_options(flags.connection, flags.freshness),
      [&](const std::vector<ClientColumn>& columns) {
        writer->columns(columns);
        return true;
      },
      [&](std::vector<Row> rows) {
        writer->rows(rows);
        return true;
      });
  if (!end) {
    out.flush();
    return fail_with(end.error());
  }
  writer->finish();
  return kExitOk;
}

}  // namespace

void add_scan(CLI::App& app, int& status) {
  auto flags = std::make_shared<ScanFlags>();
  CLI::App* command = app.add_subcommand("scan", "Rows of a view in key order");
  command->description(R"(Examples:
  kappa scan page_hits
  kappa scan sales_1m --prefix shop-7 -n 100
  kappa scan page_hits --from /docs/ --to /docs0 -o csv

Rows of a view in key order. A bound names the first key columns.)");
  command->add_option("view", flags->view, "View")->required()->type_name("VIEW");
  command->add_option("--prefix", flags->prefix, "Equal on the first key columns")->type_name("KEY");
  command->add_option("--from", flags->from, "From this key on")->type_name("KEY");
  command->add_option("--to", flags->to, "Up to this key, not included")->type_name("KEY");
  command->add_option("-n,--limit", flags->limit, "At most this many rows");
  add_output_flag(*command, flags->output);
  add_freshness_flags(*command, flags->freshness);
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace kappa::tools
