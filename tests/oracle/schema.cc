// See schema.h.
#include "tests/oracle/schema.h"

namespace kappa::oracle {
namespace {

const char* type_name(Random& random, Kind kind) {
  switch (kind) {
    case Kind::kBoolean: return "BOOLEAN";
    case Kind::kDouble: return "DOUBLE";
    case Kind::kNumeric: return random.one_in(2) ? "NUMERIC(12,2)" : "DECIMAL(12, 2)";
    case Kind::kJson: return "JSON";
    case Kind::kText: return random.one_in(2) ? "TEXT" : "VARCHAR";
    case Kind::kTime: return "TIMESTAMP";
    case Kind::kInteger:
    case Kind::kHuge: break;
  }
  return random.one_in(3) ? "INT" : "BIGINT";
}

double bound_of(Nature nature, Kind kind) {
  if (kind == Kind::kNumeric) return 1e12;  // Hundredths.
  if (kind == Kind::kDouble) {
    if (nature == Nature::kQuarter) return 1e4;
    if (nature == Nature::kGroup || nature == Nature::kSmall) return 1000;
    return nature == Nature::kWide ? 1e19 : 1e300;
  }
  switch (nature) {
    case Nature::kGroup:
    case Nature::kPart: return 5;
    case Nature::kSmall: return 1000;
    default: return 1e19;
  }
}

Topic random_topic(Random& random, std::size_t number) {
  Topic topic;
  topic.name = "t" + std::to_string(number);
  const auto add = [&](const char* name, Nature nature) {
    Member member{name, nature, Member::Place::kTop};
    if (random.one_in(4)) member.place = static_cast<Member::Place>(1 + random.below(3));
    topic.members.push_back(std::move(member));
  };
  add("k", Nature::kKey);
  add("g", Nature::kGroup);
  add("x", Nature::kSmall);
  add("w", Nature::kWide);
  add("d", Nature::kQuarter);
  add("e", Nature::kWild);
  add("m", Nature::kMoney);
  add("j", Nature::kJson);
  add("s", Nature::kText);
  add("b", Nature::kFlag);
  add("ts", Nature::kTime);
  add("t2", Nature::kTime);
  add("y", Nature::kSmall);
  topic.members.push_back({"op", Nature::kOp, Member::Place::kTop});
  topic.members.push_back({"part", Nature::kPart, Member::Place::kTop});
  return topic;
}

Stream random_stream(Random& random, const Schema& schema, std::size_t number) {
  Stream stream;
  stream.name = "s" + std::to_string(number);
  stream.topic = number < schema.topics.size() ? number : random.below(schema.topics.size());
  if (random.one_in(2)) stream.part = random.between(1, 3);
  const Topic& topic = schema.topics[stream.topic];
  for (std::size_t i = 0; i < topic.members.size(); ++i) {
    const Member& member = topic.members[i];
    const bool always =
        member.name == "k" || member.name == "g" || member.name == "ts" || member.name == "op";
    if (member.nature == Nature::kPart || (!always && random.one_in(3))) continue;
    Kind kind = kind_of(member.nature);
    if (!always && random.one_in(16)) kind = kKinds[random.below(std::size(kKinds))];
    if (member.nature == Nature::kSmall && random.one_in(8)) kind = Kind::kDouble;
    stream.columns.push_back({{member.name, kind, bound_of(member.nature, kind), true}, i});
  }
  stream.event_time = "ts";
  return stream;
}

Table random_table(Random& random, const Schema& schema, std::size_t number) {
  Table table;
  table.stream = random.below(schema.streams.size());
  const Stream& stream = schema.streams[table.stream];
  table.name = "l" + std::to_string(number);
  table.key = random.one_in(3) ? "g" : "k";
  const bool deletes = random.one_in(2);
  const std::string gone = deletes ? "op = 'D'" : "0";
  table.definition = "CREATE TABLE " + table.name + " AS LATEST " + stream.name + " BY " + table.key +
                     (deletes ? " DELETE WHEN op = 'D'" : "");
  std::string columns;
  for (const StreamColumn& c : stream.columns) columns += (columns.empty() ? "" : ", ") + c.column.name;
  table.history = "(SELECT *, coalesce(" + gone + ", 0) AS gone FROM " + stream.name + " WHERE _offset < ?1)";
  const std::string latest = "(SELECT *, row_number() OVER (PARTITION BY " + table.key +
                             " ORDER BY _offset DESC) AS recency FROM " + table.history + ")";
  table.relation.text = {table.name,
                         "(SELECT " + columns + " FROM " + latest + " WHERE recency = 1 AND NOT gone)"};
  for (const StreamColumn& c : stream.columns) table.relation.columns.push_back(c.column);
  table.relation.needs = {table.name};
  return table;
}

}  // namespace

Kind kind_of(Nature nature) {
  switch (nature) {
    case Nature::kKey:
    case Nature::kText:
    case Nature::kOp: return Kind::kText;
    case Nature::kGroup:
    case Nature::kSmall:
    case Nature::kPart:
    case Nature::kWide: return Kind::kInteger;
    case Nature::kQuarter:
    case Nature::kWild: return Kind::kDouble;
    case Nature::kMoney: return Kind::kNumeric;
    case Nature::kJson: return Kind::kJson;
    case Nature::kFlag: return Kind::kBoolean;
    case Nature::kTime: return Kind::kTime;
  }
  return Kind::kText;
}

std::string Member::path() const {
  switch (place) {
    case Place::kTop: break;
    case Place::kNested: return "$.n_" + name + ".a." + name;
    case Place::kQuoted: return "$.\"q " + name + ".x\"";
    case Place::kElement: return "$.r_" + name + "[1]";
  }
  return {};
}

std::string Stream::definition(const Topic& topic_of_it) const {
  // The names of types vary by the column, not by chance, so that a definition is a function of the schema.
  Random names(columns.size());
  std::string sql = "CREATE STREAM " + name + " (";
  for (const StreamColumn& c : columns) {
    const std::string path = topic_of_it.members[c.member].path();
    sql += (sql.back() == '(' ? "" : ", ") + c.column.name + " " + type_name(names, c.column.kind);
    if (!path.empty()) sql += " PATH '" + path + "'";
  }
  sql += ") WITH (topic = '" + topic_of_it.name + "', event_time = '" + event_time + "')";
  if (part) sql += " WHERE part = " + std::to_string(*part);
  return sql;
}

std::string Stream::sqlite_definition() const {
  // No declared types: values stay as they are given.
  std::string sql = "CREATE TABLE " + name + " (_offset INTEGER PRIMARY KEY, _seq, _key";
  for (const StreamColumn& c : columns) sql += ", " + c.column.name;
  return sql + ")";
}

Relation Stream::relation() const {
  Relation relation;
  relation.text = {name + kAsOfMark, "(SELECT * FROM " + name + " WHERE _offset < ?1)"};
  for (const StreamColumn& c : columns) relation.columns.push_back(c.column);
  relation.stream = true;
  relation.event_time = event_time;
  return relation;
}

Schema random_schema(Random& random) {
  Schema schema;
  const std::size_t topics = 1 + random.below(3);
  for (std::size_t i = 0; i < topics; ++i) schema.topics.push_back(random_topic(random, i));
  const std::size_t streams = topics + 1 + random.below(2);
  for (std::size_t i = 0; i < streams; ++i) schema.streams.push_back(random_stream(random, schema, i));
  for (std::size_t i = 0; i < 3; ++i) schema.tables.push_back(random_table(random, schema, i));
  return schema;
}

}  // namespace kappa::oracle
