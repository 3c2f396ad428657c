// Measures the log's append path against what the device itself can do, in one run.
//
// Per group size: batches of 200-byte events are submitted and pumped with a bounded number in
// flight; bytes and events per second from the first submit to the last durable ack. The baseline
// zero-writes fresh files, syncs them, and then writes and fdatasyncs the same amount into them.
//
//   log_bench [directory] [megabytes per measurement]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <semaphore>
#include <string>
#include <vector>

#include "log/log.h"

namespace {

using namespace kappa;
using Time = std::chrono::steady_clock;

double seconds_since(Time::time_point begin) {
  return std::chrono::duration<double>(Time::now() - begin).count();
}

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "log_bench: %s\n", why.c_str());
  std::exit(1);
}

// Bytes per second of write + fdatasync of `group` bytes at a time into zeroed files, and the same
// with the zeroing in the time.
void baseline(const std::filesystem::path& directory, std::size_t total, std::size_t group) {
  constexpr std::size_t kFileBytes = std::size_t{64} << 20;
  const std::string data(group, 'd'), zeros(std::size_t{1} << 20, '\0');
  double zeroing = 0, writing = 0;
  std::vector<double> syncs;
  for (std::size_t done = 0; done < total; done += kFileBytes) {
    const auto path = directory / "baseline";
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0) stop("open");
    auto begin = Time::now();
    if (::fallocate(file, 0, 0, kFileBytes) != 0) stop("fallocate");
    for (std::size_t at = 0; at < kFileBytes; at += zeros.size())
      if (::pwrite(file, zeros.data(), zeros.size(), static_cast<off_t>(at)) < 0) stop("pwrite");
    if (::fdatasync(file) != 0) stop("fdatasync");
    zeroing += seconds_since(begin);
    begin = Time::now();
    for (std::size_t at = 0; at + group <= kFileBytes; at += group) {
      if (::pwrite(file, data.data(), group, static_cast<off_t>(at)) < 0) stop("pwrite");
      const auto sync = Time::now();
      if (::fdatasync(file) != 0) stop("fdatasync");
      syncs.push_back(seconds_since(sync) * 1e6);
      // Small groups: a sample of the file is enough.
      if (group < (std::size_t{64} << 10) && syncs.size() >= 1000) break;
    }
    writing += seconds_since(begin);
    ::close(file);
    std::filesystem::remove(path);
    if (group < (std::size_t{64} << 10)) break;
  }
  std::sort(syncs.begin(), syncs.end());
  const double written = static_cast<double>(syncs.size() * group) / 1e6;
  std::printf(
      "device  group %7zu B: write+fdatasync %7.1f MB/s, with zeroing %7.1f MB/s, fdatasync p50 %.0f us\n",
      group, written / writing, written / (writing + zeroing), syncs[syncs.size() / 2]);
}

struct Result {
  double megabytes, events, seconds;
};

void measure(const std::filesystem::path& directory, std::size_t total, std::size_t group, unsigned in_flight,
             unsigned per_pump) {
  std::filesystem::remove_all(directory);
  log::LogOptions options;
  options.directory = directory;
  auto opened = log::Log::open(options);
  if (!opened) stop(to_string(opened.error()));
  auto& log = **opened;
  const TopicId topic = *log.ensure_topic("bench");
  const std::string value(200, 'v');
  BatchBuilder builder;
  do {
    if (!builder.add({.value = value, .key = {}, .timestamp = {}, .headers = {}})) stop("add");
  } while (builder.bytes() + 210 <= group);
  const std::uint32_t count = builder.count();
  const std::string body = builder.take();
  const std::size_t batches = std::max<std::size_t>(1, total / (body.size() + kBatchHeaderBytes));

  std::counting_semaphore<> slots(in_flight);
  std::atomic<bool> failed{false};
  const auto begin = Time::now();
  for (std::size_t i = 0; i < batches; i += per_pump) {
    for (unsigned k = 0; k < per_pump; ++k) {
      if (!slots.try_acquire()) {
        log.pump();
        slots.acquire();
      }
      log::AppendBatch batch;
      batch.topic = topic;
      batch.count = count;
      batch.body = body;
      batch.uncompressed_length = static_cast<std::uint32_t>(body.size());
      batch.summary = validate_body(as_bytes(batch.body), count).value();
      log.submit(std::move(batch), [&](const Expected<log::AppendAck>& ack) {
        if (!ack) failed = true;
        slots.release();
      });
    }
    log.pump();
  }
  for (unsigned i = 0; i < in_flight; ++i) slots.acquire();
  const double seconds = seconds_since(begin);
  if (failed) stop("an append failed");
  const auto status = log.status();
  const double megabytes = static_cast<double>(status.bytes_appended) / 1e6;
  std::printf(
      "log     batch %7zu B x%3u in flight: %7.1f MB/s, %9.0f events/s, %8.0f batches/s, %llu syncs, mean "
      "%.0f us\n",
      body.size(), in_flight, megabytes / seconds, static_cast<double>(status.events_appended) / seconds,
      static_cast<double>(batches) / seconds, static_cast<unsigned long long>(status.syncs),
      static_cast<double>(status.sync_micros_total) /
          static_cast<double>(std::max<std::uint64_t>(1, status.syncs)));
  opened->reset();
  std::filesystem::remove_all(directory);
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path root = argc > 1 ? argv[1] : "log-bench";
  const std::size_t total = (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1024) << 20;
  std::filesystem::create_directories(root);
  for (const std::size_t group :
       {std::size_t{4} << 10, std::size_t{256} << 10, std::size_t{1} << 20, std::size_t{4} << 20})
    baseline(root, total, group);
  measure(root / "log", 1000 * 363, 200, 1, 1);
  measure(root / "log", std::size_t{16} << 20, 200, 50, 50);
  measure(root / "log", std::size_t{128} << 20, 200, 1000, 1000);
  for (const std::size_t group : {std::size_t{64} << 10, std::size_t{256} << 10, std::size_t{1} << 20})
    measure(root / "log", total, group,
            static_cast<unsigned>(std::max<std::size_t>(2, (std::size_t{16} << 20) / group)), 1);
  for (const std::size_t group : {std::size_t{1} << 20}) baseline(root, total, group);
}
