// Moves the thread that syncs to the processor where that is fastest: a small fdatasync sleeps until
// the device's interrupt, and waking a thread on another, halted processor costs a virtual machine
// twice tens of microseconds a sync (130 against 230 us for an append, measured).
//
// Not pinning: the thread is put there once and stays as long as the scheduler likes. Learns from the
// syncs themselves, so that it follows the interrupt when that moves. One thread at a time (the sync
// role has it).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace kappa::log {

class SyncPlacement {
 public:
  // More processors than this are not told apart (machines with more are not where this matters).
  static constexpr std::size_t kProcessorsMax = 16;
  // Syncs between two decisions: enough to measure, and a wrong one costs little.
  static constexpr std::uint32_t kPeriod = 64;
  // Decisions after which a processor is tried again although it was slower.
  static constexpr std::uint32_t kTryAgain = 256;

  // A sync on processor `processor` of `processors` took `micros`: where to go now, if anywhere else.
  [[nodiscard]] std::optional<unsigned> after_sync(unsigned processor, unsigned processors, double micros);

 private:
  struct Known {
    double micros = 0;             // Moving average; 0: never measured.
    std::uint32_t measured_at = 0;  // Decision.
  };
  std::array<Known, kProcessorsMax> known_{};
  std::uint32_t syncs_ = 0;
  std::uint32_t decisions_ = 0;
};

// The calling thread's processor, and how many it may use (0: cannot be told, or more than are kept
// apart, or it may not use all of them: somebody placed it on purpose).
struct Processors {
  unsigned current = 0;
  unsigned count = 0;
};
[[nodiscard]] Processors processors();
// Puts the calling thread there now; where it may run does not change.
void move_to_processor(unsigned processor, unsigned count);

}  // namespace kappa::log
