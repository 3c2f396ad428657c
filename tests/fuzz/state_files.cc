// See state_files.h.
#include "tests/fuzz/state_files.h"

#include <lmdb.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "processor/state/hash.h"
#include "processor/state/tree.h"
#include "tests/fuzz/edits.h"
#include "tests/support/temp_dir.h"

namespace kappa::fuzz {
namespace {

using namespace processor;

constexpr std::uint64_t kMapBytes = 4 << 20;
constexpr TableId kTables[] = {0, 1, 7, 255};
using Entries = std::map<std::pair<TableId, std::string>, std::string>;

// A folder for one environment, of this process, removed at its end.
const std::filesystem::path& folder() {
  static const std::filesystem::path memory = "/dev/shm";
  static const test::TempDir made(std::filesystem::is_directory(memory) ? memory
                                                                        : std::filesystem::temp_directory_path());
  return made.path();
}
std::filesystem::path data_file() {
  return folder() / "data.mdb";
}
void empty_folder() {
  for (const char* name : {"data.mdb", "lock.mdb"}) ::unlink((folder() / name).c_str());
}

StateOptions options() {
  StateOptions made;
  made.directory = folder();
  made.map_bytes = kMapBytes;
  return made;
}

// Everything that scans give, both ways; nullopt when one of them fails. Order is checked if `sound`.
std::optional<Entries> scan_all(StateSnapshot& snapshot, bool sound) {
  Entries found;
  for (const TableId table : kTables) {
    std::size_t forward = 0;
    std::size_t backward = 0;
    for (const bool back : {false, true}) {
      const auto cursor = snapshot.scan(table, {}, back);
      std::optional<std::string> before;
      for (;;) {
        const auto entry = cursor->next();
        if (!entry) return std::nullopt;
        if (!*entry) break;
        std::string key((*entry)->key);
        KAPPA_CHECK(!sound || !before || (back ? key < *before : key > *before), "a scan is not in order");
        ++(back ? backward : forward);
        found[{table, key}] = std::string((*entry)->value);
        before = std::move(key);
      }
    }
    KAPPA_CHECK(!sound || forward == backward, "a scan back finds something else");
  }
  return found;
}

// Opens what is in the folder, reads all of it; what was found where the check of the state passes.
struct Found {
  Progress progress;
  Entries entries;
};
std::optional<Found> open_and_scan() {
  const auto verified = verify_state(folder());
  std::optional<Found> found;
  {
    // Checked at opening, or not at all: reading must survive both.
    StateOptions trusting = options();
    trusting.check_bytes_max = 0;
    if (auto store = StateStore::open(trusting))
      if (const auto snapshot = (*store)->snapshot()) static_cast<void>(scan_all(**snapshot, false));
  }
  auto store = StateStore::open(options());
  KAPPA_CHECK(store.has_value() == verified.has_value(), "opening and checking a state differ");
  if (!store) return std::nullopt;
  const auto snapshot = (*store)->snapshot();
  KAPPA_CHECK(snapshot.has_value(), "a sound state gives no snapshot");
  auto entries = scan_all(**snapshot, true);
  KAPPA_CHECK(entries.has_value(), "the check misses what a scan meets");
  for (const auto& [place, value] : *entries) {
    const auto got = (*snapshot)->get(place.first, place.second);
    KAPPA_CHECK(got && *got && **got == value, "a scan and a get differ");
  }
  return Found{(*store)->progress(), std::move(*entries)};
}

// The data file of a state with two commits, and what each version held.
struct SmallState {
  std::string file;
  std::map<std::uint64_t, Entries> versions;  // By applied offset.
};

SmallState make_small_state() {
  SmallState out;
  out.versions[0];
  empty_folder();
  {
    auto store = StateStore::open(options());
    KAPPA_CHECK(store.has_value(), "an empty state");
    Entries entries;
    for (std::uint64_t version = 1; version <= 2; ++version) {
      (*store)->begin_publish();
      for (std::uint64_t i = 0; i < 120; ++i) {
        const TableId table = kTables[i % std::size(kTables)];
        std::string key = "key " + std::to_string(i * 7919 % 120);
        if (i % 16 == 0) key.resize(600 + i, 'k');  // Hashed; some share their prefix.
        if (version == 2 && i % 3 == 0) {
          (*store)->erase(table, key);
          entries.erase({table, key});
        } else {
          // Some values need overflow pages.
          std::string value(i % 40 == 1 ? 5000 : i % 90, static_cast<char>('a' + version));
          (*store)->put(table, key, value);
          entries[{table, key}] = std::move(value);
        }
      }
      Progress progress;
      progress.applied = Offset(version);
      progress.started = true;
      (*store)->end_publish(progress);
      KAPPA_CHECK((*store)->freeze() && (*store)->commit(), "a commit of the small state");
      out.versions[version] = entries;
    }
  }
  std::ifstream in(data_file(), std::ios::binary);
  out.file.assign(std::istreambuf_iterator<char>(in), {});
  return out;
}

}  // namespace

void append_checksum(std::string_view key, std::string& value) {
  const auto sum = static_cast<std::uint32_t>(
      hash_entry(static_cast<TableId>(key.empty() ? 0 : key[0]), key.empty() ? key : key.substr(1), value));
  ByteWriter(value).u32(sum);
}

std::string some_stored_key(Input& in) {
  switch (in.choice(4)) {
    case 0: return std::string(meta_key());
    case 1: {
      std::string key(in.take(in.u8()));
      key.resize(kHashedKeyBytes, 'k');
      return key;
    }
    default: return static_cast<char>(in.u8()) + std::string(in.take(in.u8()));
  }
}

void state_records(Input& in) {
  empty_folder();
  MDB_env* env = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  KAPPA_CHECK(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, kMapBytes) == 0 &&
                  mdb_env_open(env, folder().c_str(), MDB_NOSYNC | MDB_NOLOCK, 0600) == 0 &&
                  mdb_txn_begin(env, nullptr, 0, &transaction) == 0 &&
                  mdb_dbi_open(transaction, nullptr, 0, &table) == 0,
              "cannot make an environment");
  for (int i = 0; i < 8 && !in.empty(); ++i) {
    std::string key = some_stored_key(in);
    const bool honest = in.choice(8) != 0;
    std::string value(in.take(in.u8()));
    if (honest) append_checksum(key, value);
    MDB_val raw_key{key.size(), key.data()};
    MDB_val raw_value{value.size(), value.data()};
    KAPPA_CHECK(mdb_put(transaction, table, &raw_key, &raw_value, 0) == 0, "cannot put a record");
  }
  KAPPA_CHECK(mdb_txn_commit(transaction) == 0, "cannot commit");
  mdb_env_close(env);
  static_cast<void>(open_and_scan());
}

void state_rot(Input& in) {
  static const SmallState small = make_small_state();
  std::string file = small.file;
  for (int i = 0; i < 6 && !in.empty(); ++i) {
    // Edits reach 64 KiB from the front, and the end; the file is little longer.
    damage_bytes(in, file);
  }
  empty_folder();
  std::ofstream(data_file(), std::ios::binary) << file;
  const std::optional<Found> found = open_and_scan();
  if (!found) return;
  const auto version = small.versions.find(found->progress.applied.value());
  KAPPA_CHECK(version != small.versions.end(), "a state says it is a version that never was");
  KAPPA_CHECK(version->second == found->entries, "a damaged state passes its check");
}

}  // namespace kappa::fuzz
