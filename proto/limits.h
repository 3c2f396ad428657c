// Every bound of the system, named and related. Change one here and the static_asserts say what
// else depends on it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kappa::limits {

// One event: key + value + headers. Peers agree on 1 MiB (NATS, Kafka, TigerBeetle).
inline constexpr std::size_t kEventBytesMax = std::size_t{1} << 20;
// One batch body, uncompressed. Holds at least one largest event with its framing.
inline constexpr std::size_t kBatchBytesMax = std::size_t{8} << 20;
inline constexpr std::size_t kBatchEventsMax = 1'000'000;
// One frame on the wire, header excluded.
inline constexpr std::size_t kFrameBytesMax = std::size_t{9} << 20;
inline constexpr std::size_t kTopicNameBytesMax = 255;
inline constexpr std::size_t kTopicsMax = 65'536;
inline constexpr std::size_t kKeyBytesMax = 65'535;
inline constexpr std::size_t kHeadersMax = 64;
// Bytes of batches that wait for the writer; above it append answers kBusy.
inline constexpr std::size_t kAppendQueueBytesMax = std::size_t{64} << 20;
// One pwritev and one sync cover at most this much.
inline constexpr std::size_t kGroupBytesMax = std::size_t{4} << 20;
inline constexpr std::size_t kSegmentBytesMin = std::size_t{16} << 10;
inline constexpr std::size_t kSegmentBytesDefault = std::size_t{64} << 20;
inline constexpr std::size_t kSegmentBytesMax = std::size_t{1} << 30;
// Producers remembered for deduplication; the one that wrote longest ago (by log position) leaves.
inline constexpr std::size_t kProducersMax = 65'536;
inline constexpr std::size_t kSqlBytesMax = std::size_t{1} << 20;
// One text that a function makes (concat, replace, lpad, ...); a longer one is NULL.
inline constexpr std::size_t kTextBytesMax = kEventBytesMax;
inline constexpr std::size_t kSqlNestingMax = 200;
inline constexpr std::size_t kColumnsMax = 1'024;
inline constexpr std::size_t kJoinsMax = 32;  // In one FROM.
inline constexpr std::size_t kJsonDepthMax = 512;
// The elements of one string_agg or array_agg, with what orders them and 12 bytes each; above it the value is
// NULL. Every batch that touches a list may write it anew.
inline constexpr std::size_t kAggregateListBytesMax = std::size_t{64} << 10;

static_assert(kEventBytesMax * 2 <= kBatchBytesMax);
static_assert(kBatchBytesMax + (std::size_t{64} << 10) <= kFrameBytesMax);
static_assert(kGroupBytesMax <= kAppendQueueBytesMax);

}  // namespace kappa::limits
