// Goal: a state answers like one ordered map whatever layer an entry is in; a reader sees one applied
// offset; what commits is what is there after a restart or a kill; damage is noticed.
// Method: random operations against std::map with freezes, commits and reopenings in between; a
// reader thread against a writer with an invariant; a killed child; bytes changed in the file.
#include "processor/state/state_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "processor/operators/build.h"
#include "tests/processor/state/open_store.h"

namespace kappa::processor {
namespace {

// LMDB ends the process when its pages contradict each other: the last words name the view and the way out.
TEST(StateStoreDeathTest, PagesThatAreOverwrittenWhileInUseEndTheProcessWithWhatToDo) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  Directory directory;
  const auto overwritten = [&] {
    ::dup2(STDERR_FILENO, STDOUT_FILENO);  // Where this program logs to.
    auto store = open_store(directory.path());
    store->begin_publish();
    store->put(TableId(1), "k", "v");
    store->end_publish(at(2));
    static_cast<void>(store->freeze());
    static_cast<void>(store->commit());
    // The root of the main table in both meta pages: page 1 is none.
    std::fstream file(directory.path() / "data.mdb", std::ios::in | std::ios::out | std::ios::binary);
    for (const std::streamoff page : {0, 4096}) {
      constexpr std::streamoff kMainRoot = 16 + 24 + 48 + 40;
      const std::uint64_t root = 1;
      file.seekp(page + kMainRoot);
      file.write(reinterpret_cast<const char*>(&root), sizeof root);
    }
    file.flush();
    store->begin_publish();
    store->put(TableId(1), "l", "w");
    store->end_publish(at(4));
    static_cast<void>(store->freeze());
    static_cast<void>(store->commit());
  };
  EXPECT_DEATH(overwritten(), "was damaged while it was in use.*start again, and the view is rebuilt");
}

// With `memory` 0 everything that was ever touched stays in memory; with 1 nothing that need not.
void answers_like_one_ordered_map(std::size_t memory) {
  const auto budget = memory == 0 ? nullptr : std::make_shared<MemoryBudget>(memory);
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  Directory directory;
  auto store = open_store(directory.path(), 256 << 20, budget);
  Model model;
  // Few distinct keys, many of them long, so that they meet in every layer and share prefixes.
  const auto any_key = [&] {
    static const std::size_t kLengths[] = {0, 1, 2, 3, 497, 498, 499, 500, 501, 510, 600, 1500};
    std::string key(kLengths[random() % std::size(kLengths)], 'k');
    if (!key.empty()) key.back() = static_cast<char>('a' + random() % 3);
    if (key.size() > 1 && random() % 2 == 0) key.front() = static_cast<char>('j' + random() % 2);
    return key;
  };
  static constexpr TableId kTables[] = {0, 2, 255};
  std::uint64_t applied = 0;
  for (int round = 0; round < 400; ++round) {
    store->begin_publish();
    store->keep_ordered(2);
    for (std::size_t n = random() % 20; n > 0; --n) {
      const TableId table = kTables[random() % 3];
      const std::string key = any_key();
      const auto found = store->get(table, key);
      ASSERT_TRUE(found) << to_string(found.error());
      const auto expected = model.find({table, key});
      ASSERT_EQ(found->has_value(), expected != model.end());
      if (*found) {
        ASSERT_EQ(**found, expected->second);
      }
      if (random() % 3 == 0) {
        store->erase(table, key);
        model.erase({table, key});
      } else if (random() % 2 == 0) {
        const std::string value(random() % 300, static_cast<char>('A' + random() % 26));
        store->put(table, key, value);
        model[{table, key}] = value;
      } else {
        const auto entry = store->entry(table, key);
        ASSERT_TRUE(entry);
        store->begin_changes();
        (*entry)->value += "+";
        if (!(*entry)->exists) (*entry)->value = "new";
        (*entry)->exists = true;
        store->changed(**entry);
        model[{table, key}] = (*entry)->value;
      }
      std::vector<std::string> keys;
      for (std::size_t k = random() % 40; k > 0; --k) keys.push_back(any_key());
      const std::vector<std::string_view> views(keys.begin(), keys.end());
      std::vector<StateEntry*> entries(keys.size());
      ASSERT_TRUE(store->entries(table, views, entries));
      for (std::size_t k = 0; k < keys.size(); ++k) {
        const auto there = model.find({table, keys[k]});
        ASSERT_EQ(entries[k]->key, keys[k]);
        ASSERT_EQ(entries[k]->exists, there != model.end());
        if (entries[k]->exists) {
          ASSERT_EQ(entries[k]->value.view(), there->second);
        }
        if (k > 0 && keys[k] == keys[k - 1]) {
          ASSERT_EQ(entries[k], entries[k - 1]);
        }
        if (k % 8 != 0) continue;
        store->begin_changes();
        entries[k]->value = "many" + std::to_string(round);
        entries[k]->exists = true;
        store->changed(*entries[k]);
        model[{table, keys[k]}] = entries[k]->value;
      }
      const bool backward = random() % 2 == 0;
      const KeyRange range{any_key(), std::nullopt};
      const auto first = store->first(2, range, backward);
      ASSERT_TRUE(first);
      const Pairs all = model_range(model, 2, range, backward);
      ASSERT_EQ(first->has_value(), !all.empty());
      if (!all.empty()) {
        ASSERT_EQ(**first, all[0]);
      }
      // The processor's own changes, also those of this batch.
      const KeyRange bounded{any_key(), any_key()};
      ASSERT_EQ(scan_all(*store, 2, range, backward), all);
      ASSERT_EQ(scan_all(*store, 2, bounded, !backward), model_range(model, 2, bounded, !backward));
    }
    store->end_publish(at(++applied));
    auto snapshot = store->snapshot();
    ASSERT_TRUE(snapshot);
    EXPECT_EQ((*snapshot)->progress().applied, Offset(applied));
    for (const TableId table : kTables) {
      const bool backward = random() % 2 == 0;
      KeyRange range{random() % 2 == 0 ? "" : any_key(), std::nullopt};
      if (random() % 2 == 0) range.to = any_key();
      ASSERT_EQ(scan_all(**snapshot, table, range, backward), model_range(model, table, range, backward));
      const std::string key = any_key();
      const auto expected = model.find({table, key});
      const auto read = store->read(table, key);
      const auto got = (*snapshot)->get(table, key);
      ASSERT_TRUE(read && got);
      EXPECT_EQ(read->applied, Offset(applied));
      EXPECT_EQ(read->value, *got);
      EXPECT_EQ(read->value, expected == model.end() ? std::nullopt : std::optional(expected->second));
    }
    snapshot->reset();  // An environment must not be open twice in one process.
    switch (random() % 6) {
      case 0: static_cast<void>(store->freeze()); break;
      case 1: ASSERT_TRUE(store->commit()); break;
      case 2:
        static_cast<void>(store->freeze());
        ASSERT_TRUE(store->commit());
        EXPECT_FALSE(store->has_frozen());
        break;
      case 3:
        ASSERT_TRUE(store->commit());
        ASSERT_TRUE(store->freeze());
        ASSERT_TRUE(store->commit());
        EXPECT_EQ(store->committed(), Offset(applied));
        store.reset();
        store = open_store(directory.path(), 256 << 20, budget);
        ASSERT_TRUE(store);
        EXPECT_EQ(store->progress().applied, Offset(applied));
        EXPECT_EQ(store->progress().mark, at(applied).mark);
        EXPECT_TRUE(store->progress().started);
        break;
      default: break;
    }
  }
  ASSERT_TRUE(store->commit());
  ASSERT_TRUE(store->freeze());
  ASSERT_TRUE(store->commit());
  store.reset();
  const auto checked = verify_state(directory.path());
  ASSERT_TRUE(checked) << to_string(checked.error());
  EXPECT_EQ(checked->entries, model.size());
  EXPECT_EQ(checked->progress.applied, Offset(applied));
  Model walked;
  ASSERT_TRUE(walk_state(directory.path(), [&](TableId table, std::string_view key, std::string_view value) -> Status {
    if (!walked.empty()) {
      EXPECT_LT(walked.rbegin()->first, (Model::key_type{table, std::string(key)}));
    }
    walked[{table, std::string(key)}] = value;
    return {};
  }));
  EXPECT_EQ(walked, model);
}

TEST(StateStore, AnswersLikeOneOrderedMap) {
  answers_like_one_ordered_map(0);
}
TEST(StateStore, AnswersLikeOneOrderedMapWithoutMemory) {
  answers_like_one_ordered_map(1);
}

// Goal of the digest: equal entries, equal digest, however they came there; anything else differs.
TEST(StateStore, DigestIsOfTheEntriesAlone) {
  const std::string long_key(700, 'k');
  const auto digest_of = [&](auto&& change, bool in_one_commit) {
    Directory directory;
    {
      auto store = open_store(directory.path());
      std::uint64_t applied = 1;
      const auto publish = [&](auto&& body) {
        store->begin_publish();
        body();
        store->end_publish(at(++applied));
        if (in_one_commit) return;
        EXPECT_TRUE(store->freeze());
        EXPECT_TRUE(store->commit());
      };
      for (const std::string suffix : {"b", "a", "d", "c"}) {
        publish([&] {
          store->put(1, suffix, "v" + suffix);
          store->put(1, long_key + suffix, "w" + suffix);
        });
      }
      publish([&] { store->erase(1, "d"); });
      publish([&] { store->erase(1, long_key + "d"); });
      publish([&] { change(*store); });
      EXPECT_TRUE(store->freeze());
      EXPECT_TRUE(store->commit());
    }
    const auto digest = state_digest(directory.path());
    EXPECT_TRUE(digest) << to_string(digest.error());
    return digest ? *digest : StateDigest{};
  };
  const auto nothing = [](StateStore&) {};
  const StateDigest once = digest_of(nothing, true);
  EXPECT_EQ(once.entries, 6U);
  EXPECT_EQ(once.applied, Offset(8));
  EXPECT_EQ(digest_of(nothing, false).hash, once.hash);
  EXPECT_NE(digest_of([](StateStore& s) { s.put(1, "b", "va"); }, false).hash, once.hash);
  EXPECT_NE(digest_of([&](StateStore& s) { s.put(1, long_key + "b", "x"); }, false).hash, once.hash);
  EXPECT_NE(digest_of([](StateStore& s) { s.erase(1, "c"); }, true).hash, once.hash);
  EXPECT_NE(digest_of([](StateStore& s) { s.erase(1, "c"), s.put(2, "c", "vc"); }, true).hash, once.hash);
  Directory never;
  open_store(never.path()).reset();
  EXPECT_EQ(state_digest(never.path())->entries, 0U);
}

TEST(StateStore, UncommittedChangesAreGoneAfterReopening) {
  Directory directory;
  auto store = open_store(directory.path());
  store->begin_publish();
  store->put(0, "a", "1");
  store->end_publish(at(1));
  ASSERT_TRUE(store->freeze());
  ASSERT_TRUE(store->commit());
  store->begin_publish();
  store->put(0, "a", "2");
  store->end_publish(at(2));
  ASSERT_TRUE(store->freeze());
  EXPECT_FALSE(store->freeze());  // The frozen overlay still waits.
  EXPECT_EQ(store->read(0, "a")->value, "2");
  EXPECT_EQ(store->committed(), Offset(1));
  store = nullptr;
  store = open_store(directory.path());
  EXPECT_EQ(store->progress().applied, Offset(1));
  EXPECT_EQ(store->read(0, "a")->value, "1");
}

TEST(StateStore, SnapshotStaysAsItWas) {
  Directory directory;
  auto store = open_store(directory.path());
  const auto publish = [&](std::uint64_t n) {
    store->begin_publish();
    store->put(0, "a", std::to_string(n));
    store->put(0, "k" + std::to_string(n), "x");
    store->end_publish(at(n));
  };
  publish(1);
  ASSERT_TRUE(store->freeze());
  publish(2);
  const auto snapshot = store->snapshot();
  publish(3);
  ASSERT_TRUE(store->commit());
  ASSERT_TRUE(store->freeze());
  ASSERT_TRUE(store->commit());
  publish(4);
  EXPECT_EQ((*snapshot)->progress().applied, Offset(2));
  EXPECT_EQ(scan_all(**snapshot, 0, {}, false), (Pairs{{"a", "2"}, {"k1", "x"}, {"k2", "x"}}));
  EXPECT_EQ(*(*snapshot)->get(0, "a"), "2");
  EXPECT_EQ(scan_all(**store->snapshot(), 0, {}, true),
            (Pairs{{"k4", "x"}, {"k3", "x"}, {"k2", "x"}, {"k1", "x"}, {"a", "4"}}));
}

TEST(StateStore, ReadersNeverSeeHalfABatch) {
  Directory directory;
  auto store = open_store(directory.path());
  // Every batch writes its number to all keys; a reader must find one number everywhere, and it must
  // be that of the offset it was told.
  static constexpr int kKeys = 20;
  std::atomic<bool> stop{false};
  const auto key = [](int i) { return "key" + std::to_string(i); };
  store->begin_publish();
  for (int i = 0; i < kKeys; ++i) store->put(0, key(i), "0");
  store->end_publish(at(0));
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> reads{0};
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const auto snapshot = store->snapshot();
        ASSERT_TRUE(snapshot);
        const std::string expected = std::to_string((*snapshot)->progress().applied.value());
        const Pairs all = scan_all(**snapshot, 0, {}, false);
        ASSERT_EQ(all.size(), static_cast<std::size_t>(kKeys));
        for (const auto& [k, v] : all) ASSERT_EQ(v, expected);
        const auto point = store->read(0, key(7));
        ASSERT_TRUE(point);
        ASSERT_EQ(point->value, std::to_string(point->applied.value()));
        ++reads;
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      ASSERT_TRUE(store->commit());
      std::this_thread::yield();
    }
  });
  for (std::uint64_t n = 1; n <= 3000 || reads < 50; ++n) {
    store->begin_publish();
    for (int i = 0; i < kKeys; ++i) {
      const auto entry = store->entry(0, key(i));
      ASSERT_TRUE(entry);
      store->begin_changes();
      (*entry)->value = std::to_string(n);
      (*entry)->exists = true;
      store->changed(**entry);
    }
    store->end_publish(at(n));
    if (n % 16 == 0) static_cast<void>(store->freeze());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(StateStore, KilledProcessLeavesItsLastCommit) {
  Directory directory;
  for (int round = 0; round < 5; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = open_store(directory.path());
      if (!store) ::_exit(1);
      for (std::uint64_t n = store->progress().applied.value() + 1;; ++n) {
        store->begin_publish();
        for (int i = 0; i < 50; ++i) store->put(0, "key" + std::to_string(i), std::to_string(n));
        store->put(0, "only" + std::to_string(n), "x");
        store->end_publish(at(n));
        if (!store->freeze() || !store->commit()) ::_exit(1);
        if (::write(pipe_ends[1], &n, sizeof n) != sizeof n) ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    std::uint64_t told = 0;
    for (int i = 0; i < 20 + round * 7; ++i) {
      if (::read(pipe_ends[0], &told, sizeof told) != sizeof told) break;
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(pipe_ends[0]);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto checked = verify_state(directory.path());
    ASSERT_TRUE(checked) << to_string(checked.error());
    auto store = open_store(directory.path());
    const std::uint64_t applied = store->progress().applied.value();
    EXPECT_GE(applied, told);
    EXPECT_EQ(checked->entries, 50 + applied);
    for (int i = 0; i < 50; ++i)
      EXPECT_EQ(store->read(0, "key" + std::to_string(i))->value, std::to_string(applied));
  }
}

TEST(StateStore, FullMapIsRetryableAndLosesNothing) {
  Directory directory;
  auto store = open_store(directory.path(), 256 << 10);
  store->begin_publish();
  for (int i = 0; i < 3000; ++i) store->put(0, "key" + std::to_string(i), std::string(200, 'v'));
  store->end_publish(at(9));
  ASSERT_TRUE(store->freeze());
  const Status status = store->commit();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kFull);
  EXPECT_TRUE(store->has_frozen());
  EXPECT_EQ(store->committed(), Offset(0));
  EXPECT_EQ(store->read(0, "key17")->value, std::string(200, 'v'));
  EXPECT_FALSE(store->commit());
}

TEST(StateStore, AFullMapGrowsUpToItsGreatestSizeUnderItsReaders) {
  Directory directory;
  StateOptions options;
  options.directory = directory.path();
  options.map_bytes = 128 << 10;
  options.map_bytes_max = 8 << 20;
  auto opened = StateStore::open(options);
  ASSERT_TRUE(opened) << to_string(opened.error());
  StateStore& store = **opened;
  const std::string value(1000, 'v');
  const auto put_and_commit = [&](int from, int to) {
    store.begin_publish();
    for (int i = from; i < to; ++i) store.put(1, "key" + std::to_string(i), value);
    store.end_publish(at(static_cast<std::uint64_t>(to)));
    EXPECT_TRUE(store.freeze());
    return store.commit();
  };
  ASSERT_TRUE(put_and_commit(0, 10));
  const auto before = store.snapshot();
  ASSERT_TRUE(before);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      const auto read = store.read(1, "key5");
      EXPECT_TRUE(read && read->value == value);
    }
  });
  for (int round = 1; round <= 10; ++round) {
    const Status committed = put_and_commit(round * 100, round * 100 + 100);
    EXPECT_TRUE(committed) << to_string(committed.error());
  }
  stop = true;
  reader.join();
  EXPECT_EQ(*(*before)->get(1, "key5"), value) << "a snapshot from before stays";
  EXPECT_EQ(*(*before)->get(1, "key1000"), std::nullopt);
  EXPECT_EQ(store.read(1, "key1099")->value, value);
  // The greatest size holds.
  const Status over = put_and_commit(10'000, 30'000);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::kFull);
  EXPECT_EQ(store.read(1, "key20000")->value, value) << "it is still answered from memory";
}

TEST(StateStore, DamageIsNoticed) {
  const auto filled = [](const std::filesystem::path& path) {
    auto store = open_store(path);
    store->begin_publish();
    for (int i = 0; i < 200; ++i)
      store->put(1, "key" + std::to_string(i), "value-to-find-" + std::to_string(i));
    store->end_publish(at(5));
    EXPECT_TRUE(store->freeze());
    EXPECT_TRUE(store->commit());
  };
  Directory directory;
  filled(directory.path());
  const std::filesystem::path data = directory.path() / "data.mdb";
  std::ifstream in(data, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const std::size_t place = bytes.find("value-to-find-77");
  ASSERT_NE(place, std::string::npos);
  for (std::size_t p = place; p != std::string::npos; p = bytes.find("value-to-find-77", p + 1))
    bytes[p] = 'V';
  std::ofstream(data, std::ios::binary) << bytes;
  {
    // Unchecked, a read of it is an error, and nothing can be committed.
    StateOptions options{directory.path(), 64 << 20, false};
    options.check_bytes_max = 0;
    const auto store = std::move(*StateStore::open(options));
    EXPECT_FALSE(store->checked());
    const auto read = store->read(1, "key77");
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(read.error().number, 3301);
    EXPECT_EQ(store->read(1, "key78")->value, "value-to-find-78");
    store->begin_publish();
    store->put(1, "key1", "other");
    store->end_publish(at(6));
    EXPECT_TRUE(store->freeze());
    EXPECT_EQ(store->commit().error().number, 3305);
    EXPECT_EQ(store->check([](std::uint64_t) { return true; }).error().number, 3301);
    EXPECT_FALSE(store->checked());
  }
  EXPECT_EQ(StateStore::open({directory.path(), 64 << 20, false}).error().number, 3301);
  const auto checked = verify_state(directory.path());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().number, 3301);

  Directory cut;
  filled(cut.path());
  std::filesystem::resize_file(cut.path() / "data.mdb",
                               3 * static_cast<std::uintmax_t>(::sysconf(_SC_PAGESIZE)));
  const auto opened = StateStore::open({cut.path(), 64 << 20, false});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().number, 3301);

  Directory foreign;
  std::ofstream(foreign.path() / "data.mdb") << std::string(20'000, 'x');
  const auto refused = StateStore::open({foreign.path(), 64 << 20, false});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().number, 3301);
}

TEST(StateStore, ReadOnlyOpensWhatIsThere) {
  Directory directory;
  {
    auto store = open_store(directory.path());
    store->begin_publish();
    store->put(0, "a", "1");
    store->end_publish(at(4));
    ASSERT_TRUE(store->freeze());
    ASSERT_TRUE(store->commit());
    EXPECT_GT(store->bytes_on_disk(), 0U);
  }
  const auto store = StateStore::open({directory.path(), 64 << 20, true});
  ASSERT_TRUE(store);
  EXPECT_EQ((*store)->progress().applied, Offset(4));
  EXPECT_EQ((*store)->read(0, "a")->value, "1");
  EXPECT_FALSE(StateStore::open({directory.path() / "nothing", 64 << 20, true}));
}

TEST(MemoryState, HasTheSameContract) {
  const auto store = make_memory_state();
  store->keep_ordered(1);
  store->put(1, "b", "2");
  store->put(1, "a", "1");
  store->put(1, "c", "3");
  store->erase(1, "a");
  EXPECT_EQ(*store->get(1, "b"), "2");
  EXPECT_EQ(*store->get(1, "a"), std::nullopt);
  EXPECT_EQ((*store->first(1, {}, false))->first, "b");
  EXPECT_EQ((*store->first(1, {}, true))->first, "c");
  EXPECT_EQ(scan_all(*store, 1, {}, true), (Pairs{{"c", "3"}, {"b", "2"}}));
  EXPECT_TRUE(store->freeze());
  EXPECT_TRUE(store->commit());
  EXPECT_EQ(scan_all(**store->snapshot(), 1, {}, false), (Pairs{{"b", "2"}, {"c", "3"}}));
  EXPECT_GT(store->active_bytes(), 0U);
}

}  // namespace
}  // namespace kappa::processor
