// A small valid log directory made of nothing but the format's functions, so that it is the same bytes in
// every run: three segments (two sealed with index files), two topics, a producer, a compressed batch, a
// catalog record, and a watermark below the end. What fuzz targets change, and what they expect to find.
#pragma once

#include <string>
#include <vector>

#include "log/format.h"
#include "log/segment_scan.h"
#include "tests/fuzz/memory_files.h"

namespace kappa::fuzz {

struct SmallLog {
  Directory files;
  std::vector<log::SegmentHeader> segments;
  std::vector<std::string> segment_names;           // As in `files`, in order.
  std::vector<std::vector<std::uint64_t>> batches;  // Per segment: file bytes of its batches.
  std::vector<std::string> values;                  // Of the event at each offset.
  log::LogId id;
  Offset watermark_offset;
};
// Made once.
[[nodiscard]] const SmallLog& small_log();

// Puts the right hash in place, so that what is behind the check is reached. Each does nothing where the
// bytes are too short for what they should be.
void fix_batch_hashes(std::string& segment, std::uint64_t at, std::uint64_t seed);  // Body and header.
void fix_page_hash(std::string& file, std::uint64_t at, std::string_view magic);    // KSEG, KCTL, KMAN pages.
void fix_footer_hash(std::string& segment, std::uint64_t at, std::uint64_t seed);
void fix_index_hash(std::string& file, std::uint64_t seed);
// Rewrites previous_header_hash of every batch from `from` on and the hashes that follow from it.
void chain_again(std::string& segment, const std::vector<std::uint64_t>& batches, std::size_t from,
                 std::uint64_t seed);

}  // namespace kappa::fuzz
