// Looking at the bytes of a segment: is there a batch here, and if not, is there one later?
// Shared by readers, recovery, index rebuilding and verify. Pure functions over mapped bytes.
#pragma once

#include "log/format.h"

namespace kappa::log {

// A batch found in a segment's bytes. `body` is as stored.
struct FoundBatch {
  BatchHeader header;
  std::uint64_t header_hash = 0;
  std::uint64_t at = 0;  // File byte of the header.
  Bytes body;
  [[nodiscard]] std::uint64_t end() const { return at + header.stored_bytes(); }
  // What the next batch names as the one before it: behind a gap, the lost one.
  [[nodiscard]] std::uint64_t chain_hash() const { return chain_hash_of(header, header_hash); }
};

[[nodiscard]] inline LogPosition position_at(const SegmentHeader& segment, std::uint64_t at) {
  return segment.base_position + (at - kSegmentHeaderBytes);
}
[[nodiscard]] inline std::uint64_t file_byte(const SegmentHeader& segment, LogPosition position) {
  return kSegmentHeaderBytes + (position - segment.base_position);
}

// The batch whose header begins at `at`: its header hash, its position, its extent within
// `file` and, if asked, its body hash are verified. Errors: kCorrupt 3101..3104, 3107 (written for
// another position), 3108 (body hash), kUnsupported 3103.
[[nodiscard]] Expected<FoundBatch> batch_at(Bytes file, const SegmentHeader& segment, std::uint64_t at,
                                            bool check_body = true);

// What must hold between a batch and the one before it.
struct ChainState {
  Offset next_offset;
  std::uint64_t header_hash = 0;
};
// kCorrupt 3109 if the batch does not continue the chain.
[[nodiscard]] Status check_chain(const ChainState& chain, const FoundBatch& batch);
inline void extend_chain(ChainState& chain, const FoundBatch& batch) {
  chain.next_offset = batch.header.end_offset();
  chain.header_hash = batch.chain_hash();
}

// The first place >= `from` (rounded up to 8) where a valid header of this segment stands; the body
// is not checked. nullopt if there is none.
[[nodiscard]] std::optional<FoundBatch> find_batch(Bytes file, const SegmentHeader& segment,
                                                   std::uint64_t from);

// The base position of a segment whose header page is lost, from the first valid batch header in its file.
[[nodiscard]] std::optional<LogPosition> guess_base_position(Bytes file, std::uint64_t seed);

// Where a valid footer of this segment begins that stands at the end of the file (its last 4 MiB are
// looked through); nullopt if there is none.
[[nodiscard]] std::optional<std::uint64_t> find_footer(Bytes file, const SegmentHeader& segment);

// One past the last byte >= `from` that is not zero; `from` if all are zero.
[[nodiscard]] std::uint64_t end_of_bytes(Bytes file, std::uint64_t from);

}  // namespace kappa::log
