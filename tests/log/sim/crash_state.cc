// Units, syncs and images of the crash model.
#include "tests/log/sim/crash_state.h"

#include <algorithm>
#include <random>

namespace kappa::log::sim {
namespace {

std::string parent_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

}  // namespace

std::string Choice::text() const {
  std::string out = "kept units ";
  for (const bool kept : keep) out += kept ? '1' : '0';
  if (torn) {
    out += ", sectors of unit " + std::to_string(*torn) + " ";
    for (const bool kept : sectors) out += kept ? '1' : '0';
  }
  if (size_lost) out += ", size of file " + std::to_string(*size_lost) + " lost";
  return out;
}

bool CrashState::Unit::names() const {
  using enum Operation::Kind;
  return kind != kWrite && kind != kResize;
}

CrashState::CrashState(const Tree& tree, const Numbers& numbers) {
  disk_.directories = tree.directories;
  disk_.directories.insert("/");
  disk_.names = numbers;
  for (const auto& [path, content] : tree.files) disk_.bytes[numbers.at(path)] = content;
  cache_ = disk_;
}

void CrashState::apply_names(const Unit& unit, Content& content) {
  using enum Operation::Kind;
  switch (unit.kind) {
    case kMakeDirectory: content.directories.insert(unit.name); break;
    case kCreate: content.names[unit.name] = unit.file; break;
    case kRename:
      // By number: the name that the file had before may be one that was lost.
      std::erase_if(content.names, [&](const auto& entry) { return entry.second == unit.file; });
      content.names[unit.to] = unit.file;
      break;
    case kUnlink:
      if (const auto found = content.names.find(unit.name);
          found != content.names.end() && found->second == unit.file)
        content.names.erase(found);
      break;
    case kWrite:
    case kResize:
    case kSyncBegin:
    case kSyncEnd:
    case kSyncFailed:
    case kSyncDirectoryBegin:
    case kSyncDirectoryEnd:
    case kMark: break;
  }
}

void CrashState::apply_bytes(const Unit& unit, std::string& bytes, const std::vector<bool>* sectors) {
  if (unit.kind == Operation::Kind::kResize) {
    bytes.resize(unit.end, '\0');
    return;
  }
  if (bytes.size() < unit.end) bytes.resize(unit.end, '\0');
  for (std::size_t sector = 0; sector < unit.sectors(); ++sector) {
    if (sectors != nullptr && !(*sectors)[sector]) continue;
    const std::size_t from = sector * kSectorBytes;
    if (unit.first + from >= bytes.size()) break;
    const std::size_t n =
        std::min({kSectorBytes, unit.bytes.size() - from, bytes.size() - unit.first - from});
    bytes.replace(unit.first + from, n, unit.bytes, from, n);
  }
}

void CrashState::apply(const Operation& operation) {
  using enum Operation::Kind;
  const auto add = [this](Unit unit) { pending_.push_back(std::make_shared<const Unit>(std::move(unit))); };
  switch (operation.kind) {
    case kMakeDirectory:
    case kCreate:
    case kRename:
    case kUnlink: {
      Unit unit{.kind = operation.kind, .file = operation.file, .name = operation.name, .to = operation.to};
      if (operation.kind == kRename || operation.kind == kUnlink) unit.file = cache_.names.at(operation.name);
      apply_names(unit, cache_);
      add(std::move(unit));
      break;
    }
    case kResize: {
      cache_.bytes[operation.file].resize(operation.size, '\0');
      add({.kind = kResize, .file = operation.file, .end = operation.size});
      break;
    }
    case kWrite: {
      std::string& bytes = cache_.bytes[operation.file];
      const std::uint64_t end = operation.at + operation.data.size();
      if (bytes.size() < end) bytes.resize(end, '\0');
      bytes.replace(operation.at, operation.data.size(), operation.data);
      const std::uint64_t first = operation.at / kSectorBytes * kSectorBytes;
      const std::uint64_t last = (end + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
      add({.kind = kWrite,
           .file = operation.file,
           .end = end,
           .first = first,
           .bytes = bytes.substr(first, last - first)});
      break;
    }
    case kSyncBegin: {
      RunningSync sync{.file = operation.file};
      const std::string& bytes = cache_.bytes[operation.file];
      for (const auto& unit : pending_) {
        if (unit->names() || unit->file != operation.file) continue;
        sync.covered.push_back(unit);
        if (unit->kind != kWrite) continue;
        // The kernel writes whole pages.
        for (std::uint64_t page = unit->first / kCachePageBytes; page * kCachePageBytes < unit->end; ++page)
          if (page * kCachePageBytes < bytes.size())
            sync.pages[page * kCachePageBytes] = bytes.substr(page * kCachePageBytes, kCachePageBytes);
      }
      syncs_[operation.sync] = std::move(sync);
      break;
    }
    case kSyncDirectoryBegin: {
      RunningSync sync{.directory = operation.name};
      for (const auto& unit : pending_)
        if (unit->names() && parent_of(unit->name) == operation.name) sync.covered.push_back(unit);
      syncs_[operation.sync] = std::move(sync);
      break;
    }
    case kSyncEnd:
    case kSyncDirectoryEnd:
      finish(syncs_.at(operation.sync));
      syncs_.erase(operation.sync);
      break;
    case kSyncFailed:
      std::erase_if(pending_,
                    [&](const auto& unit) { return !unit->names() && unit->file == operation.file; });
      break;
    case kMark: break;
  }
}

void CrashState::finish(const RunningSync& sync) {
  for (const auto& unit : sync.covered) {
    // Another sync may have been faster.
    const auto found = std::find(pending_.begin(), pending_.end(), unit);
    if (found == pending_.end()) continue;
    pending_.erase(found);
    if (unit->names())
      apply_names(*unit, disk_);
    else
      apply_bytes(*unit, disk_.bytes[unit->file], nullptr);
  }
  if (sync.covered.empty() || !sync.directory.empty()) return;
  std::string& bytes = disk_.bytes[sync.file];
  for (const auto& [at, page] : sync.pages) {
    if (at >= bytes.size()) continue;
    const std::size_t n = std::min<std::size_t>(page.size(), bytes.size() - at);
    bytes.replace(at, n, page, 0, n);
  }
}

void CrashState::kill() {
  syncs_.clear();
}

void CrashState::kill(const Choice& written_back) {
  for (std::size_t i = 0; i < pending_.size(); ++i)
    if (written_back.keep[i] && !pending_[i]->names())
      apply_bytes(*pending_[i], disk_.bytes[pending_[i]->file], nullptr);
  std::erase_if(pending_, [](const auto& unit) { return !unit->names(); });
  syncs_.clear();
}

FileNumber CrashState::next_file() const {
  FileNumber next = 1;
  for (const Content* content : {&disk_, &cache_}) {
    for (const auto& [name, number] : content->names) next = std::max(next, number + 1);
    for (const auto& [number, bytes] : content->bytes) next = std::max(next, number + 1);
  }
  return next;
}

Tree CrashState::tree_of(Content content) {
  Tree tree;
  for (const std::string& directory : content.directories)
    if (content.directories.contains(parent_of(directory))) tree.directories.insert(directory);
  for (const auto& [name, number] : content.names)
    if (tree.directories.contains(parent_of(name))) tree.files[name] = content.bytes[number];
  return tree;
}

Tree CrashState::image(const Choice& choice) const {
  Content content = disk_;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (!choice.keep[i]) continue;
    const Unit& unit = *pending_[i];
    if (unit.names())
      apply_names(unit, content);
    else
      apply_bytes(unit, content.bytes[unit.file], choice.torn == i ? &choice.sectors : nullptr);
  }
  if (choice.size_lost) {
    const auto before = disk_.bytes.find(*choice.size_lost);
    content.bytes[*choice.size_lost].resize(before == disk_.bytes.end() ? 0 : before->second.size(), '\0');
  }
  return tree_of(std::move(content));
}

Tree CrashState::cached() const {
  return tree_of(cache_);
}

void enumerate(const CrashState& state, const Variety& variety,
               const std::function<void(const Choice&)>& take) {
  const auto& pending = state.pending();
  const std::size_t n = pending.size();
  Choice all, none;
  all.keep.assign(n, true);
  none.keep.assign(n, false);
  take(none);
  if (n == 0) return;
  take(all);
  if (n <= variety.exhaustive_units) {
    for (std::size_t bits = 1; bits + 1 < (std::size_t{1} << n); ++bits) {
      Choice some = none;
      for (std::size_t i = 0; i < n; ++i) some.keep[i] = (bits >> i & 1) != 0;
      take(some);
    }
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      Choice dropped = all;
      dropped.keep[i] = false;
      take(dropped);
      Choice alone = none;
      alone.keep[i] = true;
      take(alone);
    }
    // Names without content and content without names.
    Choice names = none, content = none;
    for (std::size_t i = 0; i < n; ++i) (pending[i]->names() ? names : content).keep[i] = true;
    take(names);
    take(content);
    std::mt19937_64 random(variety.seed * 1'000'003 + n);
    for (std::size_t round = 0; round < variety.random_subsets; ++round) {
      Choice some = none;
      for (std::size_t i = 0; i < n; ++i) some.keep[i] = (random() & 1) != 0;
      take(some);
    }
  }
  std::set<FileNumber> sized;
  for (const auto& unit : pending)
    if (!unit->names()) sized.insert(unit->file);
  for (const FileNumber file : sized) {
    Choice lost = all;
    lost.size_lost = file;
    take(lost);
  }
  if (!variety.tears) return;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t sectors = pending[i]->sectors();
    if (sectors < 2) continue;
    // Long writes (zeros of a new segment) are cut at pages only.
    const std::size_t step = sectors > 24 ? kCachePageBytes / kSectorBytes : 1;
    for (Choice torn : {all, none}) {
      torn.torn = i;
      torn.keep[i] = true;
      for (std::size_t cut = step; cut < sectors; cut += step) {
        torn.sectors.assign(sectors, false);
        std::fill_n(torn.sectors.begin(), cut, true);
        take(torn);
        torn.sectors.flip();
        take(torn);
      }
      for (std::size_t hole = 0; hole + step < sectors; hole += step) {
        torn.sectors.assign(sectors, true);
        std::fill_n(torn.sectors.begin() + static_cast<std::ptrdiff_t>(hole), step, false);
        take(torn);
      }
    }
  }
}

}  // namespace kappa::log::sim
