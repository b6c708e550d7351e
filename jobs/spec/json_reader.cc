#include "jobs/spec/json_reader.h"

#include <cstddef>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

struct Place {
  int line = 1, column = 1;
};

// Where the parser stands in the text: it reads through CountingIterator. Of a
// number it has read the character after it too.
struct Position {
  Place next;       // of the next character
  Place structure;  // of the last of {}[],:
  Place scalar;     // where the last string, number or word began
  Place token;      // the later of the two
  bool in_string = false, escaped = false;
  bool in_scalar = false;

  void Take(char c) {
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      in_scalar = false;
    } else if (std::strchr("{}[],:", c) != nullptr) {
      in_scalar = false;
      token = structure = next;
    } else {
      if (!in_scalar) token = scalar = next;
      in_scalar = true;
      in_string = c == '"';
    }
    if (c == '\n') {
      ++next.line;
      next.column = 1;
    } else if (c == '\t') {
      constexpr int kTab = 8;
      next.column += kTab - (next.column - 1) % kTab;
    } else {
      ++next.column;
    }
  }
};

// Reads characters one by one and keeps the position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, Position* position)
      : at_(at), position_(position) {}
  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    position_->Take(*at_++);
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const {
    return at_ == other.at_;
  }
  bool operator!=(const CountingIterator& other) const {
    return at_ != other.at_;
  }

 private:
  const char* at_;
  Position* position_;
};

// Builds the tree from the parser's events; no recursion, so depth is bounded
// here and not by the stack.
class TreeBuilder : public nlohmann::json::json_sax_t {
 public:
  TreeBuilder(const Position* position, Value* root)
      : position_(*position), root_(*root) {}

  bool null() override { return Add(Value::Kind::kNull, "null"); }
  bool boolean(bool value) override {
    return Add(Value::Kind::kWord, value ? "true" : "false");
  }
  bool number_integer(number_integer_t value) override {
    return Add(Value::Kind::kWord, absl::StrCat(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Add(Value::Kind::kWord, absl::StrCat(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Add(Value::Kind::kWord, text);
  }
  bool string(string_t& value) override {
    return Add(Value::Kind::kString, std::move(value));
  }
  bool binary(binary_t&) override {
    return Fail("binary data", position_.token);
  }

  bool start_object(size_t) override { return Open(Value::Kind::kBlock); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Value::Kind::kList); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    Member member;
    member.name = std::move(name);
    member.line = position_.scalar.line;
    member.column = position_.scalar.column;
    open_.back()->members.push_back(std::move(member));
    return true;
  }
  bool parse_error(size_t, const std::string&,
                   const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 3, column 5:
    // syntax error while parsing value - unexpected ..."
    // or "[json.exception.out_of_range.406] number overflow parsing ..."
    std::string text = error.what();
    const size_t tag = text.find("] ");
    if (tag != text.npos) text = text.substr(tag + 2);
    const size_t column = text.find(", column ");
    if (column != text.npos) text = text.substr(text.find(": ", column) + 2);
    // The character after a number was read as well.
    const bool in_number = absl::StrContains(text, "number");
    const Place& place = in_number ? position_.scalar : position_.token;
    if (!absl::StrContains(text, "unexpected end of input") || open_.empty()) {
      return Fail(text, place);
    }
    for (Value* const value : open_) value->unclosed = true;
    const Value& last = *open_.back();
    return Fail(absl::StrCat(text, " for the ",
                             last.kind == Value::Kind::kList ? "list" : "block",
                             " of line ", last.line, ", column ", last.column),
                place);
  }

  const SyntaxFault& fault() const { return fault_; }

 private:
  bool Fail(const std::string& message, const Place& place) {
    fault_ = {place.line, place.column, message};
    return false;
  }

  // The value to come, where it belongs.
  Value* Put(Value::Kind kind, const Place& place) {
    Value* value = &root_;
    if (!open_.empty() && open_.back()->kind == Value::Kind::kList) {
      value = &open_.back()->items.emplace_back();
    } else if (!open_.empty()) {
      value = &open_.back()->members.back().value;
    }
    value->kind = kind;
    value->line = place.line;
    value->column = place.column;
    return value;
  }

  bool Add(Value::Kind kind, std::string text) {
    Put(kind, position_.scalar)->text = std::move(text);
    return true;
  }

  bool Open(Value::Kind kind) {
    if (open_.size() >= kMaxValueDepth) {
      return Fail(absl::StrCat("nested more than ", kMaxValueDepth, " deep"),
                  position_.structure);
    }
    // The parent's vectors don't grow while a child is open, so that pointers
    // in open_ stay valid.
    open_.push_back(Put(kind, position_.structure));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const Position& position_;
  Value& root_;
  std::vector<Value*> open_;
  SyntaxFault fault_;
};

}  // namespace

ParsedText ReadJson(absl::string_view text) {
  Position position;
  ParsedText read;
  TreeBuilder builder(&position, &read.root);
  const CountingIterator begin(text.data(), &position);
  const CountingIterator end(text.data() + text.size(), &position);
  if (!nlohmann::json::sax_parse(begin, end, &builder)) {
    read.faults.push_back(builder.fault());
  }
  if (read.root.kind != Value::Kind::kBlock) {
    if (read.faults.empty()) {
      read.faults.push_back({1, 1, "expected a JSON object"});
    }
    read.root = Value();
    read.root.kind = Value::Kind::kBlock;
  }
  return read;
}

}  // namespace caracal
