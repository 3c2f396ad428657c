// Pauses of builds: ALTER ... PAUSE and RESUME.
//
// A pause is a record of the system topic, "pause/<creation offset of the version>" with the value "1"; an empty value
// ends it. So it outlives the process, and goes with a copy of the log: somebody wanted the machine for something else,
// and a restart does not change that. Records of versions that are gone have no effect.
#include <spdlog/spdlog.h>

#include "processor/engine_impl.h"
#include "processor/offset_key.h"

namespace kappa::processor {
namespace {

constexpr std::string_view kKey = "pause/";

std::unexpected<Error> not_replayed(std::string_view name) {
  return fail(ErrorCode::kNotFound, 2018, "view \"" + std::string(name) + "\" is not being built",
              "SHOW REPLAYS lists those that are");
}

}  // namespace

Status EngineImpl::pause_replay(std::string_view name) {
  const std::lock_guard ddl(ddl_mutex_);
  return pause(name);
}

Status EngineImpl::resume_replay(std::string_view name) {
  const std::lock_guard ddl(ddl_mutex_);
  return resume(name);
}

Status EngineImpl::pause(std::string_view name) {
  KAPPA_TRY(const ViewPtr view, find_view(name));
  if (!pipeline_ || !pipeline_->pause_replay(*view)) return not_replayed(name);
  const Offset id = view->entry().id;
  if (pauses_.contains(id)) return {};
  view->set_paused(true);
  if (const auto recorded = log_.append_system(offset_key(kKey, id), "1"); !recorded) {
    // What would not outlive the process is not begun.
    view->set_paused(false);
    static_cast<void>(pipeline_->resume_replay(*view));
    return std::unexpected(recorded.error());
  }
  pauses_.insert(id);
  return {};
}

Status EngineImpl::resume(std::string_view name) {
  KAPPA_TRY(const ViewPtr view, find_view(name));
  const Offset id = view->entry().id;
  if (pauses_.contains(id)) {
    KAPPA_TRY([[maybe_unused]] const Offset offset, log_.append_system(offset_key(kKey, id), {}));
    pauses_.erase(id);
    view->set_paused(false);
    // One that failed has nothing to go on with.
    if (pipeline_) static_cast<void>(pipeline_->resume_replay(*view));
    return {};
  }
  if (!pipeline_ || !pipeline_->resume_replay(*view)) return not_replayed(name);
  return {};
}

void EngineImpl::load_pauses(const ViewMap& views) {
  for (const log::SystemRecord& record : log_.system_records()) {
    const auto id = parse_offset_key(kKey, record.key);
    if (!id || record.value.empty()) continue;
    for (const auto& [ref, view] : views) {
      if (view->entry().id != *id) continue;
      pauses_.insert(*id);
      view->set_paused(true);
      spdlog::info("the building of {}@{} is paused: ALTER ... RESUME goes on", ref.name, ref.version);
    }
  }
}

void EngineImpl::forget_pause(Offset id) {
  if (pauses_.erase(id) == 0) return;
  if (const auto forgotten = log_.append_system(offset_key(kKey, id), {}); !forgotten)
    spdlog::warn("the pause of a version that was dropped: {}", to_string(forgotten.error()));
}

}  // namespace kappa::processor
