// The flags of `kappa serve`; what it does is in serve.cc.
#include <CLI/CLI.hpp>

#include <cctype>

#include "tools/command.h"
#include "tools/serve.h"

namespace kappa::tools {
namespace {
constexpr std::uint64_t kMemoryMin = std::uint64_t{1} << 20;

// What clients may cost; docs/security.md has the table.
void add_limits(CLI::App& command, serving::ServerOptions& server) {
  const auto count = [&command](const char* flag, std::size_t& value, const char* what) {
    command.add_option(flag, value, what)->capture_default_str()->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  };
  const auto size = [&command](const char* flag, std::size_t& value, std::size_t least, std::size_t most, const char* what) {
    command.add_option_function<std::string>(flag, [&value](const std::string& text) { value = *parse_size(text); }, what)
        ->check([least, most](const std::string& text) {
          const auto bytes = parse_size(text);
          return bytes && *bytes >= least && *bytes <= most ? std::string() : "not a size that is allowed; write it as 64MiB";
        })
        ->type_name("SIZE");
  };
  const auto time = [&command](const char* flag, std::chrono::milliseconds& value, bool off, const char* what) {
    command.add_option_function<std::string>(flag, [&value](const std::string& text) { value = *parse_duration(text); }, what)
        ->check([off](const std::string& text) {
          const auto duration = parse_duration(text);
          return duration && (off || duration->count() > 0) ? std::string() : "not a time that is allowed; write it as 30s";
        })
        ->type_name("TIME");
  };
  count("--connections", server.connections_max, "Connections at a time");
  count("--connections-per-address", server.connections_per_address_max, "Connections of one address at a time");
  count("--requests-in-flight", server.requests_in_flight_max, "Requests of a connection that are not answered yet");
  size("--frame-max", server.frame_bytes_max, serving::kFrameBytesMaxMin, limits::kFrameBytesMax,
       "The largest frame of a client (default: 9MiB)");
  size("--connection-memory", server.connection_memory_max, std::size_t{16} << 20, std::size_t{1} << 40,
       "What all connections hold: frames under way, answers nobody reads (default: 256MiB)");
  time("--handshake-timeout", server.handshake_timeout, false, "From connecting to HELLO (default: 10s)");
  time("--frame-timeout", server.frame_timeout, false, "For a frame to arrive, and for answers to be read (default: 30s)");
  time("--idle-timeout", server.idle_timeout, true, "Close who asks nothing for so long; 0: never (default: 15m)");
  time("--query-timeout", server.query_timeout, true, "End a statement that runs longer; 0: never (default: 10m)");
}
}  // namespace

void add_serve(CLI::App& app, int& status) {
  struct Flags {
    ServeOptions options;
    std::string data = "./kappa-data";
    std::string drain = "10s";
    std::string durability = "sync";
    std::string retention_bytes, retention_age, retention_max_bytes, disk_reserve;
    std::string memory = "256MiB";
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("serve", "Serve a data directory");
  command->description(R"(Examples:
  kappa serve
  kappa serve -d /var/lib/kappa --listen 127.0.0.1:7171
  kappa serve -d ./kappa-data --listen 127.0.0.1:0     # any free port; the ready line names it
  kappa serve --listen 0.0.0.0:7171 --tls-cert cert.pem --tls-key key.pem --tokens tokens.ndjson
  kappa serve --retention-age 30d --retention-bytes 100GiB --retention-max-bytes 120GiB

Serves a data directory until SIGTERM or SIGINT, then finishes what is in flight and exits 0. Prints
one line on stdout once it answers.

Others than this machine are served only with TLS and tokens. Without --retention-... nothing is ever removed. With it the oldest segments go, whole, once they are
over a limit and no view, read or query needs them; above --retention-max-bytes even then.)");
  command->add_option("-d,--data", flags->data, "Data directory, created if missing")
      ->capture_default_str()
      ->type_name("DIR");
  command->add_option("--listen", flags->options.listen, "HOST:PORT; port 0 picks one")->capture_default_str();
  command->add_option("--socket", flags->options.socket,
                      "Unix socket, for the user of the server (default: kappa.sock in the data directory), or none")
      ->type_name("PATH");
  command->add_option("--tls-cert", flags->options.server.tls_certificate, "TLS: the certificate and its chain, PEM")
      ->type_name("FILE");
  command->add_option("--tls-key", flags->options.server.tls_key, "TLS: the key of the certificate, PEM")->type_name("FILE");
  command->add_option("--tokens", flags->options.server.tokens, "Ask for a token of this file (`kappa token`)")
      ->type_name("FILE");
  command
      ->add_option("--durability", flags->durability, "What an acknowledgement promises: sync, written or strict")
      ->capture_default_str()
      ->check(CLI::IsMember({"sync", "written", "strict"}))
      ->type_name("MODE");
  const auto size = [](const std::string& text) {
    return parse_size(text) ? std::string() : "not a size; write it as 64MiB or 100GiB";
  };
  command->add_option("--retention-bytes", flags->retention_bytes, "Keep about this much of the log, as 100GiB")
      ->check(size)
      ->type_name("SIZE");
  command->add_option("--retention-age", flags->retention_age, "Keep what is younger, as 30d or 12h")
      ->check([](const std::string& text) {
        // Who means days and writes none would lose the log for the seconds.
        const bool unit = !text.empty() && std::isdigit(static_cast<unsigned char>(text.back())) == 0;
        return unit && parse_duration(text) ? std::string() : "needs a unit, s, m, h or d; write it as 30d or 12h";
      })
      ->type_name("TIME");
  command
      ->add_option("--retention-max-bytes", flags->retention_max_bytes,
                   "Never keep more of the log than this, even if a view needs it")
      ->check(size)
      ->type_name("SIZE");
  command
      ->add_option("--disk-reserve", flags->disk_reserve,
                   "Refuse appends when less is free (default: a twentieth of the file system, 4MiB to 64MiB; 0: off)")
      ->check(size)
      ->type_name("SIZE");
  add_limits(*command, flags->options.server);
  command->add_flag("--read-only", flags->options.read_only, "Answer from what is there; write nothing");
  command->add_option("--scrub-rate", flags->options.scrub_bytes_per_second,
                      "Bytes a second of old segments that are read again to find damage early; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{10} << 30));
  command->add_option("--drain-timeout", flags->drain, "At the end, at most this long")
      ->capture_default_str()
      ->check([](const std::string& text) { return parse_duration(text) ? std::string() : "not a duration"; });
  command
      ->add_option("--segment-bytes", flags->options.segment_bytes, "Size of a log segment; small ones are for tests")
      ->capture_default_str()
      ->check(CLI::Range(limits::kSegmentBytesMin, limits::kSegmentBytesMax));
  command->add_option("--memory", flags->memory, "Memory for the states of all views: uncommitted groups and a cache")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const auto bytes = parse_size(text);
        return bytes && *bytes >= kMemoryMin ? std::string() : "not a size of at least 1MiB; write it as 256MiB or 4GiB";
      })
      ->type_name("SIZE");
  command->add_option("--commit-interval", flags->options.commit_interval_ms, "Milliseconds between commits of a view")
      ->capture_default_str()
      ->check(CLI::Range(10U, 60'000U));
  command->add_option("--replay-threads", flags->options.replay.threads,
                      "Threads that build views which are far behind; 0: one for each processor")
      ->capture_default_str()
      ->check(CLI::Range(0U, processor::kReplayThreadsMax));
  command->add_option("--replay-share", flags->options.replay.share_percent,
                      "Percent of their time that these threads may work")
      ->capture_default_str()
      ->check(CLI::Range(1U, 100U));
  command->add_option("--replay-nice", flags->options.replay.nice, "Added to the nice value of these threads")
      ->capture_default_str()
      ->check(CLI::Range(0, 19));
  command->callback([flags, &status] {
    flags->options.data = flags->data;
    flags->options.drain_timeout = *parse_duration(flags->drain);
    for (const auto mode : {log::Durability::kSync, log::Durability::kWritten, log::Durability::kStrict})
      if (flags->durability == log::name_of(mode)) flags->options.durability = mode;
    const auto bytes = [](const std::string& text) { return text.empty() ? 0 : *parse_size(text); };
    flags->options.retention.bytes = bytes(flags->retention_bytes);
    flags->options.retention.bytes_max = bytes(flags->retention_max_bytes);
    if (flags->options.retention.bytes_max != 0 && flags->options.retention.bytes > flags->options.retention.bytes_max)
      throw CLI::ValidationError("--retention-bytes", "above --retention-max-bytes, the most that is ever kept");
    if (!flags->retention_age.empty()) flags->options.retention.age = *parse_duration(flags->retention_age);
    if (!flags->disk_reserve.empty()) flags->options.disk_reserve_bytes = bytes(flags->disk_reserve);
    flags->options.memory_bytes = bytes(flags->memory);
    status = run_serve(flags->options);
  });
}

}  // namespace kappa::tools
