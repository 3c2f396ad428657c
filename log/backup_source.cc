// Taking the picture. The order of the reads is what makes it right:
//   CONTROL before the segments: W of an earlier moment must be at or below the end found later, or
//   bytes below it are damaged;
//   MANIFEST and the names before and after the segments: if neither changed, no roll or seal fell
//   between, so the segments read are all that have no entry.
// A read is not atomic: its later pages may be newer than its first ones, and then show what proves that
// the first ones were durable. So damage is believed only when a second picture, begun after that, shows
// the same.
// A batch that is being written does not verify yet: it is behind the end.
#include "log/backup_source.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "log/missing_log.h"

namespace kappa::log {
namespace {

// Pictures taken before a directory counts as changing too fast: a roll takes much longer than one.
constexpr int kAttempts = 50;
constexpr std::chrono::milliseconds kPollInterval{3};
// Read at once while waiting: the largest batch fits.
constexpr std::size_t kLookAheadBytes = std::size_t{16} << 20;

std::string range(std::uint64_t from, std::uint64_t to) {
  return "[" + std::to_string(from) + ", " + std::to_string(to) + ")";
}

// [from, from + bytes) of the file, less at its end.
Expected<std::string> read_piece(File& file, std::uint64_t from, std::uint64_t bytes) {
  std::string content(static_cast<std::size_t>(bytes), '\0');
  KAPPA_TRY(const std::size_t got, file.pread(std::as_writable_bytes(std::span(content)), from));
  content.resize(got);
  return content;
}

// One look at the directory.
class Picture {
 public:
  Picture(FileSystem& files, const std::filesystem::path& log) : files_(files), log_(log) {}

  // False if the directory changed while it was read. `stopped`: nobody writes, so what does not continue
  // the chain and proves nothing is a tail that the next start would cut off (log/recovery.h).
  Expected<bool> take(bool stopped) {
    out_ = {};
    out_.live = !stopped;
    KAPPA_TRY(proven_, watermark());
    KAPPA_TRY(const std::string manifest, manifest_bytes());
    KAPPA_TRY(out_.manifest, decode_manifest(manifest));
    KAPPA_TRY(const auto names, unsealed_names());
    for (const auto& [number, base_offset] : names) {
      const Status opened = read_open(number, base_offset);
      if (!opened && opened.error().code == ErrorCode::kNotFound) return false;
      KAPPA_CHECK_OK(opened);
    }
    KAPPA_TRY(const std::string manifest_after, manifest_bytes());
    KAPPA_TRY(const auto names_after, unsealed_names());
    if (manifest_after != manifest || names_after != names) return false;
    KAPPA_CHECK_OK(follow());
    return true;
  }
  // Every byte below this was durable at some moment before now.
  [[nodiscard]] LogPosition proven() const { return proven_; }
  [[nodiscard]] BackupSource& result() { return out_; }
  // Where the chain of the last picture ended, also if that was found to be damage.
  [[nodiscard]] LogPosition end() const { return out_.end; }

  // Looks for newer proof of what is durable: W, the batches written since, the manifest.
  Status look_again() {
    KAPPA_TRY(const LogPosition w, watermark());
    prove(w);
    KAPPA_TRY(const std::string bytes, manifest_bytes());
    KAPPA_TRY(const Manifest manifest, decode_manifest(bytes));
    // Sealing follows the sync.
    if (!manifest.sealed.empty()) prove(manifest.sealed.back().end_position);
    const BackupSource::Open& last = out_.open.back();
    const auto file = files_.open(log_ / last.name, OpenMode::kRead);
    if (!file) return {};  // Sealed and gone already: the manifest has said so, or will.
    const std::uint64_t from = last.content.size();
    KAPPA_TRY(const std::string ahead, read_piece(**file, from, kLookAheadBytes));
    // The bytes at their place in the file, so that positions are checked; what is before is not read.
    SegmentHeader header = last.header;
    header.base_position += from - kSegmentHeaderBytes;
    const std::string placed = std::string(kSegmentHeaderBytes, '\0') + ahead;
    for (std::uint64_t at = kSegmentHeaderBytes;;) {
      const auto found = batch_at(as_bytes(placed), header, at);
      if (!found) return {};
      prove(found->header.durable_upto);
      at = found->end();
    }
  }

 private:
  void prove(LogPosition upto) { proven_ = std::max(proven_, upto); }

  Expected<LogPosition> watermark() {
    KAPPA_TRY(const std::string bytes, files_.read_whole(log_ / kControlName, 4 * kControlPageBytes));
    const auto page = decode_control(as_bytes(bytes));
    if (!page)
      return fail(ErrorCode::kCorrupt, 3183,
                  "both pages of " + (log_ / kControlName).string() + " are damaged",
                  "kappa verify shows the damage");
    out_.writer_epoch = page->writer_epoch;
    return page->watermark;
  }

  Expected<std::string> manifest_bytes() {
    auto bytes = files_.read_whole(log_ / kManifestName, kManifestBytesMax);
    if (!bytes && bytes.error().code == ErrorCode::kNotFound)
      return std::unexpected(without_manifest(files_, log_));
    return bytes;
  }

  // (number, base offset) of the segments behind those in the manifest.
  Expected<std::vector<std::pair<std::uint64_t, Offset>>> unsealed_names() {
    std::vector<std::pair<std::uint64_t, Offset>> found;
    const std::uint64_t sealed = out_.manifest.sealed.empty() ? 0 : out_.manifest.sealed.back().number;
    KAPPA_TRY(const auto names, files_.list(log_));
    for (const std::string& name : names)
      if (const auto parsed = parse_segment_name(name); parsed && parsed->number > sealed)
        found.emplace_back(parsed->number, parsed->base_offset);
    return found;
  }

  Status read_open(std::uint64_t number, Offset base_offset) {
    BackupSource::Open open;
    open.name = segment_name(number, base_offset);
    KAPPA_TRY(const auto file, files_.open(log_ / open.name, OpenMode::kRead));
    KAPPA_TRY(open.file_bytes, file->size());
    KAPPA_TRY(open.content, read_piece(*file, 0, open.file_bytes));
    KAPPA_TRY(open.header, decode_segment_header(as_bytes(open.content)));
    if (open.header.number != number || open.header.base_offset != base_offset ||
        open.header.log_id != out_.manifest.log_id)
      return fail(ErrorCode::kCorrupt, 3183,
                  "segment file " + open.name + ": its header page is another segment's");
    out_.open.push_back(std::move(open));
    return {};
  }

  Status broken(const BackupSource::Open& open, std::uint64_t from, Offset to, std::string_view why) {
    return fail(ErrorCode::kCorrupt, 3183,
                damage_text(open.name, from, open.content.size(), out_.chain.next_offset, to, why),
                "kappa verify shows the damage");
  }

  // Follows the chain through the open segments, finds the end and cuts there.
  Status follow() {
    if (out_.open.empty())
      return fail(ErrorCode::kCorrupt, 3183, "the segment file that takes the appends is missing");
    const SegmentHeader& first = out_.open.front().header;
    const auto& sealed = out_.manifest.sealed;
    if (!sealed.empty() &&
        (first.number != sealed.back().number + 1 || first.base_offset != sealed.back().end_offset ||
         first.base_position != sealed.back().end_position))
      return fail(ErrorCode::kCorrupt, 3183,
                  "segment file " + out_.open.front().name + " does not continue the sealed segments");
    out_.chain = {first.base_offset, first.previous_header_hash};
    for (std::size_t i = 0; i < out_.open.size(); ++i) {
      BackupSource::Open& open = out_.open[i];
      std::uint64_t at = kSegmentHeaderBytes;
      std::string why = "the log ends here";
      for (;;) {
        const auto found = batch_at(as_bytes(open.content), open.header, at);
        if (!found && found.error().code == ErrorCode::kUnsupported) return std::unexpected(found.error());
        const Status chained = found ? check_chain(out_.chain, *found) : Status{};
        if (!found || !chained) {
          why = found ? chained.error().message : found.error().message;
          break;
        }
        prove(found->header.durable_upto);
        extend_chain(out_.chain, *found);
        at = found->end();
      }
      out_.end = position_at(open.header, at);
      if (i + 1 < out_.open.size()) {
        const SegmentHeader& next = out_.open[i + 1].header;
        const bool continues = next.number == open.header.number + 1 && next.base_position == out_.end &&
                               next.base_offset == out_.chain.next_offset &&
                               next.previous_header_hash == out_.chain.header_hash;
        if (!continues) {
          // The next segment was begun when all of this one was written.
          if (out_.live) return broken(open, at, next.base_offset, why);
          for (std::size_t later = i + 1; later < out_.open.size(); ++later)
            look_for_proof(out_.open[later], kSegmentHeaderBytes);
          out_.open.resize(i + 1);
        }
      }
      if (i + 1 == out_.open.size()) {
        look_for_proof(open, at);
        if (proven_ > out_.end)
          return broken(
              open, at, out_.chain.next_offset,
              why + "; bytes up to log position " + std::to_string(proven_.value()) + " were durable");
        const auto footer = decode_footer(as_bytes(open.content).subspan(at), open.header.log_id.low);
        if (footer && footer->number == open.header.number && footer->end_position == out_.end)
          return fail(ErrorCode::kCorrupt, 3183, "the segment file after " + open.name + " is missing",
                      "kappa verify shows the damage");
      }
      open.content.resize(at);
    }
    return {};
  }

  // What later batches say of what was durable before them.
  void look_for_proof(const BackupSource::Open& open, std::uint64_t from) {
    for (auto found = find_batch(as_bytes(open.content), open.header, from); found;
         found = find_batch(as_bytes(open.content), open.header, found->at + kBatchAlignment))
      prove(found->header.durable_upto);
  }

  FileSystem& files_;
  const std::filesystem::path& log_;
  BackupSource out_;
  LogPosition proven_;
};

}  // namespace

std::string damage_text(const std::string& file, std::uint64_t from, std::uint64_t to, Offset first,
                        Offset last, std::string_view why) {
  return "segment file " + file + ", bytes " + range(from, to) + ", offsets " +
         range(first.value(), last.value()) + ": " + std::string(why);
}

namespace {

// True if no server has the log open. The lock is held for this question only: a server that starts
// meanwhile must not be refused because of a backup.
Expected<bool> is_stopped(FileSystem& files, const std::filesystem::path& log) {
  const auto lock = files.open(log / kLockName, OpenMode::kRead);
  if (!lock && lock.error().code == ErrorCode::kNotFound) {
    // A log whose lock alone was deleted is a log; what was opened says so.
    const auto manifest = files.open(log / kManifestName, OpenMode::kRead);
    if (!manifest && manifest.error().code == ErrorCode::kNotFound) return std::unexpected(without_manifest(files, log));
  }
  if (!lock) return std::unexpected(lock.error());
  return (*lock)->lock(false);
}

}  // namespace

Expected<BackupSource> read_backup_source(FileSystem& files, const std::filesystem::path& log,
                                          std::uint32_t patience_ms) {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + std::chrono::milliseconds(patience_ms);
  Picture picture(files, log);
  std::optional<LogPosition> doubted;  // Where the picture before found damage.
  const auto take = [&](bool stopped) -> Expected<bool> {
    auto taken = picture.take(stopped);
    if (taken || taken.error().code != ErrorCode::kCorrupt || doubted == picture.end()) return taken;
    doubted = picture.end();
    return false;
  };
  int attempts = 0;
  for (bool taken = false;;) {
    KAPPA_TRY(const bool stopped, is_stopped(files, log));
    if (stopped) {
      // Before and after: nobody wrote meanwhile, so the end is what the next start would find.
      KAPPA_TRY(taken, take(true));
      KAPPA_TRY(const bool still_stopped, is_stopped(files, log));
      if (taken && still_stopped) return std::move(picture.result());
      taken = false;
    } else if (!taken) {
      KAPPA_TRY(taken, take(false));
    } else {
      KAPPA_CHECK_OK(picture.look_again());
    }
    if (taken && picture.proven() >= picture.result().end) return std::move(picture.result());
    if (!taken && ++attempts == kAttempts)
      return fail(ErrorCode::kBusy, 3186, "the log changes faster than it can be read", "try again");
    if (steady_clock::now() >= deadline)
      return fail(ErrorCode::kTimeout, 3187, "the server does not make its last batches durable",
                  "kappa status shows its state; a larger --timeout waits longer");
    if (taken) std::this_thread::sleep_for(kPollInterval);
  }
}

}  // namespace kappa::log
