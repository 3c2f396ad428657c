// One segment file as the log knows it in memory, and the list of all of them.
//
// Thread-safe. The mapping and the index of a sealed segment are loaded on first use and given up
// when others were used more recently; whoever holds one keeps it alive.
#pragma once

#include <atomic>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "log/damage.h"
#include "log/file.h"
#include "log/segment_index.h"
#include "log/segment_scan.h"

namespace kappa::log {

class Segment {
 public:
  static constexpr std::uint64_t kOpenEnd = std::numeric_limits<std::uint64_t>::max();

  // `index`: grown while the segment takes batches; null for a sealed one (loaded when needed).
  Segment(FileSystem& files, std::filesystem::path directory, SegmentHeader header,
          std::unique_ptr<SegmentIndex> index);

  [[nodiscard]] const SegmentHeader& header() const { return header_; }
  [[nodiscard]] std::filesystem::path path() const;
  [[nodiscard]] std::filesystem::path index_path() const;

  // File byte after the last batch; kOpenEnd while the segment may still grow.
  [[nodiscard]] std::uint64_t end() const { return end_.load(std::memory_order_acquire); }
  void close_at(std::uint64_t end) { end_.store(end, std::memory_order_release); }

  // The whole file, mapped; anew if a page of the last mapping could not be delivered.
  [[nodiscard]] Expected<std::shared_ptr<const Mapping>> mapping();

  // Damage that the scan for the index met and stepped over: the index says nothing of what is inside.
  // The first such range that begins in [from, to) and whose offsets do not all lie below `offset`.
  [[nodiscard]] std::optional<DamagedRange> hole_within(std::uint64_t from, std::uint64_t to, Offset offset);
  void set_holes(std::vector<DamagedRange> holes);

  // Runs `use(const SegmentIndex&)`: with the live index, or the index file's, or a scan's if that
  // file is missing or damaged (then written anew if `repair_index`). Errors: those of mapping().
  template <class Use>
  auto with_index(bool repair_index, Use use)
      -> Expected<decltype(use(std::declval<const SegmentIndex&>()))> {
    for (;;) {
      {
        std::shared_lock lock(index_mutex_);
        if (index_) return use(std::as_const(*index_));
      }
      KAPPA_CHECK_OK(load_index(repair_index));  // May be given up again before the lock: ask again.
    }
  }
  template <class Change>
  auto change_index(Change change) {
    std::unique_lock lock(index_mutex_);
    return change(*index_);
  }
  // After sealing: the index file is written, so the index may be dropped with the caches.
  void set_index_stored() { index_stored_.store(true, std::memory_order_release); }
  void drop_caches();

 private:
  Status load_index(bool repair_index);

  FileSystem& files_;
  std::filesystem::path directory_;
  SegmentHeader header_;
  std::atomic<std::uint64_t> end_{kOpenEnd};
  std::atomic<bool> index_stored_{false};
  std::mutex mapping_mutex_;
  std::shared_ptr<const Mapping> mapping_;
  std::shared_mutex index_mutex_;
  std::unique_ptr<SegmentIndex> index_;
  std::atomic<bool> has_holes_{false};
  std::vector<DamagedRange> holes_;  // With index_mutex_; by byte.
};

// Scans the closed segment's headers and builds its index; steps over damage, which goes to `holes`.
[[nodiscard]] SegmentIndex scan_index(Bytes file, const SegmentHeader& header, std::uint64_t end,
                                      std::vector<DamagedRange>& holes);

// All segments in order, and which of them keep their caches. shared_ptr: a reader walks a segment
// while retention may take it off the list.
class SegmentList {
 public:
  // Sealed segments whose mapping and index stay loaded without a reader.
  static constexpr std::size_t kCachedSegments = 8;

  void add(std::shared_ptr<Segment> segment);
  [[nodiscard]] std::size_t size() const;
  // As they are now, oldest first. Places in the list mean nothing later: retention moves them.
  [[nodiscard]] std::vector<std::shared_ptr<Segment>> all() const;
  [[nodiscard]] std::shared_ptr<Segment> first() const;
  // The segment that holds `offset`: the last with base offset <= it; of several (only the last can
  // have events) the last. The first if it is below all.
  [[nodiscard]] std::shared_ptr<Segment> find(Offset offset) const;
  // The one after segment `number`; nullptr if there is none.
  [[nodiscard]] std::shared_ptr<Segment> after(std::uint64_t number) const;
  // Takes the segments before `number` off the list; whoever holds one keeps it alive.
  void remove_before(std::uint64_t number);
  // Marks a use; gives up caches of the segment used longest ago when there are too many.
  void touch(const std::shared_ptr<Segment>& segment);

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Segment>> segments_;
  std::list<std::shared_ptr<Segment>> used_;  // Most recent first.
};

}  // namespace kappa::log
