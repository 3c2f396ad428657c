// Goal: whatever happens to the files of a view's state, the state's answers are those of one version that
// was committed, or an error; the engine makes it again from the log; and no bytes crash the process.
//
// Method: a state with a tree of three levels, big values, long keys and free pages. One change is made to
// a copy of its file: every bit of both meta pages and of every page header, seeded bits elsewhere, every
// 512-byte block and every page zeroed, swapped, doubled, put back from an older copy of the file. Cases run
// in forked children, so that a crash is a failed case with its seed and number. Each case reads by key and
// by scan without any check before, then checks, and commits to what the check let through. Then whole
// engines are opened over damaged view directories and asked.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "processor/state/state_store.h"
#include "tests/support/temp_dir.h"

namespace kappa::processor {
namespace {

constexpr std::uint64_t kOwner = 4711;
using Model = std::map<std::pair<TableId, std::string>, std::string>;

std::filesystem::path scratch_root() {
  std::error_code error;
  // Memory if there is some: a hundred thousand small files are written.
  return std::filesystem::is_directory("/dev/shm", error) ? "/dev/shm" : std::filesystem::temp_directory_path();
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

StateOptions options(const std::filesystem::path& directory) {
  StateOptions out;
  out.directory = directory;
  out.map_bytes = 64 << 20;
  out.owner = kOwner;
  out.check_bytes_max = 0;
  return out;
}

class ViewFlip : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    seed_ = std::random_device{}();
    if (const char* given = std::getenv("KAPPA_SEED")) seed_ = std::strtoull(given, nullptr, 10);
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
    scratch_ = std::make_unique<test::TempDir>(scratch_root());
    root_ = scratch_->path();
    make_state();
  }
  static void TearDownTestSuite() {
    scratch_.reset();
    versions_.clear();
    older_.clear();
  }

  static std::string any_value(std::mt19937_64& random) {
    return std::string(random() % 150 == 0 ? 3000 + random() % 6000 : random() % 60,
                       static_cast<char>('a' + random() % 26));
  }

  static void make_state() {
    std::mt19937_64 random(seed_);
    const auto directory = root_ / "made";
    auto store = std::move(*StateStore::open(options(directory)));
    Model model;
    for (std::uint64_t applied = 1; applied <= 8; ++applied) {
      store->begin_publish();
      for (int i = 0; i < 120; ++i) {
        const auto table = static_cast<TableId>(random() % 3);
        std::string key = "key" + std::to_string(random() % 700);
        if (random() % 4 == 0) key.append(random() % 3 == 0 ? 600 : 300, 'k');
        if (random() % 3 == 0) {
          store->erase(table, key);
          model.erase({table, key});
        } else {
          const std::string value = any_value(random);
          store->put(table, key, value);
          model[{table, key}] = value;
        }
      }
      Progress progress;
      progress.applied = Offset(applied);
      progress.started = true;
      store->end_publish(progress);
      ASSERT_TRUE(store->freeze());
      ASSERT_TRUE(store->commit());
      versions_[applied] = model;
      older_.push_back(read_file(directory / "data.mdb"));
    }
    bytes_ = older_.back();
    older_.pop_back();
    store.reset();
    ASSERT_TRUE(verify_state(directory));
  }

  struct Change {
    std::string what;
    std::string bytes;
    bool old_page = false;     // An older copy of a page: its rows are believed until the check.
    bool with_commit = false;  // If the check lets it through.
    bool compare_offline = false;
  };
  // Compares one scan over all tables with the model; false if an entry differs or is missing.
  static bool same(StateSnapshot& snapshot, const Model& model, bool backward, bool& failed) {
    std::vector<const Model::value_type*> expected;
    for (const auto& entry : model) expected.push_back(&entry);
    if (backward) std::ranges::reverse(expected);
    std::size_t at = 0;
    for (int n = 0; n < 3; ++n) {
      const auto table = static_cast<TableId>(backward ? 2 - n : n);
      const auto cursor = snapshot.scan(table, {}, backward);
      for (;;) {
        const auto entry = cursor->next();
        failed |= !entry;
        if (!entry || !*entry) break;
        if (at == expected.size() || expected[at]->first.first != table || expected[at]->first.second != (*entry)->key ||
            expected[at]->second != (*entry)->value)
          return false;
        ++at;
      }
    }
    return at == expected.size();
  }
  // Text of what is wrong; empty if all is well. Runs in a child.
  static std::string run_case(const Change& change, const std::filesystem::path& directory, bool& noticed) {
    noticed = false;
    write_file(directory / "data.mdb", change.bytes);
    const std::optional<bool> offline =
        change.compare_offline ? std::optional(verify_state(directory).has_value()) : std::nullopt;
    auto opened = StateStore::open(options(directory));
    if (!opened) {
      noticed = true;
      if (opened.error().number != 3301 && opened.error().number != 3103) return "opening: " + to_string(opened.error());
      return offline.value_or(false) ? "opening fails, the offline check does not" : "";
    }
    StateStore& store = **opened;
    const std::uint64_t applied = store.progress().applied.value();
    const auto version = versions_.find(applied);
    if (version == versions_.end() && applied != 0) {
      if (!store.check([](std::uint64_t) { return true; })) return "";
      return "an applied offset that never was";
    }
    const Model& model = applied == 0 ? empty_ : version->second;
    bool wrong = false;  // Without an error.
    bool failed = false;
    {
      const auto snapshot = store.snapshot();
      if (!snapshot) return "snapshot: " + to_string(snapshot.error());
      for (const auto& [place, value] : model) {
        const auto read = (*snapshot)->get(place.first, place.second);
        failed |= !read;
        wrong |= read && (!*read || **read != value);
        if (read && *read && **read != value && !change.old_page) return "a wrong value was served";
      }
      for (const bool backward : {false, true}) wrong |= !same(**snapshot, model, backward, failed);
    }
    noticed = failed;
    const Status checked = store.check([](std::uint64_t) { return true; });
    if (checked.has_value() != offline.value_or(checked.has_value())) return "offline and running checks differ";
    if (!checked) {
      noticed = true;
      return checked.error().number == 3301 ? "" : "check: " + to_string(checked.error());
    }
    if (wrong || failed) return failed ? "a read failed in what the check calls whole" : "wrong, and the check is content";
    if (!change.with_commit) return "";
    // What was let through can be written to.
    Model next = model;
    Progress progress = store.progress();
    store.begin_publish();
    std::mt19937_64 random(change.bytes.size());
    for (int i = 0; i < 60; ++i) {
      const std::string key = "key" + std::to_string(random() % 700);
      if (i % 2 == 0) {
        store.erase(1, key);
        next.erase({1, key});
      } else {
        store.put(1, key, "new");
        next[{1, key}] = "new";
      }
    }
    progress.applied = Offset(applied + 100);
    store.end_publish(progress);
    if (!store.freeze() || !store.commit()) return "what was checked takes no commit";
    opened->reset();
    const auto after = verify_state(directory);
    if (!after) return "after a commit: " + to_string(after.error());
    return after->entries == next.size() ? "" : "after a commit: another number of entries";
  }

  // Runs cases [0, count) in children of `batch` cases each.
  void run(std::size_t count, const std::function<Change(std::size_t)>& change, std::size_t batch = 500) {
    const auto started = std::chrono::steady_clock::now();
    struct Shared {
      std::size_t at;
      std::size_t noticed;
      char text[1000];
    };
    auto* shared = static_cast<Shared*>(
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(static_cast<void*>(shared), MAP_FAILED);
    std::size_t noticed_in_all = 0;
    for (std::size_t first = 0; first < count && !HasFailure(); first += batch) {
      *shared = {};
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        const auto directory = root_ / "child";
        std::filesystem::create_directories(directory);
        for (std::size_t i = first; i < std::min(count, first + batch); ++i) {
          shared->at = i;
          bool noticed = false;
          std::string wrong;
          try {
            Change made = change(i);
            made.with_commit = made.old_page || i % 16 == 0;
            made.compare_offline = made.old_page || i % 4 == 0;
            wrong = run_case(made, directory, noticed);
          } catch (const std::exception& thrown) {
            wrong = thrown.what();
          }
          shared->noticed += noticed ? 1 : 0;
          if (!wrong.empty()) {
            std::snprintf(shared->text, sizeof shared->text, "%s", wrong.c_str());
            ::_exit(1);
          }
        }
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      noticed_in_all += shared->noticed;
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
          << "seed " << seed_ << ", case " << shared->at << " (" << change(shared->at).what << "): "
          << (WIFSIGNALED(status) ? ::strsignal(WTERMSIG(status)) : shared->text);
      std::filesystem::remove_all(root_ / "child");
    }
    ::munmap(shared, sizeof(Shared));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    std::printf("%zu cases, %zu noticed, %.1f s\n", count, noticed_in_all, took.count());
    EXPECT_GT(noticed_in_all, count / 10);
  }

  static Change flipped(std::size_t byte, unsigned bit) {
    Change change{"byte " + std::to_string(byte) + " bit " + std::to_string(bit), bytes_};
    change.bytes[byte] = static_cast<char>(static_cast<unsigned char>(change.bytes[byte]) ^ (1U << bit));
    return change;
  }

  static constexpr std::size_t kPage = 4096;
  inline static std::uint64_t seed_ = 0;
  inline static std::unique_ptr<test::TempDir> scratch_;
  inline static std::filesystem::path root_;
  inline static std::map<std::uint64_t, Model> versions_;
  inline static const Model empty_;
  inline static std::string bytes_;
  inline static std::vector<std::string> older_;
};

TEST_F(ViewFlip, EveryBitOfMetaPagesAndPageHeaders) {
  std::vector<std::size_t> bytes;
  for (std::size_t at = 0; at < 160; ++at) {
    bytes.push_back(at);
    bytes.push_back(kPage + at);
  }
  for (std::size_t page = 2; page < bytes_.size() / kPage; ++page)
    for (std::size_t at = 0; at < 20; ++at) bytes.push_back(page * kPage + at);
  run(bytes.size() * 8, [&](std::size_t i) { return flipped(bytes[i / 8], static_cast<unsigned>(i % 8)); });
}

TEST_F(ViewFlip, SeededBitsElsewhere) {
  run(12'000, [&](std::size_t i) {
    std::mt19937_64 random(seed_ + i);
    return flipped(random() % bytes_.size(), static_cast<unsigned>(random() % 8));
  });
}

TEST_F(ViewFlip, BlocksAndPagesZeroedSwappedDoubledAndOld) {
  struct Operation {
    std::size_t at;
    std::size_t size;
    unsigned kind;
  };
  std::vector<Operation> operations;
  for (const std::size_t size : {std::size_t{512}, kPage})
    for (std::size_t at = 0; at + size <= bytes_.size(); at += size)
      for (unsigned kind = 0; kind < 3 + (size == kPage ? older_.size() : 0); ++kind) operations.push_back({at, size, kind});
  run(operations.size(), [&](std::size_t i) {
    const auto [at, size, kind] = operations[i];
    Change change{std::to_string(size) + " bytes at " + std::to_string(at) + " kind " + std::to_string(kind), bytes_};
    const std::size_t other = (at + size) % (bytes_.size() / size * size);
    if (kind == 0) {
      change.bytes.replace(at, size, size, '\0');
    } else if (kind == 1) {
      change.bytes.replace(at, size, bytes_, other, size);
    } else if (kind == 2) {
      change.bytes.replace(at, size, bytes_, other, size);
      change.bytes.replace(other, size, bytes_, at, size);
    } else if (const std::string& old = older_[kind - 3]; at + size <= old.size()) {
      change.old_page = true;
      change.bytes.replace(at, size, old, at, size);
    }
    return change;
  });
}

TEST_F(ViewFlip, FilesCutEmptyOldOrOfOtherBytes) {
  std::vector<Change> changes;
  for (std::size_t size = 0; size < bytes_.size(); size += 512)
    changes.push_back({"cut at " + std::to_string(size), bytes_.substr(0, size)});
  for (std::size_t i = 0; i < older_.size(); ++i) changes.push_back({"copy " + std::to_string(i), older_[i]});
  std::mt19937_64 random(seed_);
  for (int i = 0; i < 200; ++i) {
    Change change{"random bytes " + std::to_string(i), bytes_};
    // The meta pages stay, so that the rest is looked at.
    for (std::size_t at = i % 2 == 0 ? 0 : 2 * kPage; at < bytes_.size(); ++at)
      if (i % 4 < 2 || random() % 64 == 0) change.bytes[at] = static_cast<char>(random());
    changes.push_back(std::move(change));
  }
  run(changes.size(), [&](std::size_t i) { return changes[i]; });
}

}  // namespace
}  // namespace kappa::processor
