// Everything that defines a byte-level BPE tokenizer, as plain data: what the
// readers of tokenizer.json and GGUF produce and Tokenizer::Create takes.
//
// Text passes through the parts in this order:
//   added tokens      found in the text as they are; the rest goes on
//   normalizer        rewrites text (no step: as it is)
//   added tokens      the `normalized` ones, found in normalized text
//   pre-tokenizer     cuts text into words
//   BPE               merges the bytes of each word into tokens
//   post-processor    adds ids before and after
#ifndef CARACAL_CORE_IO_TOKENIZER_TOKENIZER_SPEC_H_
#define CARACAL_CORE_IO_TOKENIZER_TOKENIZER_SPEC_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace caracal {

// The split of GPT-2, which `ByteLevel` with use_regex applies.
inline constexpr char kGpt2Pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
    "\\s+(?!\\S)|\\s+";

// One digit. The numbers that came with Unicode 15 to 17 are listed: Hugging
// Face's `Digits` knows them (its ByteLevel does not), PCRE2 10.42 doesn't.
inline constexpr char kDigitPattern[] =
    "[\\p{N}\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}"
    "\\x{11de0}-\\x{11de9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}"
    "\\x{16d70}-\\x{16d79}\\x{16ff4}-\\x{16ff6}\\x{1ccf0}-\\x{1ccf9}"
    "\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}]";

// A token that is recognised in the text itself, before BPE.
struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;      // skipped by Decode on request; see parse_special
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space after it along
  bool single_word = false;  // only where no word character touches it
  bool normalized = false;   // looked for in normalized text
};

struct NormalizerStep {
  enum class Kind {
    kPrepend,  // `to` before a text that is not empty
    kReplace,  // every `from` by `to`
  };
  Kind kind;
  std::string from;
  std::string to;
};

struct PreTokenizerStep {
  enum class Kind {
    kSplit,        // matches of `pattern`, and what lies between, are pieces
    kPrefixSpace,  // a space before each piece that doesn't begin with one
  };
  Kind kind;
  std::string pattern;  // Oniguruma's dialect (regex.h)
};

struct TokenizerSpec {
  std::string source;  // file, for messages

  // The token of each id, in the byte alphabet (byte_alphabet.h). "" where an
  // id is not used, or only by an added token.
  std::vector<std::string> vocab;
  // In order of rank: the first pair is merged first.
  std::vector<std::pair<std::string, std::string>> merges;
  bool ignore_merges = false;  // a word that is a token is taken whole
  int32_t unknown_id = -1;     // for bytes without a token; -1: drop these
  bool fuse_unknown = false;   // one unknown id for a run of such bytes

  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;

  std::vector<int32_t> prefix_ids;  // before a text, with add_special
  std::vector<int32_t> suffix_ids;  // after it
  int32_t bos_id = -1;              // -1: none
  int32_t eos_id = -1;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_TOKENIZER_SPEC_H_
