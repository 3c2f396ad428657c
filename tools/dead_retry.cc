#include "tools/dead_retry.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "processor/set_aside.h"
#include "tools/client/append_session.h"

namespace kappa::tools {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{512} << 10;
// Somebody else can retry at the same time a few times; for ever is a defect.
constexpr int kRoundsMax = 20;

std::string quoted(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// Names without quotes are folded to lower case, as in SQL; the stream is looked for as written, then so.
Expected<std::pair<std::string, std::string>> stream_and_topic(Client& client, const std::string& written,
                                                               const Client::QueryOptions& options) {
  std::string folded = written;
  std::ranges::transform(folded, folded.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  std::string topic, name;
  const auto end = client.sql(
      "SHOW STREAMS", options, [](const std::vector<ClientColumn>&) { return true; },
      [&](const std::vector<Row>& rows) {
        for (const Row& row : rows) {
          const std::string& stream = row[0].as_text();
          if (stream != written && (stream != folded || !name.empty())) continue;
          name = stream;
          topic = row[1].as_text();
        }
        return true;
      });
  if (!end) return std::unexpected(end.error());
  if (name.empty()) return fail(ErrorCode::kNotFound, 2003, "no stream \"" + written + "\"", "SHOW STREAMS lists the streams");
  return std::pair(std::move(name), std::move(topic));
}

// What is to be appended now, in the order of offsets.
struct Letter {
  std::uint64_t offset = 0;
  bool retried = false;
};
Expected<std::vector<Letter>> list(Client& client, const std::string& stream, const RetryRequest& request,
                                   const Client::QueryOptions& options) {
  std::vector<Letter> letters;
  const auto end = client.sql(
      "SHOW DEAD LETTERS FROM " + quoted(stream), options, [](const std::vector<ClientColumn>&) { return true; },
      [&](const std::vector<Row>& rows) {
        for (const Row& row : rows) {
          const auto offset = static_cast<std::uint64_t>(row[1].as_int64());
          const bool retry = !row[6].is_null();
          const bool retried = !row[7].is_null();
          if (request.all ? !retry && !retried : request.events.contains(offset)) letters.push_back({offset, retried});
        }
        return true;
      });
  if (!end) return std::unexpected(end.error());
  return letters;
}

// Adds the event at `offset` to the batch, as the retry of itself.
Status add_again(Client& client, const std::string& topic, std::uint64_t offset, const std::optional<std::string>& bytes,
                 BatchBuilder& builder) {
  Status added = fail(ErrorCode::kNotFound, 3010, "the event at offset " + std::to_string(offset) + " is not in the log any more");
  const auto read = client.read(
      topic, ReadFrom{ReadFrom::Kind::kOffset, static_cast<std::int64_t>(offset)}, 1, std::chrono::milliseconds(0),
      [&](const ClientEvent& event) {
        if (event.offset != Offset(offset)) return false;
        const std::string stands_for = std::to_string(offset);
        std::vector<RecordHeader> headers;
        if (auto decoded = decode_headers(event.headers)) headers = std::move(*decoded);
        std::erase_if(headers, [](const RecordHeader& header) { return header.name == processor::kRetryHeader; });
        headers.push_back({processor::kRetryHeader, stands_for});
        BatchBuilder::Event again;
        again.value = bytes ? std::string_view(*bytes) : event.value;
        again.key = event.key;
        again.timestamp = event.timestamp;
        again.headers = headers;
        added = builder.add(again);
        return false;
      });
  if (!read) return std::unexpected(read.error());
  return added;
}

}  // namespace

Expected<RetryResult> retry_dead_letters(Client& client, const RetryRequest& request) {
  Client::QueryOptions options;
  options.fresh = true;
  options.timeout = request.timeout;
  KAPPA_TRY(const auto names, stream_and_topic(client, request.stream, options));
  const auto& [stream, topic] = names;
  const ProducerId id = producer_of("dead letters of " + stream);
  RetryResult result;
  std::map<std::uint64_t, bool> done;  // By us, so that --again is not for ever.
  for (int round = 0; round < kRoundsMax; ++round) {
    KAPPA_TRY(const Client::Producer producer, client.producer(topic, id));
    KAPPA_TRY(std::vector<Letter> letters, list(client, stream, request, options));
    if (round == 0 && !request.all) {
      for (const auto& [offset, bytes] : request.events) {
        if (std::ranges::find(letters, offset, &Letter::offset) != letters.end()) continue;
        return fail(ErrorCode::kNotFound, 3010,
                    "offset " + std::to_string(offset) + " is not among the dead letters of \"" + stream + "\"",
                    "kappa dead ls lists them");
      }
    }
    result.left_out = 0;
    std::erase_if(letters, [&](const Letter& letter) {
      if (done.contains(letter.offset)) return true;
      if (!letter.retried || request.again) return false;
      ++result.left_out;
      return true;
    });
    std::uint64_t sequence = producer.next_sequence;
    bool overtaken = false;
    for (std::size_t next = 0; next < letters.size() && !overtaken;) {
      BatchBuilder builder;
      const std::size_t first = next;
      while (next < letters.size() && builder.bytes() < kBatchBytes) {
        const std::uint64_t offset = letters[next].offset;
        const auto found = request.events.find(offset);
        KAPPA_CHECK_OK(add_again(client, topic, offset, found == request.events.end() ? std::nullopt : found->second, builder));
        ++next;
      }
      ClientBatch batch;
      batch.count = builder.count();
      batch.body = builder.take();
      batch.producer_id = id;
      batch.producer_epoch = producer.epoch;
      batch.producer_sequence = sequence;
      const std::uint32_t count = batch.count;
      const auto appended = client.append(topic, std::move(batch));
      overtaken = appended ? appended->duplicates > 0 : appended.error().code == ErrorCode::kSequence;
      if (!appended && !overtaken) return std::unexpected(appended.error());
      if (overtaken) break;
      for (std::size_t i = first; i < next; ++i) done[letters[i].offset] = true;
      sequence += count;
      result.retried += count;
      if (!result.first) result.first = appended->first;
      result.last = appended->last;
    }
    if (!overtaken) return result;
  }
  return fail(ErrorCode::kBusy, 1003, "somebody else retries the dead letters of \"" + stream + "\" at the same time",
              "try again");
}

}  // namespace kappa::tools
