// Appends, marks and the held sync.
#include "tests/log/sim/session.h"

#include <gtest/gtest.h>

#include <future>

#include "log/format.h"

namespace kappa::log::sim {

Session::Session(RecordingFileSystem& files, Model& model, LogOptions options)
    : files_(files), model_(model), options_(std::move(options)) {
  options_.directory = kLogDirectory;
  options_.files = &files_;
}
Session::~Session() {
  close();
}

void Session::open() {
  ASSERT_TRUE(try_open());
}

bool Session::try_open() {
  auto log = Log::open(options_);
  if (!log) {
    problem_ = to_string(log.error());
    return false;
  }
  log_ = std::move(*log);
  EXPECT_FALSE(log_->status().damage) << *log_->status().damage;
  files_.mark(Operation::Promise::kKept, log_->durable_end().value());
  if (unknown_ && log_->durable_end().value() >= unknown_->end()) model_.batches.push_back(*unknown_);
  unknown_.reset();
  // Whatever a reader may have seen must stay.
  static_cast<void>(log_->subscribe_durable(
      [this, seen = log_.get()] { files_.mark(Operation::Promise::kKept, seen->durable_end().value()); }));
  return true;
}

void Session::close() {
  log_.reset();
}

ModelBatch Session::prepare(const std::string& topic, std::vector<std::string> values,
                            std::uint64_t producer) {
  ModelBatch batch;
  batch.base = model_.end();
  batch.topic = topic;
  batch.values = std::move(values);
  batch.producer = producer;
  batch.sequence = producer == 0 ? 0 : model_.next_sequence(topic, producer);
  return batch;
}

void Session::mark(const AppendAck& ack) {
  const auto promise =
      ack.durability == Durability::kWritten ? Operation::Promise::kWritten : Operation::Promise::kKept;
  files_.mark(promise, ack.base_offset.value() + ack.count);
}

void Session::append(const std::string& topic, std::vector<std::string> values, std::uint64_t producer) {
  ASSERT_TRUE(try_append(topic, std::move(values), producer));
}

bool Session::try_append(const std::string& topic, std::vector<std::string> values, std::uint64_t producer) {
  const ModelBatch batch = prepare(topic, std::move(values), producer);
  const auto id = log_->ensure_topic(topic);
  if (!id) return false;
  std::promise<Expected<AppendAck>> answer;
  log_->submit(make_batch(*id, batch), [&](Expected<AppendAck> ack) {
    if (ack) mark(*ack);
    answer.set_value(std::move(ack));
  });
  log_->pump();
  const auto ack = answer.get_future().get();
  if (!ack) {
    EXPECT_EQ(ack.error().code, ErrorCode::kClosed) << to_string(ack.error());
    unknown_ = batch;
    return false;
  }
  EXPECT_EQ(ack->base_offset.value(), batch.base);
  model_.batches.push_back(batch);
  return true;
}

void Session::append_system(const std::string& key, const std::string& value) {
  ModelBatch batch = prepare("", {value}, 0);
  batch.key = key;
  const auto offset = log_->append_system(key, value);
  ASSERT_TRUE(offset) << to_string(offset.error());
  ASSERT_EQ(offset->value(), batch.base);
  files_.mark(Operation::Promise::kKept, batch.end());
  model_.batches.push_back(batch);
}

void Session::append_in_flight(std::vector<ModelBatch> batches) {
  files_.hold_syncs(true);
  std::vector<std::promise<Expected<AppendAck>>> answers(batches.size());
  std::promise<void> first_submitted;
  const auto submit = [&](std::size_t i) {
    const auto id = log_->ensure_topic(batches[i].topic);
    ASSERT_TRUE(id) << to_string(id.error());
    log_->submit(make_batch(*id, batches[i]), [this, &answers, i](Expected<AppendAck> ack) {
      if (ack) mark(*ack);
      answers[i].set_value(std::move(ack));
    });
    if (i == 0) first_submitted.set_value();
    log_->pump();
  };
  for (std::size_t i = 0; i < batches.size(); ++i) {
    ModelBatch& batch = batches[i];
    batch = prepare(batch.topic, std::move(batch.values), batch.producer);
    model_.batches.push_back(batch);
  }
  // The first may sit in its sync until it is let go.
  auto first = std::async(std::launch::async, [&] { submit(0); });
  first_submitted.get_future().get();
  // Most often its own; a background sync in its place is as good a crash.
  files_.wait_until_a_sync_is_held();
  for (std::size_t i = 1; i < batches.size(); ++i) submit(i);
  files_.hold_syncs(false);
  first.get();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto ack = answers[i].get_future().get();
    ASSERT_TRUE(ack) << to_string(ack.error());
    ASSERT_EQ(ack->base_offset.value(), batches[i].base);
  }
}

void Session::wait_for_watermark() {
  // W is written by the log some milliseconds after the last commit: wait for the operation itself.
  const FileNumber control = files_.number_of(std::string(kLogDirectory) + "/" + kControlName);
  const auto stored = [&](const std::vector<Operation>& operations) {
    for (const Operation& operation : operations) {
      if (operation.kind != Operation::Kind::kWrite || operation.file != control) continue;
      const auto page = decode_control(as_bytes(operation.data));
      if (page && page->watermark_offset.value() == model_.end()) return true;
    }
    return false;
  };
  files_.wait_for(stored);
}

}  // namespace kappa::log::sim
