// The same keyed updates for Kappa and for SQLite: events as lines of JSON, or upserts of a table.
//
//   upsert_peer events FILE_LOAD FILE_UPDATE   writes the events {"k":key,"v":number}, a line each
//   upsert_peer sqlite DIR BATCH [MIB]         upserts them, BATCH rows a transaction, with a page cache of MIB
//
// with --keys N --updates N --text (keys are TEXT of 20 bytes instead of BIGINT). The load has every key once, in
// an order without order; the updates choose keys uniformly. SQLite gets the values bound and ready, no JSON: WAL,
// synchronous=FULL, INSERT ... ON CONFLICT DO UPDATE, one prepared statement. Prints lines of name, value, unit,
// separated by tabs.
#include <sqlite3.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tools/bench_events.h"

namespace {

struct Work {
  std::uint64_t keys = 1'000'000;
  std::uint64_t updates = 4'000'000;
  bool text = false;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "upsert_peer: %s\n", what.c_str());
  std::exit(1);
}

// A bijection of 64 bits, so that keys are distinct; the top bit is cleared to fit a BIGINT, which leaves
// collisions out of what a run meets.
std::int64_t key_of(std::uint64_t index) {
  return static_cast<std::int64_t>(kappa::tools::Random(index).next() >> 1);
}

// Calls body(key, value) for each event of the load, or of the updates.
template <class Body>
void each(const Work& work, bool load, Body&& body) {
  kappa::tools::Random random(load ? 1 : 2);
  const std::uint64_t count = load ? work.keys : work.updates;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t index = load ? i : random.below(work.keys);
    body(key_of(index), static_cast<std::int64_t>(random.below(1'000'000)));
  }
}

int text_of(std::int64_t key, char (&out)[32]) {
  return std::snprintf(out, sizeof out, "u%019lld", static_cast<long long>(key));
}

void write_events(const Work& work, bool load, const char* path) {
  std::FILE* const file = std::fopen(path, "wb");
  if (file == nullptr) die(path);
  each(work, load, [&](std::int64_t key, std::int64_t value) {
    char text[32];
    if (work.text) {
      text_of(key, text);
      std::fprintf(file, "{\"k\":\"%s\",\"v\":%lld}\n", text, static_cast<long long>(value));
    } else {
      std::fprintf(file, "{\"k\":%lld,\"v\":%lld}\n", static_cast<long long>(key), static_cast<long long>(value));
    }
  });
  if (std::fclose(file) != 0) die(path);
}

class Table {
 public:
  Table(const std::string& directory, const Work& work, std::uint64_t cache_mib) : text_(work.text) {
    const std::string path = directory + "/upsert.sqlite";
    if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK) die(sqlite3_errmsg(db_));
    run("PRAGMA journal_mode=WAL");
    run("PRAGMA synchronous=FULL");
    run("PRAGMA cache_size=-" + std::to_string(cache_mib * 1024));
    run(std::string("CREATE TABLE t (k ") + (text_ ? "TEXT PRIMARY KEY" : "INTEGER PRIMARY KEY") +
        ", n INTEGER, s INTEGER, m INTEGER)" + (text_ ? " WITHOUT ROWID" : ""));
    const char* const upsert =
        "INSERT INTO t VALUES (?1, 1, ?2, ?2) ON CONFLICT (k) DO UPDATE SET n = n + 1, s = s + ?2, m = max(m, ?2)";
    if (sqlite3_prepare_v2(db_, upsert, -1, &upsert_, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db_));
  }
  ~Table() {
    sqlite3_finalize(upsert_);
    sqlite3_close(db_);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  void run(const std::string& statement) {
    if (sqlite3_exec(db_, statement.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db_));
  }
  void upsert(std::int64_t key, std::int64_t value) {
    char text[32];
    if (text_)
      sqlite3_bind_text(upsert_, 1, text, text_of(key, text), SQLITE_STATIC);
    else
      sqlite3_bind_int64(upsert_, 1, key);
    sqlite3_bind_int64(upsert_, 2, value);
    if (sqlite3_step(upsert_) != SQLITE_DONE) die(sqlite3_errmsg(db_));
    sqlite3_reset(upsert_);
  }

 private:
  bool text_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* upsert_ = nullptr;
};

void sqlite(const Work& work, const std::string& directory, std::uint64_t batch, std::uint64_t cache_mib) {
  Table table(directory, work, cache_mib);
  for (const bool load : {true, false}) {
    std::uint64_t rows = 0;
    // Values are made beforehand: they are not SQLite's work.
    std::vector<std::pair<std::int64_t, std::int64_t>> events;
    events.reserve(load ? work.keys : work.updates);
    each(work, load, [&](std::int64_t key, std::int64_t value) { events.emplace_back(key, value); });
    const double start = now();
    for (const auto& [key, value] : events) {
      if (rows % batch == 0) table.run("BEGIN");
      table.upsert(key, value);
      if (++rows % batch == 0) table.run("COMMIT");
    }
    if (rows % batch != 0) table.run("COMMIT");
    std::printf("%s\t%.0f\trows/s\n", load ? "load" : "update", static_cast<double>(rows) / (now() - start));
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Work work;
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--text") == 0)
      work.text = true;
    else if (std::strcmp(argv[i], "--keys") == 0 && i + 1 < argc)
      work.keys = std::strtoull(argv[++i], nullptr, 10);
    else if (std::strcmp(argv[i], "--updates") == 0 && i + 1 < argc)
      work.updates = std::strtoull(argv[++i], nullptr, 10);
    else
      words.emplace_back(argv[i]);
  }
  if (words.size() == 3 && words[0] == "events") {
    write_events(work, true, words[1].c_str());
    write_events(work, false, words[2].c_str());
  } else if (words.size() >= 3 && words[0] == "sqlite") {
    const std::uint64_t batch = std::strtoull(words[2].c_str(), nullptr, 10);
    if (batch == 0) die("BATCH must be at least 1");
    sqlite(work, words[1], batch, words.size() > 3 ? std::strtoull(words[3].c_str(), nullptr, 10) : 256);
  } else {
    die("usage: upsert_peer events LOAD UPDATE | sqlite DIR BATCH [MIB]   [--keys N] [--updates N] [--text]");
  }
  return 0;
}
