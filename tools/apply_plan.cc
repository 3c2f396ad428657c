#include "tools/apply_plan.h"

#include <algorithm>
#include <set>

namespace kappa::tools {
namespace {

using Action = ApplyStep::Action;

bool same_text(const Definition* held, const ScriptStatement& statement) {
  if (held == nullptr) return false;
  const auto text = normalized_definition(held->sql);
  return text && *text == statement.normalized;
}

// The fastest that a replay of this server is or was.
double replay_rate(const ServerState& server) {
  double rate = 0;
  for (const ViewProgress& view : server.views) rate = std::max(rate, view.events_per_second);
  return rate > 0 ? rate : kReplayRateAssumed;
}

bool keeps_state(const Definitions& all, std::string_view name) {
  const Definition* one = find_role(all, name, "serving");
  return one != nullptr && (one->kind != "stream" || !one->reads.empty());
}

Expected<ApplyStep> plan_drop(const ScriptStatement& statement, const Definitions& all, const ServerState& server) {
  ApplyStep step;
  const Definition* serving = find_role(all, statement.name, "serving");
  const bool there = statement.kind == "topic" ? std::ranges::find(server.topics, statement.name) != server.topics.end()
                                               : serving != nullptr && serving->kind == statement.kind;
  step.action = there ? Action::kDrop : Action::kAbsent;
  if (there) step.sql = statement.text;
  return step;
}

// `moved`: an earlier statement gives the name a new version.
Expected<ApplyStep> plan_create(const ScriptStatement& statement, const Definitions& all, const ServerState& server,
                                bool moved) {
  ApplyStep step;
  const Definition* serving = find_role(all, statement.name, "serving");
  const auto needs_replay = [&] {
    step.events = server.log_end > server.log_start ? server.log_end - server.log_start : 0;
    step.seconds = static_cast<double>(step.events) / replay_rate(server);
  };
  if (serving == nullptr) {
    step.action = Action::kNew;
    step.sql = statement.text;
    if (statement.replays) needs_replay();
    return step;
  }
  if (serving->kind != statement.kind) {
    Error error{ErrorCode::kExists, 2007, "\"" + statement.name + "\" is a " + serving->kind + " on the server", {}, 0, {}};
    error.hint = "use another name, or DROP it first";
    return std::unexpected(placed_in_script(std::move(error), statement));
  }
  if (const Definition* next = find_role(all, statement.name, "next")) {
    if (same_text(next, statement)) {
      step.action = Action::kBuilding;
      step.note = next->at() + (next->manual ? " serves after kappa view cutover " + next->name : " serves when it is there");
      return step;
    }
    step.note = next->at() + ", which is being built, says something else";
  }
  // While another version is being built, to go on as before is a change too.
  if (same_text(serving, statement) && step.note.empty()) return step;
  step.with = readers_of(all, statement.name);
  const Definition* kept = find_role(all, statement.name, "kept");
  if (step.note.empty() && !moved && same_text(kept, statement)) {
    step.action = Action::kBack;
    step.kept = kept->version;
    step.note = kept->at() + " is kept: it serves again, without a replay";
    step.sql = "ALTER VIEW " + quoted_name(statement.name) + (kept->version < serving->version ? " ROLLBACK" : " CUTOVER");
    return step;
  }
  step.action = Action::kChanged;
  step.sql = with_or_replace(statement);
  if (statement.replays || keeps_state(all, statement.name) ||
      std::ranges::any_of(step.with, [&](const std::string& name) { return keeps_state(all, name); }))
    needs_replay();
  return step;
}

}  // namespace

Expected<ApplyPlan> plan_apply(const std::vector<ScriptStatement>& script, const Definitions& definitions,
                               const ServerState& server) {
  ApplyPlan plan;
  std::set<std::string_view> named;
  std::set<std::string, std::less<>> moved;
  for (std::size_t i = 0; i < script.size(); ++i) {
    const ScriptStatement& statement = script[i];
    KAPPA_TRY(ApplyStep step, statement.create ? plan_create(statement, definitions, server, moved.contains(statement.name))
                                               : plan_drop(statement, definitions, server));
    step.statement = i;
    // What was kept of these goes with the next cutover.
    if (step.action == Action::kChanged || step.action == Action::kBack) moved.insert(step.with.begin(), step.with.end());
    plan.steps.push_back(std::move(step));
    if (statement.kind != "topic") named.insert(statement.name);
  }
  for (const Definition& one : definitions) {
    if (one.role == "serving" && !named.contains(one.name)) plan.left_alone.push_back(one);
  }
  return plan;
}

std::vector<std::size_t> goes_together(const ApplyPlan& plan, const std::vector<ScriptStatement>& script,
                                       std::size_t first) {
  std::vector<std::size_t> together{first};
  if (plan.steps[first].action != Action::kChanged) return together;
  std::vector<std::string_view> made;  // What does not exist yet when they are run.
  for (std::size_t i = first + 1; i < plan.steps.size() && plan.steps[i].action != Action::kDrop; ++i) {
    const ScriptStatement& statement = script[plan.steps[i].statement];
    const bool needs_new = std::ranges::any_of(made, [&](std::string_view name) {
      return statement.normalized.find(name) != std::string::npos;
    });
    if (plan.steps[i].action == Action::kNew || (plan.steps[i].action == Action::kChanged && needs_new)) {
      made.push_back(statement.name);
    } else if (plan.steps[i].action == Action::kChanged) {
      together.push_back(i);
    }
  }
  return together;
}

std::string_view name_of(ApplyStep::Action action) {
  switch (action) {
    case Action::kNew: return "new";
    case Action::kChanged:
    case Action::kBack: return "changed";
    case Action::kBuilding: return "being built";
    case Action::kUnchanged: return "unchanged";
    case Action::kDrop: return "drop";
    case Action::kAbsent: return "absent";
  }
  return "";
}

}  // namespace kappa::tools
