// A log of several small segments that a test damages, repairs and reads in full again.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "log/file.h"
#include "log/format.h"
#include "log/gap.h"
#include "log/recover.h"
#include "log/repair.h"
#include "tests/log/log_fixture.h"

namespace kappa::log {

class Repair : public LogFixture {
 protected:
  static constexpr std::uint64_t kEvents = 160;

  void SetUp() override {
    LogFixture::SetUp();
    options_.segment_bytes = 32 << 10;
    options_.prepared_segments = 0;
  }
  static std::string value_of(std::uint64_t i) { return "event " + std::to_string(i) + std::string(700, 'x'); }

  // kEvents events of two topics in turns; a system record and a producer's events among them.
  void write_log() {
    auto log = open();
    topic_a_ = *log->ensure_topic("a");
    topic_b_ = *log->ensure_topic("b");
    for (std::uint64_t i = 0; i < kEvents; ++i) {
      if (i == 5) {
        ASSERT_EQ(*log->append_system("record", "kept"), Offset(5));
        continue;
      }
      auto next = batch(i % 2 == 0 ? topic_a_ : topic_b_, {value_of(i)});
      if (i == 7) next.producer_id = ProducerId(77);
      ASSERT_TRUE(log->append(std::move(next)));
    }
    log.reset();
    segments_ = files_ending(".segment");
    ASSERT_GE(segments_.size(), 5u);
    whole_ = contents();
  }
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory))
      all[entry.path().filename().string()] = load(entry.path());
    return all;
  }
  void restore_whole() {
    std::filesystem::remove_all(options_.directory);
    std::filesystem::create_directory(options_.directory);
    for (const auto& [name, content] : whole_) store(options_.directory / name, content);
  }
  void zero(const std::filesystem::path& path, std::uint64_t from, std::uint64_t to) {
    std::string content = load(path);
    for (std::uint64_t i = from; i < std::min<std::uint64_t>(to, content.size()); ++i) content[i] = '\0';
    store(path, content);
  }
  Expected<RepairReport> run(bool accept_loss, FileSystem* files = nullptr) {
    return repair({options_.directory, accept_loss, files}, {});
  }

  // Every event outside of the gaps is there, none inside; the log takes appends, and verifies.
  void expect_sound(const std::vector<GapRange>& gaps, const std::string& what) {
    SCOPED_TRACE(what);
    const auto report = verify_all();
    EXPECT_TRUE(report.damage.empty()) << report.damage[0];
    std::vector<GapRange> listed;
    for (const GapRange& gap : report.gaps) add_gap(listed, gap.first, gap.last);
    EXPECT_EQ(listed, gaps);
    for (int opening = 0; opening < 2; ++opening) {
      auto log = open();
      ASSERT_TRUE(log);
      const LogStatus status = log->status();
      ASSERT_FALSE(status.damage) << *status.damage;
      EXPECT_FALSE(status.read_only);
      EXPECT_EQ(status.gaps, gaps);
      std::vector<Offset> expected;
      const std::uint64_t end = std::max<std::uint64_t>(kEvents, status.durable_end.value());
      for (std::uint64_t i = 0; i < end; ++i)
        if (std::ranges::none_of(gaps, [&](const GapRange& g) { return Offset(i) >= g.first && Offset(i) < g.last; }))
          expected.emplace_back(i);
      for (const int filter : {0, 1, 2}) {
        std::vector<Offset> seen;
        auto reader = log->reader(Offset(0), filter == 0   ? ReadFilter{}
                                             : filter == 1 ? ReadFilter{topic_a_}
                                                           : ReadFilter{topic_b_});
        for (;;) {
          const auto view = reader->next();
          ASSERT_TRUE(view) << to_string(view.error());
          if (!*view) break;
          const Offset offset = (*view)->header.base_offset;
          seen.push_back(offset);
          if (offset.value() == 5 || offset.value() >= kEvents) continue;
          RecordReader records((*view)->body, 1);
          const auto record = records.next();
          ASSERT_TRUE(record && *record);
          EXPECT_EQ((*record)->value, value_of(offset.value()));
        }
        EXPECT_EQ(reader->position(), log->durable_end());
        auto wanted = expected;
        if (filter != 0)
          std::erase_if(wanted, [&](Offset o) {
            return o.value() == 5 || (o.value() < kEvents ? o.value() % 2 != static_cast<unsigned>(filter - 1)
                                                          : filter != 1);
          });
        EXPECT_EQ(seen, wanted) << "filter " << filter;
      }
      // Places can be named everywhere, inside a gap too.
      for (std::uint64_t i = 0; i <= log->durable_end().value(); ++i) EXPECT_TRUE(log->mark(Offset(i))) << i;
      const auto topic = log->find_topic("a");
      ASSERT_TRUE(topic);
      ASSERT_EQ(topic->id, topic_a_);
      const auto ack = log->append(batch(topic_a_, {"after"}));
      ASSERT_TRUE(ack) << to_string(ack.error());
      EXPECT_EQ(ack->base_offset, Offset(kEvents + static_cast<unsigned>(opening)));
      log.reset();
      const auto again = verify_all();
      EXPECT_TRUE(again.damage.empty()) << again.damage[0];
    }
  }

  // Damage is there, a look changes nothing, the repair loses exactly `lost`, and all is sound.
  void expect_repair(const std::vector<GapRange>& lost, const std::string& what) {
    SCOPED_TRACE(what);
    EXPECT_FALSE(verify_all().damage.empty());
    const auto before = contents();
    const auto look = run(false);
    ASSERT_TRUE(look) << to_string(look.error());
    EXPECT_EQ(look->lost, lost);
    EXPECT_FALSE(look->done);
    EXPECT_FALSE(look->actions.empty());
    EXPECT_EQ(contents(), before) << "a look changes nothing";
    const auto report = run(true);
    ASSERT_TRUE(report) << to_string(report.error());
    EXPECT_TRUE(report->done);
    EXPECT_EQ(report->lost, lost);
    EXPECT_TRUE(report->remaining.empty()) << report->remaining[0];
    const auto repaired = contents();
    const auto nothing = run(true);
    ASSERT_TRUE(nothing);
    EXPECT_TRUE(nothing->damage.empty()) << nothing->damage[0];
    EXPECT_FALSE(nothing->done);
    EXPECT_EQ(contents(), repaired) << "a second run has nothing to do";
    expect_sound(lost, what);
  }
  static GapRange range(const Place& from, const Place& to) {
    return {from.header.base_offset, to.header.end_offset()};
  }

  TopicId topic_a_, topic_b_;
  std::vector<std::filesystem::path> segments_;
  std::map<std::string, std::string> whole_;
};

}  // namespace kappa::log
