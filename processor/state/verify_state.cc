// Looking at one state offline, its check and its content: reads the file as bytes, without LMDB and without its
// lock file.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "processor/state/hash.h"
#include "processor/state/merge_cursor.h"
#include "processor/state/run_set.h"
#include "processor/state/tree.h"

namespace kappa::processor {

Expected<std::optional<Pages>> open_pages(const std::filesystem::path& directory) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error))
    return damaged_state(directory.string() + " is not a directory");
  const std::filesystem::path path = directory / "data.mdb";
  KAPPA_TRY(const std::optional<PageImage> image, inspect_data_file(path));
  if (!image) return std::nullopt;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(3302, "cannot open " + path.string(), errno);
  auto map = PageMap::map(descriptor, image->file_bytes());
  ::close(descriptor);
  if (!map) return std::unexpected(std::move(map).error());
  return Pages(std::move(*map), *image);
}

namespace {

// What a directory holds: a tree, or the runs that it is to be loaded from.
struct Committed {
  std::optional<StateMeta> meta;  // nullopt: nothing was ever committed.
  std::optional<Pages> pages;
  RunList runs;
};

Expected<Committed> look_at(const std::filesystem::path& directory) {
  Committed found;
  KAPPA_TRY(found.pages, open_pages(directory));
  KAPPA_TRY(found.runs, open_runs(directory));
  if (!found.runs.empty()) {
    bool loaded = false;
    if (found.pages) {
      KAPPA_TRY(const auto value, found.pages->get(meta_key()));
      loaded = value.has_value();
    }
    if (!loaded) {
      KAPPA_TRY(found.meta, decode_state_meta(found.runs.front()->note()));
      return found;
    }
    found.runs.clear();  // They were to be removed.
  }
  if (found.pages) {
    KAPPA_TRY(found.meta, load_state_meta(*found.pages));
  }
  return found;
}

}  // namespace

Expected<std::optional<std::uint64_t>> committed_owner(const std::filesystem::path& directory) {
  KAPPA_TRY(const Committed found, look_at(directory));
  if (!found.meta) return std::nullopt;
  return found.meta->owner;
}

Expected<StateCheck> verify_state(const std::filesystem::path& directory) {
  KAPPA_TRY(const Committed found, look_at(directory));
  StateCheck check;
  if (!found.runs.empty()) {
    check = {found.meta->progress, 0, found.meta->owner};
    KAPPA_CHECK_OK(merge_runs({}, found.runs, [&](const RunEntry& entry) -> Status {
      check.entries += entry.exists ? 1 : 0;
      return {};
    }));
    return check;
  }
  // Nothing was ever committed: the view begins at the log's start.
  if (!found.pages) return check;
  KAPPA_CHECK_OK(check_state(*found.pages, found.meta.value_or(StateMeta{}), [](std::uint64_t) { return true; }));
  if (found.meta) check = {found.meta->progress, found.meta->entries, found.meta->owner};
  return check;
}

Status walk_state(const std::filesystem::path& directory, const StateVisit& visit) {
  KAPPA_TRY(const Committed found, look_at(directory));
  if (!found.runs.empty()) {
    return merge_runs({}, found.runs, [&](const RunEntry& entry) -> Status {
      return entry.exists ? visit(entry.table, entry.key, entry.value) : Status{};
    });
  }
  if (!found.pages) return {};
  for (unsigned table = 0; table <= UINT8_MAX; ++table) {
    const auto id = static_cast<TableId>(table);
    const std::unique_ptr<LayerCursor> cursor = tree_layer(*found.pages, id, {}, false);
    for (;;) {
      KAPPA_TRY(const std::optional<LayerEntry> entry, cursor->next());
      if (!entry) break;
      KAPPA_CHECK_OK(visit(id, entry->key, entry->value));
    }
  }
  return {};
}

Expected<StateDigest> state_digest(const std::filesystem::path& directory) {
  StateDigest digest;
  KAPPA_CHECK_OK(walk_state(directory, [&](TableId table, std::string_view key, std::string_view value) -> Status {
    const std::uint64_t with_key = XXH3_64bits_withSeed(key.data(), key.size(), digest.hash + table);
    digest.hash = XXH3_64bits_withSeed(value.data(), value.size(), with_key);
    ++digest.entries;
    return {};
  }));
  KAPPA_TRY(const Committed found, look_at(directory));
  if (found.meta) digest.applied = found.meta->progress.applied;
  return digest;
}

}  // namespace kappa::processor
