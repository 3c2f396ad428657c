#include "tools/command.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "tools/output.h"
#include "tools/row_writer.h"

namespace kappa::tools {

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  std::uint64_t number = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || number > 1'000'000'000) return std::nullopt;
  const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  const auto count = static_cast<std::int64_t>(number);
  if (unit == "ms") return std::chrono::milliseconds(count);
  if (unit == "s" || unit.empty()) return std::chrono::seconds(count);
  if (unit == "m") return std::chrono::minutes(count);
  if (unit == "h") return std::chrono::hours(count);
  if (unit == "d" && number <= 1'000'000) return std::chrono::hours(24 * count);
  return std::nullopt;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::uint64_t kMax = std::uint64_t{1} << 60;
  std::uint64_t number = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{}) return std::nullopt;
  std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  if (unit.size() == 3 && unit.ends_with("iB")) unit.remove_suffix(2);
  constexpr std::string_view kUnits = "kMGT";
  unsigned shift = 0;
  if (!unit.empty()) {
    const std::size_t at = unit == "K" ? 0 : kUnits.find(unit);
    if (unit.size() != 1 || at == std::string_view::npos) return std::nullopt;
    shift = static_cast<unsigned>(10 * (at + 1));
  }
  if (number > kMax >> shift) return std::nullopt;
  return number << shift;
}

void add_connection_flags(CLI::App& command, ConnectionFlags& flags) {
  command.add_option("-a,--addr", flags.address, "Server, HOST:PORT, or the path of its Unix socket")->capture_default_str();
  command.add_option("--timeout", flags.timeout, "Of one call, as 2s or 500ms")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_duration(text) ? std::string() : "not a duration; write it as 2s or 500ms";
      });
  command.add_flag("--tls", flags.tls, "Speak TLS; the server's certificate must be good for HOST");
  command.add_option("--tls-ca", flags.tls_ca, "Speak TLS, and trust the certificates in this PEM file")->type_name("FILE");
  // Better in the environment: everybody on the machine sees the arguments of a command.
  command.add_option("--token", flags.token, "What the server knows you by; best as KAPPA_TOKEN")->type_name("TOKEN");
}

ClientOptions client_options(const ConnectionFlags& flags) {
  ClientOptions options;
  options.address = flags.address;
  options.timeout = parse_duration(flags.timeout).value_or(options.timeout) + std::chrono::seconds(1);
  options.name = "kappa";
  options.tls = flags.tls || !flags.tls_ca.empty();
  options.tls_authorities = flags.tls_ca;
  options.token = flags.token;
  return options;
}

void add_output_flag(CLI::App& command, std::string& format) {
  command
      .add_option("-o,--output", format,
                  "table, json, ndjson, csv, md or raw (default: table on a terminal, else ndjson)")
      ->check(CLI::IsMember({"table", "json", "ndjson", "csv", "md", "raw"}));
}

void add_freshness_flags(CLI::App& command, FreshnessFlags& flags) {
  command.add_option("--at-least", flags.at_least, "Wait until the event with this offset is applied");
  command.add_flag("--fresh", flags.fresh, "Wait until everything durable by now is applied");
}

Client::QueryOptions query_options(const ConnectionFlags& connection, const FreshnessFlags& flags) {
  Client::QueryOptions options;
  if (flags.at_least) options.at_least = Offset(*flags.at_least);
  options.fresh = flags.fresh;
  options.timeout = parse_duration(connection.timeout).value_or(options.timeout);
  return options;
}

Expected<std::unique_ptr<Client>> connect(const ConnectionFlags& flags) {
  return Client::connect(client_options(flags));
}

std::string format_error(const Error& error, std::string_view sql, bool color) {
  char number[16] = "";
  if (error.number != 0) std::snprintf(number, sizeof number, " K%04u", unsigned{error.number});
  std::string text = color ? "\x1b[31merror" : "error";
  text += number;
  text += color ? ":\x1b[0m " : ": ";
  text += error.message;
  text += '\n';
  if (error.place && error.place->line > 0 && !sql.empty()) {
    for (std::uint32_t line = 1; line < error.place->line && !sql.empty(); ++line) {
      const std::size_t end = sql.find('\n');
      sql = end == std::string_view::npos ? std::string_view() : sql.substr(end + 1);
    }
    const std::string_view line = sql.substr(0, sql.find('\n'));
    const std::size_t before = std::min<std::size_t>(std::max(error.place->column, 1U) - 1, line.size());
    const std::size_t marked =
        std::max<std::size_t>(1, display_width(line.substr(before, std::max(error.place->length, 1U))));
    const std::string prefix = std::to_string(error.place->line) + " | ";
    text += prefix + printable(line) + '\n';
    text += std::string(prefix.size() + display_width(printable(line.substr(0, before))), ' ');
    text += '^' + std::string(marked - 1, '~') + '\n';
  }
  if (!error.hint.empty()) text += "  " + error.hint + '\n';
  return text;
}

void print_error(const Error& error, std::string_view sql) {
  const std::string text = format_error(error, sql, use_color(2));
  std::fwrite(text.data(), 1, text.size(), stderr);
}

int fail_with(const Error& error) {
  print_error(error);
  return exit_code_of(error);
}

std::vector<Value> key_values(const std::vector<std::string>& arguments) {
  std::vector<Value> values;
  values.reserve(arguments.size());
  for (const std::string& argument : arguments) values.push_back(Value::text(argument));
  return values;
}

}  // namespace kappa::tools
