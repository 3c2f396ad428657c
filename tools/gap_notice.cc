#include "tools/gap_notice.h"

#include <simdjson.h>

namespace kappa::tools {

std::string gap_notice(std::string_view status_json, Offset first, Offset end) {
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(status_json);
  simdjson::dom::array gaps;
  if (parser.parse(padded)["log"]["gaps"].get(gaps) != simdjson::SUCCESS) return {};
  std::string text;
  for (const simdjson::dom::element gap : gaps) {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    if (gap["first_offset"].get(from) != simdjson::SUCCESS || gap["end_offset"].get(to) != simdjson::SUCCESS)
      continue;
    if (from >= end.value() || to <= first.value()) continue;
    text += "warning: offsets [" + std::to_string(from) + ", " + std::to_string(to) +
            ") are a gap: they were lost and given up by a repair\n";
  }
  return text;
}

}  // namespace kappa::tools
