#include "jobs/spec/text_reader.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

using ::google::protobuf::io::ArrayInputStream;
using ::google::protobuf::io::Tokenizer;

// In the order of the text, one at a place. Lines and columns are the
// tokenizer's, which count from 0.
class Faults : public ::google::protobuf::io::ErrorCollector {
 public:
  // Of the tokenizer: a string without an end, a control character, ... What
  // the reader then stumbles over in the same line follows from it.
  void AddError(int line, int column, const std::string& message) override {
    lexical_lines_.insert(line);
    faults_.emplace(std::make_pair(line, column), message);
  }

  void Add(int line, int column, std::string message) {
    if (lexical_lines_.count(line) > 0) return;
    faults_.emplace(std::make_pair(line, column), std::move(message));
  }

  bool full() const { return faults_.size() >= kMostSyntaxFaults; }

  std::vector<SyntaxFault> Take() {
    std::vector<SyntaxFault> taken;
    for (auto& [place, message] : faults_) {
      taken.push_back({place.first + 1, place.second + 1, std::move(message)});
    }
    return taken;
  }

 private:
  std::set<int> lexical_lines_;
  std::map<std::pair<int, int>, std::string> faults_;
};

// After a fault it goes on where the next member seems to begin. Functions that
// return a bool return false after a fault that leaves them in the middle of a
// value.
class Reader {
 public:
  explicit Reader(absl::string_view text)
      : stream_(text.data(), static_cast<int>(text.size())),
        tokens_(&stream_, &faults_) {
    tokens_.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
    tokens_.set_require_space_after_number(false);
    tokens_.set_allow_f_after_float(true);
    Next();
    Next();
  }

  ParsedText ReadAll() {
    ParsedText read;
    read.root.kind = Value::Kind::kBlock;
    read.root.line = read.root.column = 1;
    ReadMembers("", 0, &read.root);
    const bool full = faults_.full() && !AtEnd();
    if (full) {
      faults_.Add(token_.line, token_.column,
                  absl::StrCat("the rest is not read: there are ",
                               kMostSyntaxFaults, " faults before it"));
    }
    read.faults = faults_.Take();
    return read;
  }

 private:
  bool At(Tokenizer::TokenType type) const { return token_.type == type; }
  bool AtEnd() const { return At(Tokenizer::TYPE_END); }
  // Symbols only: a string token's text is with its quotes, so never equal.
  bool AtSymbol(absl::string_view symbol) const {
    return token_.text == symbol;
  }

  // Whether a member begins here, of which only its first two tokens are seen.
  bool AtMember() const {
    return At(Tokenizer::TYPE_IDENTIFIER) &&
           (next_.text == ":" || next_.text == "{" || next_.text == "<" ||
            next_.text == "[");
  }

  void Next() {
    last_line_ = token_.line;
    token_ = std::move(next_);
    tokens_.Next();
    next_ = tokens_.current();
  }

  // False, for callers that return it.
  bool Fault(std::string message) {
    faults_.Add(token_.line, token_.column, std::move(message));
    return false;
  }

  bool Expected(absl::string_view what) {
    return Fault(absl::StrCat(
        "expected ", what, ", found ",
        AtEnd() ? "the end of the file" : absl::StrCat("'", token_.text, "'")));
  }

  // From a fault to the next member of the same block, or to its end. Words of
  // a list, of which `lists` are open, may begin a line as well.
  void Recover(int lists) {
    int depth = 0;  // of blocks that are skipped whole
    while (!AtEnd()) {
      const bool first_of_line = token_.line != last_line_;
      if (depth == 0 && (AtMember() || (lists <= 0 && first_of_line &&
                                        At(Tokenizer::TYPE_IDENTIFIER)))) {
        return;
      }
      if (AtSymbol("[")) ++lists;
      if (AtSymbol("]")) --lists;
      if (AtSymbol("{") || AtSymbol("<")) ++depth;
      if (AtSymbol("}") || AtSymbol(">")) {
        if (depth == 0) return;
        --depth;
      }
      Next();
    }
  }

  // Members up to `close` ("}" or ">", consumed), or to the end of the file
  // where it is empty.
  void ReadMembers(absl::string_view close, int depth, Value* block) {
    while (!faults_.full()) {
      if (AtEnd()) {
        if (close.empty()) return;
        faults_.Add(block->line - 1, block->column - 1,
                    absl::StrCat("the block that begins here has no end: "
                                 "expected '",
                                 close, "' before the end of the file"));
        block->unclosed = true;
        return;
      }
      if (AtSymbol("}") || AtSymbol(">")) {
        if (!AtSymbol(close)) {
          Expected(close.empty()
                       ? "a field name"
                       : absl::StrCat("'", close, "' for the block of line ",
                                      block->line, ", column ", block->column));
        }
        Next();
        if (close.empty()) continue;
        return;
      }
      if (AtSymbol("]") && left_lists_ > 0) {
        --left_lists_;
        Next();
        continue;
      }
      if (!At(Tokenizer::TYPE_IDENTIFIER)) {
        Expected("a field name");
        Next();
        Recover(/*lists=*/0);
        continue;
      }
      ReadMember(depth, block);
      if (AtSymbol(",") || AtSymbol(";")) Next();
    }
  }

  void ReadMember(int depth, Value* block) {
    Member member;
    member.name = token_.text;
    member.line = token_.line + 1;
    member.column = token_.column + 1;
    Next();
    const bool colon = AtSymbol(":");
    if (colon) Next();
    const bool in_list = AtSymbol("[");
    bool whole = false;
    if (!colon && !AtSymbol("{") && !AtSymbol("<") && !AtSymbol("[")) {
      Expected(absl::StrCat("':' or '{' after ", member.name));
    } else {
      whole = ReadValue(depth, &member.value);
    }
    if (!whole) {
      member.value = Value();
      member.value.kind = Value::Kind::kUnread;
    }
    block->members.push_back(std::move(member));
    if (!whole) Recover(in_list ? 1 : 0);
  }

  bool ReadValue(int depth, Value* value) {
    value->line = token_.line + 1;
    value->column = token_.column + 1;
    if (depth >= kMaxValueDepth) {
      return Fault(absl::StrCat("blocks are nested more than ", kMaxValueDepth,
                                " deep"));
    }
    if (AtSymbol("{") || AtSymbol("<")) {
      const char* close = AtSymbol("{") ? "}" : ">";
      value->kind = Value::Kind::kBlock;
      Next();
      ReadMembers(close, depth + 1, value);
      return true;
    }
    if (AtSymbol("[")) return ReadList(depth, value);
    if (At(Tokenizer::TYPE_STRING)) {
      value->kind = Value::Kind::kString;
      while (At(Tokenizer::TYPE_STRING)) {  // neighbours are one string
        Tokenizer::ParseStringAppend(token_.text, &value->text);
        Next();
      }
      return true;
    }
    value->kind = Value::Kind::kWord;
    if (AtSymbol("-")) {
      value->text = "-";
      Next();
    }
    if (!At(Tokenizer::TYPE_IDENTIFIER) && !At(Tokenizer::TYPE_INTEGER) &&
        !At(Tokenizer::TYPE_FLOAT)) {
      return Expected("a value");
    }
    value->text += token_.text;
    Next();
    return true;
  }

  // Whether what follows is no item: of a list without an end.
  bool AfterList() const {
    return AtEnd() || AtMember() || AtSymbol("}") || AtSymbol(">");
  }

  bool ReadList(int depth, Value* list) {
    list->kind = Value::Kind::kList;
    Next();
    while (!AtSymbol("]")) {
      if (AfterList()) {
        LeaveList(*list);
        return true;
      }
      Value item;
      if (!ReadValue(depth + 1, &item)) return false;
      list->items.push_back(std::move(item));
      if (AtSymbol(",")) {
        Next();
      } else if (!AtSymbol("]") && !AfterList()) {
        return Expected("',' or ']'");
      }
    }
    Next();
    return true;
  }

  // Goes on after the items that were read.
  void LeaveList(const Value& list) {
    if (AtEnd()) {
      faults_.Add(list.line - 1, list.column - 1,
                  "the list that begins here has no end: expected ']' before "
                  "the end of the file");
      return;
    }
    Expected(absl::StrCat("a value or ']' of the list of line ", list.line,
                          ", column ", list.column));
    if (AtMember()) ++left_lists_;
  }

  Faults faults_;
  ArrayInputStream stream_;
  Tokenizer tokens_;
  Tokenizer::Token token_, next_;
  int last_line_ = -1;  // of the token before
  // That a member seemed to end, whose ']' may still come: not a fault more.
  int left_lists_ = 0;
};

}  // namespace

ParsedText ReadTextFormat(absl::string_view text) {
  // The tokenizer takes a zero byte for the end of the input.
  const size_t zero = text.find('\0');
  if (zero != absl::string_view::npos) {
    ParsedText read;
    read.root.kind = Value::Kind::kBlock;
    read.faults.push_back(
        {0, 0,
         absl::StrCat("byte ", zero, " is zero: this is not a text file")});
    return read;
  }
  return Reader(text).ReadAll();
}

}  // namespace caracal
