// See tree.h.
#include "processor/state/tree.h"

#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "processor/state/hash.h"
#include "processor/state/lmdb_map.h"
#include "processor/state/run_set.h"
#include "proto/bytes.h"
#include "proto/check.h"

namespace kappa::processor {
namespace {

constexpr std::uint16_t kMapFull = 3303;

// LMDB met pages that contradict each other and ends the process after this: whatever it would answer may
// be wrong. Overwriting its file under a running server can do that.
void say_broken(MDB_env* environment, const char* assertion) {
  const auto& directory = *static_cast<const std::filesystem::path*>(mdb_env_get_userctx(environment));
  spdlog::critical("the view state in {} was damaged while it was in use ({}); the process must stop. No event is "
                   "lost: start again, and the view is rebuilt from the log",
                   directory.string(), assertion);
  spdlog::default_logger()->flush();
}

// A short write leaves less than the pages of one write free.
bool disk_is_full(const std::filesystem::path& directory) {
  struct statvfs info{};
  constexpr std::uint64_t kAlmostNothing = std::uint64_t{1} << 20;
  return ::statvfs(directory.c_str(), &info) == 0 && std::uint64_t{info.f_bavail} * info.f_frsize < kAlmostNothing;
}

MDB_val to_val(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};
}
std::string_view to_text(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

// Removes `key` from the entries of a long-key record, or replaces its value.
void rewrite_record(std::vector<StoredEntry>& entries, const StateEntry& change) {
  const auto at = std::ranges::lower_bound(entries, change.key, {}, &StoredEntry::key);
  const bool there = at != entries.end() && at->key == change.key;
  if (!change.exists) {
    if (there) entries.erase(at);
  } else if (there) {
    at->value = change.value;
  } else {
    entries.insert(at, {change.table, change.key, change.value});
  }
}

}  // namespace

void ReadTransaction::release() {
  if (transaction_ == nullptr) return;
  runs_.reset();
  mdb_txn_reset(transaction_);
  const std::lock_guard lock(tree_->pool_mutex_);
  tree_->pool_.push_back(transaction_);
  transaction_ = nullptr;
}

std::unexpected<Error> Tree::failed(int code, const char* what) const {
  std::string message = std::string(what) + " in " + directory_.string();
  switch (code) {
    case MDB_MAP_FULL:
      return fail(ErrorCode::kFull, kMapFull, message + ": the state has reached its map size",
                  "open it with a larger map");
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_PANIC:
    case MDB_BAD_DBI: return damaged_state(message + ": " + mdb_strerror(code));
    default: break;
  }
  // A write that the disk has room for the first part of only is EIO to LMDB. Its transaction is undone.
  if (code == EIO && disk_is_full(directory_)) return fail_errno(3302, std::move(message), ENOSPC);
  if (code > 0) return fail_errno(3302, std::move(message), code);
  return fail(ErrorCode::kIo, 3302, message + ": " + mdb_strerror(code));
}

// Whatever stands there is looked at before LMDB, which believes its meta pages.
Status Tree::look_at_files() const {
  std::error_code error;
  const auto kind = std::filesystem::status(directory_, error).type();
  if (kind == std::filesystem::file_type::not_found) return {};
  if (kind != std::filesystem::file_type::directory)
    return damaged_state(directory_.string() + " is not a directory");
  const auto lock = std::filesystem::status(directory_ / "lock.mdb", error).type();
  if (lock != std::filesystem::file_type::not_found && lock != std::filesystem::file_type::regular)
    return damaged_state((directory_ / "lock.mdb").string() + " is not a file");
  KAPPA_TRY(const std::optional<PageImage> image, inspect_data_file(directory_ / "data.mdb"));
  static_cast<void>(image);
  return {};
}

Expected<std::unique_ptr<Tree>> Tree::open(const StateOptions& options) {
  std::unique_ptr<Tree> tree(new Tree);
  tree->directory_ = options.directory;
  KAPPA_CHECK_OK(tree->look_at_files());
  KAPPA_CHECK_OK(tree->open_runs(options));
  if (!options.read_only) {
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    if (error) return fail_errno(3302, "cannot create " + options.directory.string(), error.value());
  }
  const unsigned flags =
      MDB_NOMETASYNC | MDB_NOTLS | MDB_NORDAHEAD | (options.read_only ? unsigned{MDB_RDONLY} : 0U);
  // Address space may be scarce (many views, sanitizers, containers): take less rather than fail.
  for (std::uint64_t map_bytes = options.map_bytes;; map_bytes /= 2) {
    if (const int code = mdb_env_create(&tree->environment_); code != 0)
      return tree->failed(code, "cannot create");
    mdb_env_set_userctx(tree->environment_, &tree->directory_);
    mdb_env_set_assert(tree->environment_, say_broken);
    mdb_env_set_mapsize(tree->environment_, map_bytes);
    mdb_env_set_maxreaders(tree->environment_, 1024);
    const int code = mdb_env_open(tree->environment_, options.directory.c_str(), flags, 0644);
    if (code == 0) {
      tree->map_bytes_ = map_bytes;
      tree->map_bytes_max_ = std::max(options.map_bytes, options.map_bytes_max);
      break;
    }
    mdb_env_close(tree->environment_);
    tree->environment_ = nullptr;
    if (code == ENOMEM && map_bytes > (std::uint64_t{64} << 20)) continue;
    return tree->failed(code, "cannot open the state");
  }
  tree->guard_map();
  int dead = 0;
  mdb_reader_check(tree->environment_, &dead);  // Slots of processes that were killed.

  // The table's number; nothing is walked or written.
  MDB_txn* transaction = nullptr;
  if (const int code = mdb_txn_begin(tree->environment_, nullptr,
                                     options.read_only ? unsigned{MDB_RDONLY} : 0U, &transaction);
      code != 0) {
    return tree->failed(code, "cannot begin");
  }
  if (const int code = mdb_dbi_open(transaction, nullptr, 0, &tree->dbi_); code != 0) {
    mdb_txn_abort(transaction);
    return tree->failed(code, "cannot open the table");
  }
  if (const int code = mdb_txn_commit(transaction); code != 0) return tree->failed(code, "cannot commit");
  KAPPA_CHECK_OK(tree->load_meta(options.owner));
  return tree;
}

Tree::~Tree() {
  for (MDB_txn* transaction : pool_) mdb_txn_abort(transaction);
  guard_.reset();
  if (environment_ != nullptr) mdb_env_close(environment_);
}

Status Tree::load_meta(std::uint64_t owner) {
  KAPPA_TRY(const ReadTransaction transaction, read());
  opened_bytes_ = committed_bytes_ = transaction.pages().image().file_bytes();
  if (runs_) {  // Of the whole load, what the tree has is hidden by them.
    KAPPA_TRY(meta_, decode_state_meta(runs_->front()->note()));
    fresh_ = true;
    checked_ = true;
  } else {
    KAPPA_TRY(const std::optional<StateMeta> meta, load_state_meta(transaction.pages()));
    if (meta) meta_ = *meta;
    fresh_ = !meta;
    // LMDB writes nothing into a file of two meta pages before the first commit.
    if (!meta && transaction.pages().image().last_page == 1) checked_ = true;
  }
  if (meta_.owner != 0 && owner != 0 && meta_.owner != owner)
    return damaged_state("it was made for another view or another log");
  meta_.owner = owner;
  return {};
}

Status Tree::check(const CheckGoesOn& go_on) {
  if (checked()) return {};
  KAPPA_TRY(const ReadTransaction transaction, read());
  KAPPA_CHECK_OK(check_state(transaction.pages(), meta_, go_on));
  checked_.store(true, std::memory_order_release);
  return {};
}

Expected<std::optional<Pages>> Tree::pages_of(std::uint64_t transaction) {
  if (image_.page_bytes != 0 && image_.transaction == transaction) return Pages(map_, image_);
  int descriptor = -1;
  mdb_env_get_fd(environment_, &descriptor);
  MDB_stat stat{};
  mdb_env_stat(environment_, &stat);
  if (!map_) {
    KAPPA_TRY(map_, PageMap::map(descriptor, 2 * std::uint64_t{stat.ms_psize}));
  }
  // The page is LMDB's for the transaction after the next: what was read twice alike is whole.
  const auto number = static_cast<unsigned>(transaction % 2);
  const Bytes page(map_->data() + number * std::uint64_t{stat.ms_psize}, kMetaPageBytes);
  std::array<std::byte, kMetaPageBytes> copy{};
  std::memcpy(copy.data(), page.data(), copy.size());
  auto image = read_meta_page(copy, number);
  if (std::memcmp(copy.data(), page.data(), copy.size()) != 0) return std::nullopt;
  if (!image) return std::unexpected(std::move(image).error());
  if (image->transaction != transaction) {
    if (image->transaction > transaction) return std::nullopt;
    return damaged_state("its newest meta page is gone");
  }
  if (image->page_bytes != stat.ms_psize) return damaged_state("its page size changed");
  if (image->file_bytes() > map_->bytes()) {
    KAPPA_TRY(map_, PageMap::map(descriptor, image->file_bytes()));
  }
  if (image->transaction >= image_.transaction) image_ = *image;
  return Pages(map_, *image);
}

Expected<ReadTransaction> Tree::read() {
  MDB_txn* transaction = nullptr;
  std::shared_ptr<const RunList> runs;
  {
    const std::lock_guard lock(pool_mutex_);
    runs = runs_;
    if (!pool_.empty()) {
      transaction = pool_.back();
      pool_.pop_back();
    }
  }
  const std::shared_lock map_stays(map_mutex_);
  for (;;) {
    const int code = transaction != nullptr ? mdb_txn_renew(transaction)
                                            : mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction);
    if (code != 0) {
      if (transaction != nullptr) mdb_txn_abort(transaction);
      if (code == MDB_READERS_FULL) return fail(ErrorCode::kBusy, 3304, "too many readers of one view at once");
      return failed(code, "cannot begin a read");
    }
    const std::lock_guard lock(pool_mutex_);
    auto pages = pages_of(mdb_txn_id(transaction));
    // Those from before the transaction: while they are there, the tree is not looked at.
    if (pages && *pages && runs == runs_) return ReadTransaction(*this, transaction, std::move(**pages), std::move(runs));
    runs = runs_;
    if (!pages) {
      mdb_txn_abort(transaction);
      return std::unexpected(std::move(pages).error());
    }
    mdb_txn_reset(transaction);  // Two commits went by in between.
  }
}

Expected<std::optional<std::string>> Tree::get(const ReadTransaction& transaction, TableId table,
                                               std::string_view key) const {
  if (transaction.runs() != nullptr) {
    KAPPA_TRY(const auto found, find_in_runs(*transaction.runs(), table, key));
    return found && found->exists ? std::optional(std::string(found->value)) : std::nullopt;
  }
  thread_local std::string stored;
  make_stored_key(table, key, stored);
  KAPPA_TRY(const std::optional<std::string_view> value, transaction.pages().get(stored));
  if (!value) return std::nullopt;
  if (stored.size() != kHashedKeyBytes) {
    KAPPA_TRY(const std::string_view payload, open_plain_value(stored, *value));
    return std::string(payload);
  }
  KAPPA_TRY(const std::vector<StoredEntry> entries, open_record(stored, *value));
  for (const StoredEntry& entry : entries) {
    if (entry.key == key) return std::string(entry.value);
  }
  return std::nullopt;
}

Status Tree::get_many(const ReadTransaction& transaction, TableId table, std::span<const std::string_view> keys,
                      std::span<std::optional<std::string_view>> out) const {
  if (transaction.runs() != nullptr) return get_many_in_runs(transaction, table, keys, out);
  thread_local std::string stored;
  thread_local std::string all;
  thread_local std::vector<std::size_t> ends;
  thread_local std::vector<std::string_view> wanted;
  all.clear();
  ends.clear();
  for (const std::string_view key : keys) {
    make_stored_key(table, key, stored);
    all.append(stored);
    ends.push_back(all.size());
  }
  wanted.clear();
  for (std::size_t i = 0, begin = 0; i < keys.size(); begin = ends[i++])
    wanted.push_back(std::string_view(all).substr(begin, ends[i] - begin));
  KAPPA_CHECK_OK(transaction.pages().get_many(wanted, out));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!out[i]) continue;
    if (wanted[i].size() != kHashedKeyBytes) {
      KAPPA_TRY(out[i], open_plain_value(wanted[i], *out[i]));
      continue;
    }
    KAPPA_TRY(const std::vector<StoredEntry> entries, open_record(wanted[i], *out[i]));
    const auto found = std::ranges::find(entries, keys[i], &StoredEntry::key);
    out[i] = found == entries.end() ? std::nullopt : std::optional(found->value);
  }
  return {};
}

bool Tree::grow() {
  const std::uint64_t wanted = std::min(map_bytes_max_, map_bytes_ * 2);
  if (wanted <= map_bytes_) return false;
  // LMDB gives up the old map before it takes the new one: look first whether there is address space.
  void* probe = ::mmap(nullptr, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe == MAP_FAILED) return false;
  ::munmap(probe, wanted);
  const std::unique_lock lock(map_mutex_);
  guard_.reset();
  map_lost_ = mdb_env_set_mapsize(environment_, wanted) != 0;
  if (map_lost_) return false;
  map_bytes_ = wanted;
  guard_map();
  return true;
}

void Tree::guard_map() {
  int descriptor = -1;
  if (mdb_env_get_fd(environment_, &descriptor) != 0) return;
  const void* other = nullptr;
  {
    const std::lock_guard lock(pool_mutex_);
    if (map_) other = map_->data();
  }
  if (const void* map = find_mapping(descriptor, map_bytes_, other); map != nullptr) guard_.emplace(map, map_bytes_);
}

Status Tree::write(std::span<StateEntry* const> entries, const Progress& progress) {
  KAPPA_CHECK(checked(), "write() to a tree that was not checked");
  if (fresh_ && bulk_.load(std::memory_order_relaxed)) return write_run(entries, progress);
  for (;;) {
    if (map_lost_) return fail(ErrorCode::kIo, 3302, "the map of " + directory_.string() + " was lost");
    Status written = runs_ ? load_runs(entries, progress) : write_once(entries, progress);
    if (written || written.error().number != kMapFull || !grow()) return written;
  }
}

Status Tree::write_once(std::span<StateEntry* const> entries, const Progress& progress) {
  int descriptor = -1;
  struct stat file{};
  if (mdb_env_get_fd(environment_, &descriptor) != 0 || ::fstat(descriptor, &file) != 0)
    return fail_errno(3302, "cannot stat " + (directory_ / "data.mdb").string(), errno);
  if (static_cast<std::uint64_t>(file.st_size) < committed_bytes_)
    return damaged_state((directory_ / "data.mdb").string() + " was cut to " + std::to_string(file.st_size) + " bytes");
  MDB_txn* transaction = nullptr;
  if (const int code = mdb_txn_begin(environment_, nullptr, 0, &transaction); code != 0) {
    return failed(code, "cannot begin a commit");
  }
  MDB_cursor* cursor = nullptr;
  if (const int code = mdb_cursor_open(transaction, dbi_, &cursor); code != 0) {
    mdb_txn_abort(transaction);
    return failed(code, "cannot begin a commit");
  }
  StateMeta meta = meta_;
  meta.progress = progress;
  std::string stored;
  std::string value;
  const auto put_all = [&]() -> Status {
    for (const StateEntry* entry : entries) {
      make_stored_key(entry->table, entry->key, stored);
      MDB_val raw_key = to_val(stored);
      MDB_val old{};
      const int found = mdb_cursor_get(cursor, &raw_key, &old, MDB_SET);
      if (found != 0 && found != MDB_NOTFOUND) return failed(found, "cannot read");
      value.clear();
      bool keep = entry->exists;
      // Old hash out, new hash in.
      if (stored.size() != kHashedKeyBytes) {
        if (found == 0) {
          KAPPA_TRY(const std::string_view before, open_plain_value(stored, to_text(old)));
          meta.multiset_hash -= hash_entry(entry->table, entry->key, before);
          --meta.entries;
        }
        if (keep) {
          value = entry->value.view();
          meta.multiset_hash += hash_entry(entry->table, entry->key, entry->value);
          ++meta.entries;
        }
      } else {
        std::vector<StoredEntry> chain;
        if (found == 0) {
          KAPPA_TRY(chain, open_record(stored, to_text(old)));
        }
        for (const StoredEntry& e : chain) meta.multiset_hash -= hash_entry(e.table, e.key, e.value);
        meta.entries -= chain.size();
        rewrite_record(chain, *entry);
        for (const StoredEntry& e : chain) {
          ByteWriter(value).u32(static_cast<std::uint32_t>(e.key.size()));
          ByteWriter(value).u32(static_cast<std::uint32_t>(e.value.size()));
          value.append(e.key);
          value.append(e.value);
          meta.multiset_hash += hash_entry(e.table, e.key, e.value);
        }
        meta.entries += chain.size();
        keep = !chain.empty();
      }
      int code = 0;
      if (keep) {
        seal_record(stored, value);
        raw_key = to_val(stored);
        MDB_val raw_value = to_val(value);
        code = mdb_cursor_put(cursor, &raw_key, &raw_value, found == 0 ? unsigned{MDB_CURRENT} : 0U);
      } else if (found == 0) {
        code = mdb_cursor_del(cursor, 0);
      }
      if (code != 0) return failed(code, "cannot write");
    }
    value.clear();
    value = encode_state_meta(meta);
    seal_record(meta_key(), value);
    MDB_val raw_key = to_val(meta_key());
    MDB_val raw_value = to_val(value);
    if (const int code = mdb_put(transaction, dbi_, &raw_key, &raw_value, 0); code != 0) {
      return failed(code, "cannot write the progress record");
    }
    return {};
  };
  Status written = put_all();
  // LMDB believes every page.
  if (written && guard_ && guard_->lost_byte(0, UINT64_MAX))
    written = damaged_state("a page of " + (directory_ / "data.mdb").string() + " cannot be read");
  mdb_cursor_close(cursor);
  if (!written) {
    mdb_txn_abort(transaction);
    return written;
  }
  if (const int code = mdb_txn_commit(transaction); code != 0) return failed(code, "cannot commit");
  meta_ = meta;
  fresh_ = false;
  return extend_file();
}

// Pages that a transaction took and gave back are counted but never written: the file may end before them. Opening
// compares the size, so the file is made as long as its pages.
Status Tree::extend_file() {
  int descriptor = -1;
  struct stat file{};
  mdb_env_get_fd(environment_, &descriptor);
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(environment_, &info);
  mdb_env_stat(environment_, &stat);
  const auto needed = static_cast<off_t>((info.me_last_pgno + 1) * stat.ms_psize);
  committed_bytes_ = std::max(committed_bytes_, static_cast<std::uint64_t>(needed));
  if (::fstat(descriptor, &file) == 0 && file.st_size < needed && ::ftruncate(descriptor, needed) != 0) {
    return fail_errno(3302, "cannot extend " + (directory_ / "data.mdb").string(), errno);
  }
  return {};
}

std::uint64_t Tree::bytes_on_disk() const {
  std::uint64_t bytes = 0;
  {
    const std::lock_guard lock(pool_mutex_);
    for (std::size_t i = 0; runs_ && i < runs_->size(); ++i) bytes += (*runs_)[i]->bytes();
  }
  struct stat file{};
  if (::stat((directory_ / "data.mdb").c_str(), &file) != 0) return bytes;
  return bytes + static_cast<std::uint64_t>(file.st_blocks) * 512;
}

}  // namespace kappa::processor
