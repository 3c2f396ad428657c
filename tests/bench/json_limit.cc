// The machine's limit for reading JSON events: simdjson's On-Demand parser takes `page` and `bytes` out of each line of
// a file that lies in memory, checks nothing that it does not pass, and adds up; one thread or several, each with its
// part of the lines.
//
//   json_limit FILE.ndjson [threads (1)]          prints events/s
#include <simdjson.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

struct Sum {
  std::uint64_t events = 0, bytes = 0, page = 0;
};

Sum walk(std::string_view lines) {
  simdjson::ondemand::parser parser;
  Sum sum;
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    // The file is followed by padding, and every other line by what comes after it.
    const simdjson::padded_string_view line(lines.data(), end, end + simdjson::SIMDJSON_PADDING);
    auto document = parser.iterate(line);
    sum.page += std::string_view(document["page"]).size();
    sum.bytes += std::uint64_t(document["bytes"]);
    ++sum.events;
    lines.remove_prefix(end + 1);
  }
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const unsigned threads = argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 1;
  std::ifstream in(argv[1], std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t size = text.size();
  text.append(simdjson::SIMDJSON_PADDING, '\0');
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0, i = 0; i < threads; ++i) {
    std::size_t end = i + 1 == threads ? size : text.find('\n', size * (i + 1) / threads) + 1;
    parts.emplace_back(text.data() + begin, end - begin);
    begin = end;
  }
  std::atomic<std::uint64_t> events{0}, sum{0};
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> workers;
  for (const std::string_view part : parts) {
    workers.emplace_back([&, part] {
      const Sum found = walk(part);
      events += found.events;
      sum += found.bytes + found.page;
    });
  }
  for (std::thread& worker : workers) worker.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%.0f\n", static_cast<double>(events) / seconds);
  return sum == 0;
}
