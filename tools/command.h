// What the subcommands share: flags of a connection, durations, errors on stderr.
//
// A subcommand is one file with one add_...() that registers its flags and a callback; the callback
// stores its exit status in `status`. Flags live in a shared_ptr that the callback keeps alive.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "proto/value.h"
#include "tools/client/client.h"
#include "tools/exit_code.h"

namespace CLI {
class App;
}

namespace kappa::tools {

inline constexpr const char* kVersion = KAPPA_VERSION;

void add_serve(CLI::App& app, int& status);
void add_append(CLI::App& app, int& status);
void add_read(CLI::App& app, int& status);  // Also `tail`.
void add_sql(CLI::App& app, int& status);
void add_get(CLI::App& app, int& status);
void add_scan(CLI::App& app, int& status);
void add_watch(CLI::App& app, int& status);
void add_view(CLI::App& app, int& status);
void add_apply(CLI::App& app, int& status);
void add_dead(CLI::App& app, int& status);
void add_status(CLI::App& app, int& status);
void add_token(CLI::App& app, int& status);
void add_verify(CLI::App& app, int& status);
void add_backup(CLI::App& app, int& status);
void add_restore(CLI::App& app, int& status);
void add_repair(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_bench_get(CLI::App& bench, int& status);
void add_bench_nexmark(CLI::App& bench, int& status);
void add_bench_replay(CLI::App& bench, int& status);
void add_completion(CLI::App& app, int& status);

// The command line of the whole program: builds the flags, reads --config and the environment, runs
// the subcommand; returns the exit status.
[[nodiscard]] int run_command_line(int argc, char** argv);

// -a/--addr, --timeout, TLS and the token, on every command that talks to a server.
struct ConnectionFlags {
  std::string address = "127.0.0.1:7171";
  std::string timeout = "30s";
  bool tls = false;
  std::string tls_ca;
  std::string token;
};
void add_connection_flags(CLI::App& command, ConnectionFlags& flags);
// How to connect with them.
[[nodiscard]] ClientOptions client_options(const ConnectionFlags& flags);

// -o/--output with the formats of RowWriter.
void add_output_flag(CLI::App& command, std::string& format);

// --at-least and --fresh; with the connection's --timeout.
struct FreshnessFlags {
  std::optional<std::uint64_t> at_least;
  bool fresh = false;
};
void add_freshness_flags(CLI::App& command, FreshnessFlags& flags);
[[nodiscard]] Client::QueryOptions query_options(const ConnectionFlags& connection, const FreshnessFlags& flags);

// "500ms", "2s", "1m", "1h", "30d"; a bare number is seconds. nullopt for anything else.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// "65536", "64KiB", "64MiB", "10GiB", "2TiB", and the same with k, M, G, T alone (powers of 1024).
// nullopt for anything else, and for more than 2^60.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

// Connects with the flags. The client waits a little longer than --timeout, so that the server's own
// timeout, which says more, arrives first.
[[nodiscard]] Expected<std::unique_ptr<Client>> connect(const ConnectionFlags& flags);

// "error K2003: ..." on stderr, with the line of `sql` and a caret where the error has a place, then
// the hint.
void print_error(const Error& error, std::string_view sql = {});
// The same text, for tests.
[[nodiscard]] std::string format_error(const Error& error, std::string_view sql, bool color);

// Prints and returns exit_code_of().
[[nodiscard]] int fail_with(const Error& error);

// Arguments of the command line as key values: TEXT, which the server converts to the column's type.
[[nodiscard]] std::vector<Value> key_values(const std::vector<std::string>& arguments);

}  // namespace kappa::tools
