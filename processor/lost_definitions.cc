// See lost_definitions.h.
#include "processor/lost_definitions.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

namespace kappa::processor {
namespace {

constexpr std::string_view kStreamKind = "stream";
constexpr std::string_view kViewKind = "view";

// Names of damaged bytes may hold anything.
std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out;
}

// "topics a, b; streams s; views v"; "none" for what has none.
struct Names {
  std::vector<std::string> topics, streams, views;

  void add_key(std::string_view key) {
    // "view/name", "view@2/name"
    const std::size_t slash = key.find('/');
    if (slash == std::string_view::npos) return;
    const std::string_view kind = key.substr(0, std::min(slash, key.find('@')));
    const std::string name = printable(key.substr(slash + 1)) + printable(key.substr(kind.size(), slash - kind.size()));
    if (kind == kStreamKind) streams.push_back(name);
    if (kind == kViewKind) views.push_back(name);
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    const auto list = [&out](const char* what, const std::vector<std::string>& names) {
      out += (out.empty() ? "" : "; ") + std::string(what);
      for (std::size_t i = 0; i < names.size(); ++i) out += (i == 0 ? " " : ", ") + names[i];
      if (names.empty()) out += " none";
    };
    list("topics", topics);
    list("streams", streams);
    list("views", views);
    return out;
  }
};

}  // namespace

std::vector<std::string> lost_definitions(const log::RepairReport& report, const std::filesystem::path& views) {
  if (report.definitions.offsets.empty()) return {};
  Names lost;
  for (const std::string& topic : report.definitions.topics) lost.topics.push_back(printable(topic));
  for (const std::string& key : report.definitions.system_keys) lost.add_key(key);
  Names kept;
  kept.topics = report.topics;
  std::set<Offset> defined;
  for (const log::SystemRecord& record : report.records) {
    kept.add_key(record.key);
    defined.insert(record.offset);
  }
  // "<creation offset>-<version>": a state whose view the log does not define any more, though it did there.
  std::vector<std::uint64_t> states;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(views, problem)) {
    const std::string name = entry.path().filename().string();
    std::uint64_t id = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), id);
    if (parsed.ec != std::errc{} || parsed.ptr == name.data() + name.size() || *parsed.ptr != '-') continue;
    const bool in_lost = std::ranges::any_of(
        report.definitions.offsets, [&](const log::GapRange& gap) { return gap.first.value() <= id && id < gap.last.value(); });
    if (in_lost && !defined.contains(Offset(id))) states.push_back(id);
  }
  std::ranges::sort(states);

  std::string where;
  for (const log::GapRange& gap : report.definitions.offsets)
    if (gap.first < gap.last)
      where += (where.empty() ? " made at offsets [" : ", [") + std::to_string(gap.first.value()) + ", " +
               std::to_string(gap.last.value()) + ")";
  std::vector<std::string> lines;
  lines.push_back("lost with it, and not repeated behind it: the topics, streams and views" + where);
  lines.push_back("  named in what is left of the bytes: " + lost.text());
  for (const std::uint64_t id : states)
    lines.push_back("  the view that was created at offset " + std::to_string(id) + ", whose state is there");
  lines.push_back("definitions that are kept: " + kept.text());
  return lines;
}

}  // namespace kappa::processor
