#include "tools/row_writer.h"

#include <algorithm>
#include <utility>

namespace kappa::tools {
namespace {

// A NULL's type is not on the wire, so alignment goes by the column.
bool right_aligned(TypeId type) {
  return type == TypeId::kBigint || type == TypeId::kDouble || type == TypeId::kNumeric;
}

// Widths come from the first rows: a table of millions streams in bounded memory, and a wider cell
// further down only shifts its own line.
constexpr std::size_t kTableSampleRows = 1'000;

class TableWriter final : public RowWriter {
 public:
  TableWriter(Output& out, bool markdown) : out_(out), markdown_(markdown) {}

  void columns(const std::vector<ClientColumn>& columns) override {
    columns_ = columns;
    for (const ClientColumn& column : columns_) widths_.push_back(display_width(printable(column.name)));
  }
  void rows(const std::vector<Row>& rows) override {
    for (const Row& row : rows) {
      std::vector<std::string> cells;
      cells.reserve(row.size());
      for (const Value& value : row) cells.push_back(cell(value));
      if (header_done_) {
        line(cells);
        continue;
      }
      for (std::size_t i = 0; i < cells.size() && i < widths_.size(); ++i) {
        widths_[i] = std::max(widths_[i], display_width(cells[i]));
      }
      held_.push_back(std::move(cells));
      if (held_.size() == kTableSampleRows) release();
    }
  }
  void finish() override {
    if (!header_done_) release();
    out_.flush();
  }

 private:
  std::string cell(const Value& value) const {
    std::string text = printable(display(value));
    if (markdown_) {
      for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
    }
    return text;
  }
  void release() {
    header_done_ = true;
    if (columns_.empty()) return;
    std::vector<std::string> names, rules;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (markdown_) widths_[i] = std::max(widths_[i], std::size_t{3});
      names.push_back(printable(columns_[i].name));
      std::string rule(widths_[i], '-');
      if (markdown_ && right_aligned(columns_[i].type.id)) rule.back() = ':';
      rules.push_back(std::move(rule));
    }
    line(names);
    line(rules);
    for (const auto& cells : held_) line(cells);
    held_.clear();
  }
  void line(const std::vector<std::string>& cells) {
    std::string& out = out_.buffer();
    if (markdown_) out += "| ";
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) out += markdown_ ? " | " : "  ";
      const std::size_t width = i < widths_.size() ? widths_[i] : 0;
      const std::size_t used = display_width(cells[i]);
      const std::string pad(width > used ? width - used : 0, ' ');
      const bool right = i < columns_.size() && right_aligned(columns_[i].type.id);
      const bool last = i + 1 == cells.size() && !markdown_;
      if (right) out += pad;
      out += cells[i];
      if (!right && !last) out += pad;
    }
    out += markdown_ ? " |\n" : "\n";
    out_.written();
  }

  Output& out_;
  const bool markdown_;
  bool header_done_ = false;
  std::vector<ClientColumn> columns_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> held_;
};

class JsonWriter final : public RowWriter {
 public:
  JsonWriter(Output& out, bool array) : out_(out), array_(array) {}
  void columns(const std::vector<ClientColumn>& columns) override { columns_ = columns; }
  void rows(const std::vector<Row>& rows) override {
    for (const Row& row : rows) {
      std::string& out = out_.buffer();
      if (array_) out += first_ ? "[\n" : ",\n";
      first_ = false;
      append_json_object(columns_, row, out);
      if (!array_) out += '\n';
      out_.written();
    }
  }
  void finish() override {
    if (array_) out_.write(first_ ? "[]\n" : "\n]\n");
    out_.flush();
  }

 private:
  Output& out_;
  const bool array_;
  bool first_ = true;
  std::vector<ClientColumn> columns_;
};

class CsvWriter final : public RowWriter {
 public:
  explicit CsvWriter(Output& out) : out_(out) {}
  void columns(const std::vector<ClientColumn>& columns) override {
    std::string& out = out_.buffer();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) out += ',';
      // Names stay bare where they can, as in the header that a person would write.
      if (columns[i].name.find_first_of(",\"\r\n") == std::string::npos) {
        out += columns[i].name;
      } else {
        append_csv_text(columns[i].name, out);
      }
    }
    out += '\n';
  }
  void rows(const std::vector<Row>& rows) override {
    for (const Row& row : rows) {
      std::string& out = out_.buffer();
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (i > 0) out += ',';
        append_csv(row[i], out);
      }
      out += '\n';
      out_.written();
    }
  }
  void finish() override { out_.flush(); }

 private:
  Output& out_;
};

class RawWriter final : public RowWriter {
 public:
  explicit RawWriter(Output& out) : out_(out) {}
  void columns(const std::vector<ClientColumn>&) override {}
  void rows(const std::vector<Row>& rows) override {
    for (const Row& row : rows) {
      std::string& out = out_.buffer();
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (i > 0) out += '\t';
        if (!row[i].is_null()) out += display(row[i]);
      }
      out += '\n';
      out_.written();
    }
  }
  void finish() override { out_.flush(); }

 private:
  Output& out_;
};

}  // namespace

std::optional<Format> parse_format(std::string_view name) {
  static constexpr std::pair<std::string_view, Format> kNames[] = {
      {"table", Format::kTable}, {"json", Format::kJson},   {"ndjson", Format::kNdjson},
      {"csv", Format::kCsv},     {"md", Format::kMarkdown}, {"raw", Format::kRaw}};
  for (const auto& [known, format] : kNames) {
    if (known == name) return format;
  }
  return std::nullopt;
}

Format choose_format(const std::string& name) {
  if (const auto format = parse_format(name)) return *format;
  return is_terminal(1) ? Format::kTable : Format::kNdjson;
}

std::unique_ptr<RowWriter> make_row_writer(Format format, Output& out) {
  switch (format) {
    case Format::kTable: return std::make_unique<TableWriter>(out, false);
    case Format::kMarkdown: return std::make_unique<TableWriter>(out, true);
    case Format::kJson: return std::make_unique<JsonWriter>(out, true);
    case Format::kNdjson: return std::make_unique<JsonWriter>(out, false);
    case Format::kCsv: return std::make_unique<CsvWriter>(out);
    case Format::kRaw: return std::make_unique<RawWriter>(out);
  }
  return nullptr;
}

void append_csv_text(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void append_csv(const Value& value, std::string& out) {
  if (value.is_null()) return;
  switch (value.type().id) {
    case TypeId::kText:
    case TypeId::kJson: append_csv_text(value.as_text(), out); return;
    case TypeId::kInterval: append_csv_text(display(value), out); return;
    case TypeId::kNull:
    case TypeId::kBoolean:
    case TypeId::kBigint:
    case TypeId::kDouble:
    case TypeId::kNumeric:
    case TypeId::kTimestamp: out += display(value); return;
  }
}

void append_json_object(const std::vector<ClientColumn>& columns, const Row& row, std::string& out) {
  out += '{';
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(i < columns.size() ? std::string_view(columns[i].name) : std::string_view(), out);
    out += ':';
    append_json(row[i], out);
  }
  out += '}';
}

}  // namespace kappa::tools
