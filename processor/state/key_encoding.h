// Order-preserving bytes of column values: memcmp of two encodings orders like the columns, so that a
// B-tree over them answers point, prefix and range reads. The bytes of the first columns of a key are
// a prefix of the bytes of the whole key.
//
// One column is
//   00                                   NULL, before every value
//   01 payload                           a value:
//     BOOLEAN              00 | 01
//     BIGINT, TIMESTAMP, INTERVAL   8 bytes big-endian, sign bit flipped
//     DOUBLE               8 bytes big-endian; negative: all bits flipped, else the sign bit; -0 is 0
//     NUMERIC              16 bytes big-endian, sign bit flipped (one scale a column)
//     TEXT, JSON           the bytes with 00 as 00 ff, then 00 00
// Thread-safe: no state.
#pragma once

#include <string>
#include <string_view>

#include "processor/vector/vector.h"
#include "proto/error.h"
#include "proto/value.h"

namespace kappa::processor {

// Appends one column. The type that counts is the value's or the vector's own.
void append_key(const Value& value, std::string& out);
void append_key(const Vector& vector, std::size_t row, std::string& out);
// The same without a string: key_bytes_max() is how much it takes at most, write_key() gives the end of what it wrote.
[[nodiscard]] inline std::size_t key_bytes_max(const Vector& vector, std::size_t row) {
  if (physical_of(vector.type().id) != Physical::kText) return 17;
  return vector.valid()[row] == 0 ? 1 : 3 + 2 * vector.data<std::string_view>()[row].size();
}
[[nodiscard]] char* write_key(const Vector& vector, std::size_t row, char* to);
// TEXT and JSON.
void append_text_key(std::string_view text, std::string& out);
// Takes one column of `type` from the front of `in` and appends its wire form (proto/value.h). As read_key().
[[nodiscard]] Status key_to_wire(std::string_view& in, Type type, std::string& out);
// Reads one column of `type` from the front of `in` and removes it there. kCorrupt 3301 if the bytes
// are not what append_key() writes for a value of the type (one value has one encoding).
[[nodiscard]] Expected<Value> read_key(std::string_view& in, Type type);
// Reads the same into position `row` of `out` (text is copied to `arena`).
[[nodiscard]] Status read_key(std::string_view& in, Vector& out, std::size_t row, Arena& arena);

// The least key that is greater than every key that begins with `prefix`; empty when there is none.
[[nodiscard]] std::string key_after_prefix(std::string_view prefix);

}  // namespace kappa::processor
