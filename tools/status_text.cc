#include "tools/status_text.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "tools/output.h"

namespace kappa::tools {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

std::string cell(element value) {
  if (value.is_string()) return printable(std::string_view(value));
  if (value.is_null()) return "-";
  return simdjson::minify(value);
}

std::string spaced(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

void pad(std::string& out, std::string_view text, std::size_t width, bool right) {
  const std::size_t used = display_width(text);
  const std::string fill(width > used ? width - used : 0, ' ');
  if (right) out += fill;
  out += text;
  if (!right) out += fill;
}

bool is_table(element value) {
  array items;
  if (value.get(items) != simdjson::SUCCESS) return false;
  return std::all_of(items.begin(), items.end(), [](element item) { return item.is_object(); });
}

void append_table(array items, std::string& out) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> numeric;
  for (const element item : items) {
    const object row = item.get_object().value_unsafe();
    for (const auto field : row) {
      if (field.value.is_object()) continue;  // No cell holds it; status.cc draws a replay.
      if (std::find(names.begin(), names.end(), field.key) == names.end()) {
        names.emplace_back(field.key);
        numeric.push_back(field.value.is_number());
      }
    }
    std::vector<std::string> cells;
    for (const std::string& name : names) {
      element value;
      cells.push_back(row.at_key(name).get(value) == simdjson::SUCCESS ? cell(value) : "");
    }
    rows.push_back(std::move(cells));
  }
  std::vector<std::size_t> widths;
  for (const std::string& name : names) widths.push_back(display_width(name));
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  const auto line = [&](const auto& text_of) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
      text += "  ";
      pad(text, text_of(i), widths[i], numeric[i]);
    }
    out += text.substr(0, text.find_last_not_of(' ') + 1) + '\n';
  };
  line([&](std::size_t i) { return spaced(names[i]); });
  for (const auto& row : rows) line([&](std::size_t i) { return i < row.size() ? row[i] : std::string(); });
}

void append_object(object members, std::string& out, std::string_view heading) {
  std::size_t width = 0;
  for (const auto field : members) {
    if (!field.value.is_object() && !is_table(field.value)) width = std::max(width, display_width(field.key));
  }
  if (width > 0 && !heading.empty()) out += std::string(heading) + '\n';
  for (const auto field : members) {
    if (field.value.is_object() || is_table(field.value)) continue;
    out += "  ";
    pad(out, spaced(field.key), width, false);
    out += "  " + cell(field.value) + '\n';
  }
  for (const auto field : members) {
    array items;
    if (field.value.is_object()) {
      append_object(field.value.get_object().value_unsafe(), out, spaced(field.key));
    } else if (is_table(field.value) && field.value.get(items) == simdjson::SUCCESS && items.size() > 0) {
      out += spaced(field.key) + '\n';
      append_table(items, out);
    }
  }
}

}  // namespace

Expected<std::string> status_text(std::string_view json, std::string_view heading) {
  simdjson::dom::parser parser;
  element document;
  object members;
  const simdjson::padded_string padded(json);
  if (parser.parse(padded).get(document) != simdjson::SUCCESS || document.get(members) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalid, 5001, "the server's status is not a JSON object");
  }
  std::string out;
  append_object(members, out, heading);
  return out;
}

}  // namespace kappa::tools
