// The offline check of one state: reads the file as bytes, without LMDB and without its lock file.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "processor/state/tree.h"

namespace kappa::processor {

Expected<StateCheck> verify_state(const std::filesystem::path& directory) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error))
    return damaged_state(directory.string() + " is not a directory");
  const std::filesystem::path path = directory / "data.mdb";
  KAPPA_TRY(const std::optional<PageImage> image, inspect_data_file(path));
  StateCheck check;
  // Nothing was ever committed: the view begins at the log's start.
  if (!image) return check;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(3302, "cannot open " + path.string(), errno);
  auto map = PageMap::map(descriptor, image->file_bytes());
  ::close(descriptor);
  if (!map) return std::unexpected(std::move(map).error());
  const Pages pages(std::move(*map), *image);
  KAPPA_TRY(const std::optional<StateMeta> meta, load_state_meta(pages));
  KAPPA_CHECK_OK(check_state(pages, meta.value_or(StateMeta{}), [](std::uint64_t) { return true; }));
  if (meta) check = {meta->progress, meta->entries, meta->owner};
  return check;
}

}  // namespace kappa::processor
