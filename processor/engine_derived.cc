// Derived streams in the engine: which may be created, and reads that wait for what they write.
#include <algorithm>
#include <set>
#include <utility>

#include "processor/engine_impl.h"
#include "processor/sql/plan_properties.h"

namespace kappa::processor {
namespace {

// Topics whose events the plan reads.
std::vector<std::string> topics_read(const Plan& plan) {
  std::vector<std::string> topics;
  for (const Plan* scan : scans_of(plan)) {
    if (scan->kind == PlanKind::kStreamScan) topics.push_back(scan->stream->topic);
  }
  return topics;
}

// Waits for several views, one after the other, then for the last with what they wrote.
struct Chain {
  std::vector<std::shared_ptr<LiveView>> before;
  std::size_t next = 0;
  Freshness freshness;
  std::chrono::steady_clock::time_point deadline;
  std::function<void(Status)> ready;
};

}  // namespace

Status EngineImpl::check_derived(const CreateStream& statement) const {
  const StreamDefinition& definition = *statement.definition;
  const CatalogStatePtr state = catalog();
  const auto refuse = [&](std::string message, std::string hint) -> Status {
    return std::unexpected(Error{ErrorCode::kInvalid, 2010, std::move(message), std::move(hint), 0, {}});
  };
  // Each derived stream takes events from some topics to one: is there a way from ours back to what it reads?
  std::set<std::string> reached{definition.topic};
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [name, entry] : state->entries()) {
      if (!entry->derived()) continue;
      if (entry->stream->topic == definition.topic) {
        return refuse("topic \"" + definition.topic + "\" is written by stream \"" + name + "\"",
                      "write to another topic: WITH (topic = '...')");
      }
      const std::vector<std::string> read = topics_read(*entry->view->root);
      const bool reads_ours = std::ranges::any_of(read, [&](const std::string& topic) { return reached.contains(topic); });
      if (reads_ours) grown |= reached.insert(entry->stream->topic).second;
    }
  }
  for (const std::string& topic : topics_read(*statement.plan->root)) {
    if (!reached.contains(topic)) continue;
    return refuse("the stream would read what it writes: its events come back to topic \"" + topic +
                      "\" through other derived streams",
                  "write to a topic that none of them reads");
  }
  if (const auto topic = log_.find_topic(definition.topic); topic && topic->next_sequence.value() > 0) {
    return refuse("topic \"" + definition.topic + "\" has events already, which would be taken for the stream's",
                  "write to another topic: WITH (topic = '...'); or DROP TOPIC begins this one anew");
  }
  return {};
}

std::vector<EngineImpl::ViewPtr> EngineImpl::writers_to(const std::vector<const Plan*>& scans) const {
  std::vector<ViewPtr> writers;
  const auto all_views = view_map();  // Kept alive by name: the range of a for does not.
  for (const auto& [ref, view] : *all_views) {
    if (!view->entry().derived()) continue;
    const bool read = std::ranges::any_of(scans, [&, &view = view](const Plan* scan) {
      return scan->kind == PlanKind::kStreamScan && scan->stream->topic == view->entry().stream->topic;
    });
    if (read) writers.push_back(view);
  }
  return writers;
}

void EngineImpl::wait_chain(std::vector<ViewPtr> writers, ViewPtr view, const Freshness& freshness,
                            std::function<void(Status)> ready) {
  const auto chain = std::make_shared<Chain>();
  chain->before = std::move(writers);
  chain->freshness = freshness;
  // What the view must have applied is fixed when its writers are done; what they must have, now.
  if (freshness.fresh) {
    const Offset end = log_.durable_end();
    chain->freshness.fresh = false;
    if (end != Offset(0)) chain->freshness.at_least = std::max(freshness.at_least.value_or(end - 1), end - 1);
  }
  chain->deadline = std::chrono::steady_clock::now() + freshness.timeout;
  chain->ready = std::move(ready);
  // A step owns itself through the callback that it leaves with the one it waits for.
  struct Step {
    static void go(EngineImpl* engine, const std::shared_ptr<Chain>& state, const ViewPtr& last) {
      Freshness left = state->freshness;
      left.timeout = std::max(std::chrono::milliseconds(0), std::chrono::duration_cast<std::chrono::milliseconds>(
                                                                state->deadline - std::chrono::steady_clock::now()));
      if (state->next == state->before.size()) {
        // Everything that the writers made is durable by now.
        engine->wait_alone(last, std::max(engine->log_.durable_end(), target_of(state->freshness)), left.timeout,
                           std::move(state->ready));
        return;
      }
      ViewPtr writer = state->before[state->next++];
      engine->wait_view(std::move(writer), left, [engine, state, last](Status status) {
        if (!status) {
          state->ready(std::move(status));
        } else {
          go(engine, state, last);
        }
      });
    }
    static Offset target_of(const Freshness& wanted) {
      return wanted.at_least ? Offset(std::min(wanted.at_least->value(), UINT64_MAX - 1) + 1) : Offset(0);
    }
  };
  Step::go(this, chain, view);
}

}  // namespace kappa::processor
