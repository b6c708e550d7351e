// Text of ids that come one at a time (generation): only whole characters are
// given out, since a character may be spread over several tokens.
#ifndef CARACAL_CORE_IO_TOKENIZER_STREAMING_DECODER_H_
#define CARACAL_CORE_IO_TOKENIZER_STREAMING_DECODER_H_

#include <cstdint>
#include <string>

#include "core/io/tokenizer/tokenizer.h"

namespace caracal {

// What Push and Finish return, joined, is what Tokenizer::Decode gives for all
// the ids. Not thread-safe.
class StreamingDecoder {
 public:
  // `tokenizer` outlives it.
  explicit StreamingDecoder(const Tokenizer* tokenizer,
                            bool skip_special = false)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // What can be shown now: valid UTF-8, perhaps "".
  std::string Push(int32_t id);
  // The rest: an unfinished character becomes U+FFFD. Ready for a new text.
  std::string Finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;  // the beginning of a character, at most 3 bytes
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_STREAMING_DECODER_H_
