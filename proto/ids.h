// Strong types for the numbers that must never be mixed up.
//
// Every id is a distinct type over one integer: comparable, hashable, printable through value(),
// advanced by plain integers, subtracted to a plain distance. No implicit conversion in or out.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace kappa {

template <class Tag, class Rep>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const Strong&) const = default;
  constexpr Strong& operator+=(Rep n) {
    value_ = static_cast<Rep>(value_ + n);
    return *this;
  }
  constexpr Strong& operator++() { return *this += Rep{1}; }
  friend constexpr Strong operator+(Strong a, Rep n) { return Strong(static_cast<Rep>(a.value_ + n)); }
  friend constexpr Strong operator-(Strong a, Rep n) { return Strong(static_cast<Rep>(a.value_ - n)); }
  friend constexpr Rep operator-(Strong a, Strong b) { return static_cast<Rep>(a.value_ - b.value_); }

 private:
  Rep value_{};
};

// Global position of an event in the log: 0-based, increasing, dense over events (control batches
// consume none). "Offset N" as a bound is exclusive: the prefix N holds the events with offset < N.
using Offset = Strong<struct OffsetTag, std::uint64_t>;
// Dense per topic, from 0.
using TopicSequence = Strong<struct TopicSequenceTag, std::uint64_t>;
// Byte position in the log's logical address space (segments laid end to end).
using LogPosition = Strong<struct LogPositionTag, std::uint64_t>;
// Small number that stands for a topic's name in every batch. 0 is the system topic.
using TopicId = Strong<struct TopicIdTag, std::uint32_t>;
// Increases by one every time the log is opened for writing.
using WriterEpoch = Strong<struct WriterEpochTag, std::uint32_t>;
// 0 means "no producer": such batches are not deduplicated.
using ProducerId = Strong<struct ProducerIdTag, std::uint64_t>;
// Microseconds since 1970-01-01T00:00:00Z, may be negative.
using Timestamp = Strong<struct TimestampTag, std::int64_t>;

inline constexpr TopicId kSystemTopic{0};

}  // namespace kappa

template <class Tag, class Rep>
struct std::hash<kappa::Strong<Tag, Rep>> {
  std::size_t operator()(const kappa::Strong<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};
