// The recovery table. Rows are tried from the top; the order is part of the meaning: evidence of
// rot always wins over a cut.
#include "log/recovery.h"

namespace kappa::log {

TailDecision classify(const TailFacts& facts) {
  if (!facts.watermark) return TailDecision::kRefuseControl;
  if (*facts.watermark > facts.end) return TailDecision::kRefuseRot;
  if (facts.later_durable_upto && *facts.later_durable_upto > facts.end) return TailDecision::kRefuseRot;
  if (facts.tail == TailBytes::kGarbage) return TailDecision::kCutTornTail;
  if (*facts.watermark < facts.end) return TailDecision::kKeepUnproven;
  return TailDecision::kClean;
}

const char* name_of(TailDecision decision) {
  switch (decision) {
    case TailDecision::kClean: return "clean";
    case TailDecision::kKeepUnproven: return "keep unproven";
    case TailDecision::kCutTornTail: return "cut torn tail";
    case TailDecision::kRefuseRot: return "refuse: rot";
    case TailDecision::kRefuseControl: return "refuse: control lost";
  }
  return "unknown";
}

}  // namespace kappa::log
