// See run.h.
#include "processor/state/run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "processor/state/hash.h"
#include "proto/bytes.h"

namespace kappa::processor {
namespace {

constexpr std::uint32_t kRunFormat = 1;
constexpr char kMagic[8] = {'k', 'a', 'p', 'p', 'a', 'r', 'u', 'n'};
constexpr std::size_t kBlockBytes = std::size_t{4} << 10;
constexpr std::size_t kEntryHeader = 1 + 1 + 4 + 4;
constexpr std::size_t kTail = 8 + 8 + sizeof kMagic;  // Of the footer: its place, hash, magic.
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;
// Ten bits an entry let about one key in a hundred through that is not there; above 13 million entries, more.
constexpr std::uint64_t kFilterBits = 10;
constexpr std::uint64_t kFilterLinesMax = (std::uint64_t{16} << 20) / 64;
constexpr unsigned kFilterProbes = 6;

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::uint64_t hash_bytes(const void* at, std::size_t count) { return XXH3_64bits(at, count); }

std::uint64_t line_of(std::uint64_t hash, std::uint64_t lines) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(hash) * lines) >> 64);
}
// Bits of a line of 512: nine bits of the hash each, which the line did not use up.
template <class Visit>
void for_each_bit(std::uint64_t hash, Visit&& visit) {
  std::uint64_t bits = hash * 0x9e3779b97f4a7c15U;
  for (unsigned i = 0; i < kFilterProbes; ++i, bits = bits >> 9 | bits << 55) visit(static_cast<unsigned>(bits & 511));
}

bool below(TableId table, std::string_view key, const RunEntry& entry) {
  return EntryLess{}(EntryLess::Place{table, key}, EntryLess::Place{entry.table, entry.key});
}
bool above(TableId table, std::string_view key, const RunEntry& entry) {
  return EntryLess{}(EntryLess::Place{entry.table, entry.key}, EntryLess::Place{table, key});
}

std::unexpected<Error> damaged_run(const std::filesystem::path& path, const char* what) {
  return damaged_state(path.string() + ": " + what);
}

}  // namespace

Expected<std::shared_ptr<const Run>> Run::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(3302, "cannot open " + path.string(), errno);
  struct stat file{};
  std::shared_ptr<Run> run(new Run);
  run->path_ = path;
  Status status;
  if (::fstat(descriptor, &file) != 0) {
    status = fail_errno(3302, "cannot stat " + path.string(), errno);
  } else if (!S_ISREG(file.st_mode)) {
    status = damaged_run(path, "not a file");
  } else {
    run->bytes_ = static_cast<std::uint64_t>(file.st_size);
    auto map = PageMap::map(descriptor, run->bytes_);
    if (map) {
      run->map_ = std::move(*map);
      // Merges read from front to back.
      ::madvise(const_cast<std::byte*>(run->map_->data()), run->bytes_, MADV_NORMAL);
    } else {
      status = std::unexpected(std::move(map).error());
    }
  }
  ::close(descriptor);
  KAPPA_CHECK_OK(status);
  KAPPA_CHECK_OK(run->look_at_footer());
  return run;
}

Status Run::look_at_footer() {
  const std::byte* const data = map_->data();
  if (bytes_ < kTail || std::memcmp(data + bytes_ - sizeof kMagic, kMagic, sizeof kMagic) != 0)
    return damaged_run(path_, "it does not end as a run");
  const std::uint64_t hashed_end = bytes_ - sizeof kMagic - 8;
  const auto footer_at = load<std::uint64_t>(data + bytes_ - kTail);
  if (footer_at > bytes_ - kTail) return damaged_run(path_, "its footer");
  ByteReader in(Bytes(data + footer_at, bytes_ - kTail - footer_at));
  const std::uint32_t format = in.u32();
  entries_ = in.u64();
  filter_at_ = in.u64();
  index_at_ = in.u64();
  note_ = in.sized_text();
  if (!in.done() || filter_at_ > index_at_ || index_at_ > footer_at || (index_at_ - filter_at_) % 64 != 0 ||
      filter_at_ == index_at_)
    return damaged_run(path_, "its footer");
  if (hash_bytes(data + filter_at_, hashed_end - filter_at_) != load<std::uint64_t>(data + hashed_end))
    return damaged_run(path_, "the hash of its footer");
  if (format != kRunFormat)
    return fail(ErrorCode::kUnsupported, 3103, path_.string() + " has format " + std::to_string(format),
                "this version reads format " + std::to_string(kRunFormat));
  filter_lines_ = (index_at_ - filter_at_) / 64;
  if ((footer_at - index_at_) % 8 != 0) return damaged_run(path_, "its index");
  block_count_ = (footer_at - index_at_) / 8;
  return {};
}

std::uint64_t Run::number_at(std::uint64_t place) const { return load<std::uint64_t>(map_->data() + place); }

bool Run::may_have(std::uint64_t hash) const {
  const std::byte* const line = map_->data() + filter_at_ + line_of(hash, filter_lines_) * 64;
  bool all = true;
  for_each_bit(hash, [&](unsigned bit) { all = all && (static_cast<unsigned>(line[bit / 8]) >> bit % 8 & 1U) != 0; });
  return all;
}

Expected<Run::Block> Run::block(std::size_t number) const {
  const std::uint64_t from = place_of(number);
  const std::uint64_t to = number + 1 < block_count_ ? place_of(number + 1) : filter_at_;
  if (to > filter_at_ || from > to || to - from < 12 || to - from > UINT32_MAX) return damaged_run(path_, "its index");
  const std::byte* const at = map_->data() + from;
  const auto length = static_cast<std::size_t>(to - from);
  if (hash_bytes(at, length - 8) != load<std::uint64_t>(at + length - 8)) return damaged_run(path_, "the hash of a block");
  Block block;
  block.at = at;
  block.entries = load<std::uint32_t>(at + length - 12);
  const std::uint64_t places = std::uint64_t{block.entries} * 4;
  if (block.entries == 0 || places > length - 12) return damaged_run(path_, "a block");
  block.bytes = static_cast<std::uint32_t>(length - 12 - places);
  return block;
}

Expected<RunEntry> Run::entry(const Block& block, std::uint32_t number) {
  const auto place = load<std::uint32_t>(block.at + block.bytes + std::size_t{number} * 4);
  if (place > block.bytes) return damaged_state("an entry of a run");
  ByteReader in(Bytes(block.at + place, block.bytes - place));
  RunEntry entry;
  entry.table = in.u8();
  entry.exists = in.u8() != 0;
  const std::uint32_t key = in.u32();
  const std::uint32_t value = in.u32();
  entry.key = in.text(key);
  entry.value = in.text(value);
  if (!in.ok()) return damaged_state("an entry of a run");
  return entry;
}

Expected<std::size_t> Run::block_of(TableId table, std::string_view key) const {
  std::size_t low = 0;  // The first of block low is not above; block high's is.
  std::size_t high = block_count_;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    const std::uint64_t at = place_of(middle);
    if (at > filter_at_ || filter_at_ - at < kEntryHeader) return damaged_run(path_, "its index");
    ByteReader in(Bytes(map_->data() + at, filter_at_ - at));
    RunEntry first;
    first.table = in.u8();
    in.u8();
    const std::uint32_t key_bytes = in.u32();
    in.u32();
    first.key = in.text(key_bytes);
    if (!in.ok()) return damaged_run(path_, "its index");
    (below(table, key, first) ? high : low) = middle;
  }
  return low;
}

Expected<std::uint32_t> Run::lower_bound(const Block& block, TableId table, std::string_view key) {
  std::uint32_t low = 0;
  std::uint32_t high = block.entries;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    KAPPA_TRY(const RunEntry at, entry(block, middle));
    if (above(table, key, at))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

Expected<std::optional<RunEntry>> Run::get(TableId table, std::string_view key, std::uint64_t hash) const {
  if (block_count_ == 0 || !may_have(hash)) return std::nullopt;
  KAPPA_TRY(const std::size_t number, block_of(table, key));
  KAPPA_TRY(const Block found, block(number));
  KAPPA_TRY(const std::uint32_t at, lower_bound(found, table, key));
  if (at == found.entries) return std::nullopt;
  KAPPA_TRY(const RunEntry there, entry(found, at));
  if (there.table != table || there.key != key) return std::nullopt;
  return there;
}

Expected<bool> RunCursor::load(std::size_t block, bool at_end) {
  block_ = {};
  if (block >= run_->blocks()) return false;
  number_ = block;
  KAPPA_TRY(block_, run_->block(block));
  at_ = at_end ? block_.entries - 1 : 0;
  return stand();
}

Expected<bool> RunCursor::stand() {
  KAPPA_TRY(entry_, Run::entry(block_, at_));
  return true;
}

Expected<bool> RunCursor::seek(TableId table, std::string_view key) {
  if (run_->blocks() == 0) return false;
  KAPPA_TRY(number_, run_->block_of(table, key));
  KAPPA_TRY(block_, run_->block(number_));
  KAPPA_TRY(at_, Run::lower_bound(block_, table, key));
  return at_ < block_.entries ? stand() : load(number_ + 1, false);
}

Expected<bool> RunCursor::next() {
  if (block_.at == nullptr) return false;
  if (++at_ < block_.entries) return stand();
  return load(number_ + 1, false);
}

Expected<bool> RunCursor::previous() {
  if (block_.at == nullptr) return false;
  if (at_ > 0) {
    --at_;
    return stand();
  }
  if (number_ == 0) {
    block_ = {};
    return false;
  }
  return load(number_ - 1, true);
}

namespace {

class RunLayer final : public LayerCursor {
 public:
  RunLayer(const Run& run, TableId table, const KeyRange& range, bool backward)
      : cursor_(run), table_(table), range_(range), backward_(backward) {}

  Expected<std::optional<LayerEntry>> next() override {
    bool there = false;
    if (begun_) {
      KAPPA_TRY(there, backward_ ? cursor_.previous() : cursor_.next());
    } else if (!backward_) {
      KAPPA_TRY(there, cursor_.seek(table_, range_.from));
    } else {
      const bool to_end = !range_.to && table_ == UINT8_MAX;
      if (!to_end) {
        KAPPA_TRY(there, range_.to ? cursor_.seek(table_, *range_.to)
                                   : cursor_.seek(static_cast<TableId>(table_ + 1), {}));
      }
      KAPPA_TRY(there, there ? cursor_.previous() : cursor_.last());
    }
    begun_ = true;
    if (!there) return std::nullopt;
    const RunEntry& entry = cursor_.entry();
    if (entry.table != table_ || entry.key < range_.from || (range_.to && entry.key >= *range_.to)) return std::nullopt;
    return LayerEntry{entry.key, entry.value, entry.exists};
  }

 private:
  RunCursor cursor_;
  TableId table_;
  KeyRange range_;
  bool backward_;
  bool begun_ = false;
};

}  // namespace

std::unique_ptr<LayerCursor> run_layer(const Run& run, TableId table, const KeyRange& range, bool backward) {
  return std::make_unique<RunLayer>(run, table, range, backward);
}

RunWriter::RunWriter(std::filesystem::path path, std::uint64_t entries_expected)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  const std::uint64_t lines = std::clamp<std::uint64_t>(entries_expected * kFilterBits / 512 + 1, 1, kFilterLinesMax);
  filter_.assign(lines * 8, 0);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) status_ = fail_errno(3302, "cannot make " + temporary_.string(), errno);
}

RunWriter::~RunWriter() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void RunWriter::add(const RunEntry& entry, std::uint64_t hash) {
  if (!status_) return;
  places_.push_back(static_cast<std::uint32_t>(block_.size()));
  ByteWriter out(block_);
  out.u8(entry.table);
  out.u8(entry.exists ? 1 : 0);
  out.u32(static_cast<std::uint32_t>(entry.key.size()));
  out.u32(static_cast<std::uint32_t>(entry.value.size()));
  out.text(entry.key);
  out.text(entry.value);
  std::uint64_t* const line = &filter_[line_of(hash, filter_.size() / 8) * 8];
  for_each_bit(hash, [&](unsigned bit) { line[bit / 64] |= std::uint64_t{1} << bit % 64; });
  ++entries_;
  if (block_.size() >= kBlockBytes) end_block();
}

void RunWriter::end_block() {
  if (places_.empty()) return;
  const std::uint64_t place = written_ + buffer_.size();
  ByteWriter(index_).u64(place);
  ByteWriter out(block_);
  for (const std::uint32_t at : places_) out.u32(at);
  out.u32(static_cast<std::uint32_t>(places_.size()));
  out.u64(hash_bytes(block_.data(), block_.size()));
  put(block_);
  block_.clear();
  places_.clear();
}

void RunWriter::put(std::string_view bytes) {
  buffer_.append(bytes);
  if (buffer_.size() >= kWriteBytes) flush();
}

void RunWriter::flush() {
  std::size_t done = 0;
  while (status_ && done < buffer_.size()) {
    const ssize_t count = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      status_ = fail_errno(3302, "cannot write " + temporary_.string(), count == 0 ? ENOSPC : errno);
    }
  }
  written_ += buffer_.size();
  buffer_.clear();
}

Expected<std::shared_ptr<const Run>> RunWriter::finish(std::string_view note) {
  KAPPA_CHECK_OK(status_);
  end_block();
  std::string end;
  end.append(reinterpret_cast<const char*>(filter_.data()), filter_.size() * sizeof filter_[0]);
  const std::uint64_t filter_at = written_ + buffer_.size();
  const std::uint64_t index_at = filter_at + end.size();
  end.append(index_);
  const std::uint64_t footer_at = filter_at + end.size();
  ByteWriter out(end);
  out.u32(kRunFormat);
  out.u64(entries_);
  out.u64(filter_at);
  out.u64(index_at);
  out.sized_text(note);
  out.u64(footer_at);
  out.u64(hash_bytes(end.data(), end.size()));
  out.text(std::string_view(kMagic, sizeof kMagic));
  put(end);
  flush();
  KAPPA_CHECK_OK(status_);
  if (::fdatasync(descriptor_) != 0) return fail_errno(3302, "cannot sync " + temporary_.string(), errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    return fail_errno(3302, "cannot rename " + temporary_.string(), errno);
  ::close(std::exchange(descriptor_, -1));
  const int directory = ::open(path_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  const int error = errno;
  if (directory >= 0) ::close(directory);
  if (!synced) return fail_errno(3302, "cannot sync " + path_.parent_path().string(), error);
  return Run::open(path_);
}

}  // namespace kappa::processor
