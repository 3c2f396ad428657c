// The table of holds.
#include "log/holds.h"

#include <algorithm>

namespace kappa::log {

Hold& Hold::operator=(Hold&& other) noexcept {
  if (this != &other) {
    release();
    table_ = std::move(other.table_);
    entry_ = std::move(other.entry_);
  }
  return *this;
}

void Hold::release() {
  if (entry_) table_->remove(entry_.get());
  entry_.reset();
  table_.reset();
}

void Hold::advance(Offset offset) {
  // One thread moves it, so nothing is lost between the two.
  if (entry_ && offset.value() > entry_->offset.load(std::memory_order_relaxed))
    entry_->offset.store(offset.value(), std::memory_order_release);
}

Offset Hold::offset() const {
  return Offset(entry_ ? entry_->offset.load(std::memory_order_relaxed) : 0);
}

Hold HoldTable::add(std::string name, Offset offset) {
  auto entry = std::make_shared<Hold::Entry>();
  entry->name = std::move(name);
  const std::lock_guard lock(mutex_);
  entry->offset = std::max(offset, floor_).value();
  entries_.push_back(entry);
  return {shared_from_this(), std::move(entry)};
}

void HoldTable::remove(const Hold::Entry* entry) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [entry](const auto& other) { return other.get() == entry; });
}

std::optional<HoldInfo> HoldTable::lowest_locked() const {
  std::optional<HoldInfo> lowest;
  for (const auto& entry : entries_) {
    const Offset offset(entry->offset.load(std::memory_order_acquire));
    if (!lowest || offset < lowest->offset) lowest = HoldInfo{entry->name, offset};
  }
  return lowest;
}

std::optional<HoldInfo> HoldTable::lowest() const {
  const std::lock_guard lock(mutex_);
  return lowest_locked();
}

}  // namespace kappa::log
