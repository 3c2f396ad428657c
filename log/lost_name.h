// A segment file whose name was taken from it: somebody removed or replaced the file of a running log.
//
// The log goes on to write and read the file that it has open, but at the next opening the name counts. So
// the name is looked at (File::has_name) when a segment is sealed, when the log is closed and with every
// step of the scrub; as long as the file is open it can be written back under its name.
#pragma once

#include <memory>

#include "log/file.h"
#include "log/segment.h"

namespace kappa::log {

// False if `file` is surely not what the segment's name leads to.
[[nodiscard]] bool has_its_name(File& file, const Segment& segment);

// Copies all of `file` into a new file, which gets the segment's name; durable on return. What stood under
// the name is kept as damaged-<name>. `file` must not change meanwhile. Errors: those of the files; after
// kFull it may be called again.
[[nodiscard]] Expected<std::shared_ptr<File>> write_back(FileSystem& files, File& file, const Segment& segment);

}  // namespace kappa::log
