// What `kappa apply` would do: the statements of a script against what the server holds. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "tools/definition_text.h"
#include "tools/definitions.h"
#include "tools/view_status.h"

namespace kappa::tools {

struct ApplyStep {
  enum class Action {
    kNew,        // CREATE as it stands.
    kChanged,    // CREATE OR REPLACE.
    kBack,       // Changed, but a version with this text is kept: ROLLBACK or CUTOVER switches to it.
    kBuilding,   // Nothing: a version with this text is being built.
    kUnchanged,  // Nothing.
    kDrop,
    kAbsent,     // DROP of what does not exist: nothing.
  };
  Action action = Action::kUnchanged;
  std::size_t statement = 0;      // Index in the script.
  std::uint64_t events = 0;       // To be read for it.
  double seconds = 0;             // An estimate for them.
  std::vector<std::string> with;  // What is replaced together with it.
  std::string note;               // For people.
  std::uint32_t kept = 0;         // kBack: that version.
  std::string sql;                // What is run; empty: nothing.
};

struct ApplyPlan {
  std::vector<ApplyStep> steps;         // One for each statement, in its order.
  std::vector<Definition> left_alone;   // Serving, and not in the file.
};

// Events read per second where no replay of this server has said: below what was measured for any plan that keeps up.
inline constexpr double kReplayRateAssumed = 200'000;

// kExists 2007, with its place in the script: a name that is something else on the server.
[[nodiscard]] Expected<ApplyPlan> plan_apply(const std::vector<ScriptStatement>& script, const Definitions& definitions,
                                             const ServerState& server);

// The steps that are run at once when it is the turn of step `first`: of changes, those that can go with it, which are
// all up to the next DROP but for those that name something new that is created between. Any other step goes alone.
[[nodiscard]] std::vector<std::size_t> goes_together(const ApplyPlan& plan, const std::vector<ScriptStatement>& script,
                                                     std::size_t first);

// "new", "changed", "being built", "unchanged", "drop", "absent".
[[nodiscard]] std::string_view name_of(ApplyStep::Action action);

}  // namespace kappa::tools
