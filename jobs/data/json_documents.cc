// JSON lines as documents.
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/io/quoted.h"
#include "jobs/data/alpaca.h"
#include "jobs/data/documents.h"
#include "jobs/data/line_reader.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

// One line of a file, for messages.
class Line {
 public:
  Line(const std::string& path, int64_t number)
      : path_(path), number_(number) {}

  absl::Status Error(absl::string_view message) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": line ", number_, ": ", message));
  }

  absl::StatusOr<Json> Parse(absl::string_view text) const {
    if (text.find('\0') != absl::string_view::npos) {
      return Error("a zero byte; this is binary data, not JSON lines");
    }
    try {
      return Json::parse(text.begin(), text.end());
    } catch (const Json::parse_error& error) {
      return Error(absl::StrCat("not valid JSON at byte ", error.byte, ": ",
                                Quoted(text)));
    } catch (const Json::exception& error) {
      return Error(absl::StrCat("not valid JSON: ", Quoted(error.what())));
    }
  }

  absl::StatusOr<std::string> Field(const Json& object,
                                    const char* name) const {
    const Json& value = object[name];
    if (value.is_string()) return value.get<std::string>();
    return Error(absl::StrCat("\"", name, "\": a string expected, not ",
                              value.type_name()));
  }

 private:
  const std::string& path_;
  int64_t number_;
};

absl::Status AddInstruction(const Line& line, const Json& object,
                            DocumentSink* sink) {
  ASSIGN_OR_RETURN(const std::string instruction,
                   line.Field(object, "instruction"));
  ASSIGN_OR_RETURN(const std::string output, line.Field(object, "output"));
  std::string input;
  const auto it = object.find("input");
  if (it != object.end() && !it->is_null()) {
    ASSIGN_OR_RETURN(input, line.Field(object, "input"));
  }
  RETURN_IF_ERROR(sink->Begin(Part::kByTurn));
  RETURN_IF_ERROR(sink->Add(AlpacaPrompt(instruction, input), false));
  RETURN_IF_ERROR(sink->Add(output, true));
  return sink->End();
}

absl::Status AddObject(const Line& line, const Json& object,
                       DocumentSink* sink) {
  if (!object.is_object()) {
    return line.Error(
        absl::StrCat("a JSON object expected, not ", object.type_name()));
  }
  // Alpaca's own files carry a ready-made `text` too: the fields say more.
  if (object.contains("instruction") && object.contains("output")) {
    return AddInstruction(line, object, sink);
  }
  if (object.contains("text")) {
    ASSIGN_OR_RETURN(const std::string text, line.Field(object, "text"));
    RETURN_IF_ERROR(sink->Begin(Part::kByTurn));
    RETURN_IF_ERROR(sink->Add(text, true));
    return sink->End();
  }
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) {
    names.push_back(Quoted(name, 20));
    if (names.size() == 8) break;
  }
  return line.Error(absl::StrCat(
      "neither \"text\" nor \"instruction\" and \"output\" among the fields (",
      absl::StrJoin(names, ", "), ")"));
}

}  // namespace

absl::Status ReadJsonLines(const std::string& path, ByteSource* source,
                           DocumentSink* sink) {
  LineReader lines(path, source);
  absl::string_view text;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, lines.Next(&text));
    if (!more) return absl::OkStatus();
    if (absl::StripAsciiWhitespace(text).empty()) continue;
    const Line line(path, lines.line_number());
    ASSIGN_OR_RETURN(const Json object, line.Parse(text));
    RETURN_IF_ERROR(AddObject(line, object, sink));
  }
}

}  // namespace caracal
