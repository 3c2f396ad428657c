// What a power cut may leave: follows the operations of a recording and keeps apart what is on the
// disk, what is in the page cache, and the pending units between the two.
//
// The model. A sector of 512 bytes is on the disk as the cache had it after one of the writes that
// touched it, or as it was before; any subset of the pending units may be there, a write also in part.
// A name (create, rename, unlink, make directory) is one unit, pending until its directory is synced; a
// rename is there or not. A size is pending until its file is synced. A sync covers what was written
// before it began and nothing before it ended.
// After the death of a process alone the cache stays. A failed sync, and one kind of kill, make the
// kernel take pages for clean that are not on the disk: then only what is written again gets there.
// A value: copies are independent. Not thread-safe.
#pragma once

#include <optional>

#include "tests/log/sim/recording_file_system.h"

namespace kappa::log::sim {

inline constexpr std::size_t kSectorBytes = 512;
inline constexpr std::size_t kCachePageBytes = 4096;

// A part of what is pending.
struct Choice {
  std::vector<bool> keep;  // One a pending unit.
  // One unit of which only some sectors are there (it must be kept), from its first sector on.
  std::optional<std::size_t> torn;
  std::vector<bool> sectors;
  std::optional<FileNumber> size_lost;  // This file has the size it has on the disk.
  [[nodiscard]] std::string text() const;
};

class CrashState {
 public:
  // Everything in `tree` is on the disk. `numbers` names its files as the recording does.
  CrashState(const Tree& tree, const Numbers& numbers);

  void apply(const Operation& operation);
  // The process died; what is pending may still be written, and a later sync covers it.
  void kill();
  // The same, but the kernel wrote only what `written_back` keeps (names stay pending in any case) and
  // takes all pages for clean: no later sync covers the rest.
  void kill(const Choice& written_back);

  struct Unit {
    Operation::Kind kind{};
    FileNumber file = 0;
    std::uint64_t end = 0;    // File size that the write needs, or the new size.
    std::uint64_t first = 0;  // Byte of the first sector.
    std::string bytes{};      // The sectors as the cache had them after the write.
    std::string name{}, to{};
    [[nodiscard]] bool names() const;  // A directory's, not a file's.
    [[nodiscard]] std::size_t sectors() const { return (bytes.size() + kSectorBytes - 1) / kSectorBytes; }
  };
  [[nodiscard]] const std::vector<std::shared_ptr<const Unit>>& pending() const { return pending_; }

  [[nodiscard]] Tree image(const Choice& choice) const;
  [[nodiscard]] Tree cached() const;  // What a killed process leaves.
  [[nodiscard]] const Numbers& cached_numbers() const { return cache_.names; }
  [[nodiscard]] FileNumber next_file() const;  // Above every number in use.

 private:
  struct Content {
    std::set<std::string> directories;
    Numbers names;
    std::map<FileNumber, std::string> bytes;
  };
  struct RunningSync {
    FileNumber file = 0;
    std::string directory{};
    std::vector<std::shared_ptr<const Unit>> covered{};  // Shared with pending_.
    std::map<std::uint64_t, std::string> pages{};        // As the cache had them when the sync began.
  };
  static void apply_names(const Unit& unit, Content& content);
  static void apply_bytes(const Unit& unit, std::string& bytes, const std::vector<bool>* sectors);
  static Tree tree_of(Content content);
  void finish(const RunningSync& sync);

  Content disk_, cache_;
  std::vector<std::shared_ptr<const Unit>> pending_;  // In the order of the operations.
  std::map<std::uint32_t, RunningSync> syncs_;
};

// How much of the unsynced set is looked at.
struct Variety {
  bool tears = true;
  std::size_t exhaustive_units = 5;  // Up to this many pending units every subset is built.
  std::size_t random_subsets = 0;    // Of larger sets, in addition to all, none, each dropped and alone.
  std::uint64_t seed = 1;
};
// Calls `take` with every choice: all, none, each unit dropped, each alone; subsets; for each write:
// every cut at 512 bytes and at 4 KiB from both ends, every sector missing, with all others and with
// none; each changed size lost.
void enumerate(const CrashState& state, const Variety& variety,
               const std::function<void(const Choice&)>& take);

}  // namespace kappa::log::sim
