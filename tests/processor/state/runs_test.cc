// Goal: a state that commits sorted runs answers like one ordered map, is what was last committed after a restart, a
// kill or a load that failed half way, and has, once it is loaded, the very entries of one that never had runs; a
// damaged run is noticed.
// Method: random operations against std::map with commits and reopenings in between, some of them thousands of entries
// at once; a killed child; a map too small to load; bytes all over a small run changed in turn.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "processor/state/run_set.h"
#include "tests/processor/state/open_store.h"
#include "tests/support/seed.h"

namespace kappa::processor {
namespace {

using Random = std::mt19937_64;

std::vector<std::filesystem::path> run_files(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().starts_with("run-")) found.push_back(entry.path());
  }
  return found;
}

void commit(StateStore& store) {
  ASSERT_TRUE(store.freeze());
  const Status committed = store.commit();
  ASSERT_TRUE(committed) << to_string(committed.error());
}

void put(StateStore& store, std::uint64_t applied, const Model& entries) {
  store.begin_publish();
  for (const auto& [place, value] : entries) store.put(place.first, place.second, value);
  store.end_publish(at(applied));
}

// Everything read in every way.
void expect_same(StateStore& store, const Model& model, Random& random) {
  const auto snapshot = store.snapshot();
  ASSERT_TRUE(snapshot) << to_string(snapshot.error());
  for (const TableId table : {TableId(0), TableId(2), TableId(255)}) {
    for (const bool backward : {false, true}) {
      EXPECT_EQ(scan_all(**snapshot, table, {}, backward), model_range(model, table, {}, backward));
      KeyRange range{std::string(random() % 3, 'k') + "5", std::string(random() % 4, 'k') + "7"};
      EXPECT_EQ(scan_all(**snapshot, table, range, backward), model_range(model, table, range, backward));
    }
  }
  std::size_t looked = 0;
  for (const auto& [place, value] : model) {
    if (++looked > 200) break;
    const auto read = store.read(place.first, place.second);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->value, value);
    const auto gone = store.read(place.first, place.second + "x");
    ASSERT_TRUE(gone);
    EXPECT_EQ(gone->value.has_value(), model.contains({place.first, place.second + "x"}));
    const auto in_snapshot = (*snapshot)->get(place.first, place.second);
    ASSERT_TRUE(in_snapshot);
    EXPECT_EQ(*in_snapshot, value);
  }
}

class Runs : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Runs, AnswerLikeOneOrderedMapAndLoadTheEntriesOfAStateThatNeverHadAny) {
  Random random(test::new_seed());
  const auto budget = GetParam() == 0 ? nullptr : std::make_shared<MemoryBudget>(GetParam());
  Directory directory;
  Directory plain;
  Model model;
  auto store = open_store(directory.path(), 256 << 20, budget);
  store->set_bulk(true);
  const auto any_key = [&] {
    static const std::size_t kLengths[] = {0, 1, 2, 3, 498, 499, 500, 600, 1500};
    std::string key(kLengths[random() % std::size(kLengths)], 'k');
    return key + std::to_string(random() % 40);
  };
  std::uint64_t applied = 0;
  for (int round = 0; round < 150; ++round) {
    store->begin_publish();
    const std::size_t changes = round % 40 == 39 ? 9'000 : random() % 30;
    for (std::size_t n = 0; n < changes; ++n) {
      static constexpr TableId kTables[] = {0, 2, 255};
      const TableId table = kTables[random() % 3];
      // Many different ones at once, whose first bytes are alike.
      const std::string key = changes < 100 ? any_key() : "kk" + std::to_string(random() % 1'000'000);
      const auto found = store->get(table, key);
      ASSERT_TRUE(found) << to_string(found.error());
      ASSERT_EQ(found->has_value(), model.contains({table, key}));
      if (found->has_value()) {
        ASSERT_EQ(**found, (model[{table, key}]));
      }
      if (random() % 4 == 0) {
        store->erase(table, key);
        model.erase({table, key});
      } else {
        std::string value(random() % 50, static_cast<char>('a' + random() % 26));
        store->put(table, key, value);
        model[{table, key}] = std::move(value);
      }
    }
    store->end_publish(at(applied += 2));
    if (random() % 2 == 0) commit(*store);
    if (random() % 10 == 0) expect_same(*store, model, random);
    if (random() % 15 == 0) {
      commit(*store);
      store.reset();
      store = open_store(directory.path(), 256 << 20, budget);
      ASSERT_TRUE(store);
      EXPECT_EQ(store->progress().applied, Offset(applied));
      EXPECT_TRUE(store->has_runs());
      store->set_bulk(true);
    }
    if (HasFatalFailure()) return;
  }
  commit(*store);
  EXPECT_LT(run_files(directory.path()).size(), 20U);
  // A reader from before the load goes on with what it saw.
  auto before = store->snapshot();
  ASSERT_TRUE(before);
  store->set_bulk(false);
  commit(*store);
  EXPECT_FALSE(store->has_runs());
  EXPECT_EQ(run_files(directory.path()), std::vector<std::filesystem::path>{});
  EXPECT_EQ(scan_all(**before, TableId(2), {}, false), model_range(model, TableId(2), {}, false));
  expect_same(*store, model, random);
  // And as ever from here on.
  put(*store, applied += 2, {{{TableId(2), "after"}, "v"}});
  model[{TableId(2), "after"}] = "v";
  commit(*store);
  expect_same(*store, model, random);
  before->reset();
  store.reset();
  {
    auto other = open_store(plain.path());
    put(*other, applied, model);
    commit(*other);
  }
  const auto check = verify_state(directory.path());
  ASSERT_TRUE(check) << to_string(check.error());
  EXPECT_EQ(check->entries, model.size());
  const auto digest = state_digest(directory.path());
  const auto expected = state_digest(plain.path());
  ASSERT_TRUE(digest && expected);
  EXPECT_EQ(digest->hash, expected->hash);
  EXPECT_EQ(digest->applied, expected->applied);
}

INSTANTIATE_TEST_SUITE_P(Memory, Runs, ::testing::Values(std::size_t{0}, std::size_t{1}));

TEST(RunsOnDisk, AKilledProcessLeavesItsLastCommit) {
  Directory directory;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = open_store(directory.path());
    store->set_bulk(true);
    for (std::uint64_t i = 1; i <= 20; ++i) {
      put(*store, i * 2, {{{TableId(1), "key" + std::to_string(i)}, std::to_string(i)}, {{TableId(1), "last"}, std::to_string(i)}});
      if (!store->freeze() || !store->commit()) ::_exit(1);
    }
    put(*store, 1000, {{{TableId(1), "last"}, "not committed"}});
    ::kill(::getpid(), SIGKILL);
  }
  int how = 0;
  ASSERT_EQ(::waitpid(child, &how, 0), child);
  ASSERT_TRUE(WIFSIGNALED(how));
  std::ofstream(directory.path() / "run-0000000021-0000000021.tmp") << "not finished";
  const auto digest = state_digest(directory.path());
  ASSERT_TRUE(digest) << to_string(digest.error());
  EXPECT_EQ(digest->applied, Offset(40));
  EXPECT_EQ(digest->entries, 21U);
  auto store = open_store(directory.path());
  ASSERT_TRUE(store);
  EXPECT_EQ(store->progress().applied, Offset(40));
  EXPECT_EQ(store->progress().rows, 20U);
  const auto last = store->read(TableId(1), "last");
  ASSERT_TRUE(last);
  EXPECT_EQ(last->value, "20");
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "run-0000000021-0000000021.tmp"));
  // Nothing asks for runs any more: the next commit loads, though nothing has changed.
  commit(*store);
  EXPECT_FALSE(store->has_runs());
}

TEST(RunsOnDisk, ALoadThatFailsHalfWayIsDoneAgainAlsoByTheNextProcess) {
  Directory directory;
  constexpr std::uint64_t kSmall = std::uint64_t{12} << 20;  // More than one transaction of a load.
  Model model;
  for (int i = 0; i < 40'000; ++i) model[{TableId(1), "key" + std::to_string(i)}] = std::string(400, static_cast<char>('a' + i % 7));
  {
    auto store = open_store(directory.path(), kSmall);
    store->set_bulk(true);
    put(*store, 2, model);
    commit(*store);
    store->set_bulk(false);
    for (int again = 0; again < 2; ++again) {
      static_cast<void>(store->freeze());
      const Status full = store->commit();
      ASSERT_FALSE(full);
      EXPECT_EQ(full.error().code, ErrorCode::kFull);
      EXPECT_TRUE(store->has_runs());
      const auto snapshot = store->snapshot();
      ASSERT_TRUE(snapshot);
      EXPECT_EQ(scan_all(**snapshot, TableId(1), {}, false), model_range(model, TableId(1), {}, false));
    }
  }
  EXPECT_GT(std::filesystem::file_size(directory.path() / "data.mdb"), std::uint64_t{4} << 20);
  const auto digest = state_digest(directory.path());
  ASSERT_TRUE(digest) << to_string(digest.error());
  EXPECT_EQ(digest->entries, model.size());
  auto store = open_store(directory.path());
  ASSERT_TRUE(store);
  EXPECT_EQ(store->progress().applied, Offset(2));
  commit(*store);
  EXPECT_FALSE(store->has_runs());
  store.reset();
  const auto check = verify_state(directory.path());
  ASSERT_TRUE(check) << to_string(check.error());
  EXPECT_EQ(check->entries, model.size());
}

TEST(RunsOnDisk, AChangedByteIsNoticed) {
  Directory directory;
  {
    auto store = open_store(directory.path());
    store->set_bulk(true);
    Model model;
    for (int i = 0; i < 150; ++i) model[{TableId(1), "key" + std::to_string(i)}] = std::string(60, 'v');
    put(*store, 2, model);
    commit(*store);
  }
  const auto files = run_files(directory.path());
  ASSERT_EQ(files.size(), 1U);
  std::ifstream in(files[0], std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(good.size(), 8'000U);
  const auto write = [&](const std::string& bytes) {
    std::ofstream(files[0], std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  Random random(test::new_seed());
  for (std::size_t i = 0; i < good.size(); i += 1 + random() % 40) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    write(bad);
    const auto digest = state_digest(directory.path());
    ASSERT_FALSE(digest) << "byte " << i;
    EXPECT_EQ(digest.error().number, 3301) << "byte " << i << ": " << to_string(digest.error());
  }
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, good.size() / 2, good.size() - 1}) {
    write(good.substr(0, length));
    StateOptions options;
    options.directory = directory.path();
    const auto store = StateStore::open(options);
    ASSERT_FALSE(store) << length;
    EXPECT_EQ(store.error().number, 3301) << length;
  }
  write(good);
  EXPECT_TRUE(state_digest(directory.path()));
}

}  // namespace
}  // namespace kappa::processor
