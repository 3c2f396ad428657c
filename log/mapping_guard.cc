// The SIGBUS handler and the list of ranges that it may look at.
#include "log/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

namespace kappa::log {
namespace {

constexpr std::size_t kPagesRemembered = 64;

}  // namespace

// Slots are used again and never freed: the handler may walk the list at any time.
struct GuardedRange::Slot {
  std::atomic<std::uintptr_t> begin{0};  // 0: free.
  std::atomic<std::uintptr_t> end{0};
  // Lost pages, one plus their byte from begin; 0 while a handler is about to write it.
  std::atomic<std::uint32_t> count{0};
  std::array<std::atomic<std::uint64_t>, kPagesRemembered> pages{};
  std::atomic<std::uint64_t> lowest{UINT64_MAX};
  std::atomic<std::uint64_t> highest{0};
  Slot* next = nullptr;  // Set before the slot is in the list.
};

namespace {

using Slot = GuardedRange::Slot;

std::atomic<Slot*> slots{nullptr};
std::mutex slots_mutex;  // For taking and giving back; never taken by the handler.
std::uintptr_t page_bytes = 4096;
struct sigaction previous_action;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<Slot*>::is_always_lock_free);

Slot* slot_of(std::uintptr_t address) {
  for (Slot* slot = slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    const std::uintptr_t begin = slot->begin.load();
    const std::uintptr_t end = slot->end.load();
    // Asked again: in between, the slot may have gone to another range (never the one that faulted,
    // which its reader keeps alive).
    if (begin != 0 && address >= begin && address < end && slot->begin.load() == begin) return slot;
  }
  return nullptr;
}

void call_previous(int signal, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
    previous_action.sa_sigaction(signal, info, context);
    return;
  }
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
    return;
  }
  // The instruction runs again and meets the default action.
  ::signal(SIGBUS, SIG_DFL);
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Slot* slot = info->si_code > 0 ? slot_of(address) : nullptr;
  if (slot == nullptr) {
    call_previous(signal, info, context);
    errno = saved;
    return;
  }
  const std::uintptr_t page = address & ~(page_bytes - 1);
  const std::uint64_t at = page - slot->begin.load();
  // Noted before the zeros can be seen by anybody.
  std::uint64_t seen = slot->lowest.load();
  while (at < seen && !slot->lowest.compare_exchange_weak(seen, at)) {
  }
  seen = slot->highest.load();
  while (at + page_bytes > seen && !slot->highest.compare_exchange_weak(seen, at + page_bytes)) {
  }
  const std::uint32_t index = slot->count.fetch_add(1);
  if (index < kPagesRemembered) slot->pages[index].store(at + 1);
  if (index == UINT32_MAX) slot->count.store(UINT32_MAX);  // Stays "many".
#ifdef SYS_mmap
  // The bare system call: nobody may have put himself between, as sanitizers do.
  const bool lost = ::syscall(SYS_mmap, page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == -1;
#else
  const bool lost = ::mmap(reinterpret_cast<void*>(page), page_bytes, PROT_READ,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED;
#endif
  if (lost) call_previous(signal, info, context);
  errno = saved;
}

void install() {
  static const bool installed = [] {
    page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    ::sigaction(SIGBUS, nullptr, &previous_action);
    struct sigaction action{};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, nullptr) == 0;
  }();
  static_cast<void>(installed);
}

}  // namespace

GuardedRange::GuardedRange(const void* base, std::size_t bytes) : slot_(nullptr) {
  const std::lock_guard lock(slots_mutex);
  install();
  for (Slot* slot = slots.load(); slot != nullptr && slot_ == nullptr; slot = slot->next)
    if (slot->begin.load() == 0) slot_ = slot;
  const bool fresh = slot_ == nullptr;
  if (fresh) slot_ = new Slot;
  slot_->count.store(0);
  for (auto& page : slot_->pages) page.store(0);
  slot_->lowest.store(UINT64_MAX);
  slot_->highest.store(0);
  const auto begin = reinterpret_cast<std::uintptr_t>(base);
  // The last page of the mapping belongs to it as a whole.
  slot_->end.store((begin + bytes + page_bytes - 1) / page_bytes * page_bytes);
  slot_->begin.store(begin);
  if (fresh) {
    slot_->next = slots.load();
    slots.store(slot_, std::memory_order_release);
  }
}

GuardedRange::~GuardedRange() {
  const std::lock_guard lock(slots_mutex);
  slot_->begin.store(0);
}

std::optional<std::uint64_t> GuardedRange::lost_byte(std::uint64_t from, std::uint64_t to) const {
  // The reads of the bytes come before this look.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint32_t count = slot_->count.load(std::memory_order_acquire);
  if (count == 0) [[likely]]
    return std::nullopt;
  std::optional<std::uint64_t> first;
  const auto note = [&](std::uint64_t begin, std::uint64_t end) {
    if (begin >= to || end <= from) return;
    first = std::min(first.value_or(UINT64_MAX), std::max(begin, from));
  };
  if (count > kPagesRemembered) {
    note(slot_->lowest.load(), slot_->highest.load());
    return first;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t page = slot_->pages[i].load();
    if (page == 0)
      note(slot_->lowest.load(), slot_->highest.load());  // Its handler is still at it.
    else
      note(page - 1, page - 1 + page_bytes);
  }
  return first;
}

}  // namespace kappa::log
