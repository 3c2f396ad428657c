// Goal: at any offset a view is what SQLite answers for the same SELECT over the same prefix, for the whole
// dialect that SQLite can run too. Method: world.h, as many worlds as the time allows; then the kept cases.
//
//   oracle [--seconds N] [--seed S] [--comparisons N] [--jobs N] [--only PRODUCTION] [--save DIRECTORY]
//   [--cases DIRECTORY]
//
// KAPPA_SEED and KAPPA_ORACLE_SECONDS stand for --seed and --seconds. With --seconds 0 a seed is one world.
// Two worlds in three are of derived streams (derived_world.h); they take little time.
// Exit code: 0 if all held, --comparisons were made, and every landed production was among them.
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/oracle/derived_world.h"
#include "tests/oracle/named_case.h"
#include "tests/oracle/world.h"

namespace {

using kappa::oracle::Outcome;

struct Options {
  std::uint64_t seconds = 20;
  std::uint64_t seed = 0;
  std::uint64_t comparisons = 0;  // Fewer is a failure.
  std::uint64_t jobs = 2;
  std::uint64_t problems = 20;  // Enough to stop.
  std::string only, save, cases = KAPPA_SOURCE_DIRECTORY "/tests/oracle/cases";
};

std::uint64_t number(const char* text) {
  return std::strtoull(text, nullptr, 10);
}

bool parse(int argc, char** argv, Options& options) {
  if (const char* seed = std::getenv("KAPPA_SEED")) options.seed = number(seed);
  if (const char* seconds = std::getenv("KAPPA_ORACLE_SECONDS")) options.seconds = number(seconds);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--seconds")
      options.seconds = number(argv[i + 1]);
    else if (name == "--seed")
      options.seed = number(argv[i + 1]);
    else if (name == "--comparisons")
      options.comparisons = number(argv[i + 1]);
    else if (name == "--jobs")
      options.jobs = number(argv[i + 1]);
    else if (name == "--problems")
      options.problems = number(argv[i + 1]);
    else if (name == "--only")
      options.only = argv[i + 1];
    else if (name == "--save")
      options.save = argv[i + 1];
    else if (name == "--cases")
      options.cases = argv[i + 1];
    else
      return false;
  }
  return argc % 2 == 1;
}

int run_cases(const std::string& directory) {
  int failures = 0;
  const auto cases = kappa::oracle::read_cases(directory);
  for (const auto& named : cases) {
    const std::string problem = kappa::oracle::check_case(named);
    if (problem.empty()) continue;
    ++failures;
    std::printf("FAIL case %s\n", problem.c_str());
  }
  std::printf("%zu kept cases, %d failed\n", cases.size(), failures);
  return failures;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.seed = std::random_device{}();
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: %s [--seconds N] [--seed S] [--comparisons N] [--jobs N] [--only PRODUCTION] "
                 "[--save DIRECTORY] [--cases DIRECTORY]\n",
                 argv[0]);
    return 2;
  }
  spdlog::set_level(spdlog::level::off);  // States are thrown away on purpose.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf("seed %llu, %llu s\n", static_cast<unsigned long long>(options.seed),
              static_cast<unsigned long long>(options.seconds));
  int failures = run_cases(options.cases);

  const auto begin = std::chrono::steady_clock::now();
  const auto deadline = begin + std::chrono::seconds(options.seconds);
  std::atomic<std::uint64_t> next{options.seed};
  std::mutex mutex;
  Outcome all;
  std::uint64_t worlds = 0;
  const auto work = [&] {
    do {
      const std::uint64_t seed = next++;
      const bool derived = options.only.empty() ? seed % 3 != 0 : options.only.starts_with("derived.");
      const Outcome one =
          derived ? kappa::oracle::live_derived(seed) : kappa::oracle::live(seed, options.save, options.only);
      const std::lock_guard lock(mutex);
      ++worlds;
      all.comparisons += one.comparisons;
      all.queries += one.queries;
      all.states += one.states;
      all.productions.add(one.productions);
      all.refusals.insert(one.refusals.begin(), one.refusals.end());
      for (const std::string& problem : one.problems) {
        all.problems.push_back(problem);
        std::printf("MISMATCH %s\n", problem.c_str());
      }
    } while (std::chrono::steady_clock::now() < deadline && all.problems.size() < options.problems);
  };
  std::vector<std::thread> threads;
  const std::uint64_t jobs = options.seconds == 0 ? 1 : options.jobs;
  for (std::uint64_t i = 0; i < jobs; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();

  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%s", all.productions.table().c_str());
  std::printf("%llu comparisons of %llu queries in %llu worlds, %llu states compared, %.0f s, %zu problems\n",
              static_cast<unsigned long long>(all.comparisons), static_cast<unsigned long long>(all.queries),
              static_cast<unsigned long long>(worlds), static_cast<unsigned long long>(all.states), took,
              all.problems.size());
  for (const auto& [message, example] : all.refusals) {
    std::printf("refused, but of the dialect: %s\n", example.c_str());
    ++failures;
  }
  if (all.comparisons < options.comparisons) {
    std::printf("fewer comparisons than the %llu asked for\n",
                static_cast<unsigned long long>(options.comparisons));
    ++failures;
  }
  if (options.only.empty() && options.seconds > 0) {
    for (const std::string& name : all.productions.missing()) {
      std::printf("landed, but never compared: %s\n", name.c_str());
      ++failures;
    }
  }
  return failures == 0 && all.problems.empty() ? 0 : 1;
}
