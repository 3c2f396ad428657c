// Where the batches of a segment file are, by their headers alone.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "log/format.h"

namespace kappa::log {

// File bytes [at, end) of one batch, and its header.
struct Place {
  std::uint64_t at = 0;
  std::uint64_t end = 0;
  BatchHeader header;
};

// From the first batch of the segment file on, up to what is no header. Fails the test without a header page.
inline std::vector<Place> batch_places(std::string_view file) {
  std::vector<Place> found;
  const auto segment = decode_segment_header(as_bytes(file));
  EXPECT_TRUE(segment);
  for (std::size_t at = kSegmentHeaderBytes; segment && at < file.size();) {
    const auto header = decode_batch_header(as_bytes(file).subspan(at), segment->log_id.low);
    if (!header) break;
    found.push_back({at, at + header->stored_bytes(), *header});
    at += header->stored_bytes();
  }
  return found;
}

}  // namespace kappa::log
