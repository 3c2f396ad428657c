// Builds the command line and runs it.
//
// A flag's value comes from, in this order: the flag, the environment (KAPPA_<FLAG>), the file of
// --config, the default. The file is TOML; `addr = "..."` is for every command, a table such as
// [append] for one. It is read first and becomes environment variables that are not set yet, which
// gives exactly that order.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "tools/command.h"

namespace kappa::tools {
namespace {

std::string environment_name(std::string_view flag) {
  std::string name = "KAPPA_";
  for (const char c : flag) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

// Every flag with a long name of a command and of those nested in it. Only for the command that runs:
// the library would check a value of the environment against the flag of that name of every command.
void name_environment(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_positional() || option->get_lnames().empty()) continue;
    const std::string& flag = option->get_lnames().front();
    // What gives something up is said by whoever gives it up, not by a setting that was left behind.
    if (flag == "accept-loss") {
      option->configurable(false);
      continue;
    }
    if (flag != "help" && flag != "version") option->envname(environment_name(flag));
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) name_environment(*command);
}

std::string config_file(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") break;
    if (argument == "--config" && i + 1 < argc) return argv[i + 1];
    if (argument.starts_with("--config=")) return std::string(argument.substr(9));
  }
  const char* from_environment = std::getenv("KAPPA_CONFIG");
  return from_environment == nullptr ? std::string() : from_environment;
}

bool load_config(const std::string& path, std::string_view command) {
  std::ifstream in(path);
  if (!in) {
    std::fprintf(stderr, "error: cannot read --config %s\n", path.c_str());
    return false;
  }
  try {
    // A command's own table goes over the general part.
    const std::vector<CLI::ConfigItem> items = CLI::ConfigTOML().from_config(in);
    for (const bool own : {true, false}) {
      for (const CLI::ConfigItem& item : items) {
        if (item.inputs.empty() || item.parents.empty() == own) continue;
        if (own && item.parents.front() != command) continue;
        ::setenv(environment_name(item.name).c_str(), item.inputs.front().c_str(), 0);
      }
    }
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "error: --config %s: %s\n", path.c_str(), problem.what());
    return false;
  }
  return true;
}

constexpr const char* kExamples = R"~(Examples:
  kappa serve -d ./kappa-data
  kappa append hits < hits.ndjson
  kappa sql "CREATE STREAM hits (page TEXT, ms BIGINT)"
  kappa sql "CREATE MATERIALIZED VIEW page_hits AS
             SELECT page, count(*) AS n FROM hits GROUP BY page"
  kappa get page_hits /index.html
  kappa sql "SELECT * FROM page_hits ORDER BY n DESC LIMIT 10"
  kappa tail hits

One log of events, SQL views that are always current, answers over TCP.)~";

}  // namespace

int run_command_line(int argc, char** argv) {
  // A broken pipe is seen where it is written: stdout ends quietly, a socket fails its call.
  std::signal(SIGPIPE, SIG_IGN);

  int status = kExitOk;
  CLI::App app{kExamples, "kappa"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("kappa ") + kVersion);
  std::string config;  // Read by config_file(); here for the help and the check of the flags.
  app.add_option("--config", config, "TOML file with defaults for flags")->type_name("FILE");
  app.fallthrough();

  add_serve(app, status);
  add_append(app, status);
  add_read(app, status);
  add_sql(app, status);
  add_get(app, status);
  add_scan(app, status);
  add_watch(app, status);
  add_view(app, status);
  add_apply(app, status);
  add_dead(app, status);
  add_status(app, status);
  add_token(app, status);
  add_verify(app, status);
  add_backup(app, status);
  add_restore(app, status);
  add_repair(app, status);
  add_bench(app, status);
  add_completion(app, status);
  app.add_subcommand("version", "Print the version")->callback([] { std::printf("kappa %s\n", kVersion); });

  std::string command;
  for (int i = 1; i < argc && command.empty(); ++i) {
    const auto known = app.get_subcommands([&](const CLI::App* one) { return one->get_name() == argv[i]; });
    if (known.empty()) continue;
    command = argv[i];
    name_environment(*known.front());
  }
  if (const std::string path = config_file(argc, argv); !path.empty() && !load_config(path, command)) return kExitUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem);  // Prints help on stdout, problems on stderr.
    return code == 0 ? kExitOk : kExitUsage;
  }
  return status;
}

}  // namespace kappa::tools
