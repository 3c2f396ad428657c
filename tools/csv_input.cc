#include "tools/csv_input.h"

#include <algorithm>

#include "proto/limits.h"
#include "proto/value.h"

namespace kappa::tools {
namespace {

constexpr std::uint16_t kMalformed = 5010;

// An odd number of quotes so far: the record is inside a quoted field.
bool quotes_open(std::string_view record) { return std::count(record.begin(), record.end(), '"') % 2 == 1; }

}  // namespace

bool is_json_number(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t first = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at > first;
  };
  if (at < text.size() && text[at] == '-') ++at;
  const std::size_t integer = at;
  if (!digits() || (text[integer] == '0' && at > integer + 1)) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!digits()) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (!digits()) return false;
  }
  return at == text.size();
}

Expected<std::vector<CsvInput::Field>> CsvInput::parse(std::string_view record) const {
  std::vector<Field> fields;
  for (std::size_t at = 0;;) {
    Field field;
    if (at < record.size() && record[at] == '"') {
      field.quoted = true;
      for (++at;; ++at) {
        const std::size_t quote = record.find('"', at);
        if (quote == std::string_view::npos) return fail(ErrorCode::kInvalid, kMalformed, "CSV quote is not closed");
        field.text.append(record.substr(at, quote - at));
        at = quote + 1;
        if (at >= record.size() || record[at] != '"') break;
        field.text += '"';
      }
      if (at < record.size() && record[at] != ',') {
        return fail(ErrorCode::kInvalid, kMalformed, "CSV has text after a closing quote");
      }
    } else {
      const std::size_t comma = std::min(record.find(',', at), record.size());
      field.text = record.substr(at, comma - at);
      if (field.text.find('"') != std::string::npos) {
        return fail(ErrorCode::kInvalid, kMalformed, "CSV has a quote inside an unquoted field");
      }
      at = comma;
    }
    fields.push_back(std::move(field));
    if (at >= record.size()) return fields;
    ++at;
  }
}

Expected<bool> CsvInput::feed(std::string_view line) {
  if (record_.empty() && line.find_first_not_of(" \t\r") == std::string_view::npos) return false;
  const bool continues = !record_.empty();
  if (continues) {
    record_ += '\n';
    record_ += line;
    line = record_;
  }
  if (quotes_open(line)) {
    if (line.size() > limits::kEventBytesMax) {
      record_.clear();
      return fail(ErrorCode::kTooLarge, 1007, "CSV record is over 1 MiB");
    }
    if (!continues) record_ = line;
    return false;
  }
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto fields = parse(line);
  record_.clear();
  if (!fields) return std::unexpected(fields.error());
  if (names_.empty()) {
    for (Field& field : *fields) names_.push_back(std::move(field.text));
    return false;
  }
  if (fields->size() != names_.size()) {
    return fail(ErrorCode::kInvalid, kMalformed,
                "CSV record has " + std::to_string(fields->size()) + " fields, the header has " +
                    std::to_string(names_.size()));
  }
  event_ = '{';
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (i > 0) event_ += ',';
    append_json_string(names_[i], event_);
    event_ += ':';
    const Field& field = (*fields)[i];
    if (field.quoted) {
      append_json_string(field.text, event_);
    } else if (field.text.empty()) {
      event_ += "null";
    } else if (field.text == "true" || field.text == "false" || is_json_number(field.text)) {
      event_ += field.text;
    } else {
      append_json_string(field.text, event_);
    }
  }
  event_ += '}';
  return true;
}

Status CsvInput::finish() {
  if (record_.empty()) return {};
  record_.clear();
  return fail(ErrorCode::kInvalid, kMalformed, "CSV ends inside a quoted field");
}

}  // namespace kappa::tools
