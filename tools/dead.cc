// kappa dead ls|retry STREAM: the events that a stream set aside, and appending them again.
#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

#include "proto/base64.h"
#include "proto/limits.h"
#include "tools/command.h"
#include "tools/dead_retry.h"
#include "tools/json_member.h"
#include "tools/line_reader.h"
#include "tools/row_writer.h"

namespace kappa::tools {
namespace {

struct ListFlags {
  ConnectionFlags connection;
  FreshnessFlags freshness;
  std::string output;
  std::string stream;
  std::uint64_t limit = UINT64_MAX;
};

struct RetryFlags {
  ConnectionFlags connection;
  std::string output;
  std::string stream;
  std::string corrected;
  std::vector<std::uint64_t> offsets;
  bool all = false;
  bool again = false;
};

// A stream as SQL has to write it; what is not a plain name is meant as written.
std::string sql_name(const std::string& name) {
  const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos &&
                     !(name[0] >= '0' && name[0] <= '9');
  if (plain) return name;
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

int list(const ListFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  Output out;
  const Format format = choose_format(flags.output);
  const auto writer = make_row_writer(format, out);
  const std::string sql = "SHOW DEAD LETTERS" + (flags.stream.empty() ? "" : " FROM " + sql_name(flags.stream));
  std::uint64_t left = flags.limit;
  const auto end = (*client)->sql(
      sql, query_options(flags.connection, flags.freshness),
      [&](const std::vector<ClientColumn>& columns) {
        if (format != Format::kRaw) writer->columns(columns);
        return left > 0;
      },
      [&](std::vector<Row> rows) {
        if (rows.size() > left) rows.resize(left);
        left -= rows.size();
        if (format != Format::kRaw) {
          writer->rows(rows);
          return left > 0;
        }
        for (const Row& row : rows) {  // Their own bytes.
          if (!row[3].is_null()) out.write(row[3].as_text());
          if (!row[4].is_null()) out.write(decode_base64(row[4].as_text()).value_or(std::string()));
          out.write("\n");
        }
        return left > 0;
      });
  if (!end && left > 0) {  // Else it is our own wish that ended it.
    out.flush();
    return fail_with(end.error());
  }
  if (format != Format::kRaw) writer->finish();
  return kExitOk;
}

// Lines {"offset": N, "event": {...} or "text"} into `events`.
Status read_corrected(const std::string& file, std::map<std::uint64_t, std::optional<std::string>>& events) {
  const int descriptor = file == "-" ? 0 : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(1001, "cannot open " + file, errno);
  LineReader reader(descriptor, 2 * limits::kEventBytesMax);
  Status status;
  std::string scratch;
  for (bool more = true; more && status;) {
    switch (reader.next()) {
      case LineReader::Event::kLine: {
        const std::string_view line = reader.line();
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) break;
        std::uint64_t offset = 0;
        const auto digits = find_key(line, "offset", scratch);
        const bool numbered =
            digits && std::from_chars(digits->data(), digits->data() + digits->size(), offset).ec == std::errc{};
        const auto event = numbered ? find_key(line, "event", scratch) : std::nullopt;
        if (event) {
          events[offset] = std::string(*event);
        } else {
          status = fail(ErrorCode::kInvalid, 5001, file + " line " + std::to_string(reader.line_number()) +
                                                       " has not the members \"offset\" and \"event\"",
                        "a line is {\"offset\": N, \"event\": {...}}, as `kappa dead ls -o ndjson` prints it");
        }
        break;
      }
      case LineReader::Event::kTooLong:
        status = fail(ErrorCode::kTooLarge, 1007, file + " line " + std::to_string(reader.line_number()) + " is too long");
        break;
      case LineReader::Event::kWait: static_cast<void>(reader.wait(-1)); break;
      case LineReader::Event::kEnd: more = false; break;
      case LineReader::Event::kError: status = fail_errno(1001, "cannot read " + file, reader.system_errno()); break;
    }
  }
  if (descriptor != 0) ::close(descriptor);
  return status;
}

int retry(const RetryFlags& flags) {
  RetryRequest request;
  request.stream = flags.stream;
  request.all = flags.all;
  request.again = flags.again;
  for (const std::uint64_t offset : flags.offsets) request.events[offset] = std::nullopt;
  if (!flags.corrected.empty()) {
    if (const Status read = read_corrected(flags.corrected, request.events); !read) return fail_with(read.error());
  }
  if (!request.all && request.events.empty()) {
    std::fprintf(stderr, "error: say which: --all, --offset N, or --with FILE\n");
    return kExitUsage;
  }
  if (const auto timeout = parse_duration(flags.connection.timeout)) request.timeout = *timeout;
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  const auto result = retry_dead_letters(**client, request);
  if (!result) return fail_with(result.error());
  std::string text = "retried " + std::to_string(result->retried) + (result->retried == 1 ? " event" : " events");
  if (result->first && result->last) {
    text += ", offsets " + std::to_string(result->first->value()) + ".." + std::to_string(result->last->value());
  }
  if (result->left_out > 0) text += "; " + std::to_string(result->left_out) + " left out, retried before (--again)";
  std::fprintf(stderr, "%s\n", text.c_str());
  if (flags.output == "json") {
    std::string json = "{\"retried\":" + std::to_string(result->retried) + ",\"left_out\":" + std::to_string(result->left_out);
    if (result->first && result->last) {
      json += ",\"first_offset\":" + std::to_string(result->first->value()) +
              ",\"last_offset\":" + std::to_string(result->last->value());
    }
    std::printf("%s}\n", json.c_str());
  }
  return kExitOk;
}

}  // namespace

void add_dead(CLI::App& app, int& status) {
  CLI::App* dead = app.add_subcommand("dead", "Events that a stream set aside, and their retry");
  dead->description(R"(Examples:
  kappa dead ls hits
  kappa dead ls hits -n 10 -o ndjson
  kappa dead retry hits --offset 81234
  kappa dead ls hits -o ndjson | jq -c '.event |= (fromjson | .ms |= tonumber)' |
    kappa dead retry hits --with -

Events that a stream with on_error = 'dead_letter' set aside, and their retry.)");
  dead->require_subcommand(1);

  auto listed = std::make_shared<ListFlags>();
  CLI::App* ls = dead->add_subcommand("ls", "Lists the events set aside, with offset, reason and bytes");
  ls->description(R"(Examples:
  kappa dead ls hits
  kappa dead ls hits -n 10 -o ndjson
  kappa dead ls hits -o raw

Lists the events that a stream, or every stream, set aside, with offset, reason and bytes. -o raw prints
their own bytes, a line each.)");
  ls->add_option("stream", listed->stream, "Stream (default: every one)")->type_name("STREAM");
  ls->add_option("-n,--limit", listed->limit, "At most this many");
  add_output_flag(*ls, listed->output);
  add_freshness_flags(*ls, listed->freshness);
  add_connection_flags(*ls, listed->connection);
  ls->callback([listed, &status] { status = list(*listed); });

  auto retried = std::make_shared<RetryFlags>();
  CLI::App* again = dead->add_subcommand("retry", "Appends events that were set aside again");
  again->description(R"(Examples:
  kappa dead retry hits --offset 81234 --offset 81240
  kappa dead retry hits --all
  kappa dead retry hits --with corrected.ndjson

Appends events that were set aside again: to the same topic with the same key, time and headers. Each is
retried once, however often this runs. A definition of the stream that takes them needs no retry: its views
are made from the log and have them at their own offsets.)");
  again->add_option("stream", retried->stream, "Stream")->required()->type_name("STREAM");
  again->add_option("--offset", retried->offsets, "The event at this offset; may be repeated")->type_name("N");
  again->add_flag("--all", retried->all, "Every one that was not retried");
  again->add_option("--with", retried->corrected, "Corrected events: a file (- is stdin) of {\"offset\": N, \"event\": {...}}")
      ->type_name("FILE");
  again->add_flag("--again", retried->again, "Also those that were retried before");
  again->add_option("-o,--output", retried->output, "json: what was done, on stdout")->check(CLI::IsMember({"json"}));
  add_connection_flags(*again, retried->connection);
  again->callback([retried, &status] { status = retry(*retried); });
}

}  // namespace kappa::tools
