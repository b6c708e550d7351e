// A job file as parsed, before it meets the message: what text format and
// JSON have in common. Readers make it, jobs/spec/bind.h puts it into the
// message, so that both syntaxes get the same checks and the same errors.
#ifndef CARACAL_JOBS_SPEC_VALUE_TREE_H_
#define CARACAL_JOBS_SPEC_VALUE_TREE_H_

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
  };
  Kind kind = Kind::kNull;
  int line = 0;  // first line is 1; 0: not from a file
  std::string text;
  std::vector<Member> members;
  std::vector<Value> items;
};

struct Member {
  std::string name;
  int line = 0;
  Value value;
};

// Blocks and lists within each other; deeper input is refused by the readers,
// so that recursion over a tree is bounded.
inline constexpr int kMaxValueDepth = 32;

// Job files larger than this (bytes) are refused.
inline constexpr size_t kMaxJobBytes = 1 << 20;

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_VALUE_TREE_H_
