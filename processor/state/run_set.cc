// See run_set.h.
#include "processor/state/run_set.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "processor/state/hash.h"

namespace kappa::processor {
namespace {

constexpr std::string_view kPrefix = "run-";
constexpr std::size_t kDigits = 10;
// Runs of about one size that become one. A look for a key that is in none asks each run's filter; a merge reads and
// writes what they have.
constexpr std::size_t kMerged = 6;
constexpr std::size_t kAhead = 12;  // Entries lie all over the heap.

struct Commits {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

std::optional<Commits> commits_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + 2 * kDigits + 1) return std::nullopt;
  const auto number = [&](std::size_t at) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const char* const end = name.data() + at + kDigits;
    const auto parsed = std::from_chars(name.data() + at, end, value);
    if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
    return value;
  };
  const auto first = number(kPrefix.size());
  const auto last = number(kPrefix.size() + kDigits + 1);
  if (!first || !last || *first > *last) return std::nullopt;
  return Commits{*first, *last};
}

std::filesystem::path path_of(const std::filesystem::path& directory, Commits commits) {
  char name[64];
  std::snprintf(name, sizeof name, "run-%010llu-%010llu", static_cast<unsigned long long>(commits.first),
                static_cast<unsigned long long>(commits.last));
  return directory / name;
}

// Those that are not a part of another, newest first.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& directory) {
  std::vector<std::pair<Commits, std::filesystem::path>> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (const auto commits = commits_of(entry.path())) found.emplace_back(*commits, entry.path());
  }
  const auto is_part = [&](Commits one) {
    return std::ranges::any_of(found, [&](const auto& other) {
      const Commits all = other.first;
      return all.first <= one.first && one.last <= all.last && all.last - all.first > one.last - one.first;
    });
  };
  std::ranges::sort(found, std::ranges::greater{}, [](const auto& one) { return one.first.last; });
  std::vector<std::filesystem::path> paths;
  for (const auto& [commits, path] : found) {
    if (!is_part(commits)) paths.push_back(path);
  }
  return paths;
}

// One input of a merge, standing on an entry.
struct Source {
  std::optional<RunCursor> cursor;              // Of a run, or
  std::span<StateEntry* const> entries;         // what is left of the entries in memory.
  RunEntry at;

  [[nodiscard]] Expected<bool> stand() {
    if (cursor) {
      at = cursor->entry();
      return true;
    }
    if (entries.empty()) return false;
    if (entries.size() > kAhead) __builtin_prefetch(entries[kAhead]);
    const StateEntry& entry = *entries[0];
    at = {entry.table, entry.key, entry.value, entry.exists};
    return true;
  }
  [[nodiscard]] Expected<bool> next() {
    if (cursor) {
      KAPPA_TRY(const bool there, cursor->next());
      return there ? stand() : Expected<bool>(false);
    }
    entries = entries.subspan(1);
    return stand();
  }
};

int compare(const RunEntry& a, const RunEntry& b) {
  return a.table != b.table ? (a.table < b.table ? -1 : 1) : a.key.compare(b.key);
}

// Writes the newest `count` runs as one.
Expected<std::shared_ptr<const Run>> write_merged(const std::filesystem::path& directory, const RunList& runs,
                                                  std::size_t count) {
  const RunList inputs(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(count));
  std::uint64_t entries = 0;
  for (const auto& run : inputs) entries += run->entries();
  const Commits commits{commits_of(inputs.back()->path())->first, commits_of(inputs.front()->path())->last};
  RunWriter writer(path_of(directory, commits), entries);
  const bool all = count == runs.size();  // Nothing is below that could be hidden.
  KAPPA_CHECK_OK(merge_runs({}, inputs, [&](const RunEntry& entry) -> Status {
    if (entry.exists || !all) writer.add(entry, hash_key(entry.table, entry.key));
    return {};
  }));
  return writer.finish(inputs.front()->note());
}

}  // namespace

Expected<RunList> open_runs(const std::filesystem::path& directory) {
  RunList runs;
  for (const auto& path : find_runs(directory)) {
    KAPPA_TRY(std::shared_ptr<const Run> run, Run::open(path));
    runs.push_back(std::move(run));
  }
  return runs;
}

bool has_runs(const std::filesystem::path& directory) { return !find_runs(directory).empty(); }

void remove_runs(const std::filesystem::path& directory, const RunList& kept) {
  std::error_code error;
  std::vector<std::filesystem::path> gone;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    const bool unfinished = name.starts_with(kPrefix) && name.ends_with(".tmp");
    const bool needed = std::ranges::any_of(kept, [&](const auto& run) { return run->path() == entry.path(); });
    if (unfinished || (commits_of(entry.path()) && !needed)) gone.push_back(entry.path());
  }
  for (const auto& path : gone) {
    if (::unlink(path.c_str()) != 0) spdlog::warn("cannot remove {}", path.string());
  }
}

Expected<std::optional<RunEntry>> find_in_runs(const RunList& runs, TableId table, std::string_view key) {
  const std::uint64_t hash = hash_key(table, key);
  for (const auto& run : runs) {
    KAPPA_TRY(const auto found, run->get(table, key, hash));
    if (found) return found;
  }
  return std::nullopt;
}

Status merge_runs(std::span<StateEntry* const> newest, const RunList& runs,
                  const std::function<Status(const RunEntry&)>& visit) {
  std::vector<Source> sources;  // Newest first.
  sources.push_back({std::nullopt, newest, {}});
  for (const auto& run : runs) sources.push_back({RunCursor(*run), {}, {}});
  std::vector<Source*> alive;
  for (Source& source : sources) {
    bool there = true;
    if (source.cursor) {
      KAPPA_TRY(there, source.cursor->first());
    }
    if (there) {
      KAPPA_TRY(there, source.stand());
    }
    if (there) alive.push_back(&source);
  }
  std::vector<Source*> same;
  while (!alive.empty()) {
    same.assign(1, alive[0]);
    for (std::size_t i = 1; i < alive.size(); ++i) {
      const int order = compare(alive[i]->at, same[0]->at);
      if (order < 0) same.clear();
      if (order <= 0) same.push_back(alive[i]);
    }
    KAPPA_CHECK_OK(visit(same[0]->at));
    for (Source* const source : same) {
      KAPPA_TRY(const bool there, source->next());
      if (!there) std::erase(alive, source);
    }
  }
  return {};
}

Expected<RunList> add_run(const std::filesystem::path& directory, const RunList& runs,
                          std::span<StateEntry* const> entries, std::string_view note) {
  const std::uint64_t number = runs.empty() ? 1 : commits_of(runs.front()->path())->last + 1;
  RunList list;
  {
    RunWriter writer(path_of(directory, {number, number}), entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i + kAhead < entries.size()) __builtin_prefetch(entries[i + kAhead]);
      const StateEntry& entry = *entries[i];
      writer.add({entry.table, entry.key, entry.value, entry.exists}, entry.hash);
    }
    KAPPA_TRY(std::shared_ptr<const Run> run, writer.finish(note));
    list.push_back(std::move(run));
  }
  list.insert(list.end(), runs.begin(), runs.end());
  std::size_t count = 1;
  for (std::uint64_t bytes = list[0]->bytes(); count < list.size() && list[count]->bytes() <= bytes; ++count)
    bytes += list[count]->bytes();
  if (count < kMerged) return list;
  auto merged = write_merged(directory, list, count);
  if (!merged && merged.error().code == ErrorCode::kCorrupt) return std::unexpected(std::move(merged).error());
  if (!merged) {
    spdlog::warn("runs of {} are not merged: {}", directory.string(), to_string(merged.error()));
    return list;  // The next one tries it again.
  }
  list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
  list.insert(list.begin(), std::move(*merged));
  remove_runs(directory, list);
  return list;
}

}  // namespace kappa::processor
