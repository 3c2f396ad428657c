// See json_walk.h.
#include "processor/vector/json_walk.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>

namespace kappa::processor {

JsonIndex::JsonIndex() = default;
JsonIndex::~JsonIndex() = default;
JsonIndex::JsonIndex(JsonIndex&&) noexcept = default;
JsonIndex& JsonIndex::operator=(JsonIndex&&) noexcept = default;

JsonVerdict JsonIndex::build(std::string_view event) {
  count_ = 0;
  if (event.size() > capacity_) {
    // Four bytes of index for each byte of the largest event seen; small events keep it small.
    const std::size_t capacity = std::max<std::size_t>(std::size_t{4096}, std::bit_ceil(event.size()));
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, stage1_) !=
        simdjson::SUCCESS) {
      capacity_ = 0;
      return {5001, "no memory to index the event", SIZE_MAX};
    }
    capacity_ = capacity;
  }
  if (event.empty()) return {5001, "the event is empty", 0};
  const simdjson::error_code error = stage1_->stage1(reinterpret_cast<const std::uint8_t*>(event.data()),
                                                     event.size(), simdjson::stage1_mode::regular);
  switch (error) {
    case simdjson::SUCCESS: break;
    case simdjson::UTF8_ERROR: return {5004, "invalid UTF-8", SIZE_MAX};
    case simdjson::UNCLOSED_STRING: return {5001, "a string is not closed", SIZE_MAX};
    case simdjson::UNESCAPED_CHARS: return {5001, "a raw control character in a string", SIZE_MAX};
    case simdjson::EMPTY: return {5001, "the event is empty", 0};
    default: return {5001, "not JSON", SIZE_MAX};
  }
  positions_ = stage1_->structural_indexes.get();
  count_ = stage1_->n_structural_indexes;
  return {};
}

}  // namespace kappa::processor
