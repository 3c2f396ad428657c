// See plan_identity.h.
#include "processor/plan_identity.h"

#include <xxhash.h>

#include <cstring>

namespace kappa::processor {
namespace {

std::string identity_of(const ViewPlan& plan) {
  const std::string text = explain(*plan.root, plan.emit == ViewPlan::Emit::kNone);
  const std::uint64_t hash = XXH3_64bits(text.data(), text.size());
  std::string out(sizeof hash, '\0');
  std::memcpy(out.data(), &hash, sizeof hash);
  return out;
}

// TUMBLE is an expression, HOP and SESSION are not.
bool has_window(const Plan& plan) {
  return plan.kind == PlanKind::kWindow || (plan.input && has_window(*plan.input)) ||
         (plan.right && has_window(*plan.right));
}

}  // namespace

void store_plan(StateStore& store, const ViewPlan& plan) { store.put(kPlanTable, {}, identity_of(plan)); }

Expected<std::string> other_plan(StateStore& store, const ViewPlan& plan) {
  KAPPA_TRY(const auto stored, store.get(kPlanTable, {}));
  if (stored ? *stored == identity_of(plan) : !has_window(*plan.root)) return std::string();
  return "another release planned it otherwise";
}

}  // namespace kappa::processor
