// The messages of reading views by key beside GET and SCAN: OPEN_VIEW and LOOKUP, for who reads one row at a time
// all day; GET_MANY, for many rows at one offset.
// As messages.h; docs/protocol.md is normative.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/messages.h"

namespace kappa {

// Keys of one GET_MANY.
inline constexpr std::uint32_t kKeysAtOnceMax = 4'096;
// Views that one connection has open.
inline constexpr std::uint32_t kOpenViewsMax = 256;

struct OpenViewMessage {
  std::string_view view;
};
struct ViewOpenedMessage {
  std::uint32_t handle = 0;  // Of this connection.
  std::vector<ColumnMessage> columns;
  std::vector<ColumnMessage> key;
};

// Without a freshness wish the message ends its flags byte with the key.
struct LookupMessage {
  std::uint32_t handle = 0;
  FreshnessMessage freshness;
  Bytes key;  // A row: encode_row() of the key's values.
};
struct FoundMessage {
  Offset applied;
  std::optional<Row> row;
};

struct GetManyMessage {
  FreshnessMessage freshness;
  std::string_view view;
  std::uint32_t count = 0;
  Bytes keys;  // Rows, one after the other.
};
struct RowsFoundMessage {
  Offset applied;
  std::vector<ColumnMessage> columns;
  std::vector<std::optional<Row>> rows;  // In the order of the keys.
};

void encode(const OpenViewMessage& message, std::uint64_t request_id, std::string& out);
void encode(const ViewOpenedMessage& message, std::uint64_t request_id, std::string& out);
void encode(const LookupMessage& message, std::uint64_t request_id, std::string& out);
// `row`: its wire form, if there is one.
void encode_found(Offset applied, std::optional<std::string_view> row, std::uint64_t request_id, std::string& out);
void encode(const GetManyMessage& message, std::uint64_t request_id, std::string& out);
// `columns`: the wire form of the column list; `rows` the wire form of each row, preceded by a byte 1, or a byte 0.
void encode_rows_found(Offset applied, std::string_view columns, std::uint32_t count, std::string_view rows,
                       std::uint64_t request_id, std::string& out);
// ROW (messages.h) from what is encoded already.
void encode_row_answer(Offset applied, std::string_view columns, std::optional<std::string_view> row,
                       std::uint64_t request_id, std::string& out);
// The wire form of a column list.
void encode_columns(const std::vector<ColumnMessage>& columns, std::string& out);

[[nodiscard]] Expected<OpenViewMessage> decode_open_view(Bytes payload);
[[nodiscard]] Expected<ViewOpenedMessage> decode_view_opened(Bytes payload);
// The keys are not looked at: who knows their types reads them.
[[nodiscard]] Expected<LookupMessage> decode_lookup(Bytes payload);
[[nodiscard]] Expected<FoundMessage> decode_found(Bytes payload);
[[nodiscard]] Expected<GetManyMessage> decode_get_many(Bytes payload);
[[nodiscard]] Expected<RowsFoundMessage> decode_rows_found(Bytes payload);
// A GET (messages.h), its key not looked at.
struct GetParts {
  FreshnessMessage freshness;
  std::string_view view;
  Bytes key;
};
[[nodiscard]] Expected<GetParts> split_get(Bytes payload);
// The error of a payload that is not what its type says: kInvalid 1006.
[[nodiscard]] std::unexpected<Error> malformed_message(const char* name);

}  // namespace kappa
