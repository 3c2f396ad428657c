// A server over the fakes, on a free port.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "serving/server.h"
#include "tests/serving/support/fake_engine.h"
#include "tests/serving/support/fake_log.h"
#include "tests/serving/support/wire.h"

namespace kappa::testing {

struct Fixture {
  explicit Fixture(FakeLog::Mode mode = FakeLog::Mode::kInline, serving::ServerOptions options = {}) : log(mode) {
    options.listen = "127.0.0.1:0";
    auto started = serving::Server::start(options, log, engine);
    EXPECT_TRUE(started) << (started ? "" : to_string(started.error()));
    if (started) server = std::move(*started);
  }
  [[nodiscard]] std::string address() const { return server->address(); }
  // True when a fresh client is served: what must hold after every hostile one. It tries again while
  // what others left in the queue is still being thrown away.
  [[nodiscard]] bool healthy() {
    Wire wire(address());
    wire.greet();
    for (std::uint64_t id = 8;; ++id) {
      wire.send(sql_frame(id, "rows 1"));
      auto frame = wire.frame();
      while (frame && frame->header.more()) frame = wire.frame();
      if (!frame || frame->header.request_id != id) return false;
      if (frame->header.type == FrameType::kEnd) return true;
      if (!frame->error().retryable()) return false;
    }
  }

  FakeLog log;
  FakeEngine engine;
  std::unique_ptr<serving::Server> server;
};

}  // namespace kappa::testing
