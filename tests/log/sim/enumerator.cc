// The walk over a recording.
#include "tests/log/sim/enumerator.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "log/format.h"

namespace kappa::log::sim {
namespace {

std::uint64_t hash_of(const Tree& tree) {
  std::uint64_t hash = 0;
  for (const std::string& name : tree.directories) hash = hash_bytes(as_bytes(name), hash + 1);
  for (const auto& [name, content] : tree.files) {
    hash = hash_bytes(as_bytes(name), hash + 2);
    hash = hash_bytes(as_bytes(content), hash + 3);
  }
  return hash;
}

std::string context(const std::vector<Operation>& operations, std::size_t moment, const CrashState& state,
                    const std::string& choice) {
  std::string out = "  power cut after operation " + std::to_string(moment) + " of " +
                    std::to_string(operations.size()) + ", " + choice + "\n";
  for (std::size_t i = moment < 25 ? 0 : moment - 25; i <= moment; ++i)
    out += "    " + std::to_string(i) + " " + describe(operations[i]) + "\n";
  out += "  pending:\n";
  for (std::size_t i = 0; i < state.pending().size(); ++i) {
    const auto& unit = *state.pending()[i];
    Operation shown{.kind = unit.kind, .file = unit.file, .name = unit.name, .to = unit.to};
    shown.at = unit.first;
    shown.size = unit.end;
    shown.data.assign(unit.bytes.size(), '\0');
    out += "    unit " + std::to_string(i) + ": " + describe(shown) + "\n";
  }
  return out;
}

}  // namespace

Totals& Totals::operator+=(const Totals& other) {
  moments += other.moments;
  built += other.built;
  opened += other.opened;
  failures += other.failures;
  time += other.time;
  return *this;
}

Totals& grand_totals() {
  static Totals totals;
  return totals;
}

unsigned percent() {
  const char* text = std::getenv("KAPPA_CRASH_PERCENT");
  const unsigned long value = text == nullptr ? 100 : std::strtoul(text, nullptr, 10);
  return value == 0 ? 100 : static_cast<unsigned>(value);
}

Totals enumerate_crashes(Start start, const std::vector<Operation>& operations, const Model& model,
                         const EnumerateOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  Totals totals;
  std::unordered_map<std::uint64_t, std::uint64_t> recovered;  // Image hash -> end.
  CrashState& state = start.state;
  std::uint64_t kept = start.kept, written = start.written;
  const std::size_t stride = options.samples == 0 ? 0 : operations.size() / options.samples + 1;

  const auto check = [&](const Tree& image, std::uint64_t promised, std::size_t moment,
                         const std::string& choice) {
    ++totals.built;
    const std::uint64_t hash = hash_of(image);
    auto found = recovered.find(hash);
    std::string problem;
    if (found == recovered.end()) {
      if (percent() < 100 && hash % 100 >= percent()) return;
      ++totals.opened;
      const Checked checked = check_image(image, model, {options.segment_bytes, hash >> 8});
      problem = checked.problem;
      found = recovered.emplace(hash, checked.end).first;
    }
    if (problem.empty() && found->second < promised)
      problem = "events below " + std::to_string(promised) + " were promised, what is there ends at " +
                std::to_string(found->second);
    if (problem.empty()) return;
    ++totals.failures;
    ADD_FAILURE() << options.name << ": " << problem << "\n" << context(operations, moment, state, choice);
  };

  for (std::size_t moment = 0; moment < operations.size() && totals.failures < 3; ++moment) {
    const Operation& operation = operations[moment];
    state.apply(operation);
    if (operation.kind == Operation::Kind::kSyncBegin ||
        operation.kind == Operation::Kind::kSyncDirectoryBegin)
      continue;
    if (operation.kind == Operation::Kind::kMark) {
      std::uint64_t& promised = operation.promise == Operation::Promise::kKept ? kept : written;
      if (operation.end <= promised) continue;
      promised = operation.end;
    }
    ++totals.moments;
    std::vector<Choice> sampled;
    std::size_t choices = 0;
    const bool sample = stride != 0 && moment % stride == stride - 1;
    enumerate(state, options.variety, [&](const Choice& choice) {
      if (totals.failures >= 3) return;
      const Tree image = state.image(choice);
      check(image, kept, moment, choice.text());
      // A different one at every sampled moment.
      if (sample && options.on_image && choices++ % 7 == moment / stride % 7 && sampled.size() < 2)
        sampled.push_back(choice);
    });
    // The process alone dies: everything written is there.
    const std::uint64_t after_kill = std::max(kept, written);
    check(state.cached(), after_kill, moment, "killed");
    if (totals.failures > 0 || !sample) continue;
    for (const Choice& choice : sampled) options.on_image(state.image(choice), kept);
    if (options.on_kill) options.on_kill(state, kept, after_kill);
  }
  totals.time = std::chrono::steady_clock::now() - begin;
  grand_totals() += totals;
  return totals;
}

}  // namespace kappa::log::sim
