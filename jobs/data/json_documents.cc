// JSON lines as documents.
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/io/quoted.h"
#include "jobs/data/alpaca.h"
#include "jobs/data/documents.h"
#include "jobs/data/json_record.h"
#include "jobs/data/line_reader.h"
#include "jobs/data/text_pieces.h"

namespace caracal {
namespace {

bool IsInstruction(const JsonRecord& record) {
  return record.instruction.type != nullptr && record.output.type != nullptr;
}

absl::Status CheckText(const char* name, const JsonField& field) {
  if (field.type == absl::string_view("string")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\": a string expected, not ", field.type));
}

// Whether the record makes a document. Errors say what is wrong, not where.
absl::Status CheckRecord(const JsonRecord& record) {
  if (record.type != absl::string_view("object")) {
    return absl::InvalidArgumentError(
        absl::StrCat("a JSON object expected, not ", record.type));
  }
  if (IsInstruction(record)) {
    RETURN_IF_ERROR(CheckText("instruction", record.instruction));
    RETURN_IF_ERROR(CheckText("output", record.output));
    const char* const input = record.input.type;
    if (input == nullptr || input == absl::string_view("null")) {
      return absl::OkStatus();
    }
    return CheckText("input", record.input);
  }
  if (record.text.type != nullptr) return CheckText("text", record.text);
  std::vector<std::string> names;
  for (const std::string& name : record.names) {
    names.push_back(Quoted(name, 20));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "neither \"text\" nor \"instruction\" and \"output\" among the fields (",
      absl::StrJoin(names, ", "), ")"));
}

absl::Status AddRecord(const JsonRecord& record, DocumentSink* sink) {
  RETURN_IF_ERROR(sink->Begin(Part::kByTurn));
  // Alpaca's own files carry a ready-made `text` too: the fields say more.
  if (IsInstruction(record)) {
    RETURN_IF_ERROR(AddInPieces(
        AlpacaPrompt(record.instruction.text, record.input.text), false, sink));
    RETURN_IF_ERROR(AddInPieces(record.output.text, true, sink));
  } else {
    RETURN_IF_ERROR(AddInPieces(record.text.text, true, sink));
  }
  return sink->End();
}

}  // namespace

absl::Status ReadJsonLines(const std::string& path, ByteSource* source,
                           DocumentSink* sink, int64_t* replaced) {
  LineReader lines(path, source);
  absl::string_view text;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, lines.Next(&text));
    if (!more) return absl::OkStatus();
    if (absl::StripAsciiWhitespace(text).empty()) continue;
    const absl::StatusOr<JsonRecord> record = ParseJsonRecord(text);
    const absl::Status checked =
        record.ok() ? CheckRecord(*record) : record.status();
    if (!checked.ok()) {
      return Annotate(checked,
                      absl::StrCat(path, ": line ", lines.line_number()));
    }
    *replaced += record->lone_surrogates;
    RETURN_IF_ERROR(AddRecord(*record, sink));
  }
}

}  // namespace caracal
