// kappa token add|ls|revoke: the tokens of a server, in the file that `kappa serve --tokens` reads.
//
// They work on the file and need no server: one that runs sees the change by itself. A token's text is printed once, when it
// is made; the file has its hash only.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>

#include "serving/tokens.h"
#include "tools/command.h"
#include "tools/row_writer.h"
#include "tools/token_file.h"

namespace kappa::tools {
namespace {

struct TokenFlags {
  std::string file;
  std::vector<std::string> scopes;
  std::string expires = "90d";
  std::string output;
  std::vector<std::string> ids;
};

Timestamp now() {
  return Timestamp(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
                       .count());
}

// "30d" from now, "2027-01-01T00:00:00Z", "never".
std::optional<std::optional<Timestamp>> parse_expiry(const std::string& text) {
  if (text == "never") return std::optional<Timestamp>();
  if (const auto duration = parse_duration(text))
    return Timestamp(now().value() + std::chrono::microseconds(*duration).count());
  if (const auto time = parse_timestamp(text, true)) return Timestamp(*time);
  return std::nullopt;
}

Value time_value(std::optional<Timestamp> time) {
  return time ? Value::timestamp(time->value()) : Value::null(kTimestampType);
}

std::string scopes_text(const serving::Token& token) {
  std::string text;
  for (const serving::Scope& scope : token.scopes) text += (text.empty() ? "" : ",") + scope.text();
  return text;
}

int add(const TokenFlags& flags) {
  std::vector<serving::Scope> scopes;
  for (const std::string& text : flags.scopes) {
    auto scope = serving::parse_scope(text);
    if (!scope) return fail_with(scope.error());
    scopes.push_back(std::move(*scope));
  }
  auto made = serving::make_token(std::move(scopes), *parse_expiry(flags.expires), now());
  if (!made) return fail_with(made.error());
  const Status kept = change_file(flags.file, [&](std::string text) -> Expected<std::string> {
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    return text + serving::format_token(made->token);
  });
  if (!kept) return fail_with(kept.error());
  std::fprintf(stderr, "token %s: %s, %s%s; it is shown this once\n", made->token.id.c_str(),
               scopes_text(made->token).c_str(), made->token.expires ? "expires " : "never expires",
               made->token.expires ? format_timestamp(made->token.expires->value()).c_str() : "");
  Output().write(made->text + "\n");
  return kExitOk;
}

int list(const TokenFlags& flags) {
  std::string text;
  const Status read = change_file(flags.file, [&](std::string found) -> Expected<std::string> { return text = found; });
  if (!read) return fail_with(read.error());
  const serving::TokenLines lines = serving::parse_tokens(text);
  for (const std::size_t line : lines.bad_lines)
    std::fprintf(stderr, "warning: %s: no token in line %zu\n", flags.file.c_str(), line);
  Output out;
  const auto writer = make_row_writer(choose_format(flags.output), out);
  writer->columns({{"id", kTextType}, {"scopes", kTextType}, {"created", kTimestampType}, {"expires", kTimestampType},
                   {"state", kTextType}});
  std::vector<Row> rows;
  for (const serving::Token& token : lines.tokens) {
    rows.push_back({Value::text(token.id), Value::text(scopes_text(token)), time_value(token.created),
                    time_value(token.expires), Value::text(token.expired(now()) ? "expired" : "good")});
  }
  writer->rows(rows);
  writer->finish();
  return kExitOk;
}

int revoke(const TokenFlags& flags) {
  std::vector<std::string> missing;
  const Status done = change_file(flags.file, [&](const std::string& text) -> Expected<std::string> {
    std::string kept = text;
    for (const std::string& id : flags.ids) {
      std::string next;
      bool found = false;
      for (std::string_view left = kept; !left.empty();) {
        const std::string_view line = left.substr(0, left.find('\n') == std::string_view::npos ? left.size() : left.find('\n') + 1);
        left.remove_prefix(line.size());
        const serving::TokenLines one = serving::parse_tokens(line);
        if (one.tokens.size() == 1 && one.tokens.front().id == id) {
          found = true;
        } else {
          next += line;
        }
      }
      if (!found) missing.push_back(id);
      kept = std::move(next);
    }
    return kept;
  });
  if (!done) return fail_with(done.error());
  for (const std::string& id : missing)
    print_error(Error{ErrorCode::kNotFound, 4018, "there is no token " + id, "`kappa token ls` lists them", 0, {}});
  return missing.empty() ? kExitOk : kExitNotFound;
}

void add_file_flag(CLI::App& command, TokenFlags& flags) {
  command.add_option("--tokens", flags.file, "The file of tokens, as of `kappa serve --tokens`")->required()->type_name("FILE");
}

}  // namespace

void add_token(CLI::App& app, int& status) {
  CLI::App* token = app.add_subcommand("token", "Tokens: who may append to and read from a server");
  token->description(R"(Examples:
  kappa token add --tokens tokens.ndjson --scope append:hits --expires 30d
  kappa token add --tokens tokens.ndjson --scope read:page_hits,read:user_*
  kappa token ls --tokens tokens.ndjson
  kappa token revoke --tokens tokens.ndjson 0123456789ab

Tokens of a server, in the file that `kappa serve --tokens` reads; a server that runs sees changes at once.)");
  token->require_subcommand(1);
  auto flags = std::make_shared<TokenFlags>();

  CLI::App* command = token->add_subcommand("add", "Makes a token and prints it, this once");
  command->description(R"(Examples:
  kappa token add --tokens tokens.ndjson --scope append:hits --expires 30d
  KAPPA_TOKEN=$(kappa token add --tokens tokens.ndjson --scope admin) kappa status

Makes a token and prints it, this once: the file keeps only a hash.)");
  add_file_flag(*command, *flags);
  command
      ->add_option("--scope", flags->scopes,
                   "append:TOPIC, read:VIEW (or a topic), admin; several with commas or again; a name may end in *")
      ->required()
      ->delimiter(',')
      ->check([](const std::string& text) {
        const auto scope = serving::parse_scope(text);
        return scope ? std::string() : scope.error().message + ": " + scope.error().hint;
      })
      ->type_name("SCOPE");
  command->add_option("--expires", flags->expires, "After so long (30d), at a time (2027-01-01T00:00:00Z), or never")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_expiry(text) ? std::string() : "not a time; write it as 30d, 2027-01-01T00:00:00Z or never";
      })
      ->type_name("TIME");
  command->callback([flags, &status] { status = add(*flags); });

  command = token->add_subcommand("ls", "Lists the tokens, without their secrets");
  add_file_flag(*command, *flags);
  add_output_flag(*command, flags->output);
  command->callback([flags, &status] { status = list(*flags); });

  command = token->add_subcommand("revoke", "Takes tokens away; their connections end");
  command->add_option("ids", flags->ids, "As `kappa token ls` shows them")->required()->type_name("ID");
  add_file_flag(*command, *flags);
  command->callback([flags, &status] { status = revoke(*flags); });
}

}  // namespace kappa::tools
