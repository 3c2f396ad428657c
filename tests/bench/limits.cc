// What the machine itself can do, and SQLite on it: the yardsticks of compare_append.py.
//
//   limits device DIR   MB/s of zeroing fresh 64 MiB segments, then writing and syncing 1 MiB groups into
//                       them, the zeroing on the clock: the work that any preparing log has to do
//   limits sync DIR     p50 microseconds of write + fdatasync of one small group into a zeroed file
//   limits rtt          p50 microseconds of a 256-byte round trip over loopback TCP, blocking sockets
//   limits sqlite DIR   events/s of 200-byte rows, WAL, synchronous=FULL, 1000 a transaction
//
// Each prints one line: name, value, unit, separated by tabs.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tools/bench_events.h"

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kSegment = 64 * kMiB;
constexpr double kSeconds = 3;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void require(bool fine, const char* what) {
  if (fine) return;
  std::perror(what);
  std::exit(1);
}

std::vector<char> noise(std::size_t size) {
  kappa::tools::Random random(3);
  std::vector<char> bytes(size);
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

int open_fresh(const std::string& path) {
  ::unlink(path.c_str());
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  require(file >= 0, path.c_str());
  return file;
}

void write_at(int file, const std::vector<char>& bytes, std::size_t at) {
  require(::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at)) == static_cast<ssize_t>(bytes.size()),
          "pwrite");
}

void zero(int file, std::size_t size) {
  const std::vector<char> zeros(kMiB);
  for (std::size_t at = 0; at < size; at += kMiB) write_at(file, zeros, at);
  require(::fdatasync(file) == 0, "fdatasync");
}

void device(const std::string& directory) {
  const std::vector<char> group = noise(kMiB);
  std::size_t written = 0;
  const double start = now();
  for (int segment = 0; now() - start < kSeconds; ++segment) {
    const std::string path = directory + "/segment" + std::to_string(segment);
    const int file = open_fresh(path);
    zero(file, kSegment);
    for (std::size_t at = 0; at < kSegment; at += kMiB, written += kMiB) {
      write_at(file, group, at);
      require(::fdatasync(file) == 0, "fdatasync");
    }
    ::close(file);
  }
  const double seconds = now() - start;
  for (int segment = 0; ::unlink((directory + "/segment" + std::to_string(segment)).c_str()) == 0; ++segment) {
  }
  std::printf("device\t%.1f\tMB/s\n", static_cast<double>(written) / 1e6 / seconds);
}

void sync_latency(const std::string& directory) {
  const std::string path = directory + "/sync";
  const int file = open_fresh(path);
  zero(file, kSegment);
  const std::vector<char> group = noise(384);
  std::vector<double> times;
  std::size_t at = 0;
  for (const double start = now(); now() - start < kSeconds && at + group.size() <= kSegment; at += group.size()) {
    const double before = now();
    write_at(file, group, at);
    require(::fdatasync(file) == 0, "fdatasync");
    times.push_back((now() - before) * 1e6);
  }
  ::close(file);
  ::unlink(path.c_str());
  std::printf("sync\t%.1f\tus\n", median(times));
}

void transfer(int socket, char* bytes, std::size_t size, bool receive) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t n = receive ? ::recv(socket, bytes + done, size - done, 0) : ::send(socket, bytes + done, size - done, 0);
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

void round_trip() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  require(::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(listener, 1) == 0, "listen");
  require(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0, "getsockname");
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(::connect(client, reinterpret_cast<sockaddr*>(&address), length) == 0, "connect");
  const int server = ::accept(listener, nullptr, nullptr);
  const int one = 1;
  for (const int socket : {client, server}) ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  constexpr std::size_t kBytes = 256;
  constexpr int kRounds = 30'000;
  std::thread echo([server] {
    char bytes[kBytes] = {};
    for (int i = 0; i < kRounds; ++i) {
      transfer(server, bytes, kBytes, true);
      transfer(server, bytes, kBytes, false);
    }
  });
  std::vector<double> times;
  char bytes[kBytes] = {};
  for (int i = 0; i < kRounds; ++i) {
    const double before = now();
    transfer(client, bytes, kBytes, false);
    transfer(client, bytes, kBytes, true);
    times.push_back((now() - before) * 1e6);
  }
  echo.join();
  for (const int socket : {client, server, listener}) ::close(socket);
  std::printf("rtt\t%.1f\tus\n", median(times));
}

void execute(sqlite3* database, const char* statement) {
  if (::sqlite3_exec(database, statement, nullptr, nullptr, nullptr) == SQLITE_OK) return;
  std::fprintf(stderr, "%s: %s\n", statement, ::sqlite3_errmsg(database));
  std::exit(1);
}

void sqlite(const std::string& directory) {
  const std::string path = directory + "/log.sqlite";
  sqlite3* database = nullptr;
  require(::sqlite3_open(path.c_str(), &database) == SQLITE_OK, "sqlite3_open");
  execute(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                    "CREATE TABLE log(id INTEGER PRIMARY KEY, body TEXT)");
  kappa::tools::Random random(7);
  std::vector<std::string> events;
  for (std::uint64_t i = 0; i < 10'000; ++i) events.push_back(kappa::tools::make_event(i, 200, 1000, random));
  sqlite3_stmt* insert = nullptr;
  require(::sqlite3_prepare_v2(database, "INSERT INTO log(body) VALUES (?)", -1, &insert, nullptr) == SQLITE_OK, "prepare");
  std::uint64_t count = 0;
  const double start = now();
  while (now() - start < kSeconds) {
    execute(database, "BEGIN");
    for (int i = 0; i < 1000; ++i, ++count) {
      const std::string& event = events[count % events.size()];
      ::sqlite3_bind_text(insert, 1, event.data(), static_cast<int>(event.size()), SQLITE_STATIC);
      require(::sqlite3_step(insert) == SQLITE_DONE, "insert");
      ::sqlite3_reset(insert);
    }
    execute(database, "COMMIT");
  }
  const double seconds = now() - start;
  ::sqlite3_finalize(insert);
  ::sqlite3_close(database);
  for (const char* part : {"", "-wal", "-shm"}) ::unlink((path + part).c_str());
  std::printf("sqlite\t%.0f\tevents/s\n", static_cast<double>(count) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const std::string directory = argc > 2 ? argv[2] : ".";
  if (what == "device") {
    device(directory);
  } else if (what == "sync") {
    sync_latency(directory);
  } else if (what == "rtt") {
    round_trip();
  } else if (what == "sqlite") {
    sqlite(directory);
  } else {
    std::fprintf(stderr, "usage: limits device|sync|rtt|sqlite [DIR]\n");
    return 2;
  }
  return 0;
}
