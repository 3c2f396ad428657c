// The flags of `kappa serve`; what it does is in serve.cc.
#include <CLI/CLI.hpp>

#include <map>

#include "tools/command.h"
#include "tools/serve.h"

namespace kappa::tools {

void add_serve(CLI::App& app, int& status) {
  struct Flags {
    ServeOptions options;
    std::string data = "./kappa-data";
    std::string drain = "10s";
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("serve", "Serve a data directory");
  command->description(R"(Examples:
  kappa serve
  kappa serve -d /var/lib/kappa --listen 127.0.0.1:7171
  kappa serve -d ./kappa-data --listen 127.0.0.1:0     # any free port; the ready line names it

Serves a data directory until SIGTERM or SIGINT, then finishes what is in flight and exits 0. Prints
one line on stdout once it answers.)");
  command->add_option("-d,--data", flags->data, "Data directory, created if missing")
      ->capture_default_str()
      ->type_name("DIR");
  command->add_option("--listen", flags->options.listen, "HOST:PORT; port 0 picks one")->capture_default_str();
  const std::map<std::string, log::Durability> modes = {
      {"sync", log::Durability::kSync}, {"written", log::Durability::kWritten}, {"strict", log::Durability::kStrict}};
  command
      ->add_option("--durability", flags->options.durability,
                   "What an acknowledgement promises: sync, written or strict (default sync)")
      ->transform(CLI::CheckedTransformer(modes))
      ->type_name("MODE");
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
  command->add_option("--commit-interval", flags->options.commit_interval_ms, "Milliseconds between commits of a view")
      ->capture_default_str()
      ->check(CLI::Range(10U, 60'000U));
  command->callback([flags, &status] {
    flags->options.data = flags->data;
    flags->options.drain_timeout = *parse_duration(flags->drain);
    status = run_serve(flags->options);
  });
}

}  // namespace kappa::tools
