// Where a backup of a log ends, and the bytes that are not in sealed segments yet: a consistent picture
// of a directory that another process may be writing.
//
// Only reads, and never maps a file that its writer may still shorten. A server holds LOCK exclusively:
// then the picture is taken without it. What makes that sound: batches never change once written, files
// that are open stay readable whatever happens to their names, MANIFEST is replaced whole, and the
// picture is taken again when MANIFEST or the set of segments changed meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "log/file.h"
#include "log/format.h"
#include "log/segment_scan.h"

namespace kappa::log {

struct BackupSource {
  // A segment without an entry in the manifest: header page and whole batches, verified, cut at the end.
  struct Open {
    std::string name;
    SegmentHeader header;
    std::string content;
    std::uint64_t file_bytes = 0;  // As it is now, with the room behind the end.
  };
  Manifest manifest;
  WriterEpoch writer_epoch;
  std::vector<Open> open;  // In order; the last takes the appends. Never empty.
  ChainState chain;        // At the end.
  LogPosition end;
  bool live = false;
};

// Everything acknowledged before the call is below `end`, and everything below `end` is durable in the
// log. Waits up to `patience_ms` for a live server to make its last batches durable. Errors: kNotFound
// 3011, kCorrupt 3112 (no manifest) and 3183, kBusy 3186, kTimeout 3187, kUnsupported 3103, kIo.
[[nodiscard]] Expected<BackupSource> read_backup_source(FileSystem& files, const std::filesystem::path& log,
                                                        std::uint32_t patience_ms);

// "segment file F, bytes [a, b), offsets [c, d): why".
[[nodiscard]] std::string damage_text(const std::string& file, std::uint64_t from, std::uint64_t to,
                                      Offset first, Offset last, std::string_view why);

}  // namespace kappa::log
