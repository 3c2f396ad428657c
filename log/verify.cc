// The offline check behind `kappa verify`: reads every byte of every segment, changes nothing.
#include <algorithm>

#include "log/log_state.h"
#include "log/recover.h"
#include "log/segment.h"

namespace kappa::log {
namespace {

std::string place(const std::string& file, std::uint64_t from, std::uint64_t to, Offset first, Offset last) {
  return "segment file " + file + ", bytes [" + std::to_string(from) + ", " + std::to_string(to) +
         "), offsets [" + std::to_string(first.value()) + ", " + std::to_string(last.value()) + ")";
}

}  // namespace

Expected<VerifyReport> verify(const std::filesystem::path& directory,
                              const std::function<void(std::string_view)>& line, FileSystem* file_system) {
  FileSystem& files = file_system != nullptr ? *file_system : real_file_system();
  KAPPA_TRY(const auto lock, files.open(directory / kLockName, OpenMode::kRead));
  KAPPA_TRY(const bool locked, lock->lock(false));
  if (!locked)
    return fail(ErrorCode::kBusy, 3001, "another process has the log " + directory.string() + " open",
                "stop it first");
  KAPPA_TRY(Recovered recovered, recover(files, directory, true));
  VerifyReport report;
  const auto say = [&](const std::string& text) {
    if (line) line(text);
  };
  const auto damage = [&](std::string text) {
    say("damage: " + text);
    report.damage.push_back(std::move(text));
  };
  const auto warn = [&](std::string text) {
    say("warning: " + text);
    report.warnings.push_back(std::move(text));
  };
  if (recovered.damage) damage(*recovered.damage);
  if (recovered.summary == name_of(TailDecision::kCutTornTail))
    warn("the log ends in a torn tail, which the next start cuts off and keeps aside");

  std::optional<ChainState> chain;
  for (std::size_t i = 0; i < recovered.segments.size(); ++i) {
    Segment& segment = *recovered.segments[i];
    const SegmentHeader& header = segment.header();
    const std::string name = segment.path().filename().string();
    const bool sealed = i + recovered.unsealed < recovered.segments.size();
    ++report.segments;
    const auto map = segment.mapping();
    if (!map) {
      if (!recovered.damage) damage(map.error().message);
      chain.reset();
      continue;
    }
    const std::uint64_t end = segment.end() != Segment::kOpenEnd ? segment.end() : recovered.end_at;
    const Bytes file = (*map)->bytes().first(std::min<std::size_t>((*map)->bytes().size(), end));
    const auto page = decode_segment_header(file);
    if (!page || page->number != header.number || page->base_position != header.base_position ||
        page->log_id != header.log_id)
      damage("segment file " + name + ": its header page is damaged or another segment's");
    SegmentIndex index(header);
    if (!chain) chain = ChainState{header.base_offset, page ? page->previous_header_hash : 0};
    bool whole = true;
    for (std::uint64_t at = kSegmentHeaderBytes; at < end;) {
      const auto found = batch_at(file, header, at);
      const Status chained = found ? check_chain(*chain, *found) : Status{};
      if (!found || !chained) {
        whole = false;
        std::optional<FoundBatch> later = find_batch(file, header, at + kBatchAlignment);
        while (later && !batch_at(file, header, later->at))
          later = find_batch(file, header, later->at + kBatchAlignment);
        const std::uint64_t next_at = later ? later->at : end;
        Offset next_offset = recovered.chain.next_offset;
        if (i + 1 < recovered.segments.size()) next_offset = recovered.segments[i + 1]->header().base_offset;
        if (later) next_offset = later->header.base_offset;
        damage(place(name, at, next_at, chain->next_offset, next_offset) + ": " +
               (found ? chained.error().message : found.error().message));
        // Follow the chain again from what verifies.
        at = next_at;
        *chain = {next_offset, later ? later->header.previous_header_hash : 0};
        continue;
      }
      if (found->header.codec != Codec::kNone &&
          !decompress_body(found->body, found->header.uncompressed_length))
        damage(place(name, at, found->end(), found->header.base_offset, found->header.end_offset()) +
               ": does not decompress");
      index.add(found->header, found->header_hash, found->at);
      extend_chain(*chain, *found);
      ++report.batches;
      if (found->header.has_offsets()) report.events += found->header.count;
      at = found->end();
    }
    if (!whole) chain.reset();
    if (sealed) {
      const auto footer = decode_footer(
          (*map)->bytes().subspan(std::min<std::size_t>((*map)->bytes().size(), end)), header.log_id.low);
      if (!footer)
        damage("segment file " + name + ": " + footer.error().message);
      else if (whole && *footer != index.footer())
        damage("segment file " + name + ": its footer does not describe its batches");
      const auto stored = files.read_whole(segment.index_path(), std::size_t{1} << 30);
      if (!stored || !SegmentIndex::decode(as_bytes(*stored), header, header.log_id.low) ||
          *stored != index.encode(header.log_id.low))
        warn("index of " + name + " is missing or damaged; it is rebuilt when needed");
    }
    say("segment file " + name + ": " + std::to_string(index.footer().batches) + " batches, offsets [" +
        std::to_string(header.base_offset.value()) + ", " +
        std::to_string(index.footer().end_offset.value()) + ")");
  }
  return report;
}

}  // namespace kappa::log
