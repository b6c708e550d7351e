// A job file as parsed, before it meets the message: what text format and
// JSON have in common. Readers make it, jobs/spec/bind.h puts it into the
// message, so that both syntaxes get the same checks and the same errors.
#ifndef CARACAL_JOBS_SPEC_VALUE_TREE_H_
#define CARACAL_JOBS_SPEC_VALUE_TREE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace caracal {

struct Member;

struct Value {
  enum class Kind {
    kBlock,   // members
    kList,    // items
    kString,  // text, quotes and escapes resolved
    kWord,    // text as written: a number, true, an enum's name
    kNull,    // JSON null: as if the field were not there
    kUnread,  // a syntax fault is in it
  };
  Kind kind = Kind::kNull;
  // Where it begins, from 1; 0: not from a file. Columns count bytes, and a tab
  // goes on to the next multiple of 8.
  int line = 0, column = 0;
  std::string text;
  std::vector<Member> members;
  std::vector<Value> items;
  // A block whose end was not found: some of what is in it may belong to a
  // block around it.
  bool unclosed = false;
};

struct Member {
  std::string name;
  int line = 0, column = 0;
  Value value;
};

// A place that is not of the syntax.
struct SyntaxFault {
  int line = 0, column = 0;  // from 1; 0: of the whole text
  std::string message;
};

// What readers make of a text: a kBlock with what can be read, and all that
// can't.
struct ParsedText {
  Value root;
  std::vector<SyntaxFault> faults;  // in the order of the text
};

// Blocks and lists within each other; deeper input is refused by the readers,
// so that recursion over a tree is bounded.
inline constexpr int kMaxValueDepth = 32;

// Readers stop at so many faults.
inline constexpr size_t kMostSyntaxFaults = 50;

// Job files larger than this (bytes) are refused.
inline constexpr size_t kMaxJobBytes = 1 << 20;

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_VALUE_TREE_H_
