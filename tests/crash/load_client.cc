// One appending client of the crash loop: sends events of a named producer through the client library
// and writes a line to its ledger after each acknowledgement, so that the ledger never claims more
// than was acknowledged. Ends cleanly at SIGTERM: waits for its acks, then exits 0.
//
//   load_client ADDRESS TOPIC CLIENT LEDGER SEED
//
// Event n of a client depends on (SEED, CLIENT, n) only, so a client that starts again goes on with the
// same input where the log stands.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "proto/batch.h"
#include "tools/client/append_session.h"
#include "tools/bench_events.h"
#include "tools/command.h"
#include "tools/interrupt.h"

namespace {

std::string event(std::uint64_t seed, unsigned client, std::uint64_t n) {
  kappa::tools::Random random(seed * 1'000'003 + client * 7'919 + n * 31);
  std::string text = "{\"c\":" + std::to_string(client) + ",\"n\":" + std::to_string(n);
  text += ",\"g\":\"g" + std::to_string(random.below(40)) + "\"";
  // A few NULLs and big integers, doubles with a fraction that is exact in binary.
  if (random.below(10) != 0) text += ",\"x\":" + std::to_string(static_cast<std::int64_t>(random.next() >> 20) - (1LL << 42));
  text += ",\"d\":" + std::to_string(random.below(1000)) + (random.below(2) == 0 ? ".25" : ".5");
  return text + ",\"s\":\"" + std::string(random.below(60), 'a') + "\"}";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: load_client ADDRESS TOPIC CLIENT LEDGER SEED\n");
    return 2;
  }
  const auto client = static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10));
  const std::uint64_t seed = std::strtoull(argv[5], nullptr, 10);
  kappa::AppendSessionOptions options;
  options.client.address = argv[1];
  options.topic = argv[2];
  options.producer = kappa::producer_of("load-" + std::to_string(client));
  const int ledger = ::open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (ledger < 0) return 2;
  kappa::tools::catch_interrupt();
  // The server may be killed while it answers the first question.
  auto opened = kappa::AppendSession::open(options, true);
  for (int attempt = 0; !opened && attempt < 1'000 && !kappa::tools::interrupted(); ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    opened = kappa::AppendSession::open(options, true);
  }
  if (!opened) return kappa::tools::fail_with(opened.error());
  kappa::AppendSession& session = **opened;

  std::uint64_t next = session.already_there();
  std::uint64_t noted = 0;
  const auto note_acks = [&] {
    const std::uint64_t acked = session.already_there() + session.totals().appended + session.totals().duplicates;
    if (acked == noted) return;
    const std::string line = std::to_string(acked) + "\n";
    if (::write(ledger, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
    noted = acked;
  };
  kappa::tools::Random shape(seed ^ (client * 2'654'435'761U) ^ next);
  kappa::BatchBuilder batch;
  while (!kappa::tools::interrupted()) {
    for (std::uint64_t left = 1 + shape.below(8); left > 0; --left, ++next) {
      const std::string text = event(seed, client, next);
      if (!batch.add({.value = text, .key = {}, .timestamp = {}, .headers = {}})) return 1;
    }
    const std::uint32_t count = batch.count();
    if (const auto sent = session.send(batch.take(), count); !sent) return kappa::tools::fail_with(sent.error());
    note_acks();
    // Sometimes a single batch in flight, sometimes several.
    if (shape.below(4) == 0) {
      if (const auto done = session.finish(); !done) return kappa::tools::fail_with(done.error());
      note_acks();
    }
  }
  if (const auto done = session.finish(); !done) return kappa::tools::fail_with(done.error());
  note_acks();
  return 0;
}
