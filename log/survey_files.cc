#include "log/survey_files.h"

#include <algorithm>

#include "log/segment_scan.h"
#include "log/survey.h"

namespace kappa::log {
namespace {

class Finder {
 public:
  Finder(FileSystem& files, std::filesystem::path directory) : files_(files), directory_(std::move(directory)) {}

  Expected<SurveyedFiles> run() {
    KAPPA_CHECK_OK(load());
    KAPPA_CHECK_OK(find_candidates());
    return std::move(out_);
  }

 private:
  void damage(std::string text) { out_.damage.push_back(std::move(text)); }

  Expected<std::shared_ptr<const Mapping>> open_map(const std::string& name) {
    KAPPA_TRY(const auto file, files_.open(directory_ / name, OpenMode::kRead));
    return file->map();
  }

  Status load() {
    KAPPA_TRY(names_, files_.list(directory_));
    const bool any = std::ranges::any_of(names_, [](const auto& name) { return parse(name).has_value(); });
    const auto bytes = files_.read_whole(directory_ / kManifestName, kManifestBytesMax);
    if (bytes) {
      auto manifest = decode_manifest(*bytes);
      if (manifest)
        out_.manifest = std::move(*manifest);
      else if (manifest.error().code == ErrorCode::kUnsupported)
        return std::unexpected(manifest.error());
      else
        damage("file MANIFEST: it is damaged; the segments say what was in it");
    } else if (bytes.error().code == ErrorCode::kNotFound) {
      if (!any) return fail(ErrorCode::kNotFound, 3011, "no log in " + directory_.string());
      damage("file MANIFEST: it is missing; the segments say what was in it");
    } else {
      damage("file MANIFEST: " + bytes.error().message);
    }
    if (const auto page = files_.read_whole(directory_ / kControlName, 4 * kControlPageBytes))
      out_.control = decode_control(as_bytes(*page));
    if (!out_.control)
      damage("file CONTROL: both pages are damaged or missing; without them a lost end could not be noticed");
    return {};
  }

  static std::optional<SegmentName> parse(std::string_view name) {
    if (name.starts_with(kMovingPrefix)) name.remove_prefix(kMovingPrefix.size());
    return parse_segment_name(name);
  }

  Status find_candidates() {
    std::vector<SurveyedFile> found;
    for (const std::string& name : names_) {
      const auto parsed = parse(name);
      if (!parsed) continue;
      SurveyedFile candidate;
      candidate.file = name;
      candidate.number = parsed->number;
      candidate.header.number = parsed->number;
      candidate.header.base_offset = parsed->base_offset;
      if (const auto map = open_map(name)) {
        const auto header = decode_segment_header((*map)->bytes());
        if (header) candidate.page = *header;
        if (!header && header.error().code == ErrorCode::kUnsupported) return std::unexpected(header.error());
      }
      found.push_back(std::move(candidate));
    }
    std::optional<LogId> id;
    if (out_.manifest) id = out_.manifest->log_id;
    if (!id && out_.control) id = out_.control->log_id;
    for (const SurveyedFile& candidate : found)
      if (!id && candidate.page) id = candidate.page->log_id;
    if (!id)
      return fail(ErrorCode::kCorrupt, 3112, "nothing says which log the segment files are of",
                  "restore the directory from a copy");
    out_.log_id = *id;
    if (out_.control && out_.control->log_id != *id) {
      damage("file CONTROL: it belongs to another log");
      out_.control.reset();
    }
    if (out_.manifest)
      for (const ManifestEntry& entry : out_.manifest->sealed) out_.entries[entry.number] = entry;
    // Files under their own name first: another with the same page is a copy.
    const auto in_place = [](const SurveyedFile& c) {
      return c.page && c.file == segment_name(c.page->number, c.page->base_offset);
    };
    std::ranges::stable_partition(found, in_place);
    for (SurveyedFile& candidate : found) {
      if (!candidate.page) continue;
      if (candidate.page->log_id != *id) {
        damage("segment file " + candidate.file + ": it belongs to another log");
        out_.extra.push_back(candidate.file);
        continue;
      }
      const auto entry = out_.entries.find(candidate.page->number);
      if (entry != out_.entries.end() && (candidate.page->base_position != entry->second.base_position ||
                                      candidate.page->base_offset != entry->second.base_offset)) {
        damage("segment file " + candidate.file + ": it is not the segment that the manifest names");
        out_.extra.push_back(candidate.file);
        continue;
      }
      candidate.number = candidate.page->number;
      candidate.header = *candidate.page;
      candidate.previous_hash = candidate.page->previous_header_hash;
      candidate.known = true;
      if (out_.segments.contains(candidate.number)) {
        damage("segment file " + candidate.file + ": it is a copy of segment " +
               std::to_string(candidate.number));
        out_.extra.push_back(candidate.file);
        continue;
      }
      out_.segments[candidate.number] = candidate;
    }
    for (SurveyedFile& candidate : found) {
      if (candidate.page) continue;
      candidate.header.log_id = *id;
      if (out_.segments.contains(candidate.number)) {
        damage("segment file " + candidate.file + ": not a segment of this log");
        out_.extra.push_back(candidate.file);
        continue;
      }
      guess_header(candidate);
      out_.segments[candidate.number] = std::move(candidate);
    }
    return {};
  }

  // Without its page, the manifest or any valid header inside says where the segment begins.
  void guess_header(SurveyedFile& candidate) {
    if (const auto entry = out_.entries.find(candidate.number); entry != out_.entries.end()) {
      candidate.header.base_offset = entry->second.base_offset;
      candidate.header.base_position = entry->second.base_position;
      candidate.known = true;
    }
    const auto map = open_map(candidate.file);
    if (!map) return;
    const Bytes bytes = (*map)->bytes();
    if (!candidate.known) {
      const auto base = guess_base_position(bytes, out_.log_id.low);
      candidate.header.base_position = base.value_or(LogPosition{});
      candidate.known = base.has_value();
    }
    if (!candidate.known) return;
    if (const auto first = batch_at(bytes, candidate.header, kSegmentHeaderBytes))
      candidate.previous_hash = first->header.previous_header_hash;
  }

  FileSystem& files_;
  std::filesystem::path directory_;
  SurveyedFiles out_;
  std::vector<std::string> names_;
};

}  // namespace

Expected<SurveyedFiles> survey_files(FileSystem& files, const std::filesystem::path& directory) {
  return Finder(files, directory).run();
}

}  // namespace kappa::log
