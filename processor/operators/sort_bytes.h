// Order-preserving bytes of ORDER BY keys, each with its own direction and its own place for NULL: memcmp of
// two encodings orders like the keys. After processor/state/key_encoding.h, of which it is the general form.
//
// One key is
//   00 | 02     NULL FIRST | LAST
//   01 payload  a value: the payload of key_encoding.h; all bits of it inverted where the key is DESC
// Thread-safe: no state.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/vector/vector.h"

namespace kappa::processor {

// How one key of an ORDER BY is encoded.
struct SortForm {
  Type type;
  bool descending = false;
  bool nulls_first = false;
};
[[nodiscard]] std::vector<SortForm> sort_forms(const std::vector<SortKey>& keys);

void append_sort_key(const Vector& vector, std::size_t row, const SortForm& form, std::string& out);
// One key after the other; `keys` are the evaluated expressions.
void append_sort_keys(std::span<const Vector* const> keys, std::size_t row, std::span<const SortForm> forms,
                      std::string& out);
// Takes the keys from the front of `in`; false for bytes that they cannot be.
[[nodiscard]] bool skip_sort_keys(std::string_view& in, std::span<const SortForm> forms);

}  // namespace kappa::processor
