// The background thread of the log: keeps zero-written segment files ready, and seals the ones that
// are full, so that the append path only overwrites warm pages and never waits for either.
//
// A prepared file is allocated, written with zeros and synced under a temporary name: overwriting
// such blocks needs no metadata, which halves the time of the sync that an append waits for.
// Thread-safe. Owns the manifest.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "log/disk_reserve.h"
#include "log/file.h"
#include "log/segment.h"

namespace kappa::log {

struct PreparedFile {
  std::unique_ptr<File> file;
  std::filesystem::path path;
  std::uint64_t bytes = 0;
};

struct SealJob {
  std::shared_ptr<Segment> segment;  // Closed, all of it durable, its index live.
  std::shared_ptr<File> file;
};

// Writes footer, index file and the trimmed size; gives the manifest entry. Durable on return.
[[nodiscard]] Expected<ManifestEntry> seal_segment(FileSystem& files, const SealJob& job);

// Whether `name` is of a file of zeros that waits for its use, finished or not.
[[nodiscard]] bool is_prepared_name(std::string_view name);

class Preparer {
 public:
  struct Options {
    FileSystem& files;
    std::filesystem::path directory;
    std::uint64_t segment_bytes;
    unsigned count;  // Files to keep ready.
    std::uint64_t cached_bytes;  // Of sealed segments; older ones leave the page cache.
    const DiskReserve& reserve;  // No file is made that would cut into it.
  };
  // All run on this thread.
  struct Events {
    // There is room again: after take() or wait_sealed() failed for lack of it, or watch_space().
    std::function<void()> space_returned;
    // A file cannot be made, or a segment not be sealed, for this kFull; it is tried again. Tells what the
    // matter is now, whatever it was when an append was refused for it.
    std::function<void(const Error&)> still_full;
    std::function<void(const Error&)> failed;           // A seal failed for good.
    std::function<void(const Segment&)> written_back;   // It had lost its name (log/lost_name.h).
    std::function<void(std::uint64_t trimmed)> sealed;  // A segment was sealed, and became so much smaller.
  };
  Preparer(Options options, Manifest manifest, Events events);
  ~Preparer();  // Finishes queued seals, gives up a file in preparation.

  // A ready file of at least `bytes_min`; waits for one. Larger ones than usual are made here.
  // Errors: kFull (of space or descriptors), kIo.
  [[nodiscard]] Expected<PreparedFile> take(std::uint64_t bytes_min);

  // A file from take() that was not used after all; what was written to it does not matter.
  void give_back(PreparedFile file);
  // The log is full for want of the reserve: space_returned runs once there is room.
  void watch_space();

  void seal(SealJob job);
  // Waits until nothing is left to seal, so that at most two segments are ever without a manifest
  // entry. kFull if sealing cannot go on for lack of space.
  Status wait_sealed();
  [[nodiscard]] Manifest manifest() const;
  // Stores the manifest after change(manifest); durable on return. Not from this thread's events.
  Status change_manifest(const std::function<void(Manifest&)>& change);

 private:
  void run();
  void seal_queued(std::unique_lock<std::mutex>& lock);
  void remember_sealed(SealJob job, std::uint64_t bytes);
  void prepare_one(std::unique_lock<std::mutex>& lock);
  Expected<PreparedFile> make(std::uint64_t bytes, bool background);
  Expected<PreparedFile> reuse(const std::filesystem::path& path);

  Options options_;
  Events events_;
  std::mutex manifest_io_;  // One change of the manifest at a time; taken before mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_;   // For the thread.
  std::condition_variable ready_;  // For take() and wait_sealed().
  std::deque<PreparedFile> prepared_;
  std::deque<SealJob> seals_;
  struct Sealed {
    SealJob job;
    std::uint64_t bytes;
  };
  std::deque<Sealed> cached_;       // This thread's: the latest sealed segments, oldest first.
  std::uint64_t cached_bytes_ = 0;  // Of them.
  std::vector<std::filesystem::path> leftovers_;  // Ready files of an earlier run.
  Manifest manifest_;
  std::optional<Error> prepare_error_;  // Of the last attempt.
  std::optional<Error> seal_error_;
  std::uint64_t next_name_ = 1;
  unsigned waiting_ = 0;   // Threads in take().
  bool starving_ = false;  // take() failed with kFull and nothing was ready since.
  bool watching_ = false;  // watch_space().
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kappa::log
