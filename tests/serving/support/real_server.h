// A server over a real log and engine in a temporary directory, on a free port.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "log/log.h"
#include "processor/engine.h"
#include "serving/server.h"
#include "tests/support/events.h"
#include "tests/support/temp_dir.h"
#include "tools/client/client.h"

namespace kappa::testing {

class RealServer {
 public:
  explicit RealServer(serving::ServerOptions options = {}) : RealServer(std::move(options), default_log()) {}
  // The log's directory is this server's own.
  RealServer(serving::ServerOptions options, log::LogOptions log_options)
      : log_options_(std::move(log_options)), options_(std::move(options)) {
    log_options_.directory = directory_ / "log";
    log_options_.prepared_segments = 0;
    start();
  }
  ~RealServer() { stop(); }
  RealServer(const RealServer&) = delete;
  RealServer& operator=(const RealServer&) = delete;

  void start() {
    auto opened = log::Log::open(log_options_);
    ASSERT_TRUE(opened) << to_string(opened.error());
    log_ = std::move(*opened);
    processor::EngineOptions engine_options;
    engine_options.directory = directory_ / "views";
    auto engine = processor::Engine::open(engine_options, *log_);
    ASSERT_TRUE(engine) << to_string(engine.error());
    engine_ = std::move(*engine);
    options_.listen = address_.empty() ? "127.0.0.1:0" : address_;
    auto server = serving::Server::start(options_, *log_, *engine_);
    ASSERT_TRUE(server) << to_string(server.error());
    server_ = std::move(*server);
    address_ = server_->address();
  }
  void stop() {
    server_.reset();
    engine_.reset();
    log_.reset();
  }
  [[nodiscard]] serving::Server& server() { return *server_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] log::Log& log() { return *log_; }
  [[nodiscard]] std::unique_ptr<Client> client() const {
    ClientOptions options;
    options.address = address_;
    options.timeout = std::chrono::minutes(2);
    auto connected = Client::connect(options);
    EXPECT_TRUE(connected) << (connected ? "" : to_string(connected.error()));
    return connected ? std::move(*connected) : nullptr;
  }
  void append(const std::string& topic, const std::vector<std::string>& values, std::size_t batch = 1000) {
    const Status status = kappa::test::append_events(*log_, topic, values, batch);
    ASSERT_TRUE(status) << to_string(status.error());
  }

 private:
  static log::LogOptions default_log() {
    log::LogOptions options;
    options.segment_bytes = std::size_t{1} << 20;
    return options;
  }

  kappa::test::TempDir directory_;
  log::LogOptions log_options_;
  serving::ServerOptions options_;
  std::string address_;
  std::unique_ptr<log::Log> log_;
  std::unique_ptr<processor::Engine> engine_;
  std::unique_ptr<serving::Server> server_;
};

// Rows of a statement, as text; must succeed.
inline std::vector<std::string> query(Client& client, const std::string& sql) {
  std::vector<std::string> lines;
  Client::QueryOptions options;
  options.fresh = true;
  options.timeout = std::chrono::minutes(1);
  const auto end = client.sql(
      sql, options, [](const std::vector<ClientColumn>&) { return true; },
      [&](const std::vector<Row>& rows) {
        for (const Row& row : rows) {
          std::string text;
          for (const Value& value : row) text += (text.empty() ? "" : "|") + display(value);
          lines.push_back(std::move(text));
        }
        return true;
      });
  EXPECT_TRUE(end) << sql << "\n" << (end ? "" : to_string(end.error()));
  return lines;
}

}  // namespace kappa::testing
