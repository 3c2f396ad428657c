// kappa bench get: point reads of a view, random keys, as redis-benchmark does it.
//
// One thread and one epoll; each connection sends --pipeline requests in one write, and the next ones when all of
// them are answered. A request is 50 bytes that are made once: its id, the digits of its key and its checksum are
// written over. Every answer must be a row, else the run fails; with --verify it must be the row of its key, and its
// checksum right. The latency of a request runs from the write of its burst to when its answer was read.
#include <CLI/CLI.hpp>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "proto/crc32.h"
#include "proto/read_messages.h"
#include "tools/command.h"
#include "tools/histogram.h"
#include "tools/interrupt.h"
#include "tools/machine.h"
#include "tools/output.h"

namespace kappa::tools {
namespace {

constexpr std::size_t kDigits = 12;
constexpr std::size_t kReadBytes = std::size_t{64} << 10;

struct GetBenchFlags {
  ConnectionFlags connection;
  std::string view;
  std::string prefix = "key:";
  std::string form = "lookup";
  std::string output;
  std::string duration = "10s";
  std::uint64_t keys = 1'000'000;
  std::uint64_t seed = 1;
  unsigned clients = 50;
  unsigned pipeline = 1;
  bool verify = false;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::unexpected<Error> socket_failed(const char* what) { return fail_errno(1014, what, errno); }

// Numeric address and port; whatever the resolver knows too.
Expected<int> dial(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return fail(ErrorCode::kInvalid, 1001, "not HOST:PORT: " + address);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0)
    return fail(ErrorCode::kInvalid, 1001, "cannot resolve " + address);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return socket_failed("cannot make a socket");
  if (::connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
    const int code = errno;
    ::close(fd);
    return fail_errno(1001, "cannot connect to " + address, code);
  }
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

Status send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return socket_failed("sending failed");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

// One connection: the burst it sends over and over, and what has come of the answers.
struct Connection {
  int fd = -1;
  std::string burst;                 // --pipeline frames of one length.
  std::vector<std::uint64_t> asked;  // Keys by place in the burst.
  std::size_t frame_bytes = 0;
  std::size_t digits_at = 0;         // In a frame.
  std::unique_ptr<char[]> in = std::make_unique_for_overwrite<char[]>(kReadBytes);
  std::size_t in_bytes = 0;
  unsigned waiting = 0;
  std::uint64_t next_id = 1;
  std::int64_t sent_at = 0;

  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (fd >= 0) ::close(fd);
  }
};

class GetBench {
 public:
  explicit GetBench(const GetBenchFlags& flags) : flags_(flags), random_(flags.seed * 0x9e3779b97f4a7c15ULL | 1) {}
  ~GetBench() {
    if (epoll_ >= 0) ::close(epoll_);
  }

  [[nodiscard]] Status prepare() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) return socket_failed("cannot make an epoll");
    for (unsigned i = 0; i < flags_.clients; ++i) {
      connections_.push_back(std::make_unique<Connection>());
      KAPPA_CHECK_OK(open(*connections_.back()));
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = connections_.back().get();
      if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_.back()->fd, &event) != 0) return socket_failed("epoll_ctl");
    }
    return {};
  }

  // Until `end`; then the answers that are still out are taken.
  [[nodiscard]] Status run(std::int64_t end) {
    unsigned busy = flags_.clients;
    for (const auto& connection : connections_) KAPPA_CHECK_OK(send_burst(*connection));
    std::array<epoll_event, 128> events{};
    while (busy > 0) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10'000);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return fail(ErrorCode::kTimeout, 1015, "the server answers nothing for ten seconds");
      const bool go_on = steady_micros() < end;
      for (int i = 0; i < count; ++i) {
        Connection& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
        KAPPA_CHECK_OK(receive(connection));
        if (connection.waiting > 0) continue;
        if (go_on) {
          KAPPA_CHECK_OK(send_burst(connection));
        } else {
          --busy;
        }
      }
    }
    return {};
  }

  [[nodiscard]] std::uint64_t answers() const { return answers_; }
  [[nodiscard]] const Histogram& latency() const { return latency_; }

 private:
  [[nodiscard]] std::uint64_t next_random() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  // One whole frame into `frame`, blocking.
  [[nodiscard]] static Status receive_frame(int fd, std::string& frame) {
    frame.clear();
    std::size_t wanted = sizeof(std::uint32_t);
    while (frame.size() < wanted) {
      char bytes[4096];
      const ssize_t got = ::recv(fd, bytes, std::min(sizeof bytes, wanted - frame.size()), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return fail(ErrorCode::kClosed, 1014, "the server closed the connection");
      frame.append(bytes, static_cast<std::size_t>(got));
      if (frame.size() == sizeof(std::uint32_t)) {
        KAPPA_TRY(const std::uint32_t length, check_frame_length(as_bytes(frame), limits::kFrameBytesMax));
        wanted += length;
      }
    }
    return {};
  }
  [[nodiscard]] static Expected<Bytes> take(int fd, std::string& frame, FrameType type) {
    KAPPA_CHECK_OK(receive_frame(fd, frame));
    const Bytes payload = as_bytes(frame).subspan(kFrameHeaderBytes);
    const FrameHeader header = parse_frame_header(as_bytes(frame));
    if (header.type == FrameType::kError) return std::unexpected(decode_error(payload));
    if (header.type != type) return fail(ErrorCode::kInvalid, 1013, "the server's answer is of an unexpected type");
    return payload;
  }

  [[nodiscard]] Status open(Connection& connection) {
    KAPPA_TRY(connection.fd, dial(flags_.connection.address));
    std::string out;
    std::string frame;
    encode(HelloMessage{kProtocolVersionMin, kProtocolVersionMax, 0, "kappa bench"}, 1, out);
    KAPPA_CHECK_OK(send_all(connection.fd, out));
    KAPPA_TRY([[maybe_unused]] const Bytes hello, take(connection.fd, frame, FrameType::kHelloOk));
    std::string key;
    encode_row({Value::text(flags_.prefix + std::string(kDigits, '0'))}, key);
    std::string one;
    if (flags_.form == "lookup") {
      out.clear();
      encode(OpenViewMessage{flags_.view}, 2, out);
      KAPPA_CHECK_OK(send_all(connection.fd, out));
      KAPPA_TRY(const Bytes payload, take(connection.fd, frame, FrameType::kViewOpened));
      KAPPA_TRY(const ViewOpenedMessage opened, decode_view_opened(payload));
      encode(LookupMessage{opened.handle, {}, as_bytes(key)}, 0, one);
    } else {
      encode(GetMessage{{}, flags_.view, {Value::text(flags_.prefix + std::string(kDigits, '0'))}}, 0, one);
    }
    connection.frame_bytes = one.size();
    connection.digits_at = one.size() - kDigits;
    for (unsigned i = 0; i < flags_.pipeline; ++i) connection.burst += one;
    connection.asked.resize(flags_.pipeline);
    connection.next_id = 16;
    return {};
  }

  [[nodiscard]] Status send_burst(Connection& connection) {
    char* frame = connection.burst.data();
    for (unsigned i = 0; i < flags_.pipeline; ++i, frame += connection.frame_bytes) {
      const std::uint64_t id = connection.next_id++;
      std::memcpy(frame + 8, &id, sizeof id);
      std::uint64_t number = static_cast<std::uint64_t>(
          (static_cast<unsigned __int128>(next_random()) * flags_.keys) >> 64);
      connection.asked[i] = number;
      for (std::size_t digit = kDigits; digit-- > 0; number /= 10)
        frame[connection.digits_at + digit] = static_cast<char>('0' + number % 10);
      const std::uint32_t crc = crc32(0, as_bytes({frame + 8, connection.frame_bytes - 8}));
      std::memcpy(frame + 4, &crc, sizeof crc);
    }
    connection.waiting = flags_.pipeline;
    connection.sent_at = steady_nanos();
    return send_all(connection.fd, connection.burst);
  }

  [[nodiscard]] Status receive(Connection& connection) {
    const ssize_t got = ::recv(connection.fd, connection.in.get() + connection.in_bytes,
                               kReadBytes - connection.in_bytes, 0);
    if (got < 0 && errno == EINTR) return {};
    if (got <= 0) return fail(ErrorCode::kClosed, 1014, "the server closed the connection");
    connection.in_bytes += static_cast<std::size_t>(got);
    const auto took = static_cast<std::uint64_t>(steady_nanos() - connection.sent_at);
    std::size_t at = 0;
    while (connection.in_bytes - at >= kFrameHeaderBytes) {
      const Bytes rest = as_bytes({connection.in.get() + at, connection.in_bytes - at});
      const FrameHeader header = parse_frame_header(rest);
      if (header.frame_bytes() > kReadBytes) return fail(ErrorCode::kTooLarge, 1007, "a row is over 64 KiB");
      if (rest.size() < header.frame_bytes()) break;
      KAPPA_CHECK_OK(look_at(connection, header, rest.first(header.frame_bytes())));
      latency_.record(took);
      --connection.waiting;
      ++answers_;
      at += header.frame_bytes();
    }
    std::memmove(connection.in.get(), connection.in.get() + at, connection.in_bytes - at);
    connection.in_bytes -= at;
    return {};
  }

  [[nodiscard]] Status look_at(const Connection& connection, const FrameHeader& header, Bytes frame) {
    const Bytes payload = frame.subspan(kFrameHeaderBytes);
    if (header.type == FrameType::kError) return std::unexpected(decode_error(payload));
    const FrameType wanted = flags_.form == "lookup" ? FrameType::kFound : FrameType::kRow;
    if (header.type != wanted || payload.empty() || connection.waiting == 0 ||
        header.request_id >= connection.next_id || header.request_id < connection.next_id - flags_.pipeline)
      return fail(ErrorCode::kInvalid, 1013, "the server's answer is unexpected");
    if (payload[0] != std::byte{1}) return fail(ErrorCode::kNotFound, 1010, "a key has no row");
    if (!flags_.verify) return {};
    KAPPA_CHECK_OK(check_frame(header, frame, payload));
    std::optional<Row> row;
    if (wanted == FrameType::kFound) {
      KAPPA_TRY(FoundMessage found, decode_found(payload));
      row = std::move(found.row);
    } else {
      KAPPA_TRY(RowMessage found, decode_row_message(payload));
      row = std::move(found.row);
    }
    const std::uint64_t number = connection.asked[header.request_id - (connection.next_id - flags_.pipeline)];
    std::string digits = std::to_string(number);
    const std::string key = flags_.prefix + std::string(kDigits - digits.size(), '0') + digits;
    if (!row || row->empty() || !(row->front() == Value::text(key)))
      return fail(ErrorCode::kCorrupt, 1013, "the row of another key came for " + key);
    return {};
  }

  [[nodiscard]] static std::int64_t steady_nanos() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
  }

  const GetBenchFlags& flags_;
  std::uint64_t random_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t answers_ = 0;
  Histogram latency_;  // Nanoseconds.
};

int run_get(const GetBenchFlags& flags) {
  GetBench bench(flags);
  if (const Status ready = bench.prepare(); !ready) return fail_with(ready.error());
  const double cpu_before = cpu_seconds();
  const std::int64_t start = steady_micros();
  if (const Status done = bench.run(start + parse_duration(flags.duration)->count() * 1000); !done)
    return fail_with(done.error());
  const double seconds = static_cast<double>(steady_micros() - start) / 1e6;
  const double cpu = cpu_seconds() - cpu_before;
  const double rate = static_cast<double>(bench.answers()) / seconds;
  const auto at = [&](double share) { return static_cast<double>(bench.latency().percentile(share)) / 1e3; };
  const double longest = static_cast<double>(bench.latency().max()) / 1e3;
  if (flags.output == "json") {
    std::string where;
    append_json_string(machine(), where);
    std::printf(
        "{\"bench\":\"get\",\"requests\":%llu,\"seconds\":%.6f,\"requests_per_second\":%.1f,\"clients\":%u,"
        "\"pipeline\":%u,\"form\":\"%s\",\"client_cpu_seconds\":%.3f,\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,"
        "\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},\"machine\":%s}\n",
        static_cast<unsigned long long>(bench.answers()), seconds, rate, flags.clients, flags.pipeline,
        flags.form.c_str(), cpu, at(.5), at(.9), at(.99), at(.999), longest, where.c_str());
    return kExitOk;
  }
  std::printf("get: %llu rows in %.3f s, %.0f requests/s\n", static_cast<unsigned long long>(bench.answers()), seconds,
              rate);
  std::printf("  latency: p50 %.1f us, p90 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us\n", at(.5), at(.9), at(.99),
              at(.999), longest);
  std::printf("  %u connections, %u requests in flight each, %s; this client used %.0f %% of a core\n", flags.clients,
              flags.pipeline, flags.form.c_str(), cpu / seconds * 100);
  std::printf("  %s\n", machine().c_str());
  return kExitOk;
}

}  // namespace

void add_bench_get(CLI::App& bench, int& status) {
  auto flags = std::make_shared<GetBenchFlags>();
  CLI::App* command = bench.add_subcommand("get", "Read rows of a view by random keys");
  command->description(R"(Examples:
  kappa bench get hits --keys 1000000 --clients 50 --pipeline 16 --duration 10s

The view's key is one TEXT column with the values PREFIX000000000000, PREFIX000000000001 ... up to --keys.)");
  command->add_option("view", flags->view, "View")->required()->type_name("VIEW");
  command->add_option("--keys", flags->keys, "How many keys there are")->capture_default_str()->check(CLI::Range(1ULL, 1'000'000'000'000ULL));
  command->add_option("--prefix", flags->prefix, "What keys begin with")->capture_default_str();
  command->add_option("--clients", flags->clients, "Connections")->capture_default_str()->check(CLI::Range(1, 10'000));
  command->add_option("--pipeline", flags->pipeline, "Requests in flight a connection")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'024));
  command->add_option("--duration", flags->duration, "How long, as 10s")
      ->capture_default_str()
      ->check([](const std::string& text) { return parse_duration(text) ? std::string() : "not a duration"; });
  command->add_option("--form", flags->form, "lookup (the view is opened once), or get (its name in every request)")
      ->capture_default_str()
      ->check(CLI::IsMember({"lookup", "get"}));
  command->add_option("--seed", flags->seed, "Of the random keys")->capture_default_str();
  command->add_flag("--verify", flags->verify, "Compare each row's key and each checksum");
  command->add_option("-o,--output", flags->output, "json")->check(CLI::IsMember({"json", "table"}));
  add_connection_flags(*command, flags->connection);
  command->callback([flags, &status] { status = run_get(*flags); });
}

}  // namespace kappa::tools
