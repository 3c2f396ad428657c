// All watchers: attaching them, leading them over to other versions, ending them. See watch_impl.h.
#include <algorithm>
#include <utility>

#include "processor/watch/watch_impl.h"

namespace kappa::processor {

Expected<std::unique_ptr<Watch>> WatchHub::watch(WatchRequest request, WatchImpl::News news,
                                                 const std::function<Expected<ViewPtr>()>& find) {
  auto watch = std::make_unique<WatchImpl>(shared_from_this(), std::move(request), std::move(news));
  {
    const auto still = hold_still();
    const std::lock_guard lock(mutex_);
    KAPPA_TRY(const ViewPtr view, find());
    const Status attached = watch->attach(view);
    if (attached) {
      watches_.push_back(watch.get());
      const std::lock_guard own(watch->mutex_);
      const auto& from = watch->request_.resume;
      // Nothing happened between its mark and now: it goes on.
      const bool resumed = from && from->version == view->entry().version && from->applied >= view->changed_until() &&
                           from->applied <= watch->applied_;
      if (from && !resumed) watch->missed_ = WatchReset::kNotResumed;
      if (!from && watch->request_.snapshot) watch->missed_ = WatchReset::kSnapshot;
      return watch;
    }
    KAPPA_CHECK_OK(attached);
  }
  return watch;
}

std::shared_ptr<ViewFeed> WatchHub::feed_of(const ViewPtr& view) {
  for (const auto& [watched, feed] : feeds_)
    if (watched == view) return feed;
  auto feed = std::make_shared<ViewFeed>();
  feeds_.emplace_back(view, feed);
  view->set_feed(feed);
  return feed;
}

void WatchHub::unfollow(const ViewPtr& view, const std::shared_ptr<ViewFeed>& feed, ViewFeed::Follower& follower) {
  if (feed->remove(follower)) return;
  view->set_feed(nullptr);
  std::erase_if(feeds_, [&](const auto& watched) { return watched.first == view; });
}

void WatchHub::switch_over(const std::string& name, const ViewPtr& from, const ViewPtr& to) {
  const std::lock_guard lock(mutex_);
  std::vector<WatchImpl*> followers;
  for (WatchImpl* const watch : watches_)
    if (watch->request_.view == name && watch->source_.view == from) followers.push_back(watch);
  if (followers.empty()) return;
  const auto snapshot_of = [](const ViewPtr& view) -> std::shared_ptr<StateSnapshot> {
    const auto served = view->served();
    if (!served) return nullptr;
    auto snapshot = served->store->snapshot();
    return snapshot ? std::move(*snapshot) : nullptr;
  };
  const auto before = snapshot_of(from);
  const auto after = snapshot_of(to);
  for (WatchImpl* const watch : followers) watch->switch_to(to, before, after);
}

void WatchHub::ended(const ViewPtr& view) {
  const auto still = hold_still();
  const std::lock_guard lock(mutex_);
  const Error gone{ErrorCode::kNotFound, 2003,
                   "view \"" + view->entry().name + "\" was dropped" , "", 0, {}};
  for (WatchImpl* const watch : watches_) {
    if (watch->source_.view != view) continue;
    watch->detach();
    watch->end(gone);
  }
}

}  // namespace kappa::processor
