// Looking at one state offline, its check and its content: reads the file as bytes, without LMDB and without its
// lock file.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "processor/state/hash.h"
#include "processor/state/merge_cursor.h"
#include "processor/state/tree.h"

namespace kappa::processor {

namespace {

// nullopt: nothing was ever committed.
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

}  // namespace

Expected<std::optional<std::uint64_t>> committed_owner(const std::filesystem::path& directory) {
  KAPPA_TRY(const std::optional<Pages> pages, open_pages(directory));
  if (!pages) return std::nullopt;
  KAPPA_TRY(const std::optional<StateMeta> meta, load_state_meta(*pages));
  if (!meta) return std::nullopt;
  return meta->owner;
}

Expected<StateCheck> verify_state(const std::filesystem::path& directory) {
  KAPPA_TRY(const std::optional<Pages> pages, open_pages(directory));
  StateCheck check;
  // Nothing was ever committed: the view begins at the log's start.
  if (!pages) return check;
  KAPPA_TRY(const std::optional<StateMeta> meta, load_state_meta(*pages));
  KAPPA_CHECK_OK(check_state(*pages, meta.value_or(StateMeta{}), [](std::uint64_t) { return true; }));
  if (meta) check = {meta->progress, meta->entries, meta->owner};
  return check;
}

Status walk_state(const std::filesystem::path& directory, const StateVisit& visit) {
  KAPPA_TRY(const std::optional<Pages> pages, open_pages(directory));
  if (!pages) return {};
  for (unsigned table = 0; table <= UINT8_MAX; ++table) {
    const auto id = static_cast<TableId>(table);
    const std::unique_ptr<LayerCursor> cursor = tree_layer(*pages, id, {}, false);
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
  KAPPA_TRY(const std::optional<Pages> pages, open_pages(directory));
  if (!pages) return digest;
  KAPPA_TRY(const std::optional<StateMeta> meta, load_state_meta(*pages));
  if (meta) digest.applied = meta->progress.applied;
  return digest;
}

}  // namespace kappa::processor
