// Goal: the wire never changes by accident, and the documentation shows what is really sent.
// Method: golden_frames.txt holds every message as hex beside its meaning, made independently of this
// library. Each is encoded here and must give the same bytes; each must decode and encode back to
// them; docs/protocol.md must contain every line.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "proto/messages.h"
#include "proto/subscriber_messages.h"
#include "proto/watch_messages.h"
#include "proto/read_messages.h"

namespace kappa {
namespace {

const std::string kSource = KAPPA_SOURCE_DIRECTORY;

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// Name -> bytes. Hex ends at the first two spaces after the indent.
std::map<std::string, std::string> golden_frames() {
  std::map<std::string, std::string> frames;
  std::string name;
  for (const std::string& line : lines_of(kSource + "/tests/proto/golden_frames.txt")) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != ' ') {
      name = line;
      continue;
    }
    std::istringstream hex(line.substr(2, line.find("  ", 2) - 2));
    for (std::string byte; hex >> byte;) frames[name] += static_cast<char>(std::stoi(byte, nullptr, 16));
  }
  return frames;
}

std::string golden(const std::string& name) {
  const auto frames = golden_frames();
  const auto found = frames.find(name);
  EXPECT_NE(found, frames.end()) << name;
  return found == frames.end() ? std::string() : found->second;
}

std::string body() {
  BatchBuilder builder;
  EXPECT_TRUE(builder.add({R"({"n":1})", {}, {}, {}}));
  EXPECT_TRUE(builder.add({R"({"n":2})", "k", {}, {}}));
  return builder.take();
}

AppendMessage append_message(const std::string& body) {
  AppendMessage message;
  message.topic = "t";
  message.count = 2;
  message.uncompressed_length = static_cast<std::uint32_t>(body.size());
  message.producer_id = ProducerId(9);
  message.producer_epoch = 1;
  message.producer_sequence = 40;
  message.body = body;
  return message;
}

ReadOkMessage read_ok(const std::string& body) {
  return {Offset(101), Offset(102), Offset(102),
          {{Offset(100), TopicSequence(5), Timestamp(1'700'000'000'000'000), 2, body}}};
}

const std::vector<ColumnMessage> kColumns{{"n", kBigintType}};

std::map<std::string, std::string> encoded_frames() {
  std::map<std::string, std::string> frames;
  encode(HelloMessage{1, 1, kFeatureZstd | kFeatureBodyHash, "doc"}, 1, frames["HELLO"]);
  encode(HelloMessage{1, 1, kFeatureZstd | kFeatureBodyHash, "doc", "token"}, 1, frames["HELLO with a token"]);
  encode(HelloOkMessage{1, kFeatureZstd | kFeatureBodyHash, "0.1.0", "00112233445566778899aabbccddeeff", 0,
                        limits::kFrameBytesMax, limits::kBatchBytesMax, limits::kBatchEventsMax,
                        limits::kEventBytesMax, 1024},
         1, frames["HELLO_OK"]);
  const std::string events = body();
  encode_append(append_message(events), 7, frames["APPEND"]);
  frames["APPEND"] += events;
  encode(AppendOkMessage{Offset(100), 2, false, true, 0}, 7, frames["APPEND_OK"]);
  encode(ProducerMessage{"t", ProducerId(9)}, 8, frames["PRODUCER"]);
  encode(ProducerOkMessage{1, 42, Offset(102)}, 8, frames["PRODUCER_OK"]);
  encode(ReadMessage{"t", ReadFromKind::kOffset, 101, 10, 1 << 20, 500}, 9, frames["READ"]);
  encode(read_ok(events), 9, frames["READ_OK"]);
  encode(SubscriberMessage{"s", SubscriberMessage::Action::kSet, "t", Offset(102)}, 17, frames["SUBSCRIBER"]);
  encode(SubscriberOkMessage{true, "t", Offset(102)}, 17, frames["SUBSCRIBER_OK"]);
  encode(SqlMessage{{Offset(101), true, 10'000}, "SELECT 1"}, 10, frames["SQL"]);
  encode(ColumnsMessage{kColumns}, 10, frames["COLUMNS"]);
  std::string rows;
  encode_row({Value::bigint(1)}, rows);
  encode_row({Value()}, rows);
  encode_rows(2, rows, 10, frames["ROWS"]);
  encode(EndMessage{"SELECT", 2, Offset(102), ""}, 10, frames["END"]);
  encode(GetMessage{{}, "v", {Value::text("k")}}, 11, frames["GET"]);
  encode(RowMessage{Offset(102), kColumns, Row{Value::bigint(-2)}}, 11, frames["ROW"]);
  encode(ScanMessage{{}, "v", {Value::text("k")}, {}, {}, 5}, 12, frames["SCAN"]);
  encode(WatchMessage{"v", {Value::text("k")}, true, false, WatchMessage::From{Offset(102), 1}, 65'536}, 16,
         frames["WATCH"]);
  encode(StepMessage{Offset(103), 1, std::nullopt}, 16, frames["STEP"]);
  std::string changes;
  encode_change(false, {Value::bigint(1)}, changes);
  encode_change(true, {Value::bigint(2)}, changes);
  encode_changes(2, changes, 16, frames["CHANGES"]);
  encode(MarkMessage{Offset(103), 1}, 16, frames["MARK"]);
  encode(CreditMessage{16, 65'536}, frames["CREDIT"]);
  std::string key;
  encode_row({Value::text("k")}, key);
  std::string keys = key;
  encode_row({Value::text("l")}, keys);
  std::string row;
  encode_row({Value::bigint(-2)}, row);
  std::string columns;
  encode_columns(kColumns, columns);
  encode(OpenViewMessage{"v"}, 16, frames["OPEN_VIEW"]);
  encode(ViewOpenedMessage{0, kColumns, {{"k", kTextType}}}, 16, frames["VIEW_OPENED"]);
  encode(LookupMessage{0, {}, as_bytes(key)}, 17, frames["LOOKUP"]);
  encode_found(Offset(102), row, 17, frames["FOUND"]);
  encode(GetManyMessage{{}, "v", 2, as_bytes(keys)}, 18, frames["GET_MANY"]);
  encode_rows_found(Offset(102), columns, 2, '\1' + row + '\0', 18, frames["ROWS_FOUND"]);
  encode_empty(FrameType::kStatus, 13, frames["STATUS"]);
  encode_status_ok(R"({"version":"0.1.0"})", 13, frames["STATUS_OK"]);
  encode(Error{ErrorCode::kInvalid, 2001, "unexpected word", "", 0, SourcePlace{1, 8, 3}}, 14, frames["ERROR"]);
  encode(CancelMessage{10}, frames["CANCEL"]);
  encode_empty(FrameType::kPing, 15, frames["PING"]);
  encode_empty(FrameType::kPong, 15, frames["PONG"]);
  return frames;
}

Bytes payload_of(const std::string& frame) { return as_bytes(frame).subspan(kFrameHeaderBytes); }

TEST(GoldenFrames, EveryMessageEncodesToItsBytes) {
  const auto expected = golden_frames();
  const auto encoded = encoded_frames();
  EXPECT_EQ(encoded.size(), expected.size());
  for (const auto& [name, bytes] : encoded) {
    ASSERT_TRUE(expected.contains(name)) << name;
    EXPECT_EQ(bytes, expected.at(name)) << name;
  }
}

TEST(GoldenFrames, EveryFrameHasItsLengthAndChecksum) {
  for (const auto& [name, bytes] : golden_frames()) {
    const auto length = check_frame_length(as_bytes(bytes), limits::kFrameBytesMax);
    ASSERT_TRUE(length) << name;
    EXPECT_EQ(*length + 4, bytes.size()) << name;
    EXPECT_TRUE(check_frame(parse_frame_header(as_bytes(bytes)), as_bytes(bytes), payload_of(bytes))) << name;
  }
}

TEST(GoldenFrames, RequestsDecodeToTheirMeaning) {
  const std::string append_bytes = golden("APPEND");
  const auto append = decode_append(payload_of(append_bytes));
  ASSERT_TRUE(append);
  EXPECT_EQ(append->topic, "t");
  EXPECT_EQ(append->count, 2U);
  EXPECT_EQ(append->producer_sequence, 40U);
  EXPECT_EQ(append->body, body());
  EXPECT_FALSE(append->body_hash);
  EXPECT_TRUE(validate_body(as_bytes(append->body), append->count));

  const std::string read_bytes = golden("READ");
  const auto read = decode_read(payload_of(read_bytes));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->from, ReadFromKind::kOffset);
  EXPECT_EQ(read->value, 101);
  EXPECT_EQ(read->wait_ms, 500U);

  const std::string sql_bytes = golden("SQL");
  const auto sql = decode_sql(payload_of(sql_bytes));
  ASSERT_TRUE(sql);
  EXPECT_EQ(sql->text, "SELECT 1");
  EXPECT_EQ(sql->freshness.at_least, Offset(101));
  EXPECT_TRUE(sql->freshness.fresh);

  const std::string scan_bytes = golden("SCAN");
  const auto scan = decode_scan(payload_of(scan_bytes));
  ASSERT_TRUE(scan);
  EXPECT_EQ(scan->limit, 5U);
  EXPECT_EQ(scan->prefix, Row{Value::text("k")});
  EXPECT_TRUE(scan->from.empty());
}

TEST(GoldenFrames, WatchesAndSubscribersDecodeToTheirMeaning) {
  const std::string watch_bytes = golden("WATCH");
  const auto watch = decode_watch(payload_of(watch_bytes));
  ASSERT_TRUE(watch);
  EXPECT_EQ(watch->view, "v");
  EXPECT_EQ(watch->prefix, Row{Value::text("k")});
  EXPECT_TRUE(watch->snapshot);
  EXPECT_FALSE(watch->reset_at_cutover);
  ASSERT_TRUE(watch->resume);
  EXPECT_EQ(watch->resume->applied, Offset(102));
  EXPECT_EQ(watch->resume->version, 1U);
  EXPECT_EQ(watch->credit, 65'536U);

  const std::string step_bytes = golden("STEP");
  const auto step = decode_step(payload_of(step_bytes));
  ASSERT_TRUE(step);
  EXPECT_EQ(step->applied, Offset(103));
  EXPECT_FALSE(step->reset);

  const std::string changes_bytes = golden("CHANGES");
  const auto changes = decode_changes(payload_of(changes_bytes));
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->changes.size(), 2U);
  EXPECT_FALSE(changes->changes[0].added);
  EXPECT_EQ(changes->changes[1].row, Row{Value::bigint(2)});

  const std::string mark_bytes = golden("MARK");
  const auto mark = decode_mark(payload_of(mark_bytes));
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->applied, Offset(103));

  const std::string credit_bytes = golden("CREDIT");
  const auto credit = decode_credit(payload_of(credit_bytes));
  ASSERT_TRUE(credit);
  EXPECT_EQ(credit->request_id, 16U);
  // Bytes cut off or added anywhere are noticed.
  const auto refuses = [](const std::string& bytes, auto&& decode) {
    const std::string payload = bytes.substr(kFrameHeaderBytes);
    for (std::size_t size = 0; size < payload.size(); ++size) EXPECT_FALSE(decode(as_bytes(payload).first(size)));
    const std::string longer = payload + "x";
    EXPECT_FALSE(decode(as_bytes(longer)));
  };
  refuses(watch_bytes, decode_watch);
  refuses(step_bytes, decode_step);
  refuses(changes_bytes, decode_changes);
  refuses(mark_bytes, decode_mark);
  refuses(credit_bytes, decode_credit);

  const std::string subscriber_bytes = golden("SUBSCRIBER");
  const auto subscriber = decode_subscriber(payload_of(subscriber_bytes));
  ASSERT_TRUE(subscriber);
  EXPECT_EQ(subscriber->name, "s");
  EXPECT_EQ(subscriber->action, SubscriberMessage::Action::kSet);
  EXPECT_EQ(subscriber->offset, Offset(102));
  refuses(subscriber_bytes, decode_subscriber);
  const std::string subscriber_ok_bytes = golden("SUBSCRIBER_OK");
  const auto subscriber_ok = decode_subscriber_ok(payload_of(subscriber_ok_bytes));
  ASSERT_TRUE(subscriber_ok);
  EXPECT_EQ(subscriber_ok->topic, "t");
  refuses(subscriber_ok_bytes, decode_subscriber_ok);
}

TEST(GoldenFrames, AnswersDecodeToTheirMeaning) {
  const std::string hello_bytes = golden("HELLO_OK");
  const auto hello = decode_hello_ok(payload_of(hello_bytes));
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->server_version, "0.1.0");
  EXPECT_EQ(hello->frame_bytes_max, limits::kFrameBytesMax);

  const std::string read_bytes = golden("READ_OK");
  const auto read = decode_read_ok(payload_of(read_bytes));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->batches.size(), 1U);
  EXPECT_EQ(read->batches[0].body, body());
  EXPECT_EQ(read->next, Offset(102));

  const std::string row_bytes = golden("ROW");
  const auto row = decode_row_message(payload_of(row_bytes));
  ASSERT_TRUE(row);
  ASSERT_TRUE(row->row);
  EXPECT_EQ(*row->row, Row{Value::bigint(-2)});

  // A GET's answer is the same from columns and a row that are encoded already.
  std::string again;
  std::string columns;
  encode_columns(kColumns, columns);
  encode_row_answer(Offset(102), columns, as_text(payload_of(row_bytes)).substr(9 + columns.size()), 11, again);
  EXPECT_EQ(again, row_bytes);

  const std::string opened_bytes = golden("VIEW_OPENED");
  const auto opened = decode_view_opened(payload_of(opened_bytes));
  ASSERT_TRUE(opened);
  ASSERT_EQ(opened->key.size(), 1U);
  EXPECT_EQ(opened->key[0].name, "k");
  EXPECT_EQ(opened->columns[0].name, "n");

  const std::string found_bytes = golden("FOUND");
  const auto found = decode_found(payload_of(found_bytes));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->applied, Offset(102));
  EXPECT_EQ(found->row, Row{Value::bigint(-2)});

  const std::string many_bytes = golden("ROWS_FOUND");
  const auto many = decode_rows_found(payload_of(many_bytes));
  ASSERT_TRUE(many);
  ASSERT_EQ(many->rows.size(), 2U);
  EXPECT_EQ(many->rows[0], Row{Value::bigint(-2)});
  EXPECT_FALSE(many->rows[1]);

  const std::string error_bytes = golden("ERROR");
  const Error error = decode_error(payload_of(error_bytes));
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_EQ(error.number, 2001);
  EXPECT_EQ(error.place, (SourcePlace{1, 8, 3}));

  const std::string end_bytes = golden("END");
  const auto end = decode_end(payload_of(end_bytes));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->applied, Offset(102));
  EXPECT_EQ(end->tag, "SELECT");
}

TEST(GoldenFrames, TheDocumentationShowsEveryLine) {
  const std::vector<std::string> documented = lines_of(kSource + "/docs/protocol.md");
  std::size_t at = 0;
  for (const std::string& line : lines_of(kSource + "/tests/proto/golden_frames.txt")) {
    if (line.empty() || line[0] == '#') continue;
    while (at < documented.size() && documented[at] != line) ++at;
    ASSERT_LT(at, documented.size()) << "docs/protocol.md lacks, in this order: " << line;
  }
}

}  // namespace
}  // namespace kappa
