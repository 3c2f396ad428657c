#include "processor/orphans.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "processor/state/state_store.h"

namespace kappa::processor {
namespace {

constexpr std::string_view kAsidePrefix = "orphan-";

std::vector<std::filesystem::path> entries_of(const std::filesystem::path& views) {
  std::vector<std::filesystem::path> entries;
  std::error_code error;
  for (const auto& found : std::filesystem::directory_iterator(views, error)) entries.push_back(found.path());
  return entries;
}

// Whose a state is.
enum class Owner { kNobody, kThisLog, kOtherLog, kUnknown };

Owner owner_of(const std::filesystem::path& state, const std::set<std::uint64_t>& ours, const std::string& log_id) {
  const auto name = parse_state_directory_name(state.filename().string());
  if (!name) return Owner::kNobody;
  const auto owner = committed_owner(state);
  if (!owner) return Owner::kUnknown;
  if (!*owner) return Owner::kNobody;
  if (**owner == 0) return Owner::kUnknown;
  const bool own = ours.contains(**owner) || **owner == state_owner(log_id, name->view_id, name->version);
  return own ? Owner::kThisLog : Owner::kOtherLog;
}

Status move_aside(const std::filesystem::path& state) {
  const std::string wanted = std::string(kAsidePrefix) + state.filename().string();
  std::filesystem::path to = state.parent_path() / wanted;
  std::error_code error;
  for (int again = 2; std::filesystem::exists(to, error); ++again)
    to = state.parent_path() / (wanted + "-" + std::to_string(again));
  std::filesystem::rename(state, to, error);
  if (error) return fail_errno(3302, "cannot rename " + state.string(), error.value());
  spdlog::warn("views/{} is not of a view of this log; it was moved to {}; delete it if no log needs it any more",
               state.filename().string(), to.filename().string());
  return {};
}

}  // namespace

bool holds_states(const std::filesystem::path& views) {
  for (const auto& entry : entries_of(views)) {
    if (!parse_state_directory_name(entry.filename().string())) continue;
    const auto owner = committed_owner(entry);
    if (!owner || *owner) return true;
  }
  return false;
}

Status check_log_belongs(const std::filesystem::path& views, log::Log& log) {
  if (log.durable_end() != Offset(0)) return {};
  const log::LogStatus status = log.status();
  for (const auto& entry : entries_of(views)) {
    if (owner_of(entry, {}, status.log_id) == Owner::kOtherLog)
      return std::unexpected(Error{ErrorCode::kCorrupt, 3116,
                                   "the log is new and empty, but " + views.string() +
                                       " holds states of views, which were made from another log",
                                   log_is_missing({}, views).hint, 0, {}});
  }
  return {};
}

Status clear_orphans(const std::filesystem::path& views, const CatalogState& catalog, log::Log& log) {
  const std::string log_id = log.status().log_id;
  std::set<std::filesystem::path> kept;
  std::set<std::uint64_t> ours;
  for (const auto& [ref, entry] : catalog.versions()) {
    if (!has_state(*entry)) continue;
    kept.insert(views / state_directory_name(*entry));
    ours.insert(state_owner(log_id, entry->id, entry->version));
  }
  for (const auto& found : entries_of(views)) {
    const std::string name = found.filename().string();
    if (name.starts_with(kAsidePrefix)) continue;
    const Owner owner = owner_of(found, ours, log_id);
    if (owner == Owner::kOtherLog || (owner == Owner::kUnknown && !kept.contains(found))) {
      KAPPA_CHECK_OK(move_aside(found));
    } else if (!kept.contains(found)) {
      spdlog::info("removing the state of a dropped view: {}", name);
      std::error_code error;
      std::filesystem::remove_all(found, error);
    }
  }
  return {};
}

Error log_is_missing(const std::filesystem::path& log, const std::filesystem::path& views) {
  return {ErrorCode::kCorrupt, 3116,
          "there is no log in " + log.string() + ", but " + views.string() +
              " holds states of views, which were made from one",
          "look whether its disk is mounted, or restore the log from a backup; to begin with an empty log "
          "instead, move " + views.string() + " away",
          0, {}};
}

}  // namespace kappa::processor
