// Goal: what `kappa append` makes of its input: lines out of blocks, CSV records, keys out of events.
// Method: small inputs with every shape that a rule is about; the line reader also against a plain
// split of random text, cut into random pieces, with the seed printed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tools/csv_input.h"
#include "tools/json_member.h"
#include "tools/line_reader.h"

namespace kappa::tools {
namespace {

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
  ~Pipe() {
    ::close(ends[0]);
    close_writer();
  }
  void write(std::string_view text) const {
    ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void close_writer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  int ends[2];
};

using Event = LineReader::Event;

std::vector<std::string> all_lines(LineReader& reader) {
  std::vector<std::string> lines;
  for (;;) {
    const Event event = reader.next();
    if (event == Event::kWait) {
      EXPECT_TRUE(reader.wait(10'000));
      continue;
    }
    if (event == Event::kTooLong) lines.push_back("<too long at " + std::to_string(reader.line_number()) + ">");
    if (event == Event::kLine) lines.emplace_back(reader.line());
    if (event == Event::kEnd || event == Event::kError) return lines;
  }
}

std::vector<std::string> lines_of(std::string_view text, std::size_t limit) {
  Pipe pipe;
  std::thread writer([&] {
    pipe.write(text);
    pipe.close_writer();
  });
  LineReader reader(pipe.ends[0], limit);
  auto lines = all_lines(reader);
  writer.join();
  return lines;
}

using Lines = std::vector<std::string>;

TEST(LineReader, GivesLinesWithoutTheirLineFeed) {
  EXPECT_EQ(lines_of("a\nbc\n\nd\n", 100), (Lines{"a", "bc", "", "d"}));
}

TEST(LineReader, GivesALastLineWithoutLineFeed) { EXPECT_EQ(lines_of("a\nb", 100), (Lines{"a", "b"})); }

TEST(LineReader, GivesNothingForNothing) { EXPECT_EQ(lines_of("", 100), Lines{}); }

TEST(LineReader, SkipsALineOverTheLimitAndGoesOn) {
  EXPECT_EQ(lines_of("12345\n123456\n1\n", 5), (Lines{"12345", "<too long at 2>", "1"}));
  EXPECT_EQ(lines_of("1\n123456", 5), (Lines{"1", "<too long at 2>"}));
}

TEST(LineReader, SkipsALineFarLargerThanItsBuffer) {
  const std::string huge(9'000'000, 'x');
  EXPECT_EQ(lines_of("a\n" + huge + "\nb\n", 1'000), (Lines{"a", "<too long at 2>", "b"}));
}

TEST(LineReader, AsksToWaitBeforeItWouldBlock) {
  Pipe pipe;
  LineReader reader(pipe.ends[0], 100);
  pipe.write("half");
  ASSERT_EQ(reader.next(), Event::kWait);
  ASSERT_TRUE(reader.wait(10'000));
  ASSERT_EQ(reader.next(), Event::kWait);
  EXPECT_FALSE(reader.wait(0));
  pipe.write(" whole\n");
  ASSERT_TRUE(reader.wait(10'000));
  ASSERT_EQ(reader.next(), Event::kLine);
  EXPECT_EQ(reader.line(), "half whole");
}

TEST(LineReader, EqualsAPlainSplitOfRandomText) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    Lines expected;
    std::string text;
    for (int i = 0; i < 400; ++i) {
      const std::size_t length = random() % 20 == 0 ? random() % 5'000 : random() % 40;
      const std::string line(length, static_cast<char>('a' + random() % 26));
      text += line + '\n';
      expected.push_back(length > 1'000 ? "<too long at " + std::to_string(i + 1) + ">" : line);
    }
    Pipe pipe;
    std::thread writer([&, rest = std::string_view(text)]() mutable {
      while (!rest.empty()) {
        const std::size_t piece = std::min<std::size_t>(rest.size(), 1 + random() % 3'000);
        pipe.write(rest.substr(0, piece));
        rest.remove_prefix(piece);
      }
      pipe.close_writer();
    });
    LineReader reader(pipe.ends[0], 1'000);
    const Lines lines = all_lines(reader);
    writer.join();
    ASSERT_EQ(lines, expected);
  }
}

TEST(LineReader, TakesTheWholeRestAsOneEvent) {
  Pipe pipe;
  pipe.write("a\nb");
  pipe.close_writer();
  LineReader reader(pipe.ends[0], 100);
  ASSERT_EQ(reader.rest(100), Event::kLine);
  EXPECT_EQ(reader.line(), "a\nb");
  EXPECT_EQ(reader.rest(100), Event::kEnd);
}

// Events of a CSV text; "!" and the message for a refused record.
Lines csv(const Lines& lines) {
  CsvInput input;
  Lines events;
  for (const std::string& line : lines) {
    const auto complete = input.feed(line);
    if (!complete) {
      events.push_back("!" + complete.error().message);
    } else if (*complete) {
      events.push_back(input.event());
    }
  }
  if (const Status closed = input.finish(); !closed) events.push_back("!" + closed.error().message);
  return events;
}

TEST(CsvInput, KeepsTheTypeOfUnquotedNumbersAndBooleans) {
  EXPECT_EQ(csv({"a,b,c,d,e", "1,-2.5e3,true,text,"}),
            (Lines{R"({"a":1,"b":-2.5e3,"c":true,"d":"text","e":null})"}));
}

TEST(CsvInput, QuotedFieldsAreText) {
  EXPECT_EQ(csv({"a,b,c", R"("1","","say ""hi""")"}), (Lines{R"({"a":"1","b":"","c":"say \"hi\""})"}));
}

TEST(CsvInput, WhatIsNotAJsonNumberIsText) {
  EXPECT_EQ(csv({"a,b,c,d", "007,+1,1.,0x1"}), (Lines{R"({"a":"007","b":"+1","c":"1.","d":"0x1"})"}));
}

TEST(CsvInput, AQuotedFieldMaySpanLines) {
  EXPECT_EQ(csv({"a,b", "\"one", "two\",2"}), (Lines{R"({"a":"one\ntwo","b":2})"}));
}

TEST(CsvInput, CarriageReturnsAtTheLineEndAreNotData) { EXPECT_EQ(csv({"a\r", "x\r"}), (Lines{R"({"a":"x"})"})); }

TEST(CsvInput, MalformedRecordsAreNamedAndDoNotStopTheRest) {
  EXPECT_EQ(csv({"a,b", "1", "1,2,3", "x\"y,1", "\"x\"y,1", "3,4"}),
            (Lines{"!CSV record has 1 fields, the header has 2", "!CSV record has 3 fields, the header has 2",
                   "!CSV ends inside a quoted field"}));
}

TEST(CsvInput, AQuoteInsideAnUnquotedFieldIsRefused) {
  EXPECT_EQ(csv({"a,b", "x\"\"y,1", "\"x\"y,1", "3,4"}),
            (Lines{"!CSV has a quote inside an unquoted field", "!CSV has text after a closing quote",
                   R"({"a":3,"b":4})"}));
}

std::string key(std::string_view event, std::string_view name) {
  std::string scratch;
  const auto found = find_key(event, name, scratch);
  return found ? std::string(*found) : "<none>";
}

TEST(FindKey, TakesTopLevelMembersOnly) {
  EXPECT_EQ(key(R"({"x":{"k":"inner"},"k":"outer"})", "k"), "outer");
  EXPECT_EQ(key(R"({"x":{"k":"inner"},"y":["k"]})", "k"), "<none>");
}

TEST(FindKey, TheLastOfDuplicatesWins) { EXPECT_EQ(key(R"({"k":1,"k":2})", "k"), "2"); }

TEST(FindKey, NullAndMissingAreNoKey) {
  EXPECT_EQ(key(R"({"k":null})", "k"), "<none>");
  EXPECT_EQ(key("{}", "k"), "<none>");
}

TEST(FindKey, OtherValuesAreTheirJsonText) {
  EXPECT_EQ(key(R"({"k": 12.50 , "z":1})", "k"), "12.50");
  EXPECT_EQ(key(R"({"k":[1,{"a":"]"}]})", "k"), R"([1,{"a":"]"}])");
  EXPECT_EQ(key(R"({"k":true})", "k"), "true");
}

TEST(FindKey, StringsAreUnescaped) {
  EXPECT_EQ(key(R"({"k":"a\"b\\c\né😀"})", "k"), "a\"b\\c\n\u00e9\U0001F600");
  EXPECT_EQ(key(R"({"\u006b":"x"})", "k"), "x");
  EXPECT_EQ(key(R"({"k":"}"})", "k"), "}");
}

}  // namespace
}  // namespace kappa::tools
