// See verify_views.h.
#include "processor/verify_views.h"

#include <algorithm>
#include <map>
#include <optional>

#include "processor/catalog.h"
#include "processor/state/state_store.h"

namespace kappa::processor {
namespace {

// Why the state cannot be used with this log; empty if it can.
std::string why_not(const StateCheck& state, const StateDirectoryName& name, log::Log& log, std::string& warning) {
  const std::uint64_t owner = state_owner(log.status().log_id, name.view_id, name.version);
  if (state.owner != 0 && state.owner != owner) return "it was made for another view or another log";
  const Progress& progress = state.progress;
  if (!progress.started) return {};
  if (progress.applied < log.start()) {
    return "it goes on at offset " + std::to_string(progress.applied.value()) + ", and the log begins at " +
           std::to_string(log.start().value());
  }
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
  switch (log::compare_prefix(*mark, progress.mark)) {
    case log::PrefixMatch::kSame: return {};
    case log::PrefixMatch::kOther: return "it was made from another log";
    case log::PrefixMatch::kUnknown: break;
  }
  warning = "it stands at offset " + std::to_string(progress.applied.value()) + ", at or in a gap that a repair left: it "
            "keeps its state, which may have events that the log has not";
  return {};
}

// The views that the log defines, by the name of their state.
std::map<std::string, CatalogEntryPtr> views_of(const log::Log& log) {
  std::map<std::string, CatalogEntryPtr> found;
  const LoadedCatalog catalog = load_catalog(log.system_records());
  for (const auto& [ref, entry] : catalog.state->versions())
    if (has_state(*entry)) found[state_directory_name(*entry)] = entry;
  return found;
}

// What the next start makes of a view without a state that can be used.
std::string outcome(const CatalogEntry* entry, const log::Log* log) {
  if (entry != nullptr && log != nullptr && entry->from < log->start()) {
    return "it cannot be rebuilt: that needs the events from offset " + std::to_string(entry->from.value()) +
           " on, and the log begins at " + std::to_string(log->start().value()) +
           "; DROP it and CREATE it again to have it from there";
  }
  return "it will be rebuilt from the log at the next start";
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
  auto defined = log != nullptr ? views_of(*log) : std::map<std::string, CatalogEntryPtr>{};
  const auto damaged = [&](const std::string& text) {
    report.damage.push_back(text);
    say("damage: " + text);
  };
  for (const std::filesystem::path& entry : entries) {
    const auto name = parse_state_directory_name(entry.filename().string());
    if (!name) continue;  // Not a state; the next start removes it.
    ++report.views;
    const std::string view = "view " + entry.filename().string();
    const auto node = defined.extract(entry.filename().string());
    const CatalogEntry* const definition = node.empty() ? nullptr : node.mapped().get();
    const auto check = verify_state(entry);
    std::string wrong;
    std::string warning;
    if (!check) {
      wrong = check.error().message;
    } else if (log != nullptr) {
      wrong = why_not(*check, *name, *log, warning);
      if (wrong.empty() && !check->progress.started && definition != nullptr && definition->from < log->start())
        wrong = "its state is empty";
    }
    if (!wrong.empty()) {
      damaged(view + ": " + wrong + "; " + outcome(definition, log));
    } else {
      if (!warning.empty()) {
        report.warnings.push_back(view + ": " + warning);
        say("warning: " + report.warnings.back());
      }
      say(view + ": " + std::to_string(check->entries) + " entries, applied offset " +
          std::to_string(check->progress.applied.value()));
    }
  }
  for (const auto& [state, definition] : defined) {
    if (definition->from < log->start()) damaged("view " + state + ": it has no state; " + outcome(definition.get(), log));
  }
  return report;
}

}  // namespace kappa::processor
