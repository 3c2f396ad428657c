// Preparing and sealing segment files.
#include "log/preparer.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "log/lost_name.h"

namespace kappa::log {
namespace {

// One piece of zeros: large enough for the device, small enough to let a seal go between two.
constexpr std::size_t kZeroPieceBytes = std::size_t{1} << 20;
// Zeros are synced in steps: one sync of a whole segment would hold up a seal, and with it the roll
// after next, and crowd the syncs that appends wait for.
constexpr std::size_t kSyncPieceBytes = std::size_t{8} << 20;
// How often a full disk, or a process without descriptors, is tried again.
constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::string_view kPreparedPrefix = "prepared-";
constexpr const char* kReadySuffix = ".ready";
constexpr const char* kUnfinishedSuffix = ".unfinished";

}  // namespace

bool is_prepared_name(std::string_view name) {
  return name.starts_with(kPreparedPrefix) && (name.ends_with(kReadySuffix) || name.ends_with(kUnfinishedSuffix));
}

Expected<ManifestEntry> seal_segment(FileSystem& files, const SealJob& job) {
  const SegmentHeader& header = job.segment->header();
  SegmentFooter footer;
  std::string index;
  KAPPA_CHECK_OK(job.segment->with_index(false, [&](const SegmentIndex& live) {
    footer = live.footer();
    index = live.encode(header.log_id.low);
    return true;
  }));
  const std::string bytes = encode_footer(footer, header.log_id.low);
  const std::uint64_t at = job.segment->end();
  KAPPA_CHECK_OK(job.file->pwrite(as_bytes(bytes), at));
  KAPPA_CHECK_OK(job.file->truncate(at + bytes.size()));
  KAPPA_CHECK_OK(job.file->sync_for_good());
  // Derived: without it the next opening scans. Not synced: a failed sync of the directory would have to
  // be as final as any.
  if (files.replace_derived(job.segment->index_path(), index)) job.segment->set_index_stored();
  ManifestEntry entry;
  entry.number = footer.number;
  entry.base_offset = footer.base_offset;
  entry.end_offset = footer.end_offset;
  entry.base_position = footer.base_position;
  entry.end_position = footer.end_position;
  entry.file_bytes = at + bytes.size();
  entry.footer_hash = hash_bytes(as_bytes(bytes), 0);
  return entry;
}

Preparer::Preparer(Options options, Manifest manifest, Events events)
    : options_(std::move(options)), events_(std::move(events)), manifest_(std::move(manifest)) {
  if (auto names = options_.files.list(options_.directory)) {
    for (const std::string& name : *names) {
      if (name.starts_with(kPreparedPrefix) && name.ends_with(kReadySuffix)) {
        leftovers_.push_back(options_.directory / name);
        // New files must not take the name of a leftover.
        next_name_ = std::max<std::uint64_t>(
            next_name_, std::strtoull(name.c_str() + kPreparedPrefix.size(), nullptr, 10) + 1);
      }
      if (name.ends_with(kUnfinishedSuffix))
        static_cast<void>(options_.files.unlink(options_.directory / name));
    }
  }
  thread_ = std::thread([this] { run(); });
}

Preparer::~Preparer() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  ready_.notify_all();
  thread_.join();
}

Expected<PreparedFile> Preparer::make(std::uint64_t bytes, bool background) {
  std::string name;
  {
    std::lock_guard lock(mutex_);
    name = std::string(kPreparedPrefix) + std::to_string(next_name_++);
  }
  const std::filesystem::path unfinished = options_.directory / (name + kUnfinishedSuffix);
  PreparedFile prepared;
  prepared.path = options_.directory / (name + kReadySuffix);
  prepared.bytes = bytes;
  const auto work = [&]() -> Status {
    KAPPA_CHECK_OK(options_.reserve.check(bytes));
    KAPPA_TRY(prepared.file, options_.files.open(unfinished, OpenMode::kCreateEmpty));
    KAPPA_CHECK_OK(prepared.file->allocate(bytes));
    for (std::uint64_t at = 0; at < bytes; at += kZeroPieceBytes) {
      KAPPA_CHECK_OK(prepared.file->write_zeros(at, std::min<std::uint64_t>(kZeroPieceBytes, bytes - at)));
      if (!background) continue;
      if (at % kSyncPieceBytes == 0) KAPPA_CHECK_OK(prepared.file->fdatasync());
      std::unique_lock lock(mutex_);
      if (stop_) return fail(ErrorCode::kClosed, 3002, "the log is closing");
      if (!seal_error_) seal_queued(lock);
    }
    KAPPA_CHECK_OK(prepared.file->fdatasync());
    return options_.files.rename(unfinished, prepared.path);
  };
  if (Status done = work(); !done) {
    static_cast<void>(options_.files.unlink(unfinished));
    return std::unexpected(std::move(done).error());
  }
  return prepared;
}

// A ready file of an earlier run is taken only if it is the right size and still all zeros: a crash
// can leave one that was used under a name that never became durable.
Expected<PreparedFile> Preparer::reuse(const std::filesystem::path& path) {
  PreparedFile prepared;
  prepared.path = path;
  prepared.bytes = options_.segment_bytes;
  const auto work = [&]() -> Expected<bool> {
    KAPPA_TRY(prepared.file, options_.files.open(path, OpenMode::kReadWrite));
    KAPPA_TRY(const std::uint64_t size, prepared.file->size());
    if (size != options_.segment_bytes) return false;
    KAPPA_TRY(const auto map, prepared.file->map());
    if (end_of_bytes(map->bytes(), 0) != 0 || map->lost_any()) return false;
    // Zeros in the page cache may never have reached the disk.
    KAPPA_CHECK_OK(prepared.file->fdatasync());
    return true;
  };
  const auto usable = work();
  if (!usable || !*usable) {
    static_cast<void>(options_.files.unlink(path));
    return fail(ErrorCode::kInvalid, 3203, "a prepared segment file cannot be used again");
  }
  return prepared;
}

Expected<PreparedFile> Preparer::take(std::uint64_t bytes_min) {
  if (bytes_min > options_.segment_bytes) {
    auto made = make(bytes_min, false);
    if (!made && made.error().code == ErrorCode::kFull) {
      std::lock_guard lock(mutex_);
      starving_ = true;
      wake_.notify_all();
    }
    return made;
  }
  std::unique_lock lock(mutex_);
  ++waiting_;
  prepare_error_.reset();
  wake_.notify_all();
  ready_.wait(lock, [this] { return stop_ || !prepared_.empty() || prepare_error_; });
  --waiting_;
  if (!prepared_.empty()) {
    PreparedFile file = std::move(prepared_.front());
    prepared_.pop_front();
    wake_.notify_all();
    return file;
  }
  if (stop_) return fail(ErrorCode::kClosed, 3002, "the log is closing");
  starving_ = prepare_error_->code == ErrorCode::kFull;
  wake_.notify_all();
  return std::unexpected(*prepare_error_);
}

void Preparer::give_back(PreparedFile file) {
  if (file.bytes != options_.segment_bytes) {
    static_cast<void>(options_.files.unlink(file.path));
    return;
  }
  std::lock_guard lock(mutex_);
  prepared_.push_front(std::move(file));
}

void Preparer::watch_space() {
  std::lock_guard lock(mutex_);
  watching_ = true;
  wake_.notify_all();
}

void Preparer::seal(SealJob job) {
  std::lock_guard lock(mutex_);
  seals_.push_back(std::move(job));
  wake_.notify_all();
}

Status Preparer::wait_sealed() {
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [this] { return stop_ || seals_.empty() || seal_error_; });
  if (seals_.empty()) return {};
  if (seal_error_) {
    starving_ = seal_error_->code == ErrorCode::kFull;
    return std::unexpected(*seal_error_);
  }
  return fail(ErrorCode::kClosed, 3002, "the log is closing");
}

Manifest Preparer::manifest() const {
  std::lock_guard lock(mutex_);
  return manifest_;
}

Status Preparer::change_manifest(const std::function<void(Manifest&)>& change) {
  std::lock_guard io(manifest_io_);
  Manifest next = manifest();
  change(next);
  KAPPA_CHECK_OK(options_.files.replace_whole(options_.directory / kManifestName, encode_manifest(next)));
  std::lock_guard lock(mutex_);
  manifest_ = std::move(next);
  return {};
}

void Preparer::seal_queued(std::unique_lock<std::mutex>& lock) {
  while (!seals_.empty()) {
    SealJob job = seals_.front();
    lock.unlock();
    std::uint64_t trimmed = 0;
    const auto work = [&]() -> Status {
      if (!has_its_name(*job.file, *job.segment)) {
        KAPPA_TRY(job.file, write_back(options_.files, *job.file, *job.segment));
        events_.written_back(*job.segment);
        lock.lock();
        seals_.front().file = job.file;  // Should the rest be tried again.
        lock.unlock();
      }
      KAPPA_TRY(const std::uint64_t before, job.file->size());
      KAPPA_TRY(const ManifestEntry entry, seal_segment(options_.files, job));
      KAPPA_CHECK_OK(change_manifest([&](Manifest& next) { next.sealed.push_back(entry); }));
      trimmed = before > entry.file_bytes ? before - entry.file_bytes : 0;
      remember_sealed(job, entry.file_bytes);
      return {};
    };
    Status done = work();
    if (!done) (done.error().code == ErrorCode::kFull ? events_.still_full : events_.failed)(done.error());
    lock.lock();
    if (!done) {
      seal_error_ = std::move(done).error();
      ready_.notify_all();
      return;
    }
    seals_.pop_front();
    seal_error_.reset();
    ready_.notify_all();
    lock.unlock();
    events_.sealed(trimmed);
    lock.lock();
  }
}

// Memory that an old segment gives back is warm: the next prepared file takes it over.
void Preparer::remember_sealed(SealJob job, std::uint64_t bytes) {
  cached_bytes_ += bytes;
  cached_.push_back({std::move(job), bytes});
  while (cached_bytes_ > options_.cached_bytes) {
    // Mapped pages stay: a reader that is still there keeps its own mapping.
    cached_.front().job.segment->drop_caches();
    cached_.front().job.file->forget_cache();
    cached_bytes_ -= cached_.front().bytes;
    cached_.pop_front();
  }
}

void Preparer::prepare_one(std::unique_lock<std::mutex>& lock) {
  std::filesystem::path leftover;
  if (!leftovers_.empty()) {
    leftover = std::move(leftovers_.back());
    leftovers_.pop_back();
  }
  lock.unlock();
  auto made = leftover.empty() ? make(options_.segment_bytes, true) : reuse(leftover);
  if (!made && leftover.empty() && made.error().code == ErrorCode::kFull) events_.still_full(made.error());
  lock.lock();
  if (made) {
    prepared_.push_back(std::move(*made));
    prepare_error_.reset();
    ready_.notify_all();
  } else if (leftover.empty()) {
    prepare_error_ = std::move(made).error();
    ready_.notify_all();
  }
}

void Preparer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    const bool wanted =
        prepared_.size() < options_.count || (prepared_.empty() && (waiting_ > 0 || starving_));
    // At closing a full disk is asked once more; after any other failure nothing is tried again.
    if (!seals_.empty() && (!seal_error_ || (stop_ && seal_error_->code == ErrorCode::kFull))) {
      seal_queued(lock);
      if (stop_ && seal_error_) return;
      continue;
    }
    if (stop_) return;
    if ((starving_ || watching_) && !(starving_ && prepared_.empty()) && seals_.empty() &&
        options_.reserve.check(0)) {
      starving_ = watching_ = false;
      lock.unlock();
      events_.space_returned();
      lock.lock();
      continue;
    }
    if (wanted && !prepare_error_) {
      prepare_one(lock);
      continue;
    }
    const auto is_full = [](const std::optional<Error>& error) {
      return error && error->code == ErrorCode::kFull;
    };
    if (is_full(prepare_error_) || is_full(seal_error_) || starving_ || watching_) {
      // Space may come back without anybody telling.
      wake_.wait_for(lock, kRetryInterval);
      if (is_full(prepare_error_)) prepare_error_.reset();
      if (is_full(seal_error_)) seal_error_.reset();
    } else {
      wake_.wait(lock);
    }
  }
}

}  // namespace kappa::log
