// Checking one sealed segment; what a backup keeps must pass it.
#include "log/sealed_check.h"

#include "log/backup_source.h"

namespace kappa::log {
namespace {

std::unexpected<Error> damaged(std::string what) {
  return fail(ErrorCode::kCorrupt, 3183, std::move(what), "kappa verify shows the damage");
}

}  // namespace

Status check_sealed_segment(Bytes file, const ManifestEntry& entry, const LogId& id,
                            std::optional<ChainState>& chain) {
  const std::string name = segment_name(entry.number, entry.base_offset);
  const auto page = decode_segment_header(file);
  if (!page && page.error().code == ErrorCode::kUnsupported) return std::unexpected(page.error());
  if (!page || page->number != entry.number || page->base_offset != entry.base_offset ||
      page->base_position != entry.base_position || page->log_id != id)
    return damaged(damage_text(name, 0, kSegmentHeaderBytes, entry.base_offset, entry.base_offset,
                               "its header page is damaged or another segment's"));
  const std::uint64_t end = file_byte(*page, entry.end_position);
  if (end > file.size()) return damaged("segment file " + name + " is shorter than the manifest says");
  if (!chain) chain = ChainState{page->base_offset, page->previous_header_hash};
  const Bytes batches = file.first(end);
  std::uint64_t hash = 0;
  for (std::uint64_t at = kSegmentHeaderBytes; at < end;) {
    const auto found = batch_at(batches, *page, at);
    const Status chained = found ? check_chain(*chain, *found) : Status{};
    if (!found || !chained) {
      // Up to the next batch that verifies.
      auto later = find_batch(batches, *page, at + kBatchAlignment);
      while (later && !batch_at(batches, *page, later->at))
        later = find_batch(batches, *page, later->at + kBatchAlignment);
      return damaged(damage_text(name, at, later ? later->at : end, chain->next_offset,
                                 later ? later->header.base_offset : entry.end_offset,
                                 found ? chained.error().message : found.error().message));
    }
    extend_chain(*chain, *found);
    hash = extend_segment_hash(hash, found->header_hash);
    at = found->end();
  }
  const Bytes rest = file.subspan(end);
  const auto footer = decode_footer(rest, id.low);
  if (!footer || footer->segment_hash != hash || hash_bytes(rest, 0) != entry.footer_hash ||
      chain->next_offset != entry.end_offset)
    return damaged(damage_text(name, end, file.size(), entry.base_offset, entry.end_offset,
                               "its footer is damaged or does not describe its batches"));
  return {};
}

}  // namespace kappa::log
