// One watcher, and the hub that knows all of them.
//
// A watcher follows one version of a view at a time and keeps the entries that changed since its mark (pending.h). A
// step turns them into rows: by the reader where an entry is a row; otherwise, and at a cutover, by the difference
// between a snapshot and what it was before those changes. Attaching, cutovers and those snapshots happen while no
// view moves, so nothing is given twice or left out.
//
// Locks, in this order: Pipeline::hold_still(), the hub's, a feed's, a watcher's.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "processor/live_view.h"
#include "processor/pipeline.h"
#include "processor/watch.h"
#include "processor/watch/difference.h"
#include "processor/watch/pending.h"
#include "processor/watch/view_feed.h"

namespace kappa::processor {

using ViewPtr = std::shared_ptr<LiveView>;
class WatchHub;

class WatchImpl final : public Watch, private ViewFeed::Follower {
 public:
  using News = std::function<void(WatchNews)>;

  WatchImpl(std::shared_ptr<WatchHub> hub, WatchRequest request, News news);
  ~WatchImpl() override;
  WatchImpl(const WatchImpl&) = delete;
  WatchImpl& operator=(const WatchImpl&) = delete;

  [[nodiscard]] Status step(WatchSink& sink, const std::atomic<bool>& cancelled) override;
  void let_go() override;

 private:
  friend class WatchHub;
  // The version that is followed.
  struct Source {
    ViewPtr view;
    LiveView::Served served;
    KeyRange range;  // Of the view's keys.
  };
  // From one version to another: what it was when they switched, and what it became.
  struct Switch {
    Source from;
    Pending pending;
    std::shared_ptr<StateSnapshot> before;
    Source to;
    std::shared_ptr<StateSnapshot> after;
  };

  // --- by the hub, while no view moves ---
  [[nodiscard]] Status attach(const ViewPtr& view);
  void detach();
  void switch_to(const ViewPtr& view, const std::shared_ptr<StateSnapshot>& before,
                 const std::shared_ptr<StateSnapshot>& after);
  void end(const Error& error);

  // --- ViewFeed::Follower ---
  void published(Offset applied, const StateStore::Changes& changes) override;
  void made_anew() override;
  void failed() override;

  // With mutex_.
  void take(const EntryChange& change);
  void tell(WatchNews news);
  void miss(WatchReset why);

  [[nodiscard]] Expected<Source> source_of(const ViewPtr& view) const;
  // Sends the columns if they are not those that were sent last.
  [[nodiscard]] bool announce(const Source& source, WatchSink& sink);
  [[nodiscard]] Status give_snapshot(WatchSink& sink, const std::atomic<bool>& cancelled);
  [[nodiscard]] Status give_switch(Switch switched, WatchSink& sink, const std::atomic<bool>& cancelled);
  [[nodiscard]] Status give_changes(const Source& source, const Pending& pending, Offset applied, WatchSink& sink,
                                    const std::atomic<bool>& cancelled);
  // Nothing in the value: things changed meanwhile, look again.
  [[nodiscard]] Expected<bool> give_windows(WatchSink& sink, const std::atomic<bool>& cancelled);
  // The sink stopped a step: what it was given is worth nothing.
  [[nodiscard]] std::unexpected<Error> stopped(const std::atomic<bool>& cancelled);

  const std::shared_ptr<WatchHub> hub_;
  const WatchRequest request_;
  const News news_;
  std::shared_ptr<ViewFeed> feed_;  // Of the hub's.

  std::vector<Column> columns_;  // Sent last. Of who steps.
  bool announced_ = false;

  std::mutex mutex_;  // Guards what follows.
  Source source_;
  Pending pending_;
  Offset applied_;    // What pending_ leads to.
  std::optional<WatchReset> missed_;
  std::optional<Switch> switch_;
  std::optional<Error> ended_;
  WatchNews told_ = WatchNews::kNothing;  // Since the last step began.
};

class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  // Null where nothing moves.
  using HoldStill = std::function<Pipeline::Still()>;
  explicit WatchHub(HoldStill hold_still) : hold_still_(std::move(hold_still)) {}

  // `find` is asked for the view while nothing moves; the errors are its own, and those of the key.
  [[nodiscard]] Expected<std::unique_ptr<Watch>> watch(WatchRequest request, WatchImpl::News news,
                                                       const std::function<Expected<ViewPtr>()>& find);
  // While no view moves: who follows `name` goes from one version of it to another.
  void switch_over(const std::string& name, const ViewPtr& from, const ViewPtr& to);
  // The view is gone.
  void ended(const ViewPtr& view);

 private:
  friend class WatchImpl;
  [[nodiscard]] Pipeline::Still hold_still() const { return hold_still_ ? hold_still_() : Pipeline::Still{}; }
  [[nodiscard]] std::shared_ptr<ViewFeed> feed_of(const ViewPtr& view);
  void unfollow(const ViewPtr& view, const std::shared_ptr<ViewFeed>& feed, ViewFeed::Follower& follower);

  const HoldStill hold_still_;
  const Pending::Sum bytes_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::mutex mutex_;  // Guards what follows.
  std::vector<WatchImpl*> watches_;
  std::vector<std::pair<ViewPtr, std::shared_ptr<ViewFeed>>> feeds_;
};

}  // namespace kappa::processor
