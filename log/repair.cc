// Carrying out a repair. Order, each step durable before the next:
//   1. files without a place go aside, misplaced segments to their names (by way of a name of their own);
//   2. damaged bytes are copied aside;
//   3. every damaged segment is written anew beside the old one, checked, and renamed over it;
//   4. the manifest; 5. a new last segment, if the old end cannot take appends; 6. CONTROL, if it was lost.
// A crash in between leaves segments that are either as they were or repaired; what the manifest then says
// of them is damage again, or there is no last segment, or no CONTROL: the log stays refused until a second
// run, which finds fewer things to do.
#include "log/repair.h"

#include <algorithm>
#include <optional>

#include "log/gap.h"
#include "log/recover.h"
#include "log/survey.h"

namespace kappa::log {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
// Room for events behind the snapshot of a new last segment; the writer rolls to a full-sized one then.
constexpr std::uint64_t kFreshSegmentRoom = std::uint64_t{256} << 10;
constexpr const char* kUnfinishedSuffix = ".unfinished";

std::string offsets_text(Offset first, Offset last) {
  return "offsets [" + std::to_string(first.value()) + ", " + std::to_string(last.value()) + ")";
}

class Repair {
 public:
  Repair(FileSystem& files, const RepairOptions& options, const std::function<void(std::string_view)>& line)
      : files_(files), options_(options), directory_(options.directory), line_(line) {}

  Expected<RepairReport> run() {
    KAPPA_TRY(found_, survey(files_, directory_, {}));
    report_.damage = found_.damage;
    if (found_.sound()) return std::move(report_);
    plan();
    if (!options_.accept_loss) return std::move(report_);
    for (const std::string& action : report_.actions)
      if (line_) line_(action);
    KAPPA_CHECK_OK(put_in_place());
    for (SurveyedSegment& segment : found_.segments) KAPPA_CHECK_OK(mend(segment));
    KAPPA_CHECK_OK(store_manifest());
    if (found_.tail_damaged) KAPPA_CHECK_OK(begin_segment());
    if (!found_.control) KAPPA_CHECK_OK(store_control());
    report_.done = true;
    KAPPA_TRY(const Survey after, survey(files_, directory_, {}));
    report_.remaining = after.damage;
    return std::move(report_);
  }

 private:
  void act(std::string text) { report_.actions.push_back(std::move(text)); }

  bool needs_mending(const SurveyedSegment& segment) const {
    return !segment.file || segment.page_damaged || segment.footer_damaged || !segment.lost.empty() ||
           (found_.tail_damaged && !segment.sealed);
  }

  // What will be done, in words.
  void plan() {
    for (const std::string& name : found_.extra) act("put the file " + name + " aside");
    for (const SurveyedSegment& segment : found_.segments) {
      const std::string name = segment.name();
      if (segment.misplaced()) act("rename " + *segment.file + " to " + name);
      for (const LostRange& range : segment.lost) {
        const std::string bytes =
            "bytes [" + std::to_string(range.from) + ", " + std::to_string(range.to) + ")";
        act((range.first < range.last ? "give up " + offsets_text(range.first, range.last)
                                      : std::string("replace control batches")) +
            ": segment file " + name + ", " + bytes +
            (segment.file ? ", kept in " + aside_name(segment, range.from) : ", the file is missing"));
        add_gap(report_.lost, range.first, range.last);
      }
      if (segment.file && segment.page_damaged) act("make the header page of " + name + " anew");
      if (segment.sealed && segment.footer_damaged && segment.lost.empty())
        act("make the footer of " + name + " anew");
    }
    if (!found_.manifest) act("make MANIFEST anew from the segments");
    if (found_.tail_damaged)
      act("begin a new last segment at offset " + std::to_string(found_.end_offset.value()));
    report_.definitions = found_.lost_definitions;
    for (std::size_t id = 1; id < found_.state.topics.size(); ++id)
      if (!found_.state.topics[id].name.empty()) report_.topics.push_back(found_.state.topics[id].name);
    for (const auto& [key, record] : found_.state.system) report_.records.push_back(record);
    if (!found_.control)
      act("make CONTROL anew: the log then ends at offset " + std::to_string(found_.end_offset.value()) +
          ", whatever was behind it");
  }

  std::string aside_name(const SurveyedSegment& segment, std::uint64_t at) const {
    return "damaged-" + std::to_string(position_at(segment.header, at).value()) + ".bin";
  }

  // A name that nothing has.
  Expected<std::filesystem::path> free_name(const std::string& wanted) {
    KAPPA_TRY(const auto names, files_.list(directory_));
    std::string name = wanted;
    for (int i = 2; std::ranges::binary_search(names, name); ++i) name = wanted + "." + std::to_string(i);
    return directory_ / name;
  }

  Status put_in_place() {
    for (const std::string& name : found_.extra) {
      KAPPA_TRY(const auto to, free_name("damaged-" + name));
      KAPPA_CHECK_OK(files_.rename(directory_ / name, to));
    }
    bool moved = false;
    for (SurveyedSegment& segment : found_.segments) {
      if (!segment.misplaced()) continue;
      const std::string between = std::string(kMovingPrefix) + segment.name();
      if (*segment.file != between) KAPPA_CHECK_OK(files_.rename(directory_ / *segment.file, directory_ / between));
      segment.file = between;
      moved = true;
    }
    if (moved || !found_.extra.empty()) KAPPA_CHECK_OK(files_.sync_directory(directory_));
    if (!moved) return {};
    for (SurveyedSegment& segment : found_.segments) {
      if (!segment.misplaced()) continue;
      KAPPA_CHECK_OK(files_.rename(directory_ / *segment.file, directory_ / segment.name()));
      segment.file = segment.name();
    }
    return files_.sync_directory(directory_);
  }

  // The first copy of the damaged bytes counts: a second run may only have what a first one left.
  Status keep_aside(const std::string& name, Bytes bytes) {
    if (bytes.empty() || end_of_bytes(bytes, 0) == 0) return {};
    KAPPA_TRY(const auto names, files_.list(directory_));
    if (std::ranges::binary_search(names, name)) return {};
    return files_.replace_whole(directory_ / name, as_text(bytes));
  }

  Status mend(SurveyedSegment& segment) {
    if (!needs_mending(segment)) {
      if (segment.sealed) KAPPA_CHECK_OK(enter(segment));
      return {};
    }
    SegmentHeader& header = segment.header;
    if (hash_unknown_) {
      // Nothing that is left names the batch before: the gap before it is what it follows.
      header.previous_header_hash = hash_;
      if (!segment.lost.empty() && segment.lost.front().from == kSegmentHeaderBytes)
        segment.lost.front().previous_hash = hash_;
    }
    std::shared_ptr<const Mapping> source;
    if (segment.file) {
      KAPPA_TRY(const auto file, files_.open(directory_ / *segment.file, OpenMode::kRead));
      KAPPA_TRY(source, file->map());
    }
    const Bytes bytes = source ? source->bytes() : Bytes{};
    KAPPA_CHECK_OK(copy_damage(segment, bytes));

    const std::filesystem::path beside = directory_ / (segment.name() + kUnfinishedSuffix);
    {
      KAPPA_TRY(const auto file, files_.open(beside, OpenMode::kCreateEmpty));
      KAPPA_CHECK_OK(file->pwrite(as_bytes(encode_segment_header(header)), 0));
      std::uint64_t at = kSegmentHeaderBytes;
      for (const LostRange& range : segment.lost) {
        KAPPA_CHECK_OK(copy(*file, source.get(), at, range.from));
        KAPPA_TRY(const Gap gap, make_gap(header, range));
        // The filler is what a new file has by itself.
        for (const GapBatch& batch : gap.batches) KAPPA_CHECK_OK(file->pwrite(as_bytes(batch.header), batch.at));
        at = range.to;
      }
      KAPPA_CHECK_OK(copy(*file, source.get(), at, segment.end));
      KAPPA_CHECK_OK(file->truncate(segment.end));
      KAPPA_TRY(const SegmentIndex index, check(*file, segment));
      hash_ = index.footer().last_header_hash;
      hash_unknown_ = !segment.lost.empty() && segment.lost.back().to == segment.end &&
                      segment.lost.back().resume_hash == 0;
      const std::string footer = encode_footer(index.footer(), header.log_id.low);
      KAPPA_CHECK_OK(file->pwrite(as_bytes(footer), segment.end));
      KAPPA_CHECK_OK(file->fdatasync());
      entries_.push_back(entry_of(index.footer(), segment.end + footer.size(), hash_bytes(as_bytes(footer), 0)));
      const auto index_file = directory_ / index_name(header.number, header.base_offset);
      // Derived; one of the damaged segment would be believed, so it goes first.
      if (Status gone = files_.unlink(index_file); !gone && gone.error().code != ErrorCode::kNotFound) return gone;
    }
    KAPPA_CHECK_OK(files_.rename(beside, directory_ / segment.name()));
    return files_.sync_directory(directory_);
  }

  Status copy_damage(const SurveyedSegment& segment, Bytes bytes) {
    const auto cut = [&](std::uint64_t from, std::uint64_t to) {
      from = std::min<std::uint64_t>(from, bytes.size());
      to = std::clamp<std::uint64_t>(to, from, bytes.size());
      return bytes.subspan(from, to - from);
    };
    if (segment.page_damaged)
      KAPPA_CHECK_OK(keep_aside("damaged-" + segment.name() + "-page.bin", cut(0, kSegmentHeaderBytes)));
    for (const LostRange& range : segment.lost)
      KAPPA_CHECK_OK(keep_aside(aside_name(segment, range.from), cut(range.from, range.to)));
    // Behind the batches: a damaged footer, or a torn tail that a footer now takes the place of.
    const bool footer_lost = segment.sealed && segment.footer_damaged && segment.lost.empty();
    if (footer_lost || segment.torn_end > segment.end)
      KAPPA_CHECK_OK(keep_aside("damaged-" + segment.name() + "-end.bin",
                                cut(segment.end, std::max(segment.torn_end, segment.file_bytes))));
    return {};
  }

  Status copy(File& to, const Mapping* source, std::uint64_t from, std::uint64_t end) {
    while (from < end) {
      const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, end - from));
      if (source == nullptr || source->bytes().size() < from + n)
        return fail(ErrorCode::kCorrupt, 3132, "a segment file changed while it was repaired");
      // Through memory: a page that cannot be read must not be found out by the kernel.
      const std::string piece(as_text(source->bytes().subspan(from, n)));
      if (source->lost_byte(from, from + n))
        return fail(ErrorCode::kIo, 3131, "byte " + std::to_string(from) + " of a segment cannot be read");
      KAPPA_CHECK_OK(to.pwrite(as_bytes(piece), from));
      from += n;
    }
    return {};
  }

  // Follows the whole chain of the new file before it takes the old one's place.
  Expected<SegmentIndex> check(File& file, const SurveyedSegment& segment) {
    KAPPA_TRY(const auto map, file.map());
    SegmentIndex index(segment.header);
    ChainState chain{segment.header.base_offset, segment.header.previous_header_hash};
    for (std::uint64_t at = kSegmentHeaderBytes; at < segment.end;) {
      const auto batch = batch_at(map->bytes(), segment.header, at);
      const Status follows = batch ? check_chain(chain, *batch) : Status{};
      if (!batch || !follows)
        return fail(ErrorCode::kCorrupt, 3132,
                    "segment " + std::to_string(segment.header.number) + " cannot be made whole at byte " +
                        std::to_string(at) + ": " + (batch ? follows.error().message : batch.error().message),
                    "restore the segment from a copy");
      index.add(batch->header, batch->header_hash, at);
      extend_chain(chain, *batch);
      at = batch->end();
    }
    if (chain.next_offset != segment.end_offset)
      return fail(ErrorCode::kCorrupt, 3132,
                  "segment " + std::to_string(segment.header.number) + " ends at offset " +
                      std::to_string(chain.next_offset.value()) + ", not " +
                      std::to_string(segment.end_offset.value()),
                  "restore the segment from a copy");
    return index;
  }

  static ManifestEntry entry_of(const SegmentFooter& footer, std::uint64_t file_bytes, std::uint64_t hash) {
    ManifestEntry entry;
    entry.number = footer.number;
    entry.base_offset = footer.base_offset;
    entry.end_offset = footer.end_offset;
    entry.base_position = footer.base_position;
    entry.end_position = footer.end_position;
    entry.file_bytes = file_bytes;
    entry.footer_hash = hash;
    return entry;
  }

  // A sealed segment that stays as it is.
  Status enter(const SurveyedSegment& segment) {
    KAPPA_TRY(const auto file, files_.open(directory_ / segment.name(), OpenMode::kRead));
    KAPPA_TRY(const std::uint64_t size, file->size());
    std::string bytes(static_cast<std::size_t>(size - segment.end), '\0');
    KAPPA_TRY(const std::size_t got, file->pread(std::as_writable_bytes(std::span(bytes)), segment.end));
    bytes.resize(got);
    KAPPA_TRY(const SegmentFooter footer, decode_footer(as_bytes(bytes), found_.log_id.low));
    hash_ = footer.last_header_hash;
    hash_unknown_ = false;
    entries_.push_back(entry_of(footer, size, hash_bytes(as_bytes(bytes), 0)));
    return {};
  }

  // Without a manifest the log begins with the first segment that is left.
  Status store_manifest() {
    Manifest manifest;
    manifest.log_id = found_.log_id;
    manifest.log_start = found_.log_start;
    manifest.sealed = entries_;
    if (found_.manifest && *found_.manifest == manifest) return {};
    if (const auto old = files_.read_whole(directory_ / kManifestName, kManifestBytesMax))
      KAPPA_CHECK_OK(keep_aside(std::string("damaged-") + kManifestName + ".bin", as_bytes(*old)));
    return files_.replace_whole(directory_ / kManifestName, encode_manifest(manifest));
  }

  // Empty but for the snapshot of the tables.
  Status begin_segment() {
    SegmentHeader header;
    header.log_id = found_.log_id;
    header.number = found_.segments.empty() ? 1 : found_.segments.back().header.number + 1;
    header.base_offset = found_.end_offset;
    header.base_position = found_.end_position;
    header.previous_header_hash = found_.segments.empty() ? 0 : hash_;
    std::string content = encode_segment_header(header);
    std::uint64_t hash = header.previous_header_hash;
    for (const std::string& part : found_.state.snapshot()) {
      BatchHeader batch;
      batch.kind = BatchKind::kSnapshot;
      batch.body_length = batch.uncompressed_length = static_cast<std::uint32_t>(part.size());
      batch.base_offset = header.base_offset;
      batch.log_position = position_at(header, content.size());
      batch.durable_upto = header.base_position;
      batch.writer_epoch = found_.epoch;
      batch.previous_header_hash = hash;
      batch.append_time = batch.min_timestamp = batch.max_timestamp = found_.state.last_append_time;
      batch.body_hash = hash_body(as_bytes(part));
      const std::size_t at = content.size();
      content.resize(at + kBatchHeaderBytes);
      hash = encode_batch_header(batch, header.log_id.low, reinterpret_cast<std::byte*>(content.data() + at));
      content += part;
      content.resize((content.size() + kBatchAlignment - 1) / kBatchAlignment * kBatchAlignment);
    }
    content.resize((content.size() + kFreshSegmentRoom + 4095) / 4096 * 4096);
    const std::filesystem::path beside = directory_ / (segment_name(header.number, header.base_offset) + kUnfinishedSuffix);
    {
      KAPPA_TRY(const auto file, files_.open(beside, OpenMode::kCreateEmpty));
      KAPPA_CHECK_OK(file->pwrite(as_bytes(content), 0));
      KAPPA_CHECK_OK(file->fdatasync());
    }
    KAPPA_CHECK_OK(files_.rename(beside, directory_ / segment_name(header.number, header.base_offset)));
    return files_.sync_directory(directory_);
  }

  Status store_control() {
    ControlPage page;
    page.log_id = found_.log_id;
    page.generation = 1;
    page.writer_epoch = found_.epoch;
    page.watermark = found_.end_position;
    page.watermark_offset = found_.end_offset;
    if (const auto old = files_.read_whole(directory_ / kControlName, 4 * kControlPageBytes))
      KAPPA_CHECK_OK(keep_aside(std::string("damaged-") + kControlName + ".bin", as_bytes(*old)));
    return files_.replace_whole(directory_ / kControlName,
                                std::string(kControlPageBytes, '\0') + encode_control_page(page));
  }

  FileSystem& files_;
  const RepairOptions& options_;
  std::filesystem::path directory_;
  const std::function<void(std::string_view)>& line_;
  Survey found_;
  RepairReport report_;
  std::vector<ManifestEntry> entries_;
  std::uint64_t hash_ = 0;     // What the next segment must name as the batch before its first.
  bool hash_unknown_ = false;  // Nothing but the gap itself says so.
};

}  // namespace

Expected<RepairReport> repair(const RepairOptions& options, const std::function<void(std::string_view)>& line) {
  FileSystem& files = options.files != nullptr ? *options.files : real_file_system();
  std::unique_ptr<File> lock;
  auto opened = files.open(options.directory / kLockName, options.accept_loss ? OpenMode::kCreate : OpenMode::kRead);
  if (!opened && (options.accept_loss || opened.error().code != ErrorCode::kNotFound))
    return std::unexpected(std::move(opened).error());
  if (opened) {
    lock = std::move(*opened);
    KAPPA_TRY(const bool locked, lock->lock(options.accept_loss));
    if (!locked)
      return fail(ErrorCode::kBusy, 3001, "another process has the log " + options.directory.string() + " open",
                  "stop it first");
  }
  return Repair(files, options, line).run();
}

}  // namespace kappa::log
