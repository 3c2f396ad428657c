#include "tools/definitions.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "processor/sql/lexer.h"
#include "processor/sql/suggest.h"

namespace kappa::tools {
namespace {

// ["hits@2", ...]
std::vector<std::string> names_of(const std::string& json) {
  simdjson::dom::parser parser;
  simdjson::dom::array items;
  std::vector<std::string> names;
  const simdjson::padded_string padded(json);
  if (parser.parse(padded).get(items) != simdjson::SUCCESS) return names;
  for (const simdjson::dom::element item : items) {
    std::string_view text;
    if (item.get(text) == simdjson::SUCCESS) names.emplace_back(text.substr(0, text.rfind('@')));
  }
  return names;
}

void collect_readers(const Definitions& all, std::string_view name, std::vector<std::string>& found) {
  for (const Definition& one : all) {
    if (one.role != "serving" || std::ranges::find(one.reads, name) == one.reads.end()) continue;
    if (std::ranges::find(found, one.name) != found.end()) continue;
    collect_readers(all, one.name, found);
    found.push_back(one.name);
  }
}

}  // namespace

Expected<Definitions> fetch_definitions(Client& client, const Client::QueryOptions& options) {
  Definitions all;
  bool known = true;
  KAPPA_TRY([[maybe_unused]] const QueryEnd end,
            client.sql(
                "SHOW DEFINITIONS", options,
                [&](const std::vector<ClientColumn>& columns) { return known = columns.size() >= 7; },
                [&](const std::vector<Row>& rows) {
                  for (const Row& row : rows) {
                    Definition one;
                    one.name = row[0].as_text();
                    one.version = static_cast<std::uint32_t>(row[1].as_int64());
                    one.kind = row[2].as_text();
                    one.role = row[3].as_text();
                    one.manual = !row[4].is_null() && row[4].as_text() == "manual";
                    one.reads = names_of(row[5].as_text());
                    one.sql = row[6].as_text();
                    all.push_back(std::move(one));
                  }
                  return true;
                }));
  if (!known) return fail(ErrorCode::kUnsupported, 1013, "the server's definitions are of another version");
  return all;
}

const Definition* find_role(const Definitions& all, std::string_view name, std::string_view role) {
  const Definition* found = nullptr;
  for (const Definition& one : all) {
    if (one.name == name && one.role == role) found = &one;
  }
  return found;
}

Expected<Definition> resolve_version(const Definitions& all, std::string_view written) {
  const auto find = [&](std::string_view name) -> const Definition* {
    if (const Definition* serving = find_role(all, name, "serving")) return serving;
    const std::size_t mark = name.rfind('@');
    if (mark == std::string_view::npos) return nullptr;
    const std::string_view digits = name.substr(mark + 1);
    std::uint32_t version = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
    if (problem != std::errc{} || end != digits.data() + digits.size()) return nullptr;
    for (const Definition& one : all) {
      if (one.name == name.substr(0, mark) && one.version == version) return &one;
    }
    return nullptr;
  };
  if (const Definition* found = find(written)) return *found;
  const std::string folded = processor::sql::fold(written);
  if (const Definition* found = find(folded)) return *found;
  std::vector<std::string> names;
  for (const Definition& one : all) names.push_back(written.find('@') == std::string_view::npos ? one.name : one.at());
  std::string hint = processor::sql::did_you_mean(folded, names);
  if (hint.empty()) hint = "kappa view ls lists the views";
  return fail(ErrorCode::kNotFound, 2003, "no view or stream \"" + std::string(written) + "\"", std::move(hint));
}

std::vector<std::string> readers_of(const Definitions& all, std::string_view name) {
  std::vector<std::string> found;
  collect_readers(all, name, found);
  std::ranges::reverse(found);
  return found;
}

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace kappa::tools
