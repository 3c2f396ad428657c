// What to remove, and removing it in the order that a crash cannot hurt.
#include "log/retention.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

namespace kappa::log {
namespace {

// How soon it looks again at what a hold or the disk is in the way of.
constexpr std::chrono::milliseconds kLookAgain{500};
// Between looks at the ages: a hundredth of the limit, within these.
constexpr std::chrono::milliseconds kTickMin{100};
constexpr std::chrono::milliseconds kTickMax{60'000};

// Last append time of a sealed segment, from its footer; without one, the log's own time says nothing.
std::optional<Timestamp> last_append_time(FileSystem& files, const std::filesystem::path& directory,
                                          const ManifestEntry& entry, const LogId& id) {
  const auto file = files.open(directory / segment_name(entry.number, entry.base_offset), OpenMode::kRead);
  if (!file) return std::nullopt;
  SegmentHeader header;
  header.base_position = entry.base_position;
  const std::uint64_t end = file_byte(header, entry.end_position);
  if (end > entry.file_bytes || entry.file_bytes - end > (std::uint64_t{1} << 26)) return std::nullopt;
  std::string bytes(entry.file_bytes - end, '\0');
  const auto got = (*file)->pread(std::as_writable_bytes(std::span(bytes)), end);
  if (!got) return std::nullopt;
  const auto footer = decode_footer(as_bytes(bytes).first(*got), id.low);
  if (!footer) return std::nullopt;
  return footer->last_append_time;
}

}  // namespace

RetentionPlan plan_retention(const RetentionLimits& limits, std::span<const RetainedSegment> sealed,
                             std::uint64_t other_bytes, std::optional<Offset> lowest_hold) {
  RetentionPlan plan;
  std::uint64_t total = other_bytes;
  for (const RetainedSegment& segment : sealed) total += segment.bytes;
  bool held = false;
  for (std::size_t i = 0; i + 1 < sealed.size(); ++i) {
    const RetainedSegment& segment = sealed[i];
    const bool too_large = limits.bytes != 0 && total > limits.bytes;
    const bool too_old = limits.age.count() != 0 && segment.age >= limits.age;
    const bool forced = limits.bytes_max != 0 && total > limits.bytes_max;
    if (!too_large && !too_old && !forced) break;
    held = held || (lowest_hold && *lowest_hold < segment.end_offset);
    if (held && !forced) {
      ++plan.held;
    } else {
      ++plan.remove;
      if (held) ++plan.over_hold;
    }
    total -= segment.bytes;
  }
  return plan;
}

Status remove_leftovers(FileSystem& files, const std::filesystem::path& directory, const Manifest& manifest) {
  if (manifest.sealed.empty() || manifest.log_start == Offset(0)) return {};
  KAPPA_TRY(const auto names, files.list(directory));
  bool any = false;
  Status left;
  for (const std::string& name : names) {
    // An index file has its segment's name but for the end.
    std::string segment = name;
    if (const std::size_t dot = segment.rfind('.'); dot != std::string::npos && segment.substr(dot) == ".index")
      segment.replace(dot, std::string::npos, ".segment");
    const auto parsed = parse_segment_name(segment);
    if (!parsed || parsed->number >= manifest.sealed.front().number || parsed->base_offset >= manifest.log_start)
      continue;
    if (Status gone = files.unlink(directory / name); !gone) left = gone;
    any = true;
  }
  if (!left) spdlog::warn("log: files of removed segments stay: {}", to_string(left.error()));
  return any ? files.sync_directory(directory) : Status{};
}

Retention::Retention(RetentionLimits limits, Parts parts) : limits_(limits), parts_(std::move(parts)) {
  thread_ = std::thread([this] { run(); });
}

Retention::~Retention() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Retention::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

Retention::Report Retention::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

void Retention::set_note(std::string note) {
  const std::lock_guard lock(mutex_);
  report_.note = std::move(note);
}

void Retention::run() {
  if (limits_.age.count() != 0) begin_ages();
  std::unique_lock lock(mutex_);
  while (!stop_) {
    woken_ = false;
    lock.unlock();
    const Next next = pass();
    if (next == Next::kNever) return;
    lock.lock();
    const auto roused = [this] { return woken_ || stop_; };
    if (next == Next::kSoon) {
      wake_.wait_for(lock, kLookAgain, roused);
    } else if (ages_) {
      const auto tick = std::chrono::duration_cast<std::chrono::milliseconds>(limits_.age / 100);
      wake_.wait_for(lock, std::clamp(tick, kTickMin, kTickMax), roused);
    } else {
      wake_.wait(lock, roused);
    }
  }
  lock.unlock();
  if (ages_) save_ages();
}

void Retention::begin_ages() {
  ages_.emplace(limits_.age);
  if (const auto stored = parts_.files.read_whole(parts_.directory / kRetentionName, kManifestBytesMax))
    ages_->restore(*stored, parts_.id);
  const Manifest manifest = parts_.preparer.manifest();
  std::vector<SegmentAges::Stamp> missing;
  for (const ManifestEntry& entry : manifest.sealed) {
    if (ages_->knows(entry.number)) continue;
    const auto time = last_append_time(parts_.files, parts_.directory, entry, parts_.id);
    // What cannot be read is as old as what comes after it: never older than it is.
    missing.push_back({entry.number, time.value_or(Timestamp(INT64_MAX))});
  }
  ages_->begin(parts_.clock.now(), parts_.clock.steady(), missing);
  if (!manifest.sealed.empty()) ages_->removed_before(manifest.sealed.front().number);
}

void Retention::save_ages() {
  // Derived: a failure costs the time until the next one.
  if (const Status stored = parts_.files.replace_derived(parts_.directory / kRetentionName,
                                                         ages_->encode(parts_.id, parts_.clock.now()));
      !stored) {
    spdlog::warn("log: the ages of segments cannot be stored: {}", to_string(stored.error()));
  }
  saved_at_ = parts_.clock.steady();
}

Retention::Next Retention::pass() {
  const Manifest manifest = parts_.preparer.manifest();
  bool changed = false;
  if (ages_) {
    ages_->tick(parts_.clock.steady());
    for (const ManifestEntry& entry : manifest.sealed) {
      changed = changed || !ages_->knows(entry.number);
      ages_->sealed(entry.number);
    }
  }
  std::vector<RetainedSegment> sealed;
  sealed.reserve(manifest.sealed.size());
  for (const ManifestEntry& entry : manifest.sealed)
    sealed.push_back({entry.end_offset, entry.file_bytes,
                      ages_ ? ages_->age(entry.number) : std::chrono::microseconds(0)});
  RetentionPlan plan;
  std::optional<HoldInfo> lowest;
  parts_.holds.raise_floor([&](std::optional<HoldInfo> hold) {
    plan = plan_retention(limits_, sealed, parts_.other_bytes(), hold ? std::optional(hold->offset) : std::nullopt);
    lowest = std::move(hold);
    return plan.remove > 0 ? sealed[plan.remove - 1].end_offset : Offset(0);
  });
  std::string note;
  if (plan.over_hold > 0) {
    note = "the log is over its hard limit of " + std::to_string(limits_.bytes_max) + " bytes: offsets below " +
           std::to_string(sealed[plan.remove - 1].end_offset.value()) + " were removed although " + lowest->name +
           " needs them from offset " + std::to_string(lowest->offset.value()) + " on";
    spdlog::error("log: {}", note);
  }
  if (plan.remove > 0) {
    if (const Status done = remove(manifest, plan.remove); !done) {
      set_note("cannot remove segments: " + to_string(done.error()));
      if (done.error().code != ErrorCode::kFull) {
        parts_.failed(done.error());
        return Next::kNever;
      }
      spdlog::warn("log: retention cannot remove segments yet: {}", to_string(done.error()));
      return Next::kSoon;
    }
    changed = true;
  }
  if (plan.held > 0) {
    const std::string waits = lowest->name + " needs the log from offset " + std::to_string(lowest->offset.value()) +
                              " on; " + std::to_string(plan.held) + " segments over the limits wait for it";
    if (std::exchange(warned_, lowest->name) != lowest->name) spdlog::warn("log: retention: {}", waits);
    note += (note.empty() ? "" : "; ") + waits;
  } else {
    warned_.clear();
  }
  // A removal over a hold stays in the status: somebody lost events.
  if (!note.empty() || plan.remove > 0 || report().note.find("hard limit") == std::string::npos)
    set_note(std::move(note));
  if (ages_ && (changed || parts_.clock.steady() - saved_at_ >= kTickMax)) save_ages();
  return plan.held > 0 ? Next::kSoon : Next::kWhenWoken;
}

Status Retention::remove(const Manifest& manifest, std::size_t count) {
  const std::uint64_t first_kept = manifest.sealed[count].number;
  const Offset start = manifest.sealed[count].base_offset;
  KAPPA_CHECK_OK(parts_.preparer.change_manifest([&](Manifest& next) {
    std::erase_if(next.sealed, [&](const ManifestEntry& entry) { return entry.number < first_kept; });
    next.log_start = std::max(next.log_start, start);
  }));
  parts_.advanced(start);
  parts_.segments.remove_before(first_kept);
  std::uint64_t bytes = 0;
  Status left;
  for (std::size_t i = 0; i < count; ++i) {
    const ManifestEntry& entry = manifest.sealed[i];
    // Without an index nothing is missing, so its absence is no error.
    static_cast<void>(parts_.files.unlink(parts_.directory / index_name(entry.number, entry.base_offset)));
    const Status gone = parts_.files.unlink(parts_.directory / segment_name(entry.number, entry.base_offset));
    if (!gone && gone.error().code != ErrorCode::kNotFound) left = gone;
    bytes += entry.file_bytes;
  }
  // Files that stay behind are the next opening's: the manifest does not list them any more. A failed sync
  // may have been about a name that an append waits for.
  if (!left) spdlog::warn("log: removed segments leave files behind: {}", to_string(left.error()));
  KAPPA_CHECK_OK(parts_.names.sync());
  if (ages_) ages_->removed_before(first_kept);
  parts_.removed(bytes);
  spdlog::info("log: retention removed {} segments, the log begins at offset {}", count, start.value());
  const std::lock_guard lock(mutex_);
  report_.segments_removed += count;
  report_.bytes_removed += bytes;
  return {};
}

}  // namespace kappa::log
