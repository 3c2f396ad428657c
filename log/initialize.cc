// Making a new log: CONTROL, MANIFEST and the first segment, in an order that a crash may cut anywhere.
#include <algorithm>
#include <random>

#include "log/recover.h"

namespace kappa::log {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

}  // namespace

Status initialize(FileSystem& files, const std::filesystem::path& directory, std::uint64_t segment_bytes) {
  // The directory's own name: without it everything below would be lost together.
  const std::filesystem::path parent = (directory / "").parent_path().parent_path();
  KAPPA_CHECK_OK(files.sync_directory(parent.empty() ? "." : parent));
  Manifest manifest;
  auto stored = files.read_whole(directory / kManifestName, kManifestBytesMax);
  if (stored) {
    KAPPA_TRY(manifest, decode_manifest(*stored));
    // Made by a process that died: its name comes before that of the first segment.
    KAPPA_CHECK_OK(files.sync_directory(directory));
  } else if (stored.error().code != ErrorCode::kNotFound) {
    return std::unexpected(std::move(stored).error());
  } else {
    std::random_device random;
    const auto bits = [&random] { return (std::uint64_t{random()} << 32) | random(); };
    manifest.log_id = {bits(), bits()};
    // The control file first: a manifest without one means that it was lost.
    ControlPage page;
    page.log_id = manifest.log_id;
    page.generation = 1;
    std::string control = std::string(kControlPageBytes, '\0') + encode_control_page(page);
    KAPPA_CHECK_OK(files.replace_whole(directory / kControlName, control));
    KAPPA_CHECK_OK(files.replace_whole(directory / kManifestName, encode_manifest(manifest)));
  }
  SegmentHeader header;
  header.log_id = manifest.log_id;
  header.number = 1;
  const std::filesystem::path beside = directory / "first.unfinished";
  {
    KAPPA_TRY(const auto file, files.open(beside, OpenMode::kCreateEmpty));
    KAPPA_CHECK_OK(file->allocate(segment_bytes));
    KAPPA_CHECK_OK(file->pwrite(as_bytes(encode_segment_header(header)), 0));
    const std::string zeros(kPieceBytes, '\0');
    for (std::uint64_t at = kSegmentHeaderBytes; at < segment_bytes; at += zeros.size())
      KAPPA_CHECK_OK(file->pwrite(as_bytes(zeros).first(static_cast<std::size_t>(
                                      std::min<std::uint64_t>(zeros.size(), segment_bytes - at))),
                                  at));
    KAPPA_CHECK_OK(file->fdatasync());
  }
  KAPPA_CHECK_OK(files.rename(beside, directory / segment_name(1, Offset(0))));
  return files.sync_directory(directory);
}

}  // namespace kappa::log
