// The elements of a string_agg or array_agg as bytes: in order, each with how often it is there.
//
//   (u32 key bytes | i64 copies | key)*     ascending by key, no copies zero
//
// A key is the bytes of the order (sort_bytes.h) and then those of the value. Pure functions; little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "processor/operators/aggregates/group_layout.h"

namespace kappa::processor::element_list {

inline constexpr std::size_t kHeaderBytes = 12;

struct Element {
  std::string_view key;
  std::int64_t copies = 0;
};

inline void append(std::string& list, const Element& element) {
  char header[kHeaderBytes];
  store_raw(header, static_cast<std::uint32_t>(element.key.size()));
  store_raw(header + 4, element.copies);
  list.append(header, kHeaderBytes);
  list += element.key;
}

// Takes the first element; nullopt at the end, or where bytes are no element.
inline std::optional<Element> take(std::string_view& list) {
  if (list.size() < kHeaderBytes) return std::nullopt;
  const std::size_t bytes = load_raw<std::uint32_t>(list.data());
  if (bytes > list.size() - kHeaderBytes) return std::nullopt;
  const Element element{list.substr(kHeaderBytes, bytes), load_raw<std::int64_t>(list.data() + 4)};
  list.remove_prefix(kHeaderBytes + bytes);
  return element;
}

// The list with `changes` added, which are ascending too, each key once. With `once`, copies stay at 1.
inline std::string merged(std::string_view list, std::span<const Element> changes, bool once) {
  std::string result;
  result.reserve(list.size() + changes.size() * 32);
  std::optional<Element> held = take(list);
  for (const Element& change : changes) {
    for (; held && held->key < change.key; held = take(list)) append(result, *held);
    std::int64_t copies = change.copies;
    if (held && held->key == change.key) {
      copies = once ? 1 : copies + held->copies;
      held = take(list);
    }
    if (copies != 0) append(result, {change.key, copies});
  }
  for (; held; held = take(list)) append(result, *held);
  return result;
}

}  // namespace kappa::processor::element_list
