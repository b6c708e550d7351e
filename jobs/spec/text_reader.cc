#include "jobs/spec/text_reader.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>
#include <utility>

#include "core/base/status.h"

namespace caracal {
namespace {

using ::google::protobuf::io::ArrayInputStream;
using ::google::protobuf::io::Tokenizer;

absl::Status ErrorAt(int line, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", message));
}

// Keeps the tokenizer's first error (a string without an end, a control
// character, ...).
class FirstError : public ::google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int /*column*/, const std::string& message) override {
    if (status_.ok()) status_ = ErrorAt(line + 1, message);
  }
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

class Reader {
 public:
  explicit Reader(absl::string_view text)
      : stream_(text.data(), static_cast<int>(text.size())),
        tokens_(&stream_, &errors_) {
    tokens_.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
    tokens_.set_require_space_after_number(false);
    tokens_.set_allow_f_after_float(true);
  }

  absl::StatusOr<Value> ReadAll() {
    RETURN_IF_ERROR(Next());
    Value root;
    root.kind = Value::Kind::kBlock;
    root.line = 1;
    RETURN_IF_ERROR(ReadMembers("", 0, &root));
    return root;
  }

 private:
  const std::string& token() { return tokens_.current().text; }
  int line() { return tokens_.current().line + 1; }
  bool At(Tokenizer::TokenType type) { return tokens_.current().type == type; }
  bool AtEnd() { return At(Tokenizer::TYPE_END); }
  // Symbols only: a string token's text is with its quotes, so never equal.
  bool AtSymbol(absl::string_view symbol) { return token() == symbol; }

  absl::Status Next() {
    tokens_.Next();
    return errors_.status();
  }

  absl::Status Expected(absl::string_view what) {
    return ErrorAt(line(),
                   absl::StrCat("expected ", what, ", found ",
                                AtEnd() ? "the end of the file"
                                        : absl::StrCat("'", token(), "'")));
  }

  // Members up to `close` ("}" or ">", consumed), or to the end of the file
  // where it is empty.
  absl::Status ReadMembers(absl::string_view close, int depth, Value* block) {
    const int opened = block->line;
    while (true) {
      if (AtEnd()) {
        if (close.empty()) return absl::OkStatus();
        return Expected(
            absl::StrCat("'", close, "' for the block of line ", opened));
      }
      if (!close.empty() && AtSymbol(close)) return Next();
      if (!At(Tokenizer::TYPE_IDENTIFIER)) return Expected("a field name");
      Member member;
      member.name = token();
      member.line = line();
      RETURN_IF_ERROR(Next());
      bool colon = false;
      if (AtSymbol(":")) {
        colon = true;
        RETURN_IF_ERROR(Next());
      }
      if (!colon && !AtSymbol("{") && !AtSymbol("<") && !AtSymbol("[")) {
        return Expected(absl::StrCat("':' or '{' after ", member.name));
      }
      RETURN_IF_ERROR(ReadValue(depth, &member.value));
      block->members.push_back(std::move(member));
      if (AtSymbol(",") || AtSymbol(";")) RETURN_IF_ERROR(Next());
    }
  }

  absl::Status ReadValue(int depth, Value* value) {
    value->line = line();
    if (depth >= kMaxValueDepth) {
      return ErrorAt(line(), absl::StrCat("blocks are nested more than ",
                                          kMaxValueDepth, " deep"));
    }
    if (AtSymbol("{") || AtSymbol("<")) {
      const char* close = AtSymbol("{") ? "}" : ">";
      value->kind = Value::Kind::kBlock;
      RETURN_IF_ERROR(Next());
      return ReadMembers(close, depth + 1, value);
    }
    if (AtSymbol("[")) return ReadList(depth, value);
    if (At(Tokenizer::TYPE_STRING)) {
      value->kind = Value::Kind::kString;
      while (At(Tokenizer::TYPE_STRING)) {  // neighbours are one string
        Tokenizer::ParseStringAppend(token(), &value->text);
        RETURN_IF_ERROR(Next());
      }
      return absl::OkStatus();
    }
    value->kind = Value::Kind::kWord;
    if (AtSymbol("-")) {
      value->text = "-";
      RETURN_IF_ERROR(Next());
    }
    if (!At(Tokenizer::TYPE_IDENTIFIER) && !At(Tokenizer::TYPE_INTEGER) &&
        !At(Tokenizer::TYPE_FLOAT)) {
      return Expected("a value");
    }
    value->text += token();
    return Next();
  }

  absl::Status ReadList(int depth, Value* list) {
    list->kind = Value::Kind::kList;
    RETURN_IF_ERROR(Next());
    while (!AtSymbol("]")) {
      Value item;
      RETURN_IF_ERROR(ReadValue(depth + 1, &item));
      list->items.push_back(std::move(item));
      if (AtSymbol(",")) {
        RETURN_IF_ERROR(Next());
      } else if (!AtSymbol("]")) {
        return Expected("',' or ']'");
      }
    }
    return Next();
  }

  FirstError errors_;
  ArrayInputStream stream_;
  Tokenizer tokens_;
};

}  // namespace

absl::StatusOr<Value> ReadTextFormat(absl::string_view text) {
  // The tokenizer takes a zero byte for the end of the input.
  const size_t zero = text.find('\0');
  if (zero != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("byte ", zero, " is zero: this is not a text file"));
  }
  return Reader(text).ReadAll();
}

}  // namespace caracal
