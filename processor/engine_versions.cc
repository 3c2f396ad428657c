// Versions of a name: CREATE OR REPLACE, the cutover, the rollback, and the end of what does not serve any more.
//
// The order of records is what a crash at any moment relies on: the new definitions first (alone they are leftovers,
// which the next start drops), then the replacement, whose state says which side serves; when it ends, its state says
// so first, then the definitions of one side go, then it. In memory a state is published after its record is durable:
// the log wins. A switch that is durable is `decided` until the versions were compared while none moved; should one
// fail in between, the record before it is written again, and until that is durable, too, the switch stays decided.
//
// After a restart the versions begin again from what they had committed. Readers saw the old version up to the cutover
// at least, so what serves since then is read from its record's offset on only (set_floors()).
#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "processor/engine_impl.h"

namespace kappa::processor {
namespace {

using State = Replacement::State;

// Between two looks at versions that are being built.
constexpr std::chrono::milliseconds kBuildPoll{5};
// After a round that failed: for want of space, mostly.
constexpr std::chrono::milliseconds kRetryPause{1000};
// Between two looks of the keeper at versions that readers go to as soon as they are as far as the others.
constexpr std::chrono::milliseconds kSwitchPause{1};
// How long ALTER waits for that. They were as far a moment ago.
constexpr std::chrono::seconds kSwitchWait{30};
constexpr std::chrono::microseconds kSwitchPoll{200};
constexpr std::chrono::hours kPauseMax{24};

std::int64_t now_micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::unexpected<Error> refuse(std::string message, std::string hint) {
  return fail(ErrorCode::kInvalid, 2010, std::move(message), std::move(hint));
}

std::string quoted(const CatalogEntry& entry) { return std::string(entry.noun()) + " \"" + entry.name + "\""; }

std::string at(std::string_view name, std::uint32_t version) {
  return "\"" + std::string(name) + "@" + std::to_string(version) + "\"";
}

}  // namespace

Status EngineImpl::put_replacement(Replacement replacement) {
  KAPPA_TRY(replacement.since,
            log_.append_system(replacement_key(replacement.id), encode_replacement(replacement)));
  set_catalog(catalog()->with(std::make_shared<const Replacement>(std::move(replacement))));
  return {};
}

Status EngineImpl::check_not_replaced(const std::vector<std::string>& names) const {
  const CatalogStatePtr state = catalog();
  for (const std::string& name : names) {
    const ReplacementPtr replacement = state->replacement_of(name);
    if (!replacement) continue;
    if (replacement->state != State::kBuilding && !decided_.contains(replacement->id)) continue;
    // It is a matter of waiting: what asks again after the cutover is answered.
    return fail(ErrorCode::kBusy, 2016,
                "\"" + name + "\" is being replaced: " + at(name, replacement->find(name)->to) + " is not settled yet",
                "wait for its cutover, or ALTER ... CUTOVER or CANCEL it first");
  }
  return {};
}

std::optional<Error> EngineImpl::not_ready(const Replacement& replacement, bool to_new) const {
  for (const Replacement::Member& member : replacement.members) {
    const ViewPtr next = find_state({member.name, to_new ? member.to : member.from});
    const ViewPtr now = find_state({member.name, to_new ? member.from : member.to});
    if (!next) continue;
    const std::string name = at(member.name, next->entry().version);
    if (const auto failed = next->failed()) {
      return Error{ErrorCode::kInvalid, 2010, name + " failed: " + failed->message,
                   "ALTER ... CANCEL drops it; what serves goes on", 0, {}};
    }
    // A version that failed does not go on.
    const Offset reached = now && !now->failed() ? now->visible() : Offset(0);
    if (next->visible() < reached || (to_new && next->building())) {
      return Error{ErrorCode::kBusy, 2016,
                   name + " is not there yet: it has applied the events below offset " +
                       std::to_string(next->visible().value()) + " of " +
                       std::to_string(std::max(reached, next->build_end()).value()),
                   "try again later; SHOW REPLAYS says how far it is", 0, {}};
    }
  }
  return std::nullopt;
}

Status EngineImpl::begin_switch(const Replacement& replacement, bool to_new) {
  if (const auto error = not_ready(replacement, to_new)) return std::unexpected(*error);
  Replacement next = replacement;
  next.state = to_new ? State::kSwitched : State::kRolledBack;
  next.switched_micros = now_micros();
  KAPPA_TRY(next.since, log_.append_system(replacement_key(next.id), encode_replacement(next)));
  decided_.insert_or_assign(next.id, std::move(next));
  return {};
}

Status EngineImpl::complete_switch(Offset id) {
  const Replacement next = decided_.at(id);
  const ReplacementPtr now = catalog()->replacements().at(id);
  const bool to_new = next.new_serves();
  std::optional<Error> error;
  {
    // Readers must not go back: the versions are compared while none of them moves.
    const Pipeline::Still still = pipeline_->hold_still();
    error = not_ready(*now, to_new);
    if (!error) {
      set_catalog(catalog()->with(std::make_shared<const Replacement>(next)));
      for (const Replacement::Member& member : next.members) {
        const ViewPtr from = find_state({member.name, to_new ? member.from : member.to});
        const ViewPtr to = find_state({member.name, to_new ? member.to : member.from});
        if (from && to) watches_->switch_over(member.name, from, to);
      }
    }
  }
  if (error && error->code == ErrorCode::kBusy) return std::unexpected(*error);
  if (error) {
    // A version that failed since then. If this fails too, the next round tries again; what the log says meanwhile
    // is what a restart would find.
    KAPPA_CHECK_OK(undo_switch(id));
    return std::unexpected(*error);
  }
  decided_.erase(id);
  for (const Replacement::Member& member : next.members) {
    spdlog::info("{} {}@{} serves from offset {} on", to_new ? "cutover:" : "rollback:", member.name,
                 to_new ? member.to : member.from, next.since.value());
  }
  return {};
}

Status EngineImpl::undo_switch(Offset id) {
  const Replacement now = *catalog()->replacements().at(id);
  KAPPA_CHECK_OK(put_replacement(now));
  decided_.erase(id);
  return {};
}

Status EngineImpl::switch_over(Offset id, bool to_new, std::unique_lock<std::mutex>& ddl) {
  const auto deadline = std::chrono::steady_clock::now() + kSwitchWait;
  if (const auto decided = decided_.find(id); decided == decided_.end()) {
    KAPPA_CHECK_OK(begin_switch(*catalog()->replacements().at(id), to_new));
  } else if (decided->second.new_serves() != to_new) {
    return fail(ErrorCode::kBusy, 2016, "the other direction was asked for a moment ago", "try again later");
  }
  for (;;) {
    const Status done = complete_switch(id);
    if (done || done.error().code != ErrorCode::kBusy) {
      keeper_->wake();
      return done;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      keeper_->wake();  // It was decided, so it happens.
      Error error = done.error();
      error.hint = "nothing is to be done: readers switch when it is there, and ALTER ... CANCEL ends it";
      return std::unexpected(std::move(error));
    }
    ddl.unlock();
    std::this_thread::sleep_for(kSwitchPoll);
    ddl.lock();
    if (decided_.contains(id)) continue;
    // Somebody else did it, or ended it.
    const CatalogState::Replacements& replacements = catalog()->replacements();
    const auto found = replacements.find(id);
    if (found != replacements.end() && found->second->new_serves() == to_new) return {};
    return refuse("the switch was taken back by another statement, or a version failed", "SHOW VIEWS lists the versions");
  }
}

void EngineImpl::set_floors(const ViewMap& views) {
  for (const auto& [id, replacement] : catalog_->replacements()) {
    if (replacement->state == State::kBuilding) continue;
    for (const Replacement::Member& member : replacement->members) {
      // A later one that is only building leaves what this one made serve.
      const EntryRef served{member.name, replacement->new_serves() ? member.to : member.from};
      const CatalogEntryPtr serves = catalog_->find(member.name);
      const auto view = views.find(served);
      if (!serves || serves->version != served.version || view == views.end()) continue;
      view->second->set_floor(replacement->since);
      has_floors_ = true;
    }
  }
}

Status EngineImpl::finish(Replacement replacement) {
  if (replacement.state != State::kKeepNew && replacement.state != State::kKeepOld) {
    replacement.state = replacement.new_serves() ? State::kKeepNew : State::kKeepOld;
    KAPPA_CHECK_OK(put_replacement(replacement));
  }
  decided_.erase(replacement.id);
  for (const EntryRef& ref : replacement.unserved()) {
    const CatalogEntryPtr entry = catalog()->find(ref);
    if (!entry) continue;
    KAPPA_TRY([[maybe_unused]] const Offset offset, log_.append_system(catalog_key(entry->kind, ref), {}));
    set_catalog(catalog()->without(ref));
    close_states(ref);
    spdlog::info("{}@{} was dropped: it serves no more", ref.name, ref.version);
  }
  KAPPA_TRY([[maybe_unused]] const Offset offset, log_.append_system(replacement_key(replacement.id), {}));
  set_catalog(catalog()->without(replacement.id));
  return {};
}

Status EngineImpl::end_replacements(std::string_view name) {
  while (const ReplacementPtr replacement = catalog()->replacement_of(name)) KAPPA_CHECK_OK(finish(*replacement));
  return {};
}

Expected<StatementResult> EngineImpl::alter(const Alter& statement, std::unique_lock<std::mutex>& ddl) {
  const auto placed = [&](Error error) -> std::unexpected<Error> {
    error.place = statement.place;
    return std::unexpected(std::move(error));
  };
  const CatalogStatePtr state = catalog();
  const CatalogEntryPtr entry = state->find(statement.name);
  if (!entry) {
    return placed({ErrorCode::kNotFound, 2003, "no view or stream \"" + statement.name + "\"",
                   "SHOW VIEWS lists the views", 0, {}});
  }
  const ReplacementPtr replacement = state->replacement_of(statement.name);
  const auto nothing = [&](const std::string& what) {
    return placed({ErrorCode::kInvalid, 2010, quoted(*entry) + " " + what,
                   "CREATE OR REPLACE makes a new version; SHOW VIEWS lists all", 0, {}});
  };
  const bool building = replacement && replacement->state == State::kBuilding;
  const auto switch_to = [&](bool to_new) -> Status {
    const Status switched = switch_over(replacement->id, to_new, ddl);
    return switched ? switched : Status(placed(switched.error()));
  };
  StatementResult result{"ALTER VIEW", 0, {}, {}};
  const auto said = [&](std::uint32_t version, const std::string& what) {
    result.notice = at(statement.name, version) + " " + what;
  };
  using Action = Alter::Action;
  switch (statement.action) {
    case Action::kCutover:
      if (!replacement || replacement->new_serves()) return nothing("has no version to switch to");
      KAPPA_CHECK_OK(switch_to(true));
      said(replacement->find(statement.name)->to, "serves now");
      return result;
    case Action::kRollback: {
      if (building) return nothing("is being replaced: ALTER ... CANCEL ends that");
      if (!replacement || !replacement->new_serves()) return nothing("has no version to go back to");
      for (const Replacement::Member& member : replacement->members) {
        for (const CatalogEntryPtr& user : state->dependants(member.name)) {
          if (replacement->find(user->name) != nullptr) continue;
          return placed({ErrorCode::kInvalid, 2010,
                         quoted(*user) + " was made of " + at(member.name, member.to) + ", which would serve no more",
                         "DROP it first", 0, {}});
        }
      }
      KAPPA_CHECK_OK(switch_to(false));
      said(replacement->find(statement.name)->from, "serves again");
      return result;
    }
    case Action::kCancel:
      if (!building) return nothing("is not being replaced");
      KAPPA_CHECK_OK(finish(*replacement));
      said(replacement->find(statement.name)->to, "was dropped");
      return result;
    case Action::kPause:
    case Action::kResume: {
      const bool pauses = statement.action == Action::kPause;
      std::vector<std::string> built{statement.name};
      if (building) {
        built.clear();
        for (const Replacement::Member& member : replacement->members)
          built.push_back(member.name + "@" + std::to_string(member.to));
      }
      bool any = false;
      Status last;
      for (const std::string& name : built) {
        last = pauses ? pause(name) : resume(name);
        any |= last.has_value();
      }
      if (!any) return std::unexpected(last.error());
      return result;
    }
  }
  return result;
}

std::optional<std::chrono::milliseconds> EngineImpl::keep_versions() {
  const std::lock_guard ddl(ddl_mutex_);
  std::optional<std::chrono::milliseconds> next;
  const auto again_in = [&next](std::chrono::milliseconds pause) { next = next ? std::min(*next, pause) : pause; };
  const CatalogState::Replacements replacements = catalog()->replacements();
  for (const auto& [id, replacement] : replacements) {
    if (!catalog()->replacements().contains(id)) continue;  // The cutover of another ended it.
    Status done;
    if (decided_.contains(id)) {
      done = complete_switch(id);
    } else if (replacement->state == State::kBuilding) {
      if (replacement->manual) continue;
      if (const auto error = not_ready(*replacement, true)) {
        if (error->code == ErrorCode::kBusy) again_in(kBuildPoll);
        continue;  // A version that failed waits for somebody.
      }
      done = begin_switch(*replacement, true);
      if (done) done = complete_switch(id);
      again_in(std::chrono::milliseconds(0));
    } else {
      const bool ending = replacement->state == State::kKeepNew || replacement->state == State::kKeepOld;
      const std::int64_t kept = std::max<std::int64_t>(0, now_micros() - replacement->switched_micros);
      // What an earlier replacement kept for its rollback has had its time.
      const bool followed = std::ranges::any_of(replacements, [&, &id = id, &replacement = replacement](const auto& later) {
        return later.first > id && later.second->state != State::kBuilding &&
               std::ranges::any_of(replacement->members,
                                   [&](const auto& member) { return later.second->find(member.name) != nullptr; });
      });
      if (!ending && !followed && kept < replacement->keep_micros) {
        const auto left = std::chrono::microseconds(replacement->keep_micros - kept);
        again_in(std::min<std::chrono::milliseconds>(
            kPauseMax, std::chrono::ceil<std::chrono::milliseconds>(left)));
        continue;
      }
      done = finish(*replacement);
    }
    if (!done && done.error().code != ErrorCode::kBusy)
      spdlog::warn("replacement of {}: {}", replacement->members.front().name, to_string(done.error()));
    if (!done) again_in(done.error().code == ErrorCode::kBusy ? kSwitchPause : kRetryPause);
  }
  return next;
}

}  // namespace kappa::processor
