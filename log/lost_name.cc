// Copy, sync, rename.
#include "log/lost_name.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>

namespace kappa::log {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;

}  // namespace

bool has_its_name(File& file, const Segment& segment) {
  const auto named = file.has_name(segment.path());
  return !named || *named;
}

Expected<std::shared_ptr<File>> write_back(FileSystem& files, File& file, const Segment& segment) {
  const std::filesystem::path path = segment.path();
  // The preparer removes what a crash leaves of it.
  const std::filesystem::path beside =
      path.parent_path() / ("prepared-" + path.filename().string() + ".unfinished");
  std::shared_ptr<File> copy;
  const auto work = [&]() -> Status {
    KAPPA_TRY(copy, files.open(beside, OpenMode::kCreateEmpty));
    KAPPA_TRY(const std::uint64_t size, file.size());
    std::string piece;
    for (std::uint64_t at = 0; at < size; at += piece.size()) {
      piece.resize(std::min(kPieceBytes, size - at));
      KAPPA_TRY(const std::size_t got, file.pread(std::as_writable_bytes(std::span(piece)), at));
      if (got != piece.size()) return fail(ErrorCode::kIo, 3203, "a segment file became shorter while it was copied");
      KAPPA_CHECK_OK(copy->pwrite(as_bytes(piece), at));
    }
    KAPPA_CHECK_OK(copy->fdatasync());
    const Status aside = files.rename(path, path.parent_path() / ("damaged-" + path.filename().string()));
    if (!aside && aside.error().code != ErrorCode::kNotFound) return aside;
    KAPPA_CHECK_OK(files.rename(beside, path));
    return files.sync_directory(path.parent_path());
  };
  if (Status done = work(); !done) {
    static_cast<void>(files.unlink(beside));
    return std::unexpected(std::move(done).error());
  }
  spdlog::error("log: the file {} was removed or replaced while the log had it open; its content was written back, "
                "no event is lost", path.string());
  return copy;
}

}  // namespace kappa::log
