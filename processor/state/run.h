// A sorted run: entries of one state in a file of their own, written once from front to back, in the order of the
// tree. What a state that is built from nothing commits instead of changing a B-tree again and again (run_set.h).
//
//   file    = block*, filter, index, footer
//   block   = entry*, u32 place of each entry, u32 entries, u64 hash of all before       about 4 KiB
//   entry   = u8 table, u8 exists, u32 key bytes, u32 value bytes, key, value            not existing: hides older ones
//   filter  = lines of 64 bytes: a blocked Bloom filter (Putze, Sanders, Singler 2007) over table and key
//   index   = u64 place of each block
//   footer  = u32 format, u64 entries, u64 filter's place, u64 index's place, u32 note bytes, note,
//             u64 place of the footer, u64 hash of filter, index and footer before it, 8 bytes magic
//
// Every byte is under a hash that is compared before it is used. Little-endian. The file has its name only once it is
// durable. Files are caches of the log: a damaged one costs a rebuild (kCorrupt 3301).
// A Run is immutable and thread-safe; its file may lose its name while it is read. Cursors and writers: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "processor/state/merge_cursor.h"
#include "processor/state/page_tree.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

struct RunEntry {
  TableId table = 0;
  std::string_view key;
  std::string_view value;
  bool exists = true;
};

class Run {
 public:
  // Hash and structure of all but the blocks, which are checked when they are read. kCorrupt 3301, kIo 3302.
  [[nodiscard]] static Expected<std::shared_ptr<const Run>> open(const std::filesystem::path& path);

  // What the writer was given beside the entries.
  [[nodiscard]] std::string_view note() const { return note_; }
  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // The entry of a key, whose hash_key() is `hash`; nullopt if there is none. Views live as long as the run.
  [[nodiscard]] Expected<std::optional<RunEntry>> get(TableId table, std::string_view key, std::uint64_t hash) const;

  // --- for cursors ---
  struct Block {
    const std::byte* at = nullptr;
    std::uint32_t bytes = 0;  // Of the entries.
    std::uint32_t entries = 0;
  };
  [[nodiscard]] std::size_t blocks() const { return block_count_; }
  [[nodiscard]] Expected<Block> block(std::size_t number) const;
  [[nodiscard]] static Expected<RunEntry> entry(const Block& block, std::uint32_t number);
  // The last block whose first entry is not above the place; 0 if there is none.
  [[nodiscard]] Expected<std::size_t> block_of(TableId table, std::string_view key) const;
  // First entry of the block that is not below the place.
  [[nodiscard]] static Expected<std::uint32_t> lower_bound(const Block& block, TableId table, std::string_view key);

 private:
  Run() = default;
  [[nodiscard]] Status look_at_footer();
  [[nodiscard]] bool may_have(std::uint64_t hash) const;
  [[nodiscard]] std::uint64_t number_at(std::uint64_t place) const;
  [[nodiscard]] std::uint64_t place_of(std::size_t block) const { return number_at(index_at_ + block * 8); }

  std::filesystem::path path_;
  std::shared_ptr<const PageMap> map_;
  std::uint64_t bytes_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t filter_at_ = 0;
  std::uint64_t index_at_ = 0;
  std::size_t block_count_ = 0;
  std::uint64_t filter_lines_ = 0;
  std::string_view note_;
};

// Stands on an entry, or nowhere. `run` is borrowed.
class RunCursor {
 public:
  explicit RunCursor(const Run& run) : run_(&run) {}
  // Each moves and says whether it stands on an entry.
  [[nodiscard]] Expected<bool> first() { return load(0, false); }
  [[nodiscard]] Expected<bool> last() { return run_->blocks() == 0 ? Expected<bool>(false) : load(run_->blocks() - 1, true); }
  [[nodiscard]] Expected<bool> seek(TableId table, std::string_view key);  // First entry not below.
  [[nodiscard]] Expected<bool> next();
  [[nodiscard]] Expected<bool> previous();
  [[nodiscard]] const RunEntry& entry() const { return entry_; }

 private:
  [[nodiscard]] Expected<bool> load(std::size_t block, bool at_end);
  [[nodiscard]] Expected<bool> stand();

  const Run* run_;
  std::size_t number_ = 0;
  Run::Block block_;
  std::uint32_t at_ = 0;
  RunEntry entry_;
};

// The entries of one table as a layer of a merge. `run` is borrowed.
[[nodiscard]] std::unique_ptr<LayerCursor> run_layer(const Run& run, TableId table, const KeyRange& range, bool backward);

// Writes a run. Memory: a block, its index (8 bytes a block), and the filter.
class RunWriter {
 public:
  // Room for about so many entries; more make the filter let more through. Written to `path` + ".tmp".
  RunWriter(std::filesystem::path path, std::uint64_t entries_expected);
  ~RunWriter();
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;
  // In ascending order of table and key, each once. Errors (kFull, kIo 3302) are kept until finish().
  void add(const RunEntry& entry, std::uint64_t hash);
  // Makes it durable and gives it its name. After an error nothing is left of it.
  [[nodiscard]] Expected<std::shared_ptr<const Run>> finish(std::string_view note);

 private:
  void end_block();
  void put(std::string_view bytes);
  void flush();

  const std::filesystem::path path_;
  const std::filesystem::path temporary_;
  int descriptor_ = -1;
  Status status_;
  std::string buffer_;            // Not written yet.
  std::uint64_t written_ = 0;     // Bytes before it.
  std::string block_;
  std::vector<std::uint32_t> places_;
  std::string index_;
  std::vector<std::uint64_t> filter_;
  std::uint64_t entries_ = 0;
};

}  // namespace kappa::processor
