#include "serving/mailbox.h"

#include <boost/asio/post.hpp>

namespace kappa::serving {

void Mailbox::bind_network_thread() {
  const std::lock_guard lock(mutex_);
  network_thread_ = std::this_thread::get_id();
}

void Mailbox::wake() {
  if (posted_ || (network_thread_ == std::this_thread::get_id() && inline_)) return;
  posted_ = true;
  boost::asio::post(*io_, deliver_);
}

void Mailbox::append_done(AppendDone done) {
  const std::lock_guard lock(mutex_);
  if (io_ == nullptr) return;
  contents_.appends.push_back(std::move(done));
  wake();
}

void Mailbox::task(std::function<void()> run) {
  const std::lock_guard lock(mutex_);
  if (io_ == nullptr) return;
  contents_.tasks.push_back(std::move(run));
  wake();
}

void Mailbox::take(Contents& into) {
  const std::lock_guard lock(mutex_);
  std::swap(contents_, into);
  posted_ = false;
}

void Mailbox::close() {
  Contents dropped;  // Destroyed after the lock is gone: a task may own what calls back here.
  const std::lock_guard lock(mutex_);
  io_ = nullptr;
  std::swap(contents_, dropped);
}

}  // namespace kappa::serving
