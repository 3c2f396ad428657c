// A sealed segment against its manifest entry, byte for byte.
#pragma once

#include <optional>

#include "log/format.h"
#include "log/segment_scan.h"

namespace kappa::log {

// Verifies header page, every batch, the chain and the footer of a sealed segment's whole file. `chain`
// is what the segment before left (nullopt: unknown) and becomes what this one leaves. Pure. kCorrupt
// 3183 for the first damage, with file, bytes and offsets; kUnsupported 3103.
Status check_sealed_segment(Bytes file, const ManifestEntry& entry, const LogId& id,
                            std::optional<ChainState>& chain);

}  // namespace kappa::log
