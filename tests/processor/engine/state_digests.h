// The committed states of all views as digests, and waiting until views are at the end of the log: for tests that
// compare how a view was built.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <string>
#include <thread>

#include "log/log.h"
#include "processor/engine.h"
#include "processor/state/state_store.h"

namespace kappa::processor::test {

// By the name of the state's directory. Nothing may have them open.
using Digests = std::map<std::string, StateDigest>;
inline Digests digests_of(const std::filesystem::path& views) {
  Digests all;
  for (const auto& entry : std::filesystem::directory_iterator(views)) {
    auto digest = state_digest(entry.path());
    EXPECT_TRUE(digest) << entry.path() << ": " << to_string(digest.error());
    if (digest) all.emplace(entry.path().filename().string(), *digest);
  }
  return all;
}

inline void expect_same_states(const Digests& now, const Digests& wanted, const std::string& how) {
  ASSERT_EQ(now.size(), wanted.size()) << how;
  for (const auto& [name, digest] : wanted) {
    ASSERT_TRUE(now.contains(name)) << how << ": " << name;
    const StateDigest& other = now.at(name);
    EXPECT_EQ(other.applied, digest.applied) << how << ": " << name;
    EXPECT_EQ(other.entries, digest.entries) << how << ": " << name;
    EXPECT_EQ(other.hash, digest.hash) << how << ": " << name;
  }
}

// Until every view has applied the whole log; closing then commits it there.
inline void wait_for_views(Engine& engine, const log::Log& log) {
  for (const ViewStatus& view : engine.views()) {
    std::promise<Status> ready;
    engine.wait(view.name, {std::nullopt, true, std::chrono::minutes(2)},
                [&](Status status) { ready.set_value(std::move(status)); });
    const Status status = ready.get_future().get();
    EXPECT_TRUE(status || status.error().number == 2003) << to_string(status.error());  // A derived stream.
  }
  // What derived streams write is for others to apply.
  const auto behind = [&] {
    const auto views = engine.views();
    return std::ranges::any_of(views, [end = log.durable_end()](const ViewStatus& view) {
      return view.error.empty() && view.applied < end;
    });
  };
  while (behind()) std::this_thread::yield();
  for (const ViewStatus& view : engine.views()) {
    EXPECT_EQ(view.error, "") << view.name;
  }
}

}  // namespace kappa::processor::test
