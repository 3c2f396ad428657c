// Rows in the form that the user asked for: table, json, ndjson, csv, md or raw.
//
// In every form integers and NUMERIC are exact, DOUBLE is the shortest text that reads back the same,
// TIMESTAMP is RFC 3339 in UTC. CSV: a header, strings in double quotes, NULL an empty unquoted
// field, the empty string "". raw: values separated by tabs, no header, text as it is.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/value.h"
#include "tools/client/client.h"
#include "tools/output.h"

namespace kappa::tools {

enum class Format { kTable, kJson, kNdjson, kCsv, kMarkdown, kRaw };

// "table", "json", "ndjson", "csv", "md", "raw"; nullopt otherwise.
[[nodiscard]] std::optional<Format> parse_format(std::string_view name);
// `name` if given, else a table on a terminal and NDJSON elsewhere.
[[nodiscard]] Format choose_format(const std::string& name);

// columns() once, then rows() any number of times, then finish().
class RowWriter {
 public:
  virtual ~RowWriter() = default;
  virtual void columns(const std::vector<ClientColumn>& columns) = 0;
  virtual void rows(const std::vector<Row>& rows) = 0;
  virtual void finish() = 0;
};

// `out` is borrowed and must outlive the writer.
[[nodiscard]] std::unique_ptr<RowWriter> make_row_writer(Format format, Output& out);

// One CSV field.
void append_csv(const Value& value, std::string& out);
void append_csv_text(std::string_view text, std::string& out);
// {"name":value,...} without a line end.
void append_json_object(const std::vector<ClientColumn>& columns, const Row& row, std::string& out);

}  // namespace kappa::tools
