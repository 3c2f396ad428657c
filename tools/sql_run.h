// What `kappa sql` and its shell share: one statement, its rows, its error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/client/client.h"
#include "tools/command.h"

namespace kappa::tools {

struct SqlFlags {
  ConnectionFlags connection;
  FreshnessFlags freshness;
  std::string output;
  std::string file;
  bool quiet = false;
  std::vector<std::string> statements;
};

// Runs one statement and prints its rows on stdout, its tag, notice or error on stderr. Returns the
// exit status: kExitRefused for every error of the statement itself.
[[nodiscard]] int run_statement(Client& client, std::string_view sql, const SqlFlags& flags);

// Reads statements from the terminal until \q or the end of the input; errors do not end it.
[[nodiscard]] int run_shell(Client& client, const SqlFlags& flags);

}  // namespace kappa::tools
