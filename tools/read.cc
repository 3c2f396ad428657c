// kappa read TOPIC (and `tail`): events out of the log, in order.
#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdio>
#include <thread>

#include "tools/command.h"
#include "tools/event_format.h"
#include "tools/gap_notice.h"
#include "tools/interrupt.h"
#include "tools/output.h"

namespace kappa::tools {
namespace {

// How often a subscriber that follows stores its position.
constexpr std::chrono::seconds kStoreInterval{1};
// A topic that is followed may come into being later.
constexpr std::chrono::milliseconds kMissingTopicPause{100};

struct ReadFlags {
  ConnectionFlags connection;
  std::string topic;
  std::string from = "start";
  std::string output = "raw";
  std::string format;
  std::uint64_t limit = UINT64_MAX;
  bool follow = false;
  bool exit_at_end = false;
  bool keys = false;
  std::string subscriber;
  bool forget = false;
};

// "start", "end", "N", "-N" (the last N events), "@TIME" (RFC 3339 or epoch milliseconds).
std::optional<ReadFrom> parse_from(std::string_view text) {
  using Kind = ReadFrom::Kind;
  if (text == "start") return ReadFrom{Kind::kStart, 0};
  if (text == "end") return ReadFrom{Kind::kEnd, 0};
  if (text.empty()) return std::nullopt;
  const char lead = text.front();
  const std::string_view digits = lead == '-' || lead == '@' ? text.substr(1) : text;
  std::int64_t number = 0;
  const auto [rest, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_number = problem == std::errc{} && rest == digits.data() + digits.size() && number >= 0;
  if (lead == '@') {
    if (is_number && number <= INT64_MAX / 1000) return ReadFrom{Kind::kTime, number * 1000};
    const auto micros = parse_timestamp(digits, false);
    if (!micros) return std::nullopt;
    return ReadFrom{Kind::kTime, *micros};
  }
  if (!is_number) return std::nullopt;
  return ReadFrom{lead == '-' ? Kind::kLast : Kind::kOffset, number};
}

int run(const ReadFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  const bool follow = flags.follow && !flags.exit_at_end;
  if (follow) catch_interrupt();
  std::string format = flags.format;
  if (format.empty() && flags.output == "raw") format = flags.keys ? "%k\\t%v\\n" : "%v\\n";
  const EventFormat formatter(format);

  if (flags.forget) {
    const Status forgotten = (*client)->set_position(flags.subscriber, std::nullopt);
    return forgotten ? kExitOk : fail_with(forgotten.error());
  }

  Output out;
  ReadFrom from = *parse_from(flags.from);
  std::optional<Offset> stored;  // Of the subscriber.
  if (!flags.subscriber.empty()) {
    const auto position = (*client)->position(flags.subscriber);
    if (!position) return fail_with(position.error());
    if (*position && (*position)->topic != flags.topic) {
      return fail_with(fail(ErrorCode::kExists, 1021,
                            "subscriber \"" + flags.subscriber + "\" reads topic \"" + (*position)->topic + "\"",
                            "take another name, or --forget this one first")
                           .error());
    }
    if (*position) {
      stored = (*position)->offset;
      from = ReadFrom{ReadFrom::Kind::kOffset, static_cast<std::int64_t>(stored->value())};
    }
  }
  // What was printed has left this process before it counts as read.
  auto last_stored = std::chrono::steady_clock::now();
  const auto store = [&](Offset position, bool last) -> Status {
    const auto now = std::chrono::steady_clock::now();
    if (flags.subscriber.empty() || stored == position || (!last && now < last_stored + kStoreInterval)) return {};
    out.flush();
    KAPPA_CHECK_OK((*client)->set_position(flags.subscriber, Client::Position{flags.topic, position}));
    stored = position;
    last_stored = now;
    return {};
  };
  std::uint64_t left = flags.limit;
  std::optional<Offset> first;  // Where the reading began.
  Offset next;
  std::optional<Offset> end;  // Without -F: the durable end as it was at the first answer.
  while (left > 0 && !interrupted()) {
    const auto wait = std::chrono::milliseconds(follow ? 500 : 0);
    const auto result = (*client)->read(flags.topic, from, left, wait, [&](const ClientEvent& event) {
      formatter.append(event, out.buffer());
      out.written();
      return --left > 0;
    });
    if (!result) {
      out.flush();
      if (interrupted()) break;
      if (follow && result.error().code == ErrorCode::kNotFound) {
        std::this_thread::sleep_for(kMissingTopicPause);
        continue;
      }
      return fail_with(result.error());
    }
    if (!first) first = result->first;
    next = result->next;
    from = ReadFrom{ReadFrom::Kind::kOffset, static_cast<std::int64_t>(result->next.value())};
    if (const Status kept = store(next, false); !kept) return fail_with(kept.error());
    if (follow) {
      out.flush();
      continue;
    }
    if (!end) end = result->durable_end;
    if (result->next >= *end) break;
  }
  out.flush();
  if (first) {
    if (const Status kept = store(next, true); !kept) return fail_with(kept.error());
  }
  if (first) {
    if (const auto status = (*client)->status()) std::fputs(gap_notice(*status, *first, next).c_str(), stderr);
  }
  return interrupted() ? kExitInterrupted : kExitOk;
}

void add(CLI::App& app, int& status, bool tail) {
  auto flags = std::make_shared<ReadFlags>();
  CLI::App* command = tail ? app.add_subcommand("tail", "Follow the end of a topic")
                           : app.add_subcommand("read", "Print the events of a topic");
  if (tail) {
    flags->from = "end";
    flags->follow = true;
    command->description(R"(Examples:
  kappa tail hits
  kappa tail hits --from -10

Follows the end of a topic: `kappa read --from end -F`.)");
  } else {
    command->description(R"(Examples:
  kappa read hits
  kappa read hits --from -10
  kappa read hits --from @2024-05-01T10:00:00Z -n 100 -o json
  kappa read hits --format '%o %t %k %v\n'
  kappa read hits -F --subscriber mailer

Prints the events of a topic, each as it was appended, a line each. The start is the first event that
is kept; an offset below it, which retention removed, is refused with the first offset that is kept.

With --subscriber NAME the position is stored in the log under that name: the same command goes on behind the
last event that was printed, after any restart; retention keeps what is not read yet. It is stored at the end and
every second, so that after a crash up to a second of events comes again, and none is left out. --from counts for
a new name only.)");
  }
  command->add_option("topic", flags->topic, "Topic")->required()->type_name("TOPIC");
  command->add_option("--from", flags->from, "start, end, offset N, -N (the last N), @TIME")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_from(text) ? std::string() : "write start, end, N, -N or @TIME (RFC 3339 or epoch ms)";
      });
  command->add_option("-n,--limit", flags->limit, "At most this many events");
  command->add_flag("-F,--follow", flags->follow, "Wait for more at the end");
  auto* subscriber = command->add_option("--subscriber", flags->subscriber, "Go on from the position stored under NAME, and store it")
                         ->type_name("NAME");
  command->add_flag("--forget", flags->forget, "Only forget the subscriber's position")->needs(subscriber);
  command->add_flag("-e,--exit", flags->exit_at_end, "Exit at the end, whatever -F says");
  command->add_flag("-k,--keys", flags->keys, "Print the key and a tab before each event");
  command->add_option("-o,--output", flags->output, "raw: the event's own bytes; json: with offset, time and key")
      ->capture_default_str()
      ->check(CLI::IsMember({"raw", "json", "ndjson"}));
  command->add_option("--format", flags->format,
                      "%o offset, %t time, %a append time, %k key, %v value, %% percent, \\n \\t \\\\");
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace

void add_read(CLI::App& app, int& status) {
  add(app, status, false);
  add(app, status, true);
}

}  // namespace kappa::tools
