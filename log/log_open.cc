// Opening and closing the log.
#include <spdlog/spdlog.h>

#include "log/log_impl.h"
#include "log/lost_name.h"
#include "log/missing_log.h"

namespace kappa::log {
namespace {

struct SystemClock final : Clock {
  Timestamp now() override {
    return Timestamp(std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count());
  }
};
Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

// Whether creation got as far as the manifest: no segment has ever had its name.
Expected<bool> no_segment_yet(FileSystem& files, const std::filesystem::path& directory) {
  KAPPA_TRY(const auto names, files.list(directory));
  for (const std::string& name : names)
    if (parse_segment_name(name)) return false;
  const auto control = files.read_whole(directory / kControlName, 4 * kControlPageBytes);
  if (!control && control.error().code != ErrorCode::kNotFound) return std::unexpected(control.error());
  // Creation leaves a control file that tells of nothing. Any other means that a log was here.
  const auto page = control ? decode_control(as_bytes(*control)) : std::nullopt;
  if (!page || page->watermark != LogPosition(0) || page->writer_epoch != WriterEpoch(0)) return false;
  KAPPA_TRY(const std::string bytes, files.read_whole(directory / kManifestName, kManifestBytesMax));
  const auto manifest = decode_manifest(bytes);
  return manifest && manifest->sealed.empty();
}

}  // namespace

const char* name_of(Durability durability) {
  switch (durability) {
    case Durability::kSync: return "sync";
    case Durability::kWritten: return "written";
    case Durability::kStrict: return "strict";
  }
  return "unknown";
}

Expected<std::unique_ptr<Log>> Log::open(LogOptions options) {
  FileSystem& files = options.files != nullptr ? *options.files : real_file_system();
  if (options.segment_bytes < limits::kSegmentBytesMin || options.segment_bytes > limits::kSegmentBytesMax)
    return fail(ErrorCode::kInvalid, 3021,
                "segment size must be " + std::to_string(limits::kSegmentBytesMin) + " to " +
                    std::to_string(limits::kSegmentBytesMax) + " bytes");
  if (options.prepared_segments > 8)
    return fail(ErrorCode::kInvalid, 3021, "at most 8 segments can be kept prepared");
  if (options.retention.age.count() < 0 ||
      (options.retention.bytes_max != 0 && options.retention.bytes_max < options.retention.bytes))
    return fail(ErrorCode::kInvalid, 3021, "the hard limit of retention is below its limit, or its age is negative");
  // Zero pieces and pages line up.
  options.segment_bytes = (options.segment_bytes + 4095) / 4096 * 4096;
  const bool may_create = options.create && !options.read_only;
  if (may_create) {
    KAPPA_CHECK_OK(files.create_directory(options.directory));
  } else if (const auto there = files.open(options.directory / kManifestName, OpenMode::kRead); !there) {
    // Not even a lock is left where no log is.
    Error none = there.error();
    if (none.code == ErrorCode::kNotFound) none = without_manifest(files, options.directory);
    if (none.number == kNoLog) return std::unexpected(std::move(none));
  }
  KAPPA_TRY(auto lock, files.open(options.directory / kLockName,
                                  options.read_only ? OpenMode::kRead : OpenMode::kCreate));
  KAPPA_TRY(bool locked, lock->lock(!options.read_only));
  // A backup looks at the lock for an instant to see whether a server runs.
  for (int again = 0; !locked && again < 5; ++again) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    KAPPA_TRY(locked, lock->lock(!options.read_only));
  }
  if (!locked)
    return fail(ErrorCode::kBusy, 3001, "another process has the log " + options.directory.string() + " open",
                "stop it first, or ask it (kappa status)");
  auto recovered = recover(files, options.directory, options.read_only);
  if (!recovered && recovered.error().code == ErrorCode::kFull && !options.read_only) {
    // Recovery keeps what it cuts, and writes: the files of zeros for coming segments make room for it.
    KAPPA_TRY(const auto names, files.list(options.directory));
    for (const std::string& name : names)
      if (is_prepared_name(name)) KAPPA_CHECK_OK(files.unlink(options.directory / name));
    recovered = recover(files, options.directory, false);
  }
  if (!recovered) {
    Error error = std::move(recovered).error();
    bool unfinished = false;  // Nothing there yet, or a creation that a crash cut short.
    if (error.number == kNoLog) {
      error = without_manifest(files, options.directory);
      unfinished = error.number == kNoLog;
    } else if (error.number == 3114) {
      KAPPA_TRY(unfinished, no_segment_yet(files, options.directory));
    } else if (error.number == 3112 && error.hint.empty()) {
      error.hint = "`kappa verify` shows what is there, `kappa repair` can make the manifest anew from it";
    }
    if (!unfinished || !may_create) return std::unexpected(std::move(error));
    KAPPA_CHECK_OK(initialize(files, options.directory, options.segment_bytes));
    recovered = recover(files, options.directory, false);
  }
  if (!recovered) return std::unexpected(std::move(recovered).error());
  if (recovered->damage) spdlog::error("log: {}", *recovered->damage);
  auto log = std::make_unique<LogImpl>(std::move(options), std::move(lock), *recovered);
  KAPPA_CHECK_OK(log->start_writing(*recovered));
  return log;
}

LogImpl::LogImpl(LogOptions options, std::unique_ptr<File> lock, Recovered& recovered)
    : options_(std::move(options)),
      files_(options_.files != nullptr ? *options_.files : real_file_system()),
      clock_(options_.clock != nullptr ? *options_.clock : system_clock()),
      lock_(std::move(lock)),
      id_(recovered.manifest.log_id),
      read_only_(options_.read_only || recovered.damage.has_value()),
      epoch_(recovered.control ? recovered.control->writer_epoch : WriterEpoch(0)),
      log_start_(recovered.manifest.log_start.value()),
      damage_(recovered.damage),
      recovery_(recovered.summary),
      recovery_segments_scanned_(recovered.segments_scanned),
      recovery_bytes_read_(recovered.bytes_read),
      gaps_(std::move(recovered.gaps)),
      scrub_({files_, segments_, damaged_, clock_, options_.scrub_bytes_per_second, !damage_.has_value(),
              [this] { look_at_active(); }}),
      holds_(std::make_shared<HoldTable>(recovered.manifest.log_start)),
      reserve_(files_, options_.directory, options_.disk_reserve_bytes),
      state_(std::move(recovered.state)) {
  for (auto& segment : recovered.segments) segments_.add(segment);
  for (DamagedRange& range : recovered.damaged) damaged_.add(std::move(range));
  durable_records_ = state_.system;
  active_ = recovered.segments.back();
  write_at_ = recovered.end_at;
  previous_hash_ = recovered.chain.header_hash;
  durable_position_ = written_position_ = recovered.end_position.value();
  durable_offset_ = written_offset_ = recovered.chain.next_offset.value();
  bytes_on_disk_ = recovered.bytes_on_disk;
  if (options_.scrub_bytes_per_second > 0) scrub_thread_ = std::thread([this] { scrub_.run(); });
}

Status LogImpl::start_writing(Recovered& recovered) {
  if (read_only_) return {};
  ControlPage current = *recovered.control;
  KAPPA_TRY(auto control, files_.open(options_.directory / kControlName, OpenMode::kReadWrite));
  control_ = std::make_unique<ControlFile>(std::move(control), current);
  KAPPA_TRY(directory_, files_.open_directory(options_.directory));
  epoch_ = current.writer_epoch + 1;
  if (Status begun = begin_epoch(); !begun) {
    // A full disk (of a file system that copies on write) is no reason not to serve.
    if (begun.error().code != ErrorCode::kFull) return begun;
    full_ = begun.error();
  }
  KAPPA_TRY(auto active, files_.open(active_->path(), OpenMode::kReadWrite));
  {
    std::lock_guard guard(state_mutex_);  // The scrub looks at it.
    active_file_ = std::move(active);
  }
  KAPPA_TRY(capacity_, active_file_->size());
  KAPPA_CHECK_OK(remove_leftovers(files_, options_.directory, recovered.manifest));
  preparer_ = std::make_unique<Preparer>(
      Preparer::Options{files_, options_.directory, options_.segment_bytes, options_.prepared_segments,
                        options_.cached_bytes, reserve_},
      recovered.manifest,
      Preparer::Events{[this] {
                         std::lock_guard guard(queue_mutex_);
                         if (stalled_) return;  // The writer waits for room itself.
                         full_.reset();
                       },
                       [this](const Error& error) {
                         std::lock_guard guard(queue_mutex_);
                         if (full_ && !stalled_) full_ = error;
                       },
                       [this](const Error& error) { set_fatal(error); },
                       [this](const Segment& segment) { damaged_.forget(segment.header().number); },
                       [this](std::uint64_t trimmed) {
                         bytes_on_disk_.fetch_sub(trimmed, std::memory_order_relaxed);
                         std::lock_guard guard(retention_mutex_);
                         if (retention_) retention_->wake();
                       }});
  if (full_) preparer_->watch_space();
  // Events follow a segment's snapshot: without one, the snapshot may be missing or cut.
  const bool has_events = state_.next_offset > active_->header().base_offset;
  const auto& segments = recovered.segments;
  for (std::size_t i = segments.size() - recovered.unsealed; i + 1 < segments.size(); ++i) {
    const auto& segment = segments[i];
    KAPPA_TRY(std::shared_ptr<File> file, files_.open(segment->path(), OpenMode::kReadWrite));
    if (has_events || i + 2 < segments.size()) {
      preparer_->seal({segment, file});
    } else {
      snapshot_due_ = true;
      held_seal_ = SealJob{segment, file};
    }
  }
  writer_thread_ = std::thread([this] { writer_loop(); });
  sync_thread_ = std::thread([this] { sync_loop(); });
  return {};
}

Status LogImpl::begin_epoch() {
  epoch_begun_ = false;
  KAPPA_CHECK_OK(control_->begin_epoch(epoch_, durable_position(), durable_end()));
  epoch_begun_ = true;
  return {};
}

void LogImpl::begin_retention() {
  if (read_only_ || !options_.retention.on()) return;
  std::lock_guard guard(retention_mutex_);
  if (retention_) return;
  Retention::Parts parts{files_, options_.directory, id_, clock_, *preparer_, *directory_, segments_, *holds_, {}, {}, {}, {}};
  parts.other_bytes = [this] {
    const std::size_t sealed = preparer_->manifest().sealed.size();
    const std::size_t all = segments_.size();
    return (all > sealed ? all - sealed : 0) * std::uint64_t{options_.segment_bytes};
  };
  parts.advanced = [this](Offset start) { log_start_.store(start.value(), std::memory_order_release); };
  parts.removed = [this](std::uint64_t bytes) {
    bytes_on_disk_.fetch_sub(bytes, std::memory_order_relaxed);
    damaged_.forget_before(segments_.first()->header().number);
  };
  parts.failed = [this](const Error& error) { set_fatal(error); };
  retention_ = std::make_unique<Retention>(options_.retention, std::move(parts));
}

LogImpl::~LogImpl() {
  scrub_.stop();
  if (scrub_thread_.joinable()) scrub_thread_.join();
  {
    // Taken out under the lock, ended without it: a seal may be asking.
    std::unique_lock guard(retention_mutex_);
    const auto retention = std::move(retention_);
    guard.unlock();
  }
  {
    std::lock_guard guard(queue_mutex_);
    closing_ = true;
  }
  writer_wake_.notify_all();
  if (writer_thread_.joinable()) writer_thread_.join();
  {
    std::lock_guard guard(queue_mutex_);
    stop_sync_ = true;
  }
  sync_wake_.notify_all();
  if (sync_thread_.joinable()) sync_thread_.join();
  if (active_file_ && !fatal_error() && !has_its_name(*active_file_, *active_)) {
    if (const auto written = write_back(files_, *active_file_, *active_); !written)
      spdlog::error("log: {} was removed or replaced and cannot be written back: {}", active_->path().string(),
                    to_string(written.error()));
  }
  // A clean end leaves nothing to doubt: W is the end.
  if (control_ && epoch_begun_ && !fatal_error()) {
    if (Status stored = control_->write(durable_position(), durable_end()); !stored)
      spdlog::error("log: {}", to_string(stored.error()));
  }
  preparer_.reset();
}

}  // namespace kappa::log
