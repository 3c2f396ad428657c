// See verify_views.h.
#include "processor/verify_views.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "processor/state/state_store.h"

namespace kappa::processor {
namespace {

// Takes "<creation offset>-<version>" apart.
struct StateName {
  Offset view_id;
  std::uint32_t version = 0;
};
std::optional<StateName> parse_state_name(std::string_view name) {
  std::uint64_t id = 0;
  StateName parsed;
  const char* end = name.data() + name.size();
  const auto dash = std::from_chars(name.data(), end, id);
  if (dash.ec != std::errc{} || dash.ptr == end || *dash.ptr != '-') return std::nullopt;
  const auto version = std::from_chars(dash.ptr + 1, end, parsed.version);
  if (version.ec != std::errc{} || version.ptr != end) return std::nullopt;
  parsed.view_id = Offset(id);
  return parsed;
}

// Why the state cannot be used with this log; empty if it can.
std::string why_not(const StateCheck& state, const StateName& name, log::Log& log, std::string& warning) {
  const std::uint64_t owner = state_owner(log.status().log_id, name.view_id, name.version);
  if (state.owner != 0 && state.owner != owner) return "it was made for another view or another log";
  const Progress& progress = state.progress;
  if (!progress.started) return {};
  if (progress.applied > log.durable_end()) {
    return "its applied offset " + std::to_string(progress.applied.value()) + " is ahead of the log, which ends at " +
           std::to_string(log.durable_end().value());
  }
  const auto mark = log.mark(progress.applied);
  if (!mark) {
    warning = "it cannot be compared with the log at offset " + std::to_string(progress.applied.value()) + ": " +
              mark.error().message;
    return {};
  }
  return *mark == progress.mark ? std::string() : "it was made from another log";
}

}  // namespace

ViewsReport verify_views(const std::filesystem::path& views, log::Log* log,
                         const std::function<void(std::string_view)>& line) {
  std::vector<std::filesystem::path> entries;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(views, problem)) entries.push_back(entry.path());
  std::ranges::sort(entries);
  ViewsReport report;
  const auto say = [&line](const std::string& text) {
    if (line) line(text);
  };
  for (const std::filesystem::path& entry : entries) {
    const auto name = parse_state_name(entry.filename().string());
    if (!name) continue;  // Not a state; the next start removes it.
    ++report.views;
    const std::string view = "view " + entry.filename().string();
    const auto check = verify_state(entry);
    std::string wrong;
    std::string warning;
    if (!check) {
      wrong = check.error().message;
    } else if (log != nullptr) {
      wrong = why_not(*check, *name, *log, warning);
    }
    if (!wrong.empty()) {
      report.damage.push_back(view + ": " + wrong + "; it will be rebuilt from the log at the next start");
      say("damage: " + report.damage.back());
    } else {
      if (!warning.empty()) {
        report.warnings.push_back(view + ": " + warning);
        say("warning: " + report.warnings.back());
      }
      say(view + ": " + std::to_string(check->entries) + " entries, applied offset " +
          std::to_string(check->progress.applied.value()));
    }
  }
  return report;
}

}  // namespace kappa::processor
